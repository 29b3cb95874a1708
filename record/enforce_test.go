package record_test

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// oneLead makes the administrators' path that of one lead.
var oneLead = []string{
	"stages: [{id: lead, from: [leads], quorum: 2, timeout: 10m}, {id: owner, from: [owners], quorum: 1, timeout: 10m}]",
	"stages: [{id: lead, from: [leads], quorum: 1, timeout: 10m}]",
}

// ledgerOf is newLedger with a contract whose terms say other things.
func ledgerOf(t *testing.T, oldnew ...string) (*recordtest.World, *recordtest.Map) {
	t.Helper()
	w := recordtest.New(t, t.Name())
	w.Version = w.ContractOf("acme", oldnew...)
	m := w.NewMap()
	w.Setup(m)
	return w, m
}

func asAdmin(w *recordtest.World, m *recordtest.Map, u *recordtest.User) recordtest.Ask {
	ask := w.Ask(m, u)
	ask.Doc.Role, ask.Doc.Logins = "admin", []sshcert.Login{"root"}
	return ask
}

func pass(m *recordtest.Map, d time.Duration) { m.Clock += canon.Micros(d / time.Microsecond) }

// Nobody holds two roles that exclude each other, by the word of either, and not
// within the time that is to lie between them: at the request, at the approval that
// decides, and for all accounts of one human.
func TestPromiseP04_ExclusiveRolesAreNotHeldTogether(t *testing.T) {
	t.Parallel()
	for _, says := range []string{"logins: [deploy, ops]", "logins: [root]"} {
		other := map[string]string{"logins: [deploy, ops]": "admin", "logins: [root]": "operator"}[says]
		w, m := ledgerOf(t, append(oneLead, says, says+"\n    duties: {exclusive_with: ["+other+"], window: 5m}")...)
		waiting := asAdmin(w, m, w.Alice)
		appendAll(t, m, w.Submit(m, w.Alice, waiting))
		granted := w.Granted(m, 0) // as operator, for 10 minutes
		if err := m.Check(w.Submit(m, w.Alice, asAdmin(w, m, w.Alice))); !errors.Is(err, contract.ErrExclusive) {
			t.Errorf("%s: asking: %v, want ErrExclusive", says, err)
		}
		if err := m.Check(w.Submit(m, w.Alice, w.Ask(m, w.Alice))); err != nil {
			t.Errorf("%s: the same role: %v", says, err)
		}
		deciding := w.Decide(m, w.Bob, w.Request(m, waiting.Doc.Request), approval.Approve, 0)
		if err := m.Check(deciding); !errors.Is(err, contract.ErrExclusive) {
			t.Errorf("%s: approving: %v, want ErrExclusive", says, err)
		}
		if err := m.Check(w.Decide(m, w.Bob, w.Request(m, waiting.Doc.Request), approval.Deny, 0)); err != nil {
			t.Errorf("%s: denying: %v", says, err)
		}
		pass(m, time.Duration(granted.Seconds)*time.Second+5*time.Minute-time.Second)
		logIn(t, w, m, w.Alice)
		if err := m.Check(w.Submit(m, w.Alice, asAdmin(w, m, w.Alice))); !errors.Is(err, contract.ErrExclusive) {
			t.Errorf("%s: a second too early: %v, want ErrExclusive", says, err)
		}
		pass(m, time.Second)
		if err := m.Check(w.Submit(m, w.Alice, asAdmin(w, m, w.Alice))); err != nil {
			t.Errorf("%s: in time: %v", says, err)
		}
	}
}

// Two grants that got into each other's way because two accounts became known to be
// one human's: the later gives nothing any more.
func TestPromiseP04_ExclusiveRolesOfLinkedAccounts(t *testing.T) {
	t.Parallel()
	w, m := ledgerOf(t, append(oneLead, "logins: [root]", "logins: [root]\n    duties: {exclusive_with: [operator]}")...)
	second := w.User("second", "engineers")
	logIn(t, w, m, second)
	first := w.Granted(m, 0)
	pass(m, time.Second)
	ask := asAdmin(w, m, second)
	appendAll(t, m, w.Submit(m, second, ask))
	appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	if _, _, err := record.GrantAt(m, ask.Doc.Request, second.Claims, m.Clock); err != nil {
		t.Fatalf("before the link: %v", err)
	}
	appendAll(t, m, w.Link(m, w.Alice, second))
	if _, _, err := record.GrantAt(m, ask.Doc.Request, second.Claims, m.Clock); !errors.Is(err, contract.ErrExclusive) {
		t.Errorf("the later one: %v, want ErrExclusive", err)
	}
	if _, _, err := record.GrantAt(m, first.ID, w.Alice.Claims, m.Clock); err != nil {
		t.Errorf("the first one: %v", err)
	}
	if err := m.Check(w.Submit(m, second, asAdmin(w, m, second))); !errors.Is(err, contract.ErrExclusive) {
		t.Errorf("asking once more: %v, want ErrExclusive", err)
	}
}

