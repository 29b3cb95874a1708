package contract_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	alice = canon.ID("aaaaaaaaaaaaaaaaaaaaaaaaaa")
	bob   = canon.ID("bbbbbbbbbbbbbbbbbbbbbbbbba")
	carol = canon.ID("ccccccccccccccccccccccccca")
	first = canon.ID("fffffffffffffffffffffffffa")
)

// planTerms are small terms with something replaced, old and new in turn.
func planTerms(t testing.TB, change ...string) *contract.Terms {
	t.Helper()
	text := []byte(strings.ReplaceAll(smallTerms, "%SIGNATORIES%", "  - {party: acme, capacity: ciso, need: 1, of: {lang: \""+planKey+"\"}}\n  - {party: other, capacity: ciso, need: 1, of: {duarte: \""+otherPlanKey+"\"}}"))
	for i := 0; i < len(change); i += 2 {
		text = replace(t, text, change[i], change[i+1])
	}
	terms, err := contract.ParseTerms(text)
	if err != nil {
		t.Fatal(err)
	}
	return terms
}

const (
	planKey      = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
	otherPlanKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICAhIiMkJSYnKCkqKywtLi8wMTIzNDU2Nzg5Ojs8PT4/"
)

func in(groups ...string) contract.Subject {
	return contract.Subject{Issuer: "https://idp.example", Groups: groups, GroupsKnown: true}
}

// asked is a request for an hour that a lead approved.
func asked() contract.PastRequest {
	return contract.PastRequest{
		ID: first, Person: alice, Subject: in("dev"), Granted: true, Live: []uint64{17},
		Ask: contract.Ask{
			Role: "operator", Logins: []sshcert.Login{"ops"}, For: time.Hour, ReasonWords: 2,
			Hosts: []contract.HostLabels{{Name: "web-1", Labels: map[string]string{"env": "prod", "tier": "web"}}, {Name: "db-1", Labels: map[string]string{"env": "prod", "tier": "db"}}},
		},
		Approvals: []contract.PastApproval{{Person: bob, Subject: in("leads")}},
	}
}

func TestPlan(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		change  []string // of the terms
		request func(*contract.PastRequest)
		want    contract.Replayed // but for request, person and role
		illegal string            // why the live certificate would not have been made
	}{
		{
			"shorter",
			[]string{"grant: {max: 1h}", "grant: {max: 30m}"},
			nil,
			contract.Replayed{Old: contract.VerdictAsked, New: contract.VerdictAsked, OldFor: 3600, NewFor: 1800, Path: "normal"},
			"the draft grants at most 30m",
		},
		{
			"a host is lost",
			[]string{"hosts: {env: [prod]}", "hosts: {env: [prod], tier: [web]}"},
			nil,
			contract.Replayed{Old: contract.VerdictAsked, New: contract.VerdictAsked, OldFor: 3600, NewFor: 3600, Path: "normal", Lost: []string{"ops@db-1"}},
			"the draft does not grant ops@db-1",
		},
		{
			"denied",
			[]string{"who: [dev]", "who: [leads]"},
			nil,
			contract.Replayed{
				Old: contract.VerdictAsked, New: contract.VerdictDenied, OldFor: 3600,
				Why: "who: the person is in none of the role's groups; clause §1 allows members of leads",
			},
			"who: the person is in none of the role's groups; clause §1 allows members of leads",
		},
		{
			"one approver is not enough",
			[]string{"quorum: 1", "quorum: 2"},
			nil,
			contract.Replayed{Old: contract.VerdictAsked, New: contract.VerdictAsked, OldFor: 3600, NewFor: 3600, Path: "normal", Unreached: true},
			"those who approved it would not suffice",
		},
		{
			"others approve",
			[]string{"from: [leads]", "from: [dev]"},
			nil,
			contract.Replayed{Old: contract.VerdictAsked, New: contract.VerdictAsked, OldFor: 3600, NewFor: 3600, Path: "normal", Unreached: true},
			"those who approved it would not suffice",
		},
		{
			"let through that was denied",
			[]string{"logins: [ops]", "logins: [ops, root]"},
			func(r *contract.PastRequest) {
				r.Ask.Logins, r.Granted, r.Approvals, r.Live = []sshcert.Login{"root"}, false, nil, nil
			},
			contract.Replayed{Old: contract.VerdictDenied, New: contract.VerdictAsked, NewFor: 3600, Path: "normal"},
			"",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := asked()
			if tt.request != nil {
				tt.request(&r)
			}
			p, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, tt.change...), Requests: []contract.PastRequest{r}})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Request, tt.want.Person, tt.want.Role = first, alice, "operator"
			if len(p.Changed) != 1 || fmt.Sprint(p.Changed[0]) != fmt.Sprint(tt.want) {
				t.Errorf("changed %+v\nwant    %+v", p.Changed, tt.want)
			}
			if turn := (contract.Turn{Old: tt.want.Old, New: tt.want.New, Count: 1}); !slices.Equal(p.Turns, []contract.Turn{turn}) {
				t.Errorf("turns %v, want %v", p.Turns, turn)
			}
			if got := fmt.Sprint(p.Illegal); tt.illegal != "" && got != fmt.Sprint([]contract.Unlawful{{Serial: 17, Request: first, Why: tt.illegal}}) || tt.illegal == "" && len(p.Illegal) != 0 {
				t.Errorf("illegal %v, want %q", got, tt.illegal)
			}
			if p.Roles[0] != (contract.Count{ID: "operator", Count: 1}) || len(p.Hosts) != 2 || p.People[0] != (contract.Count{ID: string(alice), Count: 1}) {
				t.Errorf("counted %v, %v, %v", p.Roles, p.Hosts, p.People)
			}
		})
	}
}

