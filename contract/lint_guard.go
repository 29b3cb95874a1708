package contract

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/sshcert"
)

// roleGuards is what the guards of a role let through, by exhaustive cells.
type roleGuards struct {
	bad     map[int]error // guards that are not of the language, by path
	crowded error         // the cells are too many
	names   []string      // groups that the guards name
	takes   []taken       // by path
}

// taken says which requests a path's guard is about.
type taken struct {
	holds   bool            // for some request, whatever stands before
	reached bool            // for some request that no path before takes
	spared  bool            // it does not hold for some request that comes to it with every fact known
	groups  map[string]bool // of names, those that somebody is in who comes to it, as key
}

// guards looks at a role's guards once.
func (l *linter) guards(r *Role) *roleGuards {
	if g, ok := l.byRole[r.ID]; ok {
		return g
	}
	g := l.lookThrough(r)
	l.byRole[r.ID] = g
	return g
}

func (l *linter) lookThrough(r *Role) *roleGuards {
	g := &roleGuards{bad: make(map[int]error), takes: make([]taken, len(r.Paths))}
	exprs := make([]*guard.Expr, len(r.Paths))
	fields := make(map[string]bool)
	for i, p := range r.Paths {
		g.takes[i].groups = make(map[string]bool)
		if p.When == "" {
			continue
		}
		e, err := guard.Parse(p.When)
		if err != nil {
			g.bad[i] = err
			continue
		}
		exprs[i] = e
		for _, f := range e.Fields() {
			fields[f] = true
		}
	}
	if len(g.bad) > 0 {
		return g
	}
	limits := l.limits(r, fields)
	cells, err := guard.Cells(append(slices.Clone(exprs), limits...)...)
	if err != nil {
		g.crowded = err
		return g
	}
	named := make(map[string]bool)
	for facts := range cells {
		for _, m := range facts["groups"].Members() {
			named[m] = true
		}
		if !l.possible(r, facts, limits) {
			continue
		}
		key := strings.Join(facts["groups"].Members(), " ")
		taken := false
		for i, e := range exprs {
			yes, err := e.Eval(facts)
			t := &g.takes[i]
			t.holds = t.holds || yes && err == nil
			if taken {
				continue
			}
			if err != nil {
				break // no later path is tried
			}
			if yes {
				taken = true
				t.reached = true
				t.groups[key] = true
			} else {
				t.spared = true
			}
		}
	}
	for m := range named {
		g.names = append(g.names, m)
	}
	slices.Sort(g.names)
	return g
}

// limits are what the role asks of every request, as guards, so that the cells
// have the least and the most that it lets through.
func (l *linter) limits(r *Role, fields map[string]bool) []*guard.Expr {
	var out []*guard.Expr
	add := func(field, format string, args ...any) {
		if !fields[field] {
			return
		}
		if e, err := guard.Parse(fmt.Sprintf(format, args...)); err == nil {
			out = append(out, e)
		}
	}
	most := min(r.Grant.Max, l.Terms.Ceilings.Grant)
	add("grant_seconds", "grant_seconds >= %d && grant_seconds <= %d", MinGrant/1e9, most/1e9)
	if r.Request.HostsMax > 0 {
		add("hosts", "hosts <= %d", r.Request.HostsMax)
	}
	add("reason_words", "reason_words >= %d", r.Request.MinWords)
	if r.Request.Ticket.Required {
		add("ticket", "ticket")
	}
	return out
}

// possible tells whether the role accepts requests with such facts: within its
// limits, for its logins, by people of groups that there are.
func (l *linter) possible(r *Role, facts guard.Facts, limits []*guard.Expr) bool {
	for _, e := range limits {
		if yes, err := e.Eval(facts); err == nil && !yes {
			return false
		}
	}
	for _, m := range facts["groups"].Members() {
		if _, ok := l.Terms.Group(m); !ok {
			return false
		}
	}
	for _, m := range facts["calendars"].Members() {
		if !slices.ContainsFunc(l.Terms.Calendars, func(c Calendar) bool { return c.ID == m }) {
			return false
		}
	}
	for _, m := range facts["logins"].Members() {
		if !slices.ContainsFunc(r.Logins, func(login sshcert.Login) bool { return string(login) == m }) {
			return false
		}
	}
	return true
}

// mayTake tells whether a request of a human can come to path i of the role, as
// far as its guards look at groups. If best is false, a human who may be in a
// group counts as either.
func (l *linter) mayTake(r *Role, i, h int, best bool) bool {
	g := l.guards(r)
	if len(g.bad) > 0 || g.crowded != nil {
		return true // another lint speaks
	}
	var in []string
	for _, id := range g.names {
		if l.crowd.maybe[id] != nil && l.crowd.maybe[id].has(h) {
			return !best
		}
		if l.crowd.yes[id] != nil && l.crowd.yes[id].has(h) {
			in = append(in, id)
		}
	}
	return g.takes[i].groups[strings.Join(in, " ")]
}

func (l *linter) eachGuard(f func(at string, r *Role, i int, g *roleGuards)) {
	l.eachPath(func(r *Role, i int, p *Path) {
		if p.When != "" {
			f(pathPath(r, i)+".when", r, i, l.guards(r))
		}
	})
}

func (g *roleGuards) usable() bool { return len(g.bad) == 0 && g.crowded == nil }

func checkE15(l *linter) {
	l.eachPath(func(r *Role, i int, p *Path) {
		if g := l.guards(r); g.usable() && !g.takes[i].reached && (g.takes[i].holds || p.When == "") {
			l.say(pathPath(r, i), fmt.Sprintf("every request that path %s is for is taken, or denied for a fact that is missing, before it", p.ID))
		}
	})
}

func checkE16(l *linter) {
	l.eachGuard(func(at string, r *Role, i int, g *roleGuards) {
		if g.usable() && !g.takes[i].holds {
			l.say(at, fmt.Sprintf("the guard of path %s holds for no request that role %s accepts", r.Paths[i].ID, r.ID))
		}
	})
}

func checkE17(l *linter) {
	l.eachPath(func(r *Role, i int, p *Path) {
		if g := l.guards(r); p.Auto && g.usable() && g.takes[i].reached && !g.takes[i].spared {
			l.say(pathPath(r, i), fmt.Sprintf("path %s grants every request that comes to it without asking anybody", p.ID))
		}
	})
}

func checkE18(l *linter) {
	l.eachGuard(func(at string, r *Role, i int, g *roleGuards) {
		if err := g.bad[i]; err != nil && !unknownField(err) {
			l.say(at, fmt.Sprintf("the guard of path %s can't be read: %v", r.Paths[i].ID, err))
		}
	})
	l.eachRole(func(r *Role) {
		if err := l.guards(r).crowded; err != nil {
			l.say(rolePath(r)+".paths", fmt.Sprintf("the guards of role %s can't be looked through: %v", r.ID, err))
		}
	})
}

func checkE19(l *linter) {
	l.eachGuard(func(at string, r *Role, i int, g *roleGuards) {
		if err := g.bad[i]; err != nil && unknownField(err) {
			l.say(at, fmt.Sprintf("the guard of path %s reads what is not known of requests: %v", r.Paths[i].ID, err))
		}
	})
}

// unknownField tells whether a guard can't be read for a field that there is not.
func unknownField(err error) bool {
	flaw, ok := errors.AsType[*guard.SyntaxError](err)
	return ok && strings.Contains(flaw.Message, "no field")
}
