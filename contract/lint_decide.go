package contract

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

const givePeople = "lint again with a people file or where the directory is known"

// people tells whether anybody is known, and says so if not all are.
func (l *linter) people() bool {
	switch {
	case !l.crowd.known:
		l.unknown("", "who is in which group is not known here", givePeople)
	case l.crowd.partial:
		l.unknown("", "only some people are known, such as those who have logged in; the others may change the answer", givePeople)
	}
	return l.crowd.known
}

// judge says a finding for certain, or that it is one as far as is known.
func (l *linter) judge(sure bool, path, message string) {
	if sure {
		l.say(path, message)
		return
	}
	l.unknown(path, message+", as far as is known", givePeople)
}

// eachRole, eachPath and eachStage walk the roles in the terms' order.
func (l *linter) eachRole(f func(*Role)) {
	for i := range l.Terms.Roles {
		f(&l.Terms.Roles[i])
	}
}

func (l *linter) eachPath(f func(r *Role, i int, p *Path)) {
	l.eachRole(func(r *Role) {
		for i := range r.Paths {
			f(r, i, &r.Paths[i])
		}
	})
}

func (l *linter) eachStage(f func(at string, r *Role, s *Stage)) {
	l.eachPath(func(r *Role, i int, p *Path) {
		for j := range p.Stages {
			f(stagePath(r, i, j), r, &p.Stages[j])
		}
	})
}

// outlook is what requesters who are alike have to expect of a path.
type outlook struct {
	who   string // one of them
	count int
	short uint32 // stages that have too few people for them, each alone
	slack int    // see quorums.slack
	worst uint32
}

// outlooks returns what everybody who may ask has to expect of path i of the
// role, by what is known at best: those who may be in a stage's groups are in
// them, and nobody shares a manager who is not known; or at worst.
func (l *linter) outlooks(r *Role, i int, best bool) []outlook {
	p := &r.Paths[i]
	base := newQuorums(p)
	masks := make([]uint32, len(l.crowd.humans))
	stages := make([]set, len(p.Stages))
	for j := range p.Stages {
		stages[j] = l.crowd.of(p.Stages[j].asked(), best)
		for _, h := range stages[j].members() {
			masks[h] |= 1 << j
		}
	}
	for _, m := range masks {
		base.add(m, 1)
	}
	type class struct {
		mask    uint32
		manager string
	}
	apart := p.managerStages(r.Duties)
	index := make(map[class]int)
	var out []outlook
	for _, h := range l.crowd.of(r.Who, !best).members() {
		if !l.mayTake(r, i, h, best) {
			continue
		}
		c := class{mask: masks[h]}
		if apart != 0 {
			c.manager = l.crowd.humans[h].manager
		}
		if k, ok := index[c]; ok {
			out[k].count++
			continue
		}
		index[c] = len(out)
		q := &quorums{need: base.need, count: slices.Clone(base.count)}
		q.add(masks[h], -1)
		if apart != 0 {
			for other, m := range masks {
				if other != h && m&apart != 0 && shareManager(c.manager, l.crowd.humans[other].manager, best) {
					q.add(m, -1)
					q.add(m&^apart, 1)
				}
			}
		}
		o := outlook{who: l.crowd.humans[h].id(), count: 1}
		for j := range p.Stages {
			able := stages[j].count()
			if stages[j].has(h) {
				able--
			}
			if able < p.Stages[j].Quorum {
				o.short |= 1 << j
			}
		}
		o.slack, o.worst = q.slack()
		out = append(out, o)
	}
	return out
}

func shareManager(a, b string, best bool) bool {
	switch {
	case a == NoManager || b == NoManager:
		return false
	case a == "" || b == "":
		return !best
	default:
		return a == b
	}
}

// worstOutlook calls f once for a path and stage set, with somebody of whom bad
// holds and how many they are; sure if it holds at best.
func (l *linter) worstOutlook(r *Role, i int, bad func(outlook) uint32, f func(set uint32, who string, count int, sure bool)) {
	if len(r.Paths[i].Stages) == 0 {
		return
	}
	gather := func(list []outlook) (set uint32, who string, count int) {
		for _, o := range list {
			if b := bad(o); b != 0 {
				if who == "" {
					set, who = b, o.who
				}
				count += o.count
			}
		}
		return set, who, count
	}
	if set, who, count := gather(l.outlook(r, i, true)); count > 0 {
		f(set, who, count, !l.crowd.partial)
		return
	}
	if set, who, count := gather(l.outlook(r, i, false)); count > 0 {
		f(set, who, count, false)
	}
}

