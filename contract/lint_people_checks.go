package contract

import (
	"fmt"
	"maps"
	"slices"
)

// maxAcknowledged is how often somebody acknowledges in 90 days before they stop
// reading what they acknowledge.
const maxAcknowledged = 3

// checkE13: a group that the identity provider does not have, or for which nobody
// answers any more.
func checkE13(l *linter) {
	if l.People == nil || l.People.Groups == nil {
		l.unknown("", "which groups the identity providers have is not known here", "lint again where the providers' groups are listed")
		return
	}
	for _, g := range l.Terms.Groups {
		issuer, ok := l.Terms.Issuer(g.Issuer)
		if !ok {
			continue
		}
		i := slices.IndexFunc(l.People.Groups, func(d DirectoryGroup) bool { return d.Issuer == issuer.URL && d.Claim == g.Claim })
		switch {
		case i < 0:
			l.say("groups."+g.ID, fmt.Sprintf("%s has no group %q", issuer.URL, g.Claim))
		case l.People.Groups[i].OwnerLeft:
			l.say("groups."+g.ID, fmt.Sprintf("who answered for the group %q of %s has left", g.Claim, issuer.URL))
		}
	}
}

func checkW34(l *linter) {
	if !l.people() {
		return
	}
	l.eachPath(func(r *Role, i int, p *Path) {
		single := func(o outlook) uint32 {
			if o.short == 0 && o.slack == 0 {
				return o.worst
			}
			return 0
		}
		l.worstOutlook(r, i, single, func(set uint32, who string, count int, sure bool) {
			l.judge(sure, pathPath(r, i), fmt.Sprintf("a request of %s gets through stage %s only while none of those who decide there is away", andOthers(who, count), p.stageNames(set)))
		})
	})
}

func checkW35(l *linter) {
	if !l.people() {
		return
	}
	l.eachStage(func(at string, _ *Role, s *Stage) {
		least, most := l.crowd.of(s.From, false).count(), l.crowd.of(s.From, true).count()
		if least <= s.Quorum && s.Quorum <= most && most > 0 {
			l.judge(least == most && !l.crowd.partial, at+".quorum", fmt.Sprintf("stage %s asks for %d people, as many as %s has: one holiday blocks the role", s.ID, s.Quorum, list(s.From, "and")))
		}
	})
}

// checkW36: those who may ask decide for each other, and nobody else has to.
func checkW36(l *linter) {
	asks := false
	l.eachPath(func(r *Role, i int, p *Path) {
		if len(p.Stages) == 0 || len(r.Who) == 0 {
			return
		}
		if !slices.ContainsFunc(p.Stages, func(s Stage) bool { return !subset(r.Who, s.From) }) {
			l.say(pathPath(r, i), fmt.Sprintf("everybody who may ask for role %s decides in every stage of path %s: two of them can let each other in", r.ID, p.ID))
			return
		}
		asks = true
	})
	if !asks || !l.people() {
		return
	}
	l.eachPath(func(r *Role, i int, p *Path) {
		if len(p.Stages) == 0 || !slices.ContainsFunc(p.Stages, func(s Stage) bool { return !subset(r.Who, s.From) }) {
			return
		}
		ring := func(loose bool) bool {
			who := l.crowd.of(r.Who, loose)
			return who.count() > 1 && !slices.ContainsFunc(p.Stages, func(s Stage) bool { return !who.within(l.crowd.of(s.From, loose)) })
		}
		if sure := ring(false); sure || ring(true) {
			l.judge(sure, pathPath(r, i), fmt.Sprintf("everybody who may ask for role %s decides in every stage of path %s: two of them can let each other in", r.ID, p.ID))
		}
	})
}

// vendors are the capacities of a party that works for another.
var vendors = []string{"processor", "sub-processor", "vendor", "supplier", "contractor", "business-associate", "subcontractor"}