// What was approved is used in time or not at all.
func TestPromiseP05_FirstCertificateInTime(t *testing.T) {
	t.Parallel()
	w, m := ledgerOf(t, "ceilings: {grant: 2h, cert_ttl: 15m}", "ceilings: {grant: 2h, cert_ttl: 15m, approval_ttl: 1m}")
	unused, used := w.Granted(m, 0), w.Granted(m, 0)
	pass(m, time.Minute-time.Microsecond)
	issue, err := w.Issue(m, w.Alice, used, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	if _, _, err := record.GrantAt(m, unused.ID, w.Alice.Claims, m.Clock); err != nil {
		t.Errorf("in its last moment: %v", err)
	}
	pass(m, time.Microsecond)
	if _, _, err := record.GrantAt(m, unused.ID, w.Alice.Claims, m.Clock); !errors.Is(err, approval.ErrGrantOver) {
		t.Errorf("unused: %v, want ErrGrantOver", err)
	}
	if _, _, err := record.GrantAt(m, used.ID, w.Alice.Claims, m.Clock); err != nil {
		t.Errorf("used in time: %v", err)
	}
	row, err := record.Certificate(m, issue.Serial)
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Void(m, row)))
	if _, _, err := record.GrantAt(m, used.ID, w.Alice.Claims, m.Clock); !errors.Is(err, approval.ErrGrantOver) {
		t.Errorf("with a void one alone: %v, want ErrGrantOver", err)
	}
}

// A path that asks nobody grants at once, only where its guard holds, and the grant
// starts with the request.
func TestPromiseP05_AutoPathGrantsByItsGuardAlone(t *testing.T) {
	t.Parallel()
	const path = "paths: [{id: normal, clause: §1, stages: [{id: lead"
	w, m := ledgerOf(t, path, `paths: [{id: quick, clause: §1, when: "ticket && !first_time_host && grant_seconds <= 600", auto: true}, {id: normal, clause: §1, stages: [{id: lead`)
	submit := func(ticket string, seconds int64) approval.Request {
		ask := w.Ask(m, w.Alice)
		ask.Ticket, ask.Doc.Seconds = ticket, seconds
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		return w.Request(m, ask.Doc.Request)
	}
	first := submit("INC-42", 600)
	if s := first.Status(m.Clock.Time()); s.State != approval.Pending || first.Auto || first.Facts["first_time_host"] != "true" {
		t.Fatalf("the first time: %+v, facts %v", s, first.Facts)
	}
	appendAll(t, m, w.Decide(m, w.Bob, first, approval.Approve, 0))
	pass(m, time.Minute)
	for _, tt := range []struct {
		ticket  string
		seconds int64
		path    string
	}{{"INC-43", 600, "quick"}, {"", 600, "normal"}, {"INC-43", 601, "normal"}} {
		r := submit(tt.ticket, tt.seconds)
		auto := tt.path == "quick"
		if s := r.Status(m.Clock.Time()); r.Path != tt.path || r.Auto != auto || (s.State == approval.Granted) != auto {
			t.Errorf("%+v: path %s, %+v", tt, r.Path, s)
		}
		grant, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock)
		if !auto {
			if !errors.Is(err, approval.ErrNotGranted) {
				t.Errorf("%+v: %v, want ErrNotGranted", tt, err)
			}
			continue
		}
		if err != nil || !grant.Start.Equal(r.At.Time()) || !grant.End.Equal(r.At.Time().Add(10*time.Minute)) {
			t.Errorf("%+v: %+v, %v", tt, grant, err)
		}
		issue, err := w.Issue(m, w.Alice, r, w.Key())
		if err != nil {
			t.Fatal(err)
		}
		refuses(t, m, plain(issue), []refusal{{"another grant's leaf", bent(plain(issue), func(f *record.CertificateIssue) { f.GrantLeaf = first.GrantLeaf() }), record.ErrDocument}})
		appendAll(t, m, plain(issue))
	}
	pass(m, record.FirstTimeAfter+10*time.Minute)
	logIn(t, w, m, w.Alice)
	if r := submit("INC-44", 600); r.Auto || r.Facts["first_time_host"] != "true" {
		t.Errorf("long after: %+v", r)
	}
}

// Whether there is a ticket is a fact; its text is in the person part, and is held to
// its form by everybody who can read it.
func TestPromiseP06_TicketIsTheOneThatWasSigned(t *testing.T) {
	t.Parallel()
	w, m := ledgerOf(t, "request: {reason: {min_words: 2}}", `request: {reason: {min_words: 2}, ticket: {required: true, pattern: "INC-[0-9]+"}}`)
	ask := w.Ask(m, w.Alice)
	ask.Ticket = "INC-42"
	with := func(ticket string) recordtest.Draft {
		a := w.Ask(m, w.Alice)
		a.Ticket = ticket
		return w.Submit(m, w.Alice, a)
	}
	honest := w.Submit(m, w.Alice, ask)
	hidden := bent(honest, func(f *record.RequestSubmit) { f.Ticket = false })
	invented := bent(with(""), func(f *record.RequestSubmit) { f.Ticket = true })
	refuses(t, m, honest, []refusal{
		{"none", with(""), contract.ErrNoTicket},
		{"of another form", with("INC-42x"), contract.ErrTicket},
		{"hidden", hidden, record.ErrEvent},
		{"invented", invented, record.ErrEvent},
	})
}
