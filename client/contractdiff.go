package client

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract"
)

// ContractCompareOptions are the settings of [ContractDiff] and [ContractClass].
type ContractCompareOptions struct {
	Env
	Dirs []string // old and new
	JSON bool
}

// diffResult is what --json prints of contract diff.
type diffResult struct {
	Terms []termsChange `json:"terms"`
	Prose []string      `json:"prose"` // lines that are gone begin with -, new ones with +
}

// termsChange is one change of the terms.
type termsChange struct {
	Op    contract.OpKind `json:"op"`
	Path  string          `json:"path"`
	Was   json.RawMessage `json:"was,omitempty"`
	Value json.RawMessage `json:"value,omitempty"`
}

// classResult is what --json prints of contract class.
type classResult struct {
	Class          contract.Class `json:"class"`
	Constitutional bool           `json:"constitutional"`
	Changes        []classChange  `json:"changes"`
}

// classChange is one path of the terms that differs.
type classChange struct {
	Path           string         `json:"path"`
	Class          contract.Class `json:"class"`
	Constitutional bool           `json:"constitutional,omitempty"`
	Old            string         `json:"old,omitempty"`
	New            string         `json:"new,omitempty"`
	Witness        *classWitness  `json:"witness,omitempty"`
}

// classWitness is a request that the two versions treat differently.
type classWitness struct {
	Role  string            `json:"role"`
	Facts map[string]string `json:"facts"`
	Old   string            `json:"old"`
	New   string            `json:"new"`
}

// ContractDiff prints what differs between two versions: the changes of the terms as
// an amendment states them, and the lines of the prose.
func ContractDiff(o ContractCompareOptions) error {
	before, after, err := o.load()
	if err != nil {
		return err
	}
	ops, err := contract.Diff(before.terms, after.terms)
	if err != nil {
		return err
	}
	r := diffResult{Terms: []termsChange{}, Prose: changedLines(before.prose, after.prose)}
	for _, op := range ops {
		r.Terms = append(r.Terms, termsChange{Op: op.Op, Path: op.Path, Was: op.Was, Value: op.Value})
	}
	if o.JSON {
		return o.printJSON(r)
	}
	var lines []string
	for _, op := range r.Terms {
		lines = append(lines, op.words())
	}
	if len(lines) > 0 && len(r.Prose) > 0 {
		lines = append(lines, "")
	}
	return o.print(append(lines, r.Prose...)...)
}

func (c termsChange) words() string {
	switch c.Op {
	case contract.OpAdd:
		return fmt.Sprintf("%s: %s is new", c.Path, c.Value)
	case contract.OpRemove:
		return fmt.Sprintf("%s: %s is gone", c.Path, c.Was)
	case contract.OpReplace:
		return fmt.Sprintf("%s: %s becomes %s", c.Path, c.Was, c.Value)
	case contract.OpOrder:
		return fmt.Sprintf("%s: the order %s becomes %s", c.Path, c.Was, c.Value)
	}
	return fmt.Sprintf("%s: %s", c.Path, c.Op)
}

// ContractClass prints what an amendment from the one version to the other would do:
// its class, which says who has to sign it, and each change with a request that shows
// it.
func ContractClass(o ContractCompareOptions) error {
	before, after, err := o.load()
	if err != nil {
		return err
	}
	compared := contract.Compare(before.terms, after.terms)
	if o.JSON {
		return o.printJSON(classOf(compared))
	}
	lines := []string{classWords(compared.Class, compared.Constitutional)}
	for _, c := range compared.Changes {
		lines = append(lines, "  "+changeWords(c))
		if c.Witness != nil {
			lines = append(lines, "    "+witnessWords(*c.Witness))
		}
	}
	return o.print(lines...)
}