// outlook keeps what outlooks found, as three lints ask.
func (l *linter) outlook(r *Role, i int, best bool) []outlook {
	key := fmt.Sprintf("%s %d %t", r.ID, i, best)
	out, ok := l.seen[key]
	if !ok {
		out = l.outlooks(r, i, best)
		l.seen[key] = out
	}
	return out
}

// stageNames names the stages of a set.
func (p *Path) stageNames(set uint32) string {
	var out []string
	for j := range p.Stages {
		if set&(1<<j) != 0 {
			out = append(out, p.Stages[j].ID)
		}
	}
	return list(out, "and")
}

func (p *Path) need(set uint32) int {
	n := 0
	for j := range p.Stages {
		if set&(1<<j) != 0 {
			n += p.Stages[j].Quorum
		}
	}
	return n
}

// andOthers names somebody and says how many are like them.
func andOthers(who string, count int) string {
	if count == 1 {
		return who
	}
	return fmt.Sprintf("%s and %d more", who, count-1)
}

func checkE01(l *linter) {
	if !l.people() {
		return
	}
	l.eachPath(func(r *Role, i int, p *Path) {
		l.worstOutlook(r, i, func(o outlook) uint32 { return o.short & -o.short }, func(set uint32, who string, count int, sure bool) {
			j := slices.IndexFunc(p.Stages, func(s Stage) bool { return p.stageNames(set) == s.ID })
			l.judge(sure, stagePath(r, i, j)+".quorum", fmt.Sprintf("stage %s asks for %d people, and fewer could decide on a request of %s",
				p.Stages[j].ID, p.Stages[j].Quorum, andOthers(who, count)))
		})
	})
}

func checkE02(l *linter) {
	l.eachStage(func(at string, _ *Role, s *Stage) {
		if len(s.From) == 0 {
			l.say(at+".from", "stage "+s.ID+" names no group, so nobody can decide in it")
		}
	})
	if !l.people() {
		return
	}
	l.eachStage(func(at string, _ *Role, s *Stage) {
		if empty, sure := l.crowd.empty(s.From); empty && len(s.From) > 0 {
			l.judge(sure, at+".from", fmt.Sprintf("nobody is in %s, so nobody can decide in stage %s", list(s.From, "or"), s.ID))
		}
	})
}

func checkE03(l *linter) {
	l.eachRole(func(r *Role) {
		if len(r.Who) == 0 {
			l.say(rolePath(r)+".who", "role "+r.ID+" names no group, so nobody can ask for it")
		}
	})
	if !l.people() {
		return
	}
	l.eachRole(func(r *Role) {
		if empty, sure := l.crowd.empty(r.Who); empty && len(r.Who) > 0 {
			l.judge(sure, rolePath(r)+".who", fmt.Sprintf("nobody is in %s, so nobody can ask for role %s", list(r.Who, "or"), r.ID))
		}
	})
}

// checkE04: the server refuses who asked in each account that it holds as theirs.
// What it can't see is a second entry of the same human.
func checkE04(l *linter) {
	if !l.people() {
		return
	}
	for _, h := range l.crowd.humans {
		for _, a := range h.entries {
			for _, b := range h.entries {
				if a.ID == b.ID {
					continue
				}
				l.eachStage(func(at string, r *Role, s *Stage) {
					l.selfApproval(a, b, r.Who, append(s.asked(), s.Delegates...), at, "decide on it in stage "+s.ID)
				})
				l.eachRole(func(r *Role) {
					if g := r.BreakGlass; g != nil {
						l.selfApproval(a, b, g.Who, g.Review.By, rolePath(r)+".break_glass.review.by", "look at the break-glass afterwards")
					}
				})
			}
		}
	}
}

func (l *linter) selfApproval(a, b DirectoryPerson, who, from []string, at, what string) {
	asks, asksMaybe := a.inAny(l.Terms, who)
	decides, decidesMaybe := b.inAny(l.Terms, from)
	sure := asks && decides
	if sure || (asks || asksMaybe) && (decides || decidesMaybe) {
		l.judge(sure, at, fmt.Sprintf("%s may ask and %s, the same human, may %s, and the server does not know that", a.ID, b.ID, what))
	}
}

