package contract_test

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/contracttest"
	"github.com/sallyport/sallyport/contract/guard"
	"github.com/sallyport/sallyport/sshcert"
)

// world is a request with everything that could let it through, and who would
// approve it: what a class is about, told without the code that computes classes.
type world struct {
	role   string
	facts  guard.Facts // but calendars
	label  string
	at     time.Time
	people []approver
}

type approver struct {
	groups      []string
	after       time.Duration // since a stage asked
	means       contract.Approval
	sameManager bool
}

func drawWorld(t *rapid.T) world {
	subset := func(all []string) []string {
		return slices.DeleteFunc(slices.Clone(all), func(string) bool { return rapid.Bool().Draw(t, "out") })
	}
	w := world{
		role:  rapid.SampledFrom([]string{"one", "one", "two"}).Draw(t, "role"),
		label: rapid.SampledFrom([]string{"prod", "test"}).Draw(t, "label"),
		at:    time.Date(2026, 12, 7, 0, 0, 0, 0, time.UTC).Add(time.Duration(rapid.IntRange(0, 167).Draw(t, "hour")) * time.Hour),
		facts: guard.Facts{
			"grant_seconds": guard.OfInt(rapid.SampledFrom([]int64{60, 3600, 3601, 7200, 7201, 14400}).Draw(t, "seconds")),
			"hosts":         guard.OfInt(rapid.Int64Range(1, 5).Draw(t, "hosts")),
			"reason_words":  guard.OfInt(rapid.Int64Range(1, 7).Draw(t, "words")),
			"ticket":        guard.OfBool(rapid.Bool().Draw(t, "ticket")),
			"groups":        guard.OfSet(subset(contracttest.Groups)...),
			"logins":        guard.OfSet(rapid.SampledFrom([]string{"dbro", "ops"}).Draw(t, "login")),
		},
	}
	if rapid.Bool().Draw(t, "known") {
		w.facts["first_time_host"] = guard.OfBool(rapid.Bool().Draw(t, "first"))
	}
	for range rapid.IntRange(0, 4).Draw(t, "people") {
		w.people = append(w.people, approver{
			groups: subset(contracttest.Groups), after: time.Duration(rapid.IntRange(0, 9).Draw(t, "after")) * time.Hour,
			means:       rapid.SampledFrom([]contract.Approval{contract.ApprovalSession, contract.ApprovalFresh, contract.ApprovalWebAuthn, contract.ApprovalSK}).Draw(t, "means"),
			sameManager: rapid.IntRange(0, 3).Draw(t, "same") == 0,
		})
	}
	return w
}

// decide returns the path that decides the request; nil if it is denied.
func decide(t *rapid.T, terms *contract.Terms, w world) (*contract.Role, *contract.Path) {
	r, ok := terms.Role(w.role)
	if !ok {
		return nil, nil
	}
	in := func(set []string, list []string) bool {
		return slices.ContainsFunc(list, func(v string) bool { return slices.Contains(set, v) })
	}
	switch {
	case !in(r.Who, w.facts["groups"].Members()),
		!slices.Contains(r.Logins, sshcert.Login(w.facts["logins"].Members()[0])),
		!r.Matches(map[string]string{"env": w.label}),
		time.Duration(w.facts["grant_seconds"].Int())*time.Second > r.Grant.Max,
		w.facts["reason_words"].Int() < int64(r.Request.MinWords),
		r.Request.HostsMax > 0 && w.facts["hosts"].Int() > int64(r.Request.HostsMax),
		r.Request.Ticket.Required && !w.facts["ticket"].Bool():
		return nil, nil
	}
	var open []string
	for _, c := range terms.Calendars {
		day := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}[w.at.Weekday()]
		if m := w.at.Hour() * 60; slices.Contains(c.Days, day) && c.From <= m && m < c.To {
			open = append(open, c.ID)
		}
	}
	w.facts["calendars"] = guard.OfSet(open...)
	for i := range r.Paths {
		if r.Paths[i].When == "" {
			return r, &r.Paths[i]
		}
		e, err := guard.Parse(r.Paths[i].When)
		if err != nil {
			t.Fatal(err)
		}
		holds, err := e.Eval(w.facts)
		if err != nil {
			return nil, nil
		}
		if holds {
			return r, &r.Paths[i]
		}
	}
	return nil, nil
}

