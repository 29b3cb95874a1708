package server

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// TestEveryStandingSaysWhatNext: whoever looks at a request reads how it stands
// and what to do next, one state of a later version included.
func TestEveryStandingSaysWhatNext(t *testing.T) {
	t.Parallel()
	grant := func(active bool) *api.Grant { return &api.Grant{Start: 1, End: 300e6 + 1, Active: active} }
	for _, tt := range []struct {
		name    string
		state   string
		grant   *api.Grant
		form    bool
		heading string
		others  string // what they read
		own     string // what the requester reads
		command string // that the requester is offered
	}{
		{"for one's decision", "pending", nil, true, "Your decision is asked for", "", "", ""},
		{"for others", "pending", nil, false, "", "", "Tell one of them", ""},
		{"granted", "granted", grant(true), false, "Granted", "goes on by itself", "Or go in now", "sally ssh ops@web-1.demo"},
		{"over", "granted", grant(false), false, "Granted; it is over", "No certificate", "ask again", `sally ssh ops@web-1.demo --for 10m --because "…"`},
		{"denied", "denied", nil, false, "Denied", "never changes", "would pass", `sally ssh ops@web-1.demo --for 10m --because "…"`},
		{"expired", "expired", nil, false, "Expired unanswered", "can be asked for again", "tell somebody of leads or security:", `sally ssh ops@web-1.demo --for 10m --because "…"`},
		{"cancelled", "cancelled", nil, false, "Cancelled", "took it back", "You took it back", `sally ssh ops@web-1.demo --for 10m --because "…"`},
		{"of a later version", "suspended", nil, false, "It is suspended", "", "", ""},
	} {
		for _, own := range []bool{false, true} {
			v := requestView{
				R:      api.Request{State: tt.state, Grant: tt.grant, Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{"web-1.demo"}, Seconds: 600},
				Own:    own,
				Stages: []stageView{{State: stageDone, Stage: approval.Stage{From: []string{"nobody"}}}, {State: stageOver, Stage: approval.Stage{From: []string{"leads", "security"}}}},
			}
			if tt.form {
				v.Form = &decisionForm{}
			}
			v.settle()
			heading, next, command := tt.heading, tt.others, ""
			if own {
				next, command = tt.own, tt.command
			}
			if heading == "" {
				heading = map[bool]string{true: "Your request waits", false: "This request waits"}[own]
			}
			if v.Heading != heading || !strings.Contains(v.Next, next) || (next == "") != (v.Next == "") || strings.Join(v.Commands, " ") != command {
				t.Errorf("%s, own %t: %q, %q, %q", tt.name, own, v.Heading, v.Next, v.Commands)
			}
			if v.say() == "" || v.title() == "" {
				t.Errorf("%s: it says %q under %q", tt.name, v.say(), v.title())
			}
		}
	}
	many := requestView{R: api.Request{State: "granted", Grant: grant(true), Logins: []sshcert.Login{"a", "b"}, Hosts: []sshcert.Host{"x", "y"}}, Own: true}
	if many.settle(); len(many.Commands) != maxCommands {
		t.Errorf("%d commands", len(many.Commands))
	}
}

// TestDoor: a bolt for each approval, drawn back one by one.
func TestDoor(t *testing.T) {
	t.Parallel()
	now := canon.Micros(1e15)
	q := approval.Request{By: "a", At: now, Stages: []approval.Stage{{ID: "one", Quorum: 2, Timeout: 600}, {ID: "two", Quorum: 1, Timeout: 600}}}
	vote := func(verdict approval.Verdict, stage string) {
		q.Decisions = append(q.Decisions, approval.Decision{Verdict: verdict, Stage: stage, At: now})
	}
	is := func(what string, back []bool, open, barred bool, at time.Time) {
		t.Helper()
		d := doorOf(q, at)
		var got []bool
		last := 0
		for _, b := range d.Bolts {
			got = append(got, b.Back)
			if b.Y <= last || b.Y < 50 || b.Y > 108 {
				t.Errorf("%s: a bolt at %d", what, b.Y)
			}
			last = b.Y
		}
		if !slices.Equal(got, back) || d.Open() != open || d.Barred() != barred {
			t.Errorf("%s: bolts %v, open %t, barred %t", what, got, d.Open(), d.Barred())
		}
	}
	is("asked", []bool{false, false, false}, false, false, now.Time())
	is("silence", []bool{false, false, false}, false, true, now.Time().Add(time.Hour))
	vote(approval.Approve, "one")
	is("one of three", []bool{true, false, false}, false, false, now.Time())
	denied := q
	q.Decisions = append(slices.Clone(q.Decisions), approval.Decision{Verdict: approval.Deny, Stage: "one", At: now})
	is("denied", []bool{true, false, false}, false, true, now.Time())
	q = denied
	vote(approval.Approve, "one")
	vote(approval.Approve, "two")
	is("all", []bool{true, true, true}, true, false, now.Time())
	q = approval.Request{At: now, Stages: []approval.Stage{{ID: "crowd", Quorum: 20, Timeout: 600}}}
	is("a crowd", make([]bool, maxBolts), false, false, now.Time())
}
