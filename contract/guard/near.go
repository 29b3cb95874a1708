package guard

import (
	"maps"
	"slices"
)

// Change is one fact as it would have to be.
type Change struct {
	Field string
	Value Value
}

// Near returns the single changes of the facts for which the guard would hold: of
// each field that it names at most one, the nearest for an int, by field. It returns
// none if one change is not enough, or Eval gives an error.
func (e *Expr) Near(facts Facts) []Change {
	if _, err := e.Eval(facts); e == nil || err != nil {
		return nil
	}
	consts := map[string][]Value{}
	e.root.gather(consts)
	trial := maps.Clone(facts)
	var out []Change
	for _, name := range e.fields {
		was := facts[name]
		var best *Change
		for _, v := range alternatives(Known[name], was, consts[name]) {
			if trial[name] = v; e.root.eval(trial) && (best == nil || distance(v, was) < distance(best.Value, was)) {
				best = &Change{Field: name, Value: v}
			}
		}
		trial[name] = was
		if best != nil {
			out = append(out, *best)
		}
	}
	return out
}

// alternatives returns the values that a fact could have instead: of a set those
// with one member more or less.
func alternatives(f Field, was Value, consts []Value) []Value {
	if f.Type != Set {
		all, _ := representatives(f, consts) // only sets have too many
		return slices.DeleteFunc(all, was.same)
	}
	var out []Value
	for _, c := range consts {
		members := slices.Clone(was.members)
		if slices.Contains(members, c.text) {
			members = slices.DeleteFunc(members, func(m string) bool { return m == c.text })
		} else {
			members = append(members, c.text)
		}
		out = append(out, OfSet(members...))
	}
	return out
}

func distance(a, b Value) int64 { return max(a.number-b.number, b.number-a.number) }
