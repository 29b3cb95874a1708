package guard

import (
	"fmt"
	"iter"
	"maps"
	"slices"
)

// Cells returns facts that stand for all facts: for every Facts whatever there is
// a cell for which each of the guards has the same outcome, holds, does not hold
// or ErrMissing. Evaluating guards on all cells is therefore a proof, not a
// sample. (Facts that Eval refuses with ErrFact are not facts.)
//
// Guards compare fields with constants only. So of an int field it is enough to
// take each constant, one less and one more, of a string each constant and another
// text, of a set each choice of the members that are named, of a bool both; and
// for every field also that it is missing. The cells are each combination, in an
// order that depends on the guards only; a fact is missing in the first cells
// rather than the last. Nil guards name nothing.
//
// The error wraps ErrCells if there are more than MaxCells. Each cell is a map of
// its own.
func Cells(exprs ...*Expr) (iter.Seq[Facts], error) {
	consts := map[string][]Value{}
	for _, e := range exprs {
		if e != nil {
			e.root.gather(consts)
		}
	}
	fields := slices.Sorted(maps.Keys(consts))
	values := make([][]Value, len(fields))
	total := 1
	for i, name := range fields {
		var ok bool
		if values[i], ok = representatives(Known[name], consts[name]); ok {
			total *= 1 + len(values[i])
		}
		if !ok || total > MaxCells {
			return nil, fmt.Errorf("%w: more than %d; name fewer fields and constants in the guards of a role", ErrCells, MaxCells)
		}
	}
	return func(yield func(Facts) bool) {
		for n := range total {
			cell := make(Facts, len(fields))
			for i, name := range fields {
				base := 1 + len(values[i])
				if digit := n % base; digit > 0 {
					cell[name] = values[i][digit-1]
				}
				n /= base
			}
			if !yield(cell) {
				return
			}
		}
	}, nil
}

// gather adds the constants that each field is compared with. A bool field alone
// has none, but a row.
func (n node) gather(consts map[string][]Value) {
	for _, k := range n.kids {
		k.gather(consts)
	}
	if n.field != "" {
		consts[n.field] = append(consts[n.field], n.consts...)
	}
}

// representatives returns the values of a field that are to be tried, none twice,
// in order. It is false if they are MaxCells or more.
func representatives(f Field, consts []Value) ([]Value, bool) {
	switch f.Type {
	case Bool:
		return []Value{OfBool(false), OfBool(true)}, true
	case Int:
		var numbers []int64
		for _, c := range consts {
			for _, n := range []int64{c.number - 1, c.number, c.number + 1} {
				if f.Least <= n && n <= f.Most {
					numbers = append(numbers, n)
				}
			}
		}
		if numbers == nil { // every constant is out of the range: all of it is alike
			numbers = []int64{f.Least}
		}
		slices.Sort(numbers)
		var out []Value
		for _, n := range slices.Compact(numbers) {
			out = append(out, OfInt(n))
		}
		return out, true
	case String, Set: // below
	}
	texts := make([]string, len(consts))
	for i, c := range consts {
		texts[i] = c.text
	}
	slices.Sort(texts)
	texts = slices.Compact(texts)
	var out []Value
	if f.Type == String {
		for _, s := range append(texts, other(texts)) {
			out = append(out, OfString(s))
		}
		return out, true
	}
	if 1<<min(len(texts), 62) >= MaxCells { // and one more, for missing
		return nil, false
	}
	for choice := range 1 << len(texts) {
		var members []string
		for i, s := range texts {
			if choice&(1<<i) != 0 {
				members = append(members, s)
			}
		}
		out = append(out, OfSet(members...))
	}
	return out, true
}

// other returns a text that is none of the sorted texts.
func other(texts []string) string {
	s := "other"
	for slices.Contains(texts, s) {
		s += "-"
	}
	return s
}
