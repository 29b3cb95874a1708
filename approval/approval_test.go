package approval_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	issuer = "https://login.demo.example"
	key    = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICLH/0i6LrHoyYNBvsVFrshGaN3rpYQ7oGejEEDCAeTk"
)

// terms has one role with the given stages.
func terms(t fataler, stages string) *contract.Terms {
	v, err := contract.ParseTerms([]byte(`terms: sallyport/v1
contract: {id: demo, title: Demo}
parties: {demo: {name: Demo}}
signatories: [{party: demo, capacity: owner, need: 1, of: {chris: ` + key + `}, assurance: ssh}]
issuers: {local: {url: "` + issuer + `", clients: {cli: c, web: w}, algs: [ES256], flows: [code]}}
groups: {engineers: "oidc:local/engineers", leads: "oidc:local/leads", owners: "oidc:local/owners"}
ceilings: {grant: 2h, cert_ttl: 15m}
roles:
  operator:
    clause: §1
    who: [engineers]
    hosts: {env: [demo]}
    logins: [ops, deploy]
    grant: {max: 1h}
    cert: {ttl: 5m}
    paths: [{id: normal, clause: §1, stages: [` + stages + `]}]
`))
	if err != nil {
		t.Fatalf("terms: %v", err)
	}
	return v
}

type fataler interface{ Fatalf(string, ...any) }

func id(n int) canon.ID {
	return canon.ID(strings.Repeat("a", 24) + string(rune('b'+n)) + "a")
}

func in(groups ...string) contract.Subject {
	return contract.Subject{Issuer: issuer, Groups: groups, GroupsKnown: true}
}

var start = time.Date(2026, 12, 1, 8, 0, 0, 123456000, time.UTC)

func newRequest(t fataler, tt *contract.Terms, d time.Duration) approval.Request {
	ask := contract.Ask{
		Role: "operator", Logins: []sshcert.Login{"ops"}, For: d, ReasonWords: 3,
		Hosts: []contract.HostLabels{{Name: "web-1.demo", Labels: map[string]string{"env": "demo"}}},
	}
	r, err := approval.New(&contract.Version{Terms: tt}, ask, id(20), id(0), in("engineers", "leads"), start)
	if err != nil {
		t.Fatalf("new request: %v", err)
	}
	return r
}

func decision(by int, stage string, v approval.Verdict, seconds int64, at time.Time) approval.Decision {
	return approval.Decision{By: id(by), Stage: stage, Verdict: v, Seconds: seconds, At: canon.At(at)}
}

const oneLead = `{id: lead, from: [leads], quorum: 1, timeout: 15m}`

func TestPromiseP03_NobodyDecidesOnTheirOwnRequest(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r := newRequest(t, tt, time.Hour)
	for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
		// The requester is in every group that decides.
		_, err := r.Decide(tt, decision(0, "lead", verdict, 0, start.Add(time.Minute)), in("engineers", "leads", "owners"))
		if !errors.Is(err, approval.ErrSelfApproval) {
			t.Errorf("own %s: %v, want ErrSelfApproval", verdict, err)
		}
	}
}

func TestDecideRefuses(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r := newRequest(t, tt, time.Hour)
	soon := start.Add(time.Minute)
	granted, err := r.Decide(tt, decision(1, "lead", approval.Approve, 300, soon), in("leads"))
	if err != nil {
		t.Fatal(err)
	}
	denied, err := r.Decide(tt, decision(1, "lead", approval.Deny, 0, soon), in("leads"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		request approval.Request
		d       approval.Decision
		subject contract.Subject
		want    error
	}{
		{"in no group of the stage", r, decision(1, "lead", approval.Approve, 0, soon), in("owners"), approval.ErrNotEligible},
		{"groups unknown", r, decision(1, "lead", approval.Approve, 0, soon), contract.Subject{Issuer: issuer}, contract.ErrGroupsUnknown},
		{"other issuer, same group name", r, decision(1, "lead", approval.Approve, 0, soon), contract.Subject{Issuer: issuer + "/", Groups: []string{"leads"}, GroupsKnown: true}, approval.ErrNotEligible},
		{"group in another case", r, decision(1, "lead", approval.Approve, 0, soon), in("Leads"), approval.ErrNotEligible},
		{"longer than asked", r, decision(1, "lead", approval.Approve, 3601, soon), in("leads"), approval.ErrWidening},
		{"negative time", r, decision(1, "lead", approval.Approve, -1, soon), in("leads"), approval.ErrWidening},
		{"denial with time", r, decision(1, "lead", approval.Deny, 60, soon), in("leads"), approval.ErrDecision},
		{"no verdict", r, decision(1, "lead", "", 0, soon), in("leads"), approval.ErrDecision},
		{"other stage", r, decision(1, "owner", approval.Approve, 0, soon), in("leads"), approval.ErrDecision},
		{"before the request", r, decision(1, "lead", approval.Approve, 0, start.Add(-time.Second)), in("leads"), approval.ErrDecision},
		{"at the deadline", r, decision(1, "lead", approval.Approve, 0, start.Add(15*time.Minute)), in("leads"), approval.ErrSettled},
		{"after a yes", granted, decision(2, "lead", approval.Approve, 0, soon), in("leads"), approval.ErrSettled},
		{"after a no", denied, decision(2, "lead", approval.Approve, 0, soon), in("leads"), approval.ErrSettled},
		{"twice", denied, decision(1, "lead", approval.Approve, 0, soon), in("leads"), approval.ErrDecidedTwice},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			before := len(c.request.Decisions)
			if _, err := c.request.Decide(tt, c.d, c.subject); !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if len(c.request.Decisions) != before {
				t.Error("a refused decision changed the request")
			}
		})
	}
}