// inAny tells whether the entry is in any of the groups, or may be.
func (p DirectoryPerson) inAny(t *Terms, groups []string) (in, unknown bool) {
	for _, g := range groups {
		yes, maybe := p.in(t, g)
		if yes {
			return true, false
		}
		unknown = unknown || maybe
	}
	return false, unknown
}

func checkE05(l *linter) {
	if !l.people() {
		return
	}
	l.eachPath(func(r *Role, i int, p *Path) {
		deadlock := func(o outlook) uint32 {
			if o.short == 0 && o.slack < 0 {
				return o.worst
			}
			return 0
		}
		l.worstOutlook(r, i, deadlock, func(set uint32, who string, count int, sure bool) {
			l.judge(sure, pathPath(r, i), fmt.Sprintf("stages %s together ask for %d different people, and once those who may not decide twice or share a manager are left out, fewer could decide on a request of %s",
				p.stageNames(set), p.need(set), andOthers(who, count)))
		})
	})
}

// checkE06 looks for groups that wait for each other: a silent stage of the one
// asks the other, and a silent stage of the other asks the one.
func checkE06(l *linter) {
	l.eachPath(func(r *Role, i int, p *Path) {
		next := make(map[string][]string)
		for _, s := range p.Stages {
			if s.Escalate != nil {
				for _, from := range s.From {
					next[from] = append(next[from], s.Escalate.To...)
				}
			}
		}
		for j, s := range p.Stages {
			if s.Escalate == nil {
				continue
			}
			for _, from := range s.From {
				if chain := cycle(next, from); chain != nil {
					l.say(stagePath(r, i, j)+".escalate", "silence is passed round in a circle: "+list(chain, "and back to"))
					return
				}
			}
		}
	})
}

// cycle returns a way of two or more groups from start back to it; nil if there is none.
func cycle(next map[string][]string, start string) []string {
	seen := map[string]bool{}
	var walk func(at string, way []string) []string
	walk = func(at string, way []string) []string {
		for _, to := range next[at] {
			if to == start && len(way) > 1 {
				return append(way, to)
			}
			if to == start || seen[to] {
				continue
			}
			seen[to] = true
			if found := walk(to, append(slices.Clone(way), to)); found != nil {
				return found
			}
		}
		return nil
	}
	return walk(start, []string{start})
}

func checkE07(l *linter) {
	static := make(map[string]bool)
	l.eachStage(func(at string, _ *Role, s *Stage) {
		if s.Escalate != nil && subset(s.Escalate.To, s.From) {
			static[at] = true
			l.say(at+".escalate.to", fmt.Sprintf("%s was asked in stage %s already, so silence reaches nobody new", list(s.Escalate.To, "and"), s.ID))
		}
	})
	if !l.hasEscalation() || !l.people() {
		return
	}
	l.eachStage(func(at string, r *Role, s *Stage) {
		if s.Escalate == nil || static[at] {
			return
		}
		fresh := func(best bool) []int {
			asked := l.crowd.of(s.From, !best)
			return slices.DeleteFunc(l.crowd.of(s.Escalate.To, best).members(), asked.has)
		}
		bad := func(best bool) bool {
			people := fresh(best)
			return len(people) == 0 || len(people) == 1 && l.crowd.of(r.Who, !best).has(people[0])
		}
		if sure := bad(true); sure || bad(false) {
			l.judge(sure && !l.crowd.partial, at+".escalate.to", fmt.Sprintf("everybody in %s was asked in stage %s already or is the one who asks, so silence may reach nobody new", list(s.Escalate.To, "and"), s.ID))
		}
	})
}

func (l *linter) hasEscalation() bool {
	found := false
	l.eachStage(func(_ string, _ *Role, s *Stage) { found = found || s.Escalate != nil })
	return found
}

func subset(a, b []string) bool {
	return !slices.ContainsFunc(a, func(s string) bool { return !slices.Contains(b, s) })
}

func checkE14(l *linter) {
	l.eachRole(func(r *Role) {
		if len(r.Paths) == 0 {
			l.say(rolePath(r)+".paths", "role "+r.ID+" has no path, so every request is denied")
		}
		for i, p := range r.Paths {
			if len(p.Stages) == 0 && !p.Auto {
				l.say(strictyaml.Item(rolePath(r)+".paths", i), "path "+p.ID+" asks nobody and does not grant, so every request that takes it is denied")
			}
		}
	})
}
