package audittest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/sallyport/sallyport/canon"
)

// Changed is a bundle with one thing changed.
type Changed struct {
	Name   string
	Bundle []byte
}

// Tampered returns the bundles that come of changing one thing, as somebody can who
// has no key: every value of every line in several ways, what a line leaves out,
// and the lines' places. Numbers that only count are made to fit.
func Tampered(bundle []byte) []Changed {
	lines := bytes.Split(bytes.TrimSuffix(bundle, []byte("\n")), []byte("\n"))
	values := make([]map[string]any, len(lines))
	seen := Pool{}
	for i, line := range lines {
		v, err := ParseJSON(line)
		if err != nil {
			panic(err) // every line is JSON
		}
		values[i] = v
		seen.Collect(v, "")
	}
	var list []Changed
	for i, v := range values {
		for _, m := range append(seen.Mutants(v, ""), without(v)...) {
			changed := slices.Clone(lines)
			changed[i] = Written(m.Value)
			if i < len(lines)-1 {
				changed = recounted(changed)
			}
			list = append(list, Changed{fmt.Sprintf("line %d, %s %s", i+1, m.Path, m.How), joined(changed)})
		}
	}
	return append(list, movedLines(lines)...)
}

// without leaves out, in a leaf's line, what belongs together: the certificate,
// the person part, all that the leaf hides.
func without(line map[string]any) []Mutant {
	var out []Mutant
	for name, keys := range map[string][]string{
		"certificate": {"certificate"}, "person": {"person", "person_salt"}, "opening": {"person", "person_salt", "facts", "facts_salt", "certificate"},
	} {
		less := maps.Clone(line)
		for _, k := range keys {
			delete(less, k)
		}
		if len(less) < len(line) {
			out = append(out, Mutant{name, "left out", less})
		}
	}
	return out
}

// movedLines are bundles whose lines are whole and stand elsewhere.
func movedLines(lines [][]byte) []Changed {
	var list []Changed
	add := func(name string, lines [][]byte) { list = append(list, Changed{Name: name, Bundle: joined(lines)}) }
	for i := range lines {
		dropped := slices.Delete(slices.Clone(lines), i, i+1)
		doubled := slices.Insert(slices.Clone(lines), i, lines[i])
		add(fmt.Sprintf("line %d dropped", i+1), dropped)
		add(fmt.Sprintf("line %d twice", i+1), doubled)
		if i > 0 && i < len(lines)-1 {
			add(fmt.Sprintf("line %d dropped, the next ones numbered again", i+1), renumbered(dropped))
			add(fmt.Sprintf("line %d twice, the next ones numbered again", i+1), renumbered(doubled))
		}
		if i+1 < len(lines) {
			swapped := slices.Clone(lines)
			swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
			add(fmt.Sprintf("lines %d and %d swapped", i+1, i+2), swapped)
			if i > 0 && i+2 < len(lines) {
				add(fmt.Sprintf("lines %d and %d swapped, numbered again", i+1, i+2), renumbered(swapped))
			}
		}
	}
	whole := joined(lines)
	at := 0
	for i, line := range lines {
		for _, cut := range []int{at, at + len(line)/2, at + len(line)} {
			list = append(list, Changed{Name: fmt.Sprintf("cut off in line %d", i+1), Bundle: whole[:cut]})
		}
		at += len(line) + 1
	}
	list = append(list,
		Changed{Name: "a line behind the last", Bundle: append(slices.Clone(whole), "{}\n"...)},
		Changed{Name: "an empty line behind the last", Bundle: append(slices.Clone(whole), '\n')},
		Changed{Name: "the bundle twice", Bundle: append(slices.Clone(whole), whole...)},
		Changed{Name: "with carriage returns", Bundle: bytes.ReplaceAll(whole, []byte("\n"), []byte("\r\n"))},
		Changed{Name: "with a byte order mark", Bundle: append([]byte("\uFEFF"), whole...)},
	)
	return list
}

// renumbered gives the leaves their places' indexes, and counts them anew.
func renumbered(lines [][]byte) [][]byte {
	out := make([][]byte, len(lines))
	for i, line := range lines {
		v, err := ParseJSON(line)
		if err != nil {
			panic(err) // every line is JSON
		}
		switch {
		case i == 0:
			v["size"] = json.Number(fmt.Sprint(len(lines) - 2))
		case i < len(lines)-1:
			v["index"] = json.Number(fmt.Sprint(i - 1))
		}
		out[i] = Written(v)
	}
	return recounted(out)
}

func joined(lines [][]byte) []byte { return append(bytes.Join(lines, []byte("\n")), '\n') }

// recounted has a last line that counts right.
func recounted(lines [][]byte) [][]byte {
	last := len(lines) - 1
	end, err := ParseJSON(lines[last])
	if err != nil {
		return lines
	}
	counts := map[string]int{"facts": 0, "person": 0, "certificate": 0, "index": 0}
	for _, line := range lines[1:last] {
		members, err := canon.Members(line)
		if err != nil {
			return lines // it is refused for more than its numbers
		}
		for _, m := range members {
			counts[m.Key]++
		}
	}
	for name, member := range map[string]string{"facts": "facts", "persons": "person", "certificates": "certificate", "leaves": "index"} {
		end[name] = json.Number(fmt.Sprint(counts[member]))
	}
	out := slices.Clone(lines)
	out[last] = Written(end)
	return out
}
