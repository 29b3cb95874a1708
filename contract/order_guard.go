package contract

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/sshcert"
)

// decider is a role's paths with their guards read.
type decider struct {
	role   *Role
	guards []*guard.Expr // by path; nil: always
}

// newDecider reads the guards. It is false if one of them is none.
func newDecider(r *Role) (decider, bool) {
	d := decider{role: r, guards: make([]*guard.Expr, len(r.Paths))}
	for i, p := range r.Paths {
		if p.When == "" {
			continue
		}
		e, err := guard.Parse(p.When)
		if err != nil {
			return d, false
		}
		d.guards[i] = e
	}
	return d, true
}

// choose returns the path that decides a request with these facts, -1 if none
// does: the first whose guard holds, unless a guard before it names a fact that is
// missing.
func (d decider) choose(f guard.Facts) int {
	for i, g := range d.guards {
		if g == nil {
			return i
		}
		switch holds, err := g.Eval(f); {
		case err != nil:
			return -1
		case holds:
			return i
		}
	}
	return -1
}

func (d decider) outcome(path int) outcome {
	if path < 0 {
		return outcome{}
	}
	return outcome{path: &d.role.Paths[path], role: d.role}
}

// space is the facts that stand for all facts, as far as the guards of some roles
// can tell.
type space struct {
	cells []guard.Facts
	named map[string]map[string]bool // members that guards name, by set field; a field that none names is not in it
}

// newSpace returns the facts as the guards see them, and as the limits of the
// roles do: what a guard can't tell apart a limit may, so limits are guards here.
// It is false if there are too many cells to look at all of them.
func newSpace(roles []*Role, deciders ...decider) (space, bool) {
	var guards []*guard.Expr
	for _, d := range deciders {
		for _, g := range d.guards {
			if g != nil {
				guards = append(guards, g)
			}
		}
	}
	s := space{named: make(map[string]map[string]bool)}
	for _, g := range guards {
		for _, name := range g.Fields() {
			s.named[name] = make(map[string]bool)
		}
	}
	for _, r := range roles {
		for name, limit := range map[string]int64{
			"grant_seconds": int64(r.Grant.Max / time.Second), "hosts": int64(r.Request.HostsMax), "reason_words": int64(r.Request.MinWords),
		} {
			if s.named[name] == nil || limit == 0 {
				continue
			}
			g, err := guard.Parse(name + " == " + strconv.FormatInt(limit, 10))
			if err != nil {
				return s, false
			}
			guards = append(guards, g)
		}
	}
	cells, err := guard.Cells(guards...)
	if err != nil {
		return s, false
	}
	for cell := range cells {
		s.cells = append(s.cells, cell)
		for name, v := range cell {
			if v.Type() == guard.Set {
				for _, m := range v.Members() {
					s.named[name][m] = true
				}
			}
		}
	}
	return s, true
}

// request completes a cell to a request that keeps the limits of the role, with
// nothing in it that changes what the guards see. It is false if there is none.
// Facts that the cell has as missing stay missing.
func (s space) request(cell guard.Facts, r *Role) (guard.Facts, bool) {
	f := maps.Clone(cell)
	number := func(name string, unless int64, fits func(int64) bool) bool {
		if s.named[name] == nil {
			f[name] = guard.OfInt(unless)
		}
		v, known := f[name]
		return !known || fits(v.Int())
	}
	most := int64(r.Grant.Max / time.Second)
	if !number("grant_seconds", most, func(n int64) bool { return n <= most }) ||
		!number("hosts", int64(max(r.Request.HostsMax, 1)), func(n int64) bool { return r.Request.HostsMax == 0 || n <= int64(r.Request.HostsMax) }) ||
		!number("reason_words", int64(r.Request.MinWords), func(n int64) bool { return n >= int64(r.Request.MinWords) }) {
		return nil, false
	}
	if s.named["ticket"] == nil {
		f["ticket"] = guard.OfBool(r.Request.Ticket.Required)
	}
	if v, known := f["ticket"]; known && r.Request.Ticket.Required && !v.Bool() {
		return nil, false
	}
	logins := make([]string, len(r.Logins))
	for i, l := range r.Logins {
		logins[i] = string(l)
	}
	return f, s.pick(f, "groups", r.Who, false) && s.pick(f, "logins", logins, true)
}

// pick sees to it that a set has one of the members, by one that no guard names if
// it has none, and, if only is set, nothing else. It is false if that can't be.
func (s space) pick(f guard.Facts, field string, members []string, only bool) bool {
	v, known := f[field]
	if !known && s.named[field] != nil {
		return true // missing
	}
	has := v.Members()
	if only && !isSubset(has, members) {
		return false
	}
	if slices.ContainsFunc(has, func(m string) bool { return slices.Contains(members, m) }) {
		return true
	}
	for _, m := range members {
		if !s.named[field][m] {
			f[field] = guard.OfSet(append(has, m)...)
			return true
		}
	}
	return false
}

// keeps tells whether a complete request keeps the limits of the role.
func (r *Role) keeps(f guard.Facts) bool {
	someone := func(m string) bool { return slices.Contains(r.Who, m) }
	foreign := func(m string) bool { return !slices.Contains(r.Logins, sshcert.Login(m)) }
	return f["grant_seconds"].Int() <= int64(r.Grant.Max/time.Second) &&
		(r.Request.HostsMax == 0 || f["hosts"].Int() <= int64(r.Request.HostsMax)) &&
		f["reason_words"].Int() >= int64(r.Request.MinWords) &&
		(!r.Request.Ticket.Required || f["ticket"].Bool()) &&
		slices.ContainsFunc(f["groups"].Members(), someone) &&
		!slices.ContainsFunc(f["logins"].Members(), foreign)
}