func TestPromiseP05_GrantClockAndExpiry(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r := newRequest(t, tt, time.Hour)
	if s := r.Status(start.Add(15*time.Minute - time.Microsecond)); s.State != approval.Pending {
		t.Errorf("just before the deadline it is %s", s.State)
	}
	if s := r.Status(start.Add(15 * time.Minute)); s.State != approval.Expired {
		t.Errorf("at the deadline it is %s", s.State)
	}
	at := start.Add(10 * time.Minute)
	r, err := r.Decide(tt, decision(1, "lead", approval.Approve, 300, at), in("leads"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Grant(tt)
	if err != nil {
		t.Fatal(err)
	}
	if !g.Start.Equal(at) || g.End.Sub(g.Start) != 300*time.Second {
		t.Errorf("grant from %s for %s; the clock starts at the last approval", g.Start, g.End.Sub(g.Start))
	}
	for _, c := range []struct {
		at   time.Time
		want error
	}{{at.Add(-1), approval.ErrNotGranted}, {at, nil}, {g.End.Add(-1), nil}, {g.End, approval.ErrGrantOver}} {
		if err := g.Active(c.at); !errors.Is(err, c.want) {
			t.Errorf("at %s: %v, want %v", c.at, err, c.want)
		}
	}
}

// TestModel walks random decisions through random paths and holds the state
// machine to its promises after each step.
func TestPromiseP04_QuorumOfDistinctPeople(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var stages []string
		var quorums []int
		groups := []string{"leads", "owners", "engineers"}
		for i := range rapid.IntRange(1, 3).Draw(t, "stages") {
			q := rapid.IntRange(1, 3).Draw(t, "quorum")
			quorums = append(quorums, q)
			stages = append(stages, fmt.Sprintf(`{id: s%d, from: [%s], quorum: %d, timeout: 10m}`, i, groups[i], q))
		}
		tt := terms(t, strings.Join(stages, ", "))
		asked := time.Duration(rapid.IntRange(10, 3600).Draw(t, "asked")) * time.Second
		r := newRequest(t, tt, asked)
		now := start
		votes, stage, narrowest := map[canon.ID]bool{}, 0, int64(asked/time.Second)
		inStage, denied := 0, false
		deadline := start.Add(10 * time.Minute)
		for range rapid.IntRange(0, 14).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 400).Draw(t, "pause")) * time.Second)
			d := decision(rapid.IntRange(0, 6).Draw(t, "by"), fmt.Sprintf("s%d", rapid.IntRange(0, 2).Draw(t, "stage")),
				rapid.SampledFrom([]approval.Verdict{approval.Approve, approval.Approve, approval.Approve, approval.Deny}).Draw(t, "verdict"),
				rapid.SampledFrom([]int64{0, 0, 60, 900, 4000}).Draw(t, "seconds"), now)
			member := rapid.SampledFrom(groups).Draw(t, "group")
			before := r.Status(now)
			next, err := r.Decide(tt, d, in(member))
			allowed := !denied && stage < len(quorums) && now.Before(deadline) && d.By != id(0) && !votes[d.By] &&
				d.Stage == fmt.Sprintf("s%d", stage) && member == groups[stage] &&
				(d.Verdict == approval.Approve && d.Seconds <= narrowest || d.Verdict == approval.Deny && d.Seconds == 0)
			if (err == nil) != allowed {
				t.Fatalf("decision %+v by a %s: %v, allowed = %t", d, member, err, allowed)
			}
			if err != nil {
				continue
			}
			if before.State != approval.Pending {
				t.Fatalf("a request that was %s took a decision", before.State)
			}
			r, votes[d.By] = next, true
			if d.Verdict == approval.Deny {
				denied = true
				continue
			}
			if d.Seconds > 0 {
				narrowest = min(narrowest, d.Seconds)
			}
			if inStage++; inStage == quorums[stage] {
				stage, inStage, deadline = stage+1, 0, now.Add(10*time.Minute)
			}
		}
		checkInvariants(t, tt, r, now, denied, stage == len(quorums), narrowest)
	})
}

