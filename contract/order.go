package contract

import (
	"bytes"
	"cmp"
	"reflect"
	"slices"
)

// Compare says what an amendment from old to new does to what is allowed. Both
// are terms that ParseTerms made.
//
// It goes through a closed table of the paths that terms have. Each row knows
// which of two values allows less: a shorter grant, fewer logins, one more
// approver. What a row can't order is Mixed, and so is a difference that no row
// is about; nothing is called a narrowing that was not shown to be one. For the
// paths to a decision the outcomes of every kind of request are compared, see
// order_paths.go.
func Compare(old, new *Terms) Comparison {
	c := &comparer{old: old, new: new}
	c.terms()
	c.uncovered()
	slices.SortStableFunc(c.changes, func(a, b Change) int { return cmp.Compare(a.Path, b.Path) })
	out := Comparison{Class: Equivalent, Changes: c.changes}
	for _, change := range c.changes {
		out.Class = out.Class.join(change.Class)
		out.Constitutional = out.Constitutional || change.Constitutional
	}
	return out
}

// join is the class of two changes together.
func (c Class) join(o Class) Class {
	switch {
	case c == o || o == Equivalent:
		return c
	case c == Equivalent:
		return o
	default:
		return Mixed
	}
}

// reverse is the class of the change back.
func (c Class) reverse() Class {
	switch c {
	case Narrowing:
		return Widening
	case Widening:
		return Narrowing
	case Equivalent, Mixed:
	}
	return c
}

// comparer collects the changes of one comparison.
type comparer struct {
	old, new *Terms
	changes  []Change
}

// uncovered reports terms that differ where no row of the table looks.
func (c *comparer) uncovered() {
	if len(c.changes) > 0 || reflect.DeepEqual(c.old, c.new) {
		return
	}
	a, err := c.old.Canonical()
	b, err2 := c.new.Canonical()
	if err != nil || err2 != nil || !bytes.Equal(a, b) {
		c.changes = append(c.changes, Change{Path: "terms", Class: Mixed, Constitutional: true})
	}
}

// row is one path of the table within a T, such as grant.max within a role.
type row[T any] struct {
	path           string
	constitutional bool
	// class says what the change from a to b does. It is asked only if spell
	// writes them differently.
	class func(a, b *T) Class
	spell func(v *T) string // as terms.yaml would write it; empty if it is not there
	// witness gives a request that b lets through and a does not; nil if the path has none.
	witness func(c *comparer, a, b *T) *Witness
}

// compareRows compares what both versions have under one prefix.
func compareRows[T any](c *comparer, prefix string, a, b *T, rows []row[T]) {
	for _, r := range rows {
		was, is := r.spell(a), r.spell(b)
		if was == is {
			continue
		}
		change := Change{Path: join(prefix, r.path), Class: r.class(a, b), Constitutional: r.constitutional, Old: was, New: is}
		if r.witness != nil && (change.Class == Widening || change.Class == Mixed) {
			change.Witness = r.witness(c, a, b)
		}
		c.changes = append(c.changes, change)
	}
}

func join(prefix, path string) string {
	switch {
	case prefix == "":
		return path
	case path == "":
		return prefix
	default:
		return prefix + "." + path
	}
}

// entries is a list of the terms whose members match by id.
type entries[T any] struct {
	path           string
	constitutional bool
	id             func(v *T) string
	added          Class // what one more does; one fewer does the reverse
	spell          func(v *T) string
	rows           []row[T]
	witness        func(c *comparer, added *T) *Witness
}

// compareEntries compares two lists of which each has an id once.
func compareEntries[T any](c *comparer, e entries[T], old, new []T) {
	was := byID(old, e.id)
	is := byID(new, e.id)
	for i := range old {
		a := &old[i]
		prefix := join(e.path, e.id(a))
		if b, ok := is[e.id(a)]; ok {
			compareRows(c, prefix, a, b, e.rows)
		} else {
			c.changes = append(c.changes, Change{Path: prefix, Class: e.added.reverse(), Constitutional: e.constitutional, Old: e.spell(a)})
		}
	}
	for i := range new {
		b := &new[i]
		if _, ok := was[e.id(b)]; ok {
			continue
		}
		change := Change{Path: join(e.path, e.id(b)), Class: e.added, Constitutional: e.constitutional, New: e.spell(b)}
		if e.witness != nil {
			change.Witness = e.witness(c, b)
		}
		c.changes = append(c.changes, change)
	}
}

func byID[T any](list []T, id func(*T) string) map[string]*T {
	out := make(map[string]*T, len(list))
	for i := range list {
		out[id(&list[i])] = &list[i]
	}
	return out
}

// ordered is the class of going from a to b where the smaller value allows less.
func ordered[V cmp.Ordered](a, b V) Class {
	switch {
	case b < a:
		return Narrowing
	case b > a:
		return Widening
	default:
		return Equivalent
	}
}

// within is the class of going from a to b, given whether everything that the
// new allows the old allows too, and the reverse.
func within(newInOld, oldInNew bool) Class {
	switch {
	case newInOld && oldInNew:
		return Equivalent
	case newInOld:
		return Narrowing
	case oldInNew:
		return Widening
	default:
		return Mixed
	}
}

// subsets is the class of going from a to b where the smaller set allows less.
func subsets[S ~[]E, E comparable](a, b S) Class { return within(isSubset(b, a), isSubset(a, b)) }

func isSubset[S ~[]E, E comparable](part, whole S) bool {
	for _, v := range part {
		if !slices.Contains(whole, v) {
			return false
		}
	}
	return true
}