// passes tells whether the request gets in: at once, or as those people approve.
func passes(t *rapid.T, terms *contract.Terms, w world, asking bool) bool {
	r, p := decide(t, terms, w)
	if p == nil {
		return false
	}
	if p.Auto {
		return true
	}
	return asking && satisfied(r, p.Stages, w.people, nil)
}

// satisfied tries every choice of approvers, stage after stage.
func satisfied(r *contract.Role, stages []contract.Stage, people []approver, used []int) bool {
	if len(stages) == 0 {
		return true
	}
	s := stages[0]
	var may []int
	for i, p := range people {
		in := func(list []string) bool {
			return slices.ContainsFunc(list, func(g string) bool { return slices.Contains(p.groups, g) })
		}
		end := s.Timeout
		asked := in(s.From)
		if s.Escalate != nil {
			end += s.Escalate.Timeout
			asked = asked || p.after >= s.Timeout && in(s.Escalate.To)
		}
		means := p.means == s.Assurance || s.Assurance == contract.ApprovalSession || s.Assurance == contract.ApprovalFresh && p.means != contract.ApprovalSession
		manager := p.sameManager && slices.Contains(r.Duties.NotSameManager, s.ID)
		if asked && p.after < end && means && !manager && !(r.Duties.DistinctAcrossStages && slices.Contains(used, i)) {
			may = append(may, i)
		}
	}
	for choice := range 1 << len(may) {
		next := slices.Clone(used)
		n := 0
		for i, p := range may {
			if choice&(1<<i) != 0 {
				n++
				next = append(next, p)
			}
		}
		if n == s.Quorum && satisfied(r, stages[1:], people, next) {
			return true
		}
	}
	return false
}

// A narrowing lets nothing through that did not get through before, a widening
// everything that did, and what is equivalent the same; and a class of mixed or
// widening says which request it is about. The change back is the reverse.
func TestPromiseP10_ClassHoldsForEveryRequest(t *testing.T) {
	t.Parallel()
	base := goodVersion(t).Terms
	rapid.Check(t, func(t *rapid.T) {
		old := contracttest.Terms(t, base)
		now := contracttest.Clone(old)
		for range rapid.IntRange(1, 2).Draw(t, "changes") {
			contracttest.Mutate(t, now)
		}
		got := contract.Compare(old, now)
		for range 20 {
			w := drawWorld(t)
			for _, asking := range []bool{false, true} {
				before, after := passes(t, old, w, asking), passes(t, now, w, asking)
				lost, won := before && !after, after && !before
				if won && (got.Class == contract.Narrowing || got.Class == contract.Equivalent) ||
					lost && (got.Class == contract.Widening || got.Class == contract.Equivalent) {
					t.Fatalf("%s, and the request %+v got in: %t, gets in: %t\n%+v", got.Class, w, before, after, got.Changes)
				}
			}
		}
		if contract.Compare(old, old).Class != contract.Equivalent {
			t.Fatal("terms are not what they are")
		}
	})
}

// One change is the reverse of the change back, and two narrowings are one.
func TestCompareIsAnOrder(t *testing.T) {
	t.Parallel()
	base := goodVersion(t).Terms
	back := map[contract.Class]contract.Class{
		contract.Equivalent: contract.Equivalent, contract.Narrowing: contract.Widening,
		contract.Widening: contract.Narrowing, contract.Mixed: contract.Mixed,
	}
	rapid.Check(t, func(t *rapid.T) {
		a := contracttest.Terms(t, base)
		b := contracttest.Clone(a)
		contracttest.Mutate(t, b)
		ab := contract.Compare(a, b)
		if ba := contract.Compare(b, a); ba.Class != back[ab.Class] {
			t.Fatalf("there %+v, back %+v", ab, ba)
		}
		c := contracttest.Clone(b)
		contracttest.Mutate(t, c)
		bc, ac := contract.Compare(b, c), contract.Compare(a, c)
		if ab.Class == contract.Narrowing && bc.Class == contract.Narrowing && ac.Class != contract.Narrowing && ac.Class != contract.Equivalent {
			t.Fatalf("two narrowings are %+v", ac)
		}
	})
}