func checkInvariants(t *rapid.T, tt *contract.Terms, r approval.Request, now time.Time, denied, complete bool, narrowest int64) {
	people := map[canon.ID]bool{}
	for _, d := range r.Decisions {
		if d.By == r.By || people[d.By] {
			t.Fatalf("%s counts twice or for itself", d.By)
		}
		people[d.By] = true
	}
	state := r.Status(now).State
	if want := complete && !denied; (state == approval.Granted) != want {
		t.Fatalf("state %s, every quorum reached = %t, denied = %t", state, complete, denied)
	}
	if later := r.Status(now.Add(100 * time.Hour)).State; state != approval.Pending && later != state {
		t.Fatalf("settled as %s, later %s", state, later)
	}
	g, err := r.Grant(tt)
	if (err == nil) != (state == approval.Granted) {
		t.Fatalf("state %s and grant %v", state, err)
	}
	if err != nil {
		return
	}
	// P07: what is granted is at most what was asked, and each approver's limit.
	if got := int64(g.End.Sub(g.Start) / time.Second); got != narrowest || got > r.Seconds {
		t.Fatalf("granted %d s, asked %d, narrowed to %d", got, r.Seconds, narrowest)
	}
	if !slices.Equal(g.Logins, r.Logins) || !slices.Equal(g.Hosts, r.Hosts) {
		t.Fatalf("granted %v on %v", g.Logins, g.Hosts)
	}
	if g.Start.Before(r.Decisions[len(r.Decisions)-1].At.Time()) {
		t.Fatal("the grant begins before its last approval")
	}
}

func TestPromiseP07_ADecisionNeverWidens(t *testing.T) {
	t.Parallel()
	tt := terms(t, `{id: lead, from: [leads], quorum: 2, timeout: 15m}`)
	rapid.Check(t, func(t *rapid.T) {
		r := newRequest(t, tt, time.Hour)
		first := rapid.Int64Range(1, 3600).Draw(t, "first")
		second := rapid.Int64Range(0, 4000).Draw(t, "second")
		r, err := r.Decide(tt, decision(1, "lead", approval.Approve, first, start), in("leads"))
		if err != nil {
			t.Fatal(err)
		}
		next, err := r.Decide(tt, decision(2, "lead", approval.Approve, second, start), in("leads"))
		if second > first {
			if !errors.Is(err, approval.ErrWidening) {
				t.Fatalf("%d s after %d s: %v, want ErrWidening", second, first, err)
			}
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		g, err := next.Grant(tt)
		if err != nil {
			t.Fatal(err)
		}
		if got := int64(g.End.Sub(g.Start) / time.Second); got > first || second > 0 && got != second {
			t.Fatalf("%d s granted after %d and %d", got, first, second)
		}
	})
}

func TestPromiseP05_GrantNeverOverTheCeilings(t *testing.T) {
	t.Parallel()
	tt := terms(t, oneLead)
	r := newRequest(t, tt, time.Hour)
	r.Seconds = 100 * 3600 // as if an older, wider version had let it in
	r, err := r.Decide(tt, decision(1, "lead", approval.Approve, 0, start), in("leads"))
	if err != nil {
		t.Fatal(err)
	}
	g, err := r.Grant(tt)
	if err != nil {
		t.Fatal(err)
	}
	if g.End.Sub(g.Start) != time.Hour || g.TTL != 5*time.Minute {
		t.Errorf("grant of %s with certificates of %s; the role allows 1h and 5m", g.End.Sub(g.Start), g.TTL)
	}
}