// verdict collects the class of one role's outcomes, and the best witness.
type verdict struct {
	class   Class
	witness *Witness
	fewest  int // facts that are missing in witness
}

// see joins the class of one request's outcomes.
func (v *verdict) see(class Class, role string, a, b outcome, facts guard.Facts) {
	v.class = v.class.join(class)
	if class != Widening && class != Mixed {
		return
	}
	missing := len(guard.Known) - len(facts)
	if v.witness == nil || missing < v.fewest {
		v.fewest = missing
		v.witness = &Witness{Role: role, Facts: witnessFacts(facts), Old: a.String(), New: b.String()}
	}
}

func witnessFacts(f guard.Facts) map[string]string {
	out := make(map[string]string, len(f))
	for name, v := range f {
		out[name] = v.String()
	}
	return out
}

// comparePaths compares what two versions of a role do with every kind of request
// that keeps the limits of both.
func comparePaths(a, b *Role) (Class, *Witness) {
	old, ok := newDecider(a)
	now, ok2 := newDecider(b)
	if !ok || !ok2 {
		return Mixed, nil
	}
	s, ok := newSpace([]*Role{a, b}, old, now)
	if !ok {
		return Mixed, nil // too many kinds of requests to look at each
	}
	v := verdict{class: Equivalent}
	known := make(map[[2]int]Class) // by the paths that decide
	for _, cell := range s.cells {
		i, j := old.choose(cell), now.choose(cell)
		class, seen := known[[2]int{i, j}]
		if !seen {
			o, n := old.outcome(i), now.outcome(j)
			class = within(n.within(o), o.within(n))
			known[[2]int{i, j}] = class
		}
		if class == Equivalent {
			continue
		}
		facts, reachable := s.request(cell, b)
		other, before := s.request(cell, a)
		if !reachable || !before {
			continue // a limit of the role says no; its change is a row of its own
		}
		if !a.keeps(facts) && b.keeps(other) {
			facts = other
		}
		v.see(class, b.ID, old.outcome(i), now.outcome(j), facts)
	}
	return v.class, v.witness
}

// calendar is the class of a calendar's change, as the guards of the old version
// see it; a guard that changes too is compared under the new hours. Whoever asks
// at an hour that left the calendar, or joined it, is decided otherwise.
func (c *comparer) calendar(a, b *Calendar) (Class, *Witness) {
	hours := a.hours(b)
	if hours == Equivalent {
		return Equivalent, nil
	}
	v := verdict{class: Equivalent}
	for i := range c.old.Roles {
		r := &c.old.Roles[i]
		if _, stays := c.new.Role(r.ID); !stays || !r.mentions(a.ID) {
			continue
		}
		d, ok := newDecider(r)
		s, ok2 := newSpace([]*Role{r}, d)
		if !ok || !ok2 {
			return Mixed, nil
		}
		for _, cell := range s.cells {
			calendars, known := cell["calendars"]
			if !known {
				continue
			}
			open := slices.Contains(calendars.Members(), a.ID)
			if open && hours == Widening || !open && hours == Narrowing {
				continue // an hour that was in it stays, or one that was not
			}
			moved := maps.Clone(cell)
			moved["calendars"] = guard.OfSet(toggle(calendars.Members(), a.ID)...)
			o, n := d.outcome(d.choose(cell)), d.outcome(d.choose(moved))
			if facts, reachable := s.request(moved, r); reachable {
				v.see(within(n.within(o), o.within(n)), r.ID, o, n, facts)
			}
		}
	}
	return v.class, v.witness
}

func toggle(set []string, member string) []string {
	if i := slices.Index(set, member); i >= 0 {
		return slices.Delete(set, i, i+1)
	}
	return append(set, member)
}

// mentions tells whether a guard of the role names a text.
func (r *Role) mentions(text string) bool {
	return slices.ContainsFunc(r.Paths, func(p Path) bool { return strings.Contains(p.When, `"`+text+`"`) })
}

// example returns a request that b lets through and a, as far as its limits go,
// does not; a is nil for a role that is new. It is nil if there is none to be found.
func example(a, b *Role) *Witness {
	d, ok := newDecider(b)
	limits := []*Role{b}
	if a != nil {
		limits = append(limits, a)
	}
	s, ok2 := newSpace(limits, d)
	if !ok || !ok2 {
		return nil
	}
	var best *Witness
	fewest := 0
	for _, cell := range s.cells {
		path := d.choose(cell)
		if path < 0 {
			continue
		}
		for _, f := range s.extremes(cell, a, b) {
			if a != nil && a.keeps(f) {
				continue
			}
			if missing := len(guard.Known) - len(f); best == nil || missing < fewest {
				best, fewest = &Witness{Role: b.ID, Facts: witnessFacts(f), Old: outcome{}.String(), New: d.outcome(path).String()}, missing
			}
		}
	}
	return best
}

// extremes completes a cell to requests at the edge of what b allows: with each of
// its groups and of its logins that a does not have, and with as much as b grants.
func (s space) extremes(cell guard.Facts, a, b *Role) []guard.Facts {
	var out []guard.Facts
	try := func(r Role) {
		if f, ok := s.request(cell, &r); ok && b.keeps(f) {
			out = append(out, f)
		}
	}
	try(*b)
	if a == nil {
		return out
	}
	for _, g := range b.Who {
		if r := *b; !slices.Contains(a.Who, g) {
			r.Who = []string{g}
			try(r)
		}
	}
	for _, l := range b.Logins {
		if r := *b; !slices.Contains(a.Logins, l) {
			r.Logins = []sshcert.Login{l}
			try(r)
		}
	}
	if r := *b; b.Request.HostsMax == 0 {
		r.Request.HostsMax = sshcert.MaxPrincipals
		try(r)
	}
	return out
}
