package contract

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/sshcert"
)

// maxOverlapCells bounds how many cases are compared over all pairs of roles.
const maxOverlapCells = 1 << 20

// checkW45 looks for what a role gives after several approvals and another, to the
// same people, after fewer.
func checkW45(l *linter) {
	open := false
	spent := 0
	for i := range l.Terms.Roles {
		for j := range l.Terms.Roles {
			strong, weak := &l.Terms.Roles[i], &l.Terms.Roles[j]
			if i == j || !sameLogin(strong, weak) || !sameHosts(strong, weak) {
				continue
			}
			most, least, where, sure := l.weaker(strong, weak, &spent)
			if most <= least {
				continue
			}
			switch common, known := l.samePeople(strong, weak); {
			case !known:
				open = true
			case common:
				message := fmt.Sprintf("what role %s gives after %s, role %s gives to the same people on the same hosts after %s%s", strong.ID, yeses(most), weak.ID, yeses(least), where)
				l.judge(sure, rolePath(weak), message)
			}
		}
	}
	if open {
		l.unknown("roles", "roles of different groups give the same logins on the same hosts after more and after fewer approvals, and who is in both groups is not known here", givePeople)
	}
}

func sameLogin(a, b *Role) bool {
	return slices.ContainsFunc(a.Logins, func(login sshcert.Login) bool { return slices.Contains(b.Logins, login) })
}

// sameHosts tells whether a host can have labels that both roles match.
func sameHosts(a, b *Role) bool {
	for _, x := range a.Hosts {
		for _, y := range b.Hosts {
			if x.Label == y.Label && !slices.ContainsFunc(x.Values, func(v string) bool { return slices.Contains(y.Values, v) }) {
				return false
			}
		}
	}
	return true
}

// samePeople tells whether somebody may ask for both roles.
func (l *linter) samePeople(a, b *Role) (common, known bool) {
	if slices.ContainsFunc(a.Who, func(g string) bool { return slices.Contains(b.Who, g) }) {
		return true, true
	}
	if !l.crowd.known {
		return false, false
	}
	both := func(loose bool) bool {
		other := l.crowd.of(b.Who, loose)
		return slices.ContainsFunc(l.crowd.of(a.Who, loose).members(), other.has)
	}
	return both(false), both(false) || !both(true) && !l.crowd.partial
}

// weaker finds a request that both roles accept and strong grants after more
// approvals than weak; most <= least if there is none. It is not sure if the
// guards tell too many cases apart: then the paths alone are compared.
func (l *linter) weaker(strong, weak *Role, spent *int) (most, least int, where string, sure bool) {
	a, b := l.guards(strong), l.guards(weak)
	if !a.usable() || !b.usable() {
		return 0, 0, "", true // another lint speaks
	}
	exprs, fields := guardsOf(strong, weak)
	if len(fields) == 0 {
		return firstDemand(strong), firstDemand(weak), "", true
	}
	own, other := l.limits(strong, fields), l.limits(weak, fields)
	cells, err := guard.Cells(append(append(slices.Clone(exprs), own...), other...)...)
	if err != nil || *spent > maxOverlapCells {
		return leastDemand(strong, a, false), leastDemand(weak, b, true), "", false
	}
	split := len(strong.Paths)
	for facts := range cells {
		*spent++
		if !l.possible(strong, facts, own) || !l.possible(weak, facts, other) {
			continue
		}
		more, given := demandOf(strong, exprs[:split], facts)
		less, too := demandOf(weak, exprs[split:], facts)
		if given && too && more > less {
			return more, less, " if " + spellFacts(facts), true
		}
	}
	return 0, 0, "", true
}

// guardsOf parses the guards of both roles, which are known to parse, in order.
func guardsOf(roles ...*Role) ([]*guard.Expr, map[string]bool) {
	var exprs []*guard.Expr
	fields := make(map[string]bool)
	for _, r := range roles {
		for _, p := range r.Paths {
			var e *guard.Expr
			if p.When != "" {
				e, _ = guard.Parse(p.When) // the caller has asked
			}
			for _, f := range e.Fields() {
				fields[f] = true
			}
			exprs = append(exprs, e)
		}
	}
	return exprs, fields
}

// demandOf returns how many approvals a request with such facts needs, false if
// it is denied.
func demandOf(r *Role, exprs []*guard.Expr, facts guard.Facts) (int, bool) {
	for i, e := range exprs {
		yes, err := e.Eval(facts)
		if err != nil {
			return 0, false
		}
		if yes {
			p := &r.Paths[i]
			return p.demand(), p.Auto || len(p.Stages) > 0
		}
	}
	return 0, false
}

// firstDemand is demandOf for a role without guards.
func firstDemand(r *Role) int {
	if len(r.Paths) == 0 {
		return 0
	}
	return r.Paths[0].demand()
}

// leastDemand returns the fewest approvals, or the most, of the paths that are
// reached.
func leastDemand(r *Role, g *roleGuards, least bool) int {
	n, found := 0, false
	for i := range r.Paths {
		d := r.Paths[i].demand()
		if g.takes[i].reached && (!found || least && d < n || !least && d > n) {
			n, found = d, true
		}
	}
	return n
}

// spellFacts writes facts for a sentence.
func spellFacts(facts guard.Facts) string {
	var parts []string
	for name, v := range facts {
		parts = append(parts, name+" is "+v.String())
	}
	slices.Sort(parts)
	return list(parts, "and")
}