func TestPlanOfTheSameTermsChangesNothing(t *testing.T) {
	t.Parallel()
	people := []contract.PastPerson{{Person: alice, Subjects: []contract.Subject{in("dev")}}, {Person: bob, Subjects: []contract.Subject{in("leads")}}, {Person: carol}}
	p, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t), Requests: []contract.PastRequest{asked()}, People: people, From: time.Unix(1, 0), To: time.Unix(2, 0)})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Changed)+len(p.Illegal)+len(p.Approvers)+p.AcknowledgeCount+p.Unknown != 0 {
		t.Errorf("it says that something changes: %+v", p)
	}
	if p.Requests != 1 || p.UnknownPeople != 1 {
		t.Errorf("%d requests, %d people unknown, want 1 and 1", p.Requests, p.UnknownPeople)
	}
	if _, err := canon.Marshal(p); err != nil {
		t.Errorf("a plan has no canonical form: %v", err)
	}
}

// A request of which the groups are not known is counted, and nothing is said of it.
func TestPlanCountsWhatIsUnknown(t *testing.T) {
	t.Parallel()
	r := asked()
	r.Subject.GroupsKnown = false
	p, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, "who: [dev]", "who: [leads]"), Requests: []contract.PastRequest{r, asked()}})
	if err != nil {
		t.Fatal(err)
	}
	if p.Unknown != 1 || len(p.Changed) != 1 || p.Requests != 2 {
		t.Errorf("%d unknown, %d changed of %d, want 1 and 1 of 2", p.Unknown, len(p.Changed), p.Requests)
	}
}

func TestPlanNamesWhoGainsAndLoses(t *testing.T) {
	t.Parallel()
	people := []contract.PastPerson{{Person: alice, Subjects: []contract.Subject{in("dev")}}, {Person: bob, Subjects: []contract.Subject{in("leads")}}, {Person: carol, Subjects: []contract.Subject{in("guests")}}}
	p, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, "from: [leads]", "from: [dev]"), People: people})
	if err != nil {
		t.Fatal(err)
	}
	want := []contract.Power{
		{Person: alice, Where: "roles.operator.paths.normal.lead", Gained: true},
		{Person: bob, Where: "roles.operator.paths.normal.lead"},
	}
	if !slices.Equal(p.Approvers, want) {
		t.Errorf("approvers %v, want %v", p.Approvers, want)
	}
	if !slices.Equal(p.Acknowledge, []canon.ID{alice, bob}) || p.AcknowledgeCount != 2 {
		t.Errorf("%v acknowledge, want alice and bob", p.Acknowledge)
	}
}

// Who may do as before has nothing to acknowledge.
func TestPlanAsksNobodyElseToAcknowledge(t *testing.T) {
	t.Parallel()
	people := []contract.PastPerson{{Person: alice, Subjects: []contract.Subject{in("dev")}}, {Person: carol, Subjects: []contract.Subject{in("guests")}}}
	title, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, "title: Small", "title: Tiny"), People: people})
	if err != nil {
		t.Fatal(err)
	}
	shorter, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, "grant: {max: 1h}", "grant: {max: 30m}"), People: people})
	if err != nil {
		t.Fatal(err)
	}
	if title.AcknowledgeCount != 0 || !slices.Equal(shorter.Acknowledge, []canon.ID{alice}) {
		t.Errorf("a title: %v, a limit of alice's role: %v; want none and alice", title.Acknowledge, shorter.Acknowledge)
	}
}

func TestPlanOfAnotherContract(t *testing.T) {
	t.Parallel()
	if _, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, "id: small", "id: tiny")}); err == nil || !strings.Contains(err.Error(), "about the contract tiny, in force is small") {
		t.Errorf("planned for another contract: %v", err)
	}
}

// Each person fills one place, wherever there is a way to place them all.
func TestPlanSeatsApprovers(t *testing.T) {
	t.Parallel()
	two := []string{"stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]", "stages: [{id: any, from: [dev, leads], quorum: 1, timeout: 15m}, {id: lead, from: [leads], quorum: 1, timeout: 15m}]"}
	for _, tt := range []struct {
		name      string
		approvals []contract.PastApproval
		unreached bool
	}{
		{"both are leads", []contract.PastApproval{{Person: bob, Subject: in("leads")}, {Person: carol, Subject: in("leads")}}, false},
		{"the lead came first", []contract.PastApproval{{Person: bob, Subject: in("leads")}, {Person: carol, Subject: in("dev")}}, false},
		{"no lead", []contract.PastApproval{{Person: bob, Subject: in("dev")}, {Person: carol, Subject: in("dev")}}, true},
		{"one person twice", []contract.PastApproval{{Person: bob, Subject: in("leads")}, {Person: bob, Subject: in("leads")}}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := asked()
			r.Approvals = tt.approvals
			p, err := contract.MakePlan(contract.PlanInput{Old: planTerms(t), New: planTerms(t, two...), Requests: []contract.PastRequest{r}})
			if err != nil {
				t.Fatal(err)
			}
			if got := p.Unreached == 1; got != tt.unreached {
				t.Errorf("unreached %v, want %v", got, tt.unreached)
			}
		})
	}
}

func BenchmarkPlan(b *testing.B) {
	old, draft := planTerms(b), planTerms(b, "grant: {max: 1h}", "grant: {max: 30m}")
	requests := make([]contract.PastRequest, 100_000)
	for i := range requests {
		requests[i] = asked()
	}
	for b.Loop() {
		if _, err := contract.MakePlan(contract.PlanInput{Old: old, New: draft, Requests: requests}); err != nil {
			b.Fatal(err)
		}
	}
}
