package contract

import (
	"math/bits"
	"slices"
)

// crowd is the directory as the lints count it: in humans. Entries that belong to
// one human, by the directory's word, are one, as they are wherever that denies.
type crowd struct {
	known   bool
	partial bool
	humans  []human
	yes     map[string]set // by group id: who is in it
	maybe   map[string]set // who may be in it besides, as nobody has said
	byEntry map[string]int // index into humans by DirectoryPerson.ID
}

// human is one or more entries of the directory.
type human struct {
	entries []DirectoryPerson
	manager string
}

func (h human) id() string { return h.entries[0].ID }

// set is a set of indices of humans.
type set []uint64

func (s set) add(i int)      { s[i/64] |= 1 << (i % 64) }
func (s set) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s set) count() int {
	n := 0
	for _, w := range s {
		n += bits.OnesCount64(w)
	}
	return n
}

// or adds what is in other.
func (s set) or(other set) {
	for i, w := range other {
		s[i] |= w
	}
}

// within tells whether all of s are in other.
func (s set) within(other set) bool {
	for i, w := range s {
		if w&^other[i] != 0 {
			return false
		}
	}
	return true
}

// members returns the indices in s.
func (s set) members() []int {
	var out []int
	for i, w := range s {
		for ; w != 0; w &= w - 1 {
			out = append(out, i*64+bits.TrailingZeros64(w))
		}
	}
	return out
}

func newCrowd(t *Terms, d *Directory) *crowd {
	c := &crowd{yes: make(map[string]set), maybe: make(map[string]set), byEntry: make(map[string]int)}
	if d == nil {
		return c
	}
	c.known, c.partial = true, d.Partial
	c.unite(d)
	for _, g := range t.Groups {
		c.yes[g.ID], c.maybe[g.ID] = c.none(), c.none()
	}
	for i, h := range c.humans {
		for _, e := range h.entries {
			for _, g := range t.Groups {
				switch in, unknown := e.in(t, g.ID); {
				case in:
					c.yes[g.ID].add(i)
				case unknown:
					c.maybe[g.ID].add(i)
				}
			}
		}
	}
	for id, maybe := range c.maybe {
		for i, w := range c.yes[id] {
			maybe[i] &^= w
		}
	}
	return c
}

// in tells whether one of the entry's accounts is in a group, or may be.
func (p DirectoryPerson) in(t *Terms, group string) (in, unknown bool) {
	for _, a := range p.Accounts {
		switch yes, err := t.Member(a, group); {
		case yes:
			return true, false
		case err != nil:
			unknown = true
		}
	}
	return false, unknown
}

// unite makes humans of the entries that are still there.
func (c *crowd) unite(d *Directory) {
	parent := make(map[string]string)
	var find func(id string) string
	find = func(id string) string {
		if up, ok := parent[id]; ok && up != id {
			parent[id] = find(up)
			return parent[id]
		}
		return id
	}
	for _, p := range d.People {
		for _, other := range []string{p.Same, p.Owner} {
			if other != "" {
				parent[find(p.ID)] = find(other)
			}
		}
	}
	index := make(map[string]int)
	for _, p := range d.People {
		if p.Left {
			continue
		}
		root := find(p.ID)
		i, ok := index[root]
		if !ok {
			i = len(c.humans)
			index[root] = i
			c.humans = append(c.humans, human{})
		}
		h := &c.humans[i]
		h.entries = append(h.entries, p)
		if h.manager == "" {
			h.manager = p.Manager
		}
		c.byEntry[p.ID] = i
	}
}

// none returns an empty set.
func (c *crowd) none() set { return make(set, (len(c.humans)+63)/64) }

// of returns who is in any of the groups; if loose, who may be as well.
func (c *crowd) of(groups []string, loose bool) set {
	out := c.none()
	for _, g := range groups {
		out.or(c.yes[g])
		if loose {
			out.or(c.maybe[g])
		}
	}
	return out
}

// empty tells whether nobody is in any of the groups, for good or as far as is known.
func (c *crowd) empty(groups []string) (empty, sure bool) {
	if c.of(groups, false).count() > 0 {
		return false, true
	}
	return true, !c.partial && c.of(groups, true).count() == 0
}

// names returns the ids of at most three of the humans, for a sentence.
func (c *crowd) names(s set) string {
	var out []string
	for _, i := range s.members() {
		out = append(out, c.humans[i].id())
	}
	slices.Sort(out)
	if len(out) > 3 {
		return list(append(out[:3:3], "others"), "and")
	}
	return list(out, "and")
}
