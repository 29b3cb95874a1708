package contract

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// amendmentFormat is the "v" of an amendment.json.
const amendmentFormat = "sallyport.amendment/v1"

// Reasons why an amendment is refused.
var (
	ErrAmendment = errors.New("amendment refused")
	// ErrConflict says that two amendments of one version change the same terms.
	ErrConflict = errors.New("both amendments change it")
)

// OpKind says what an Op does.
type OpKind string

// What an Op does.
const (
	OpAdd     OpKind = "add"     // Value stands at Path, where nothing stood
	OpRemove  OpKind = "remove"  // Was stands no more at Path
	OpReplace OpKind = "replace" // Value stands at Path in the place of Was
	OpOrder   OpKind = "order"   // the members of the list at Path, which were in the order Was, are in the order Value
)

// Op is one change of the terms, on their canonical JSON. Its path is that of what
// it changes: keys are joined by dots, and a member of a list stands in brackets by
// what names it for good, such as roles[operator].who[oncall] or
// signatories[acme/ciso].need. In brackets \ and ] have a \ before them.
//
// A member that is an object is named by its id, or by its party and capacity; one
// that is a string by itself. Where a list has members that are neither, or strings
// in an order of their own, it is changed as a whole.
type Op struct {
	Op    OpKind          `json:"op"`
	Path  string          `json:"path"`
	Was   json.RawMessage `json:"was,omitempty"` // canonical JSON; of OpAdd absent
	Value json.RawMessage `json:"value,omitempty"`
}

// amendment is the file amendment.json.
type amendment struct {
	V      string       `json:"v"`
	Parent canon.Digest `json:"parent"` // digest of the version that is amended
	Ops    []Op         `json:"ops,omitempty"`
}

// Diff returns the changes that make new of old, none if they mean the same. It
// returns an error for terms that ParseTerms did not make.
func Diff(old, new *Terms) ([]Op, error) {
	before, err := old.Canonical()
	if err != nil {
		return nil, err
	}
	after, err := new.Canonical()
	if err != nil {
		return nil, err
	}
	from, err := parseTree(before)
	if err != nil {
		return nil, err
	}
	to, err := parseTree(after)
	if err != nil {
		return nil, err
	}
	var d differ
	d.value(nil, from, to)
	if d.err != nil {
		return nil, d.err
	}
	// Nobody is to sign changes that give something else than the new terms.
	if again, err := Apply(before, d.ops); err != nil || string(again) != string(after) {
		return nil, fmt.Errorf("%w: the terms have a form in which changes can't be told: %w", ErrAmendment, errors.Join(err, ErrTerms))
	}
	return d.ops, nil
}

// Apply returns the canonical JSON that changes make of that of terms. It refuses a
// change whose path says nothing, and one for which the terms are not as it says
// that they were: then nothing is applied. What it returns need not be terms.
func Apply(canonical []byte, ops []Op) ([]byte, error) {
	tree, err := parseTree(canonical)
	if err != nil {
		return nil, err
	}
	for i, op := range ops {
		if tree, err = op.apply(tree); err != nil {
			return nil, fmt.Errorf("%w: change %d, %s at %s: %w", ErrAmendment, i+1, strictyaml.Clip(string(op.Op)), strictyaml.Clip(op.Path), err)
		}
	}
	out, err := canon.Marshal(tree)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAmendment, err)
	}
	return out, nil
}

// ConflictError says which terms two amendments of one version both change. It
// wraps ErrConflict.
type ConflictError struct {
	Mine, Theirs string // paths, equal or one within the other
}

// Error names the paths.
func (e *ConflictError) Error() string {
	if e.Mine == e.Theirs {
		return fmt.Sprintf("%s: %v; read the version in force and make the amendment again", e.Mine, ErrConflict)
	}
	return fmt.Sprintf("%s and %s: %v; read the version in force and make the amendment again", e.Mine, e.Theirs, ErrConflict)
}

// Unwrap returns ErrConflict.
func (*ConflictError) Unwrap() error { return ErrConflict }