func classOf(compared contract.Comparison) classResult {
	r := classResult{Class: compared.Class, Constitutional: compared.Constitutional, Changes: []classChange{}}
	for _, c := range compared.Changes {
		change := classChange{Path: c.Path, Class: c.Class, Constitutional: c.Constitutional, Old: c.Old, New: c.New}
		if w := c.Witness; w != nil {
			change.Witness = &classWitness{Role: w.Role, Facts: w.Facts, Old: w.Old, New: w.New}
		}
		r.Changes = append(r.Changes, change)
	}
	return r
}

// changeWords says one change in a line.
func changeWords(c contract.Change) string {
	text := fmt.Sprintf("%s: %s", c.Path, c.Class)
	if c.Constitutional {
		text += ", constitutional"
	}
	switch {
	case c.Old == "":
		return text + ": " + c.New + " is new"
	case c.New == "":
		return text + ": " + c.Old + " is gone"
	}
	return text + ": " + c.Old + " becomes " + c.New
}

func witnessWords(w contract.Witness) string {
	facts := make([]string, 0, len(w.Facts))
	for _, name := range slices.Sorted(maps.Keys(w.Facts)) {
		facts = append(facts, name+" "+cmp.Or(w.Facts[name], "unknown"))
	}
	return fmt.Sprintf("a request for %s with %s was %s, and is %s", w.Role, cmp.Or(strings.Join(facts, ", "), "nothing special"), w.Old, w.New)
}

// sheet is what two versions are compared by.
type sheet struct {
	terms *contract.Terms
	prose []byte
}

func (o ContractCompareOptions) load() (before, after sheet, err error) {
	if len(o.Dirs) != 2 {
		return sheet{}, sheet{}, Usagef("name two folders, OLD and NEW")
	}
	var sheets [2]sheet
	for i, dir := range o.Dirs {
		d, err := readContractDir(dir)
		if err != nil {
			return sheet{}, sheet{}, err
		}
		if sheets[i].terms, err = contract.ParseTerms(d.files[contract.TermsFile]); err != nil {
			return sheet{}, sheet{}, fmt.Errorf("%s: %w", dir, err)
		}
		sheets[i].prose = d.files[contract.ProseFile]
	}
	return sheets[0], sheets[1], nil
}

// maxCompared bounds the memory of changedLines: lines of one text times lines of the
// other, after what they begin and end with alike is set aside.
const maxCompared = 4 << 20

// changedLines lists the lines that are in one text only, in order, by a longest
// common subsequence. Where the texts differ over too many lines, all of those count
// as changed.
func changedLines(before, after []byte) []string {
	old, new := strings.Split(string(before), "\n"), strings.Split(string(after), "\n")
	for len(old) > 0 && len(new) > 0 && old[0] == new[0] {
		old, new = old[1:], new[1:]
	}
	for len(old) > 0 && len(new) > 0 && old[len(old)-1] == new[len(new)-1] {
		old, new = old[:len(old)-1], new[:len(new)-1]
	}
	out := []string{}
	if len(old)*len(new) > maxCompared {
		for _, line := range old {
			out = append(out, "-"+line)
		}
		for _, line := range new {
			out = append(out, "+"+line)
		}
		return out
	}
	// common[i][j] is how many lines old[i:] and new[j:] have in common, in order.
	common := make([][]int32, len(old)+1)
	for i := range common {
		common[i] = make([]int32, len(new)+1)
	}
	for i := len(old) - 1; i >= 0; i-- {
		for j := len(new) - 1; j >= 0; j-- {
			if common[i][j] = max(common[i+1][j], common[i][j+1]); old[i] == new[j] {
				common[i][j] = common[i+1][j+1] + 1
			}
		}
	}
	i, j := 0, 0
	for i < len(old) || j < len(new) {
		switch {
		case i < len(old) && j < len(new) && old[i] == new[j]:
			i, j = i+1, j+1
		case j == len(new) || (i < len(old) && common[i+1][j] >= common[i][j+1]):
			out = append(out, "-"+old[i])
			i++
		default:
			out = append(out, "+"+new[j])
			j++
		}
	}
	return out
}