// checkW37: somebody of a vendor comes in though nobody of the other party said yes.
func checkW37(l *linter) {
	vendor := make(map[string]bool)
	for _, p := range l.Terms.Parties {
		if slices.Contains(vendors, p.Capacity) {
			vendor[p.ID] = true
		}
	}
	if len(l.Terms.Parties) < 2 {
		return
	}
	if len(vendor) == 0 && !slices.ContainsFunc(l.Terms.Parties, func(p Party) bool { return p.Capacity != "" }) {
		l.unknown("parties", "the terms do not say which party works for the other", "give each party a `capacity`, such as controller and processor")
		return
	}
	if len(vendor) == 0 || !l.people() {
		return
	}
	l.eachPath(func(r *Role, i int, p *Path) {
		for _, h := range l.crowd.of(r.Who, false).members() {
			party := l.crowd.humans[h].party()
			if !vendor[party] || !l.mayTake(r, i, h, true) {
				continue
			}
			own, open := false, false
			for _, s := range p.Stages {
				for _, a := range l.crowd.of(s.From, true).members() {
					of := l.crowd.humans[a].party()
					own = own || of != "" && !vendor[of]
					open = open || of == ""
				}
			}
			if !own {
				l.judge(!open && !l.crowd.partial, pathPath(r, i), fmt.Sprintf("%s works for %s, and nobody of another party decides about them on path %s", l.crowd.humans[h].id(), party, p.ID))
				return
			}
		}
	})
}

func (h human) party() string {
	for _, e := range h.entries {
		if e.Party != "" {
			return e.Party
		}
	}
	return ""
}

func checkW42(l *linter) {
	if l.Usage == nil || l.Usage.Requests == nil {
		l.unknown("", "how often each role was asked for is not known here", "lint again where the ledger is at hand")
		return
	}
	l.eachRole(func(r *Role) {
		if l.Parent != nil {
			if _, before := l.Parent.Terms.Role(r.ID); !before {
				return
			}
		}
		if l.Usage.Requests[r.ID] == 0 {
			l.say(rolePath(r), "nobody has asked for role "+r.ID+" in 180 days")
		}
	})
}

func checkI49(l *linter) {
	if l.Usage == nil || l.Usage.Decisions == nil {
		l.unknown("", "who has decided how often is not known here", "lint again where the ledger is at hand")
		return
	}
	if !l.people() {
		return
	}
	silent, at := l.crowd.none(), ""
	l.eachStage(func(stage string, r *Role, s *Stage) {
		for _, i := range l.crowd.of(s.From, false).members() {
			decided := 0
			for _, e := range l.crowd.humans[i].entries {
				decided += l.Usage.Decisions[e.ID]
			}
			if decided == 0 && (l.Usage.Requests == nil || l.Usage.Requests[r.ID] > 0) {
				silent.add(i)
				if at == "" {
					at = stage + ".from"
				}
			}
		}
	})
	if n := silent.count(); n > 0 {
		l.say(at, fmt.Sprintf("%d of those who may decide have decided nothing in 90 days: %s", n, l.crowd.names(silent)))
	}
}

// checkI52: people who have to acknowledge too often stop to read.
func checkI52(l *linter) {
	roles := l.acknowledgedAgain()
	if len(roles) == 0 {
		return
	}
	if l.Usage == nil || l.Usage.Acknowledged == nil {
		l.unknown("", "who has acknowledged how often is not known here", "lint again where the ledger is at hand")
		return
	}
	var tired []string
	for _, id := range slices.Sorted(maps.Keys(l.Usage.Acknowledged)) {
		if l.Usage.Acknowledged[id] < maxAcknowledged {
			continue
		}
		h, listed := l.crowd.byEntry[id]
		if !listed || slices.ContainsFunc(roles, func(r *Role) bool { return l.crowd.of(r.Who, true).has(h) }) {
			tired = append(tired, id)
		}
	}
	if len(tired) > 0 {
		l.say(rolePath(roles[0])+".acknowledge", fmt.Sprintf("with this amendment %s will have acknowledged more than %d times in 90 days", andOthers(tired[0], len(tired)), maxAcknowledged))
	}
}

// acknowledgedAgain returns the roles that the amendment touches and that people
// have to acknowledge.
func (l *linter) acknowledgedAgain() []*Role {
	var out []*Role
	if l.Parent == nil || l.Compared == nil {
		return nil
	}
	l.eachRole(func(r *Role) {
		touched := slices.ContainsFunc(l.Compared.Changes, func(c Change) bool { return below(c.Path, rolePath(r)) })
		if r.Acknowledge && touched {
			out = append(out, r)
		}
	})
	return out
}