// Rebase returns the changes of an amendment as changes of the version that another
// amendment has made of their common parent. It returns a *ConflictError if both
// change the same, or one something within what the other changes; else the order in
// which they are applied makes no difference. What was signed before counts for
// nothing: the rebased amendment is another version.
func Rebase(mine, theirs []Op) ([]Op, error) {
	for _, m := range mine {
		for _, t := range theirs {
			meet, err := m.meets(t)
			if err != nil {
				return nil, err
			}
			if meet {
				return nil, &ConflictError{Mine: m.Path, Theirs: t.Path}
			}
		}
	}
	return mine, nil
}

// meets reports whether two changes of one version touch the same.
func (op Op) meets(other Op) (bool, error) {
	a, err := parsePath(op.Path)
	if err != nil {
		return false, err
	}
	b, err := parsePath(other.Path)
	if err != nil {
		return false, err
	}
	if op.Op != OpOrder && other.Op == OpOrder {
		op, other, a, b = other, op, b, a
	}
	switch {
	case op.Op != OpOrder:
		return a.begins(b) || b.begins(a), nil
	case b.begins(a): // the whole list, or its order
		return true, nil
	case !a.begins(b):
		return false, nil
	}
	// Within the list: a member that comes or goes has a place in the order.
	return len(b) == len(a)+1 && other.Op != OpReplace, nil
}

// apply returns the tree with the change.
func (op Op) apply(tree any) (any, error) {
	p, err := parsePath(op.Path)
	if err != nil {
		return nil, err
	}
	was, err := op.part("was", op.Was, op.Op != OpAdd)
	if err != nil {
		return nil, err
	}
	value, err := op.part("value", op.Value, op.Op != OpRemove)
	if err != nil {
		return nil, err
	}
	return edit(tree, p, func(now any) (any, error) {
		switch op.Op {
		case OpAdd, OpRemove, OpReplace:
			if !same(now, was) {
				return nil, fmt.Errorf("there stands %s, not %s", shown(now), shown(was))
			}
			return value, nil
		case OpOrder:
			return order(now, was, value)
		}
		return nil, errors.New("a change is one of add, remove, replace and order")
	})
}

// part reads one side of a change, which has to be there or has to be absent.
func (op Op) part(name string, text json.RawMessage, wanted bool) (any, error) {
	switch {
	case wanted && len(text) == 0:
		return nil, fmt.Errorf("it needs a %q", name)
	case !wanted && len(text) > 0:
		return nil, fmt.Errorf("it has no %q", name)
	case !wanted:
		return nil, nil
	}
	return parseTree(text)
}

// begins reports whether what the other path names is what p names, or within it.
func (p path) begins(other path) bool {
	if len(p) > len(other) {
		return false
	}
	for i, s := range p {
		if other[i] != s {
			return false
		}
	}
	return true
}

// A path leads to a value within the tree of the terms.
type path []step

// step is one key of an object, or the name of one member of a list.
type step struct {
	name   string
	member bool
}

// with returns the path that leads one step further.
func (p path) with(name string, member bool) path {
	return append(p[:len(p):len(p)], step{name, member})
}

func (p path) String() string {
	var b strings.Builder
	for i, s := range p {
		switch {
		case s.member:
			b.WriteString("[" + escapeMember.Replace(s.name) + "]")
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	return b.String()
}

var escapeMember = strings.NewReplacer(`\`, `\\`, `]`, `\]`)

// parsePath reads what String writes, and nothing else.
func parsePath(text string) (path, error) {
	var p path
	for rest := text; rest != ""; {
		if rest[0] == '[' {
			name, after, ok := cutMember(rest[1:])
			if !ok || len(p) == 0 {
				return nil, fmt.Errorf("%w: %s is no path", ErrAmendment, strictyaml.Clip(text))
			}
			p, rest = append(p, step{name, true}), after
			continue
		}
		if len(p) > 0 {
			rest = strings.TrimPrefix(rest, ".")
		}
		end := strings.IndexAny(rest, ".[")
		if end < 0 {
			end = len(rest)
		}
		p, rest = append(p, step{rest[:end], false}), rest[end:]
	}
	if len(p) == 0 || p.String() != text {
		return nil, fmt.Errorf("%w: %s is no path", ErrAmendment, strictyaml.Clip(text))
	}
	return p, nil
}

// cutMember reads a name up to its bracket.
func cutMember(text string) (name, after string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == ']':
			return b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return "", "", false
}
