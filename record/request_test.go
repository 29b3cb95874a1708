package record_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func micros(d time.Duration) canon.Micros { return canon.Micros(d.Microseconds()) }

// foreignHost puts a host into another contract in force.
func foreignHost(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	join := w.Join(m, "db-1.other", "demo")
	join.Lineage = w.Other.Lineage()
	appendAll(t, m, plain(w.Propose(m, w.Other)), plain(w.Sign(m, w.Other, "chris")), plain(w.Sign(m, w.Other, "dana")), plain(join))
}

func TestRequestSubmitRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	foreignHost(t, w, m)
	web := w.User("dora", "engineers") // logged in by a browser: no device key
	login := bent(w.Login(m, web), func(f *record.PersonLogin) { f.DeviceKey = "" })
	hash, err := m.Append(login)
	if err != nil {
		t.Fatal(err)
	}
	snapshot, err := m.Append(plain(w.Snapshot(m, web, hash)))
	if err != nil {
		t.Fatal(err)
	}
	web.Claims = record.Claims{Login: hash, Snapshot: snapshot, ClaimsAt: w.Alice.Claims.ClaimsAt}
	silent := w.User("emil")
	silent.GroupsKnown = false
	logIn(t, w, m, silent)
	earlier := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, earlier))

	ask := func(f func(*recordtest.Ask)) recordtest.Draft {
		a := w.Ask(m, w.Alice)
		f(&a)
		return w.Submit(m, w.Alice, a)
	}
	doc := func(f func(*record.RequestDoc)) recordtest.Draft {
		return ask(func(a *recordtest.Ask) { f(&a.Doc) })
	}
	honest := ask(func(*recordtest.Ask) {})
	facts := func(f func(*record.RequestSubmit)) recordtest.Draft { return bent(honest, f) }
	other := honest
	other.Person = record.RequestPerson{Reason: "another reason altogether"}
	none := honest
	none.Person = nil
	salted := honest
	salted.PersonSalt = w.Salt()
	refuses(t, m, honest, []refusal{
		// The document and who signed it.
		{"for another server", doc(func(d *record.RequestDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"in another person's name", doc(func(d *record.RequestDoc) { d.Person = w.Bob.Person }), record.ErrDocument},
		{"another version of the document", doc(func(d *record.RequestDoc) { d.V = "sallyport.request/v2" }), record.ErrDocument},
		{"signed by another device", w.Submit(m, &recordtest.User{Person: w.Alice.Person, Device: w.Key(), Claims: w.Alice.Claims}, w.Ask(m, w.Alice)), record.ErrDocument},
		{"signed for another purpose", facts(func(f *record.RequestSubmit) {
			f.Signature = w.Signature(w.Alice.Device, sshcert.NamespacePossession, f.Document)
		}), record.ErrDocument},
		{"changed after it was signed", facts(func(f *record.RequestSubmit) {
			f.Document = strings.Replace(f.Document, `"for_seconds":600`, `"for_seconds":900`, 1)
		}), record.ErrDocument},
		{"expired", doc(func(d *record.RequestDoc) { d.ExpiresAt = m.Clock - 1 }), record.ErrDocument},
		{"from a clock far ahead", doc(func(d *record.RequestDoc) { d.ExpiresAt = m.Clock + micros(7*time.Minute) }), record.ErrDocument},
		{"listed under another id", facts(func(f *record.RequestSubmit) { f.Request = w.ID() }), record.ErrDocument},
		{"without device key", w.Submit(m, web, w.Ask(m, web)), record.ErrDocument},
		{"by no login", facts(func(f *record.RequestSubmit) { f.Claims.Login = canon.Sum("x") }), record.ErrNotFound},
		// The reason.
		{"with another reason than was signed", other, record.ErrDocument},
		{"without the reason that was signed", none, record.ErrDocument},
		{"with another salt", salted, record.ErrDocument},
		{"committing to nothing", doc(func(d *record.RequestDoc) { d.Commitment = canon.Sum("x") }), record.ErrDocument},
		{"with more words than it has", facts(func(f *record.RequestSubmit) { f.ReasonWords++ }), record.ErrEvent},
		{"with a reason that is too short", ask(func(a *recordtest.Ask) { a.Reason = "because" }), contract.ErrReasonTooShort},
		// The contract.
		{"under another contract version", doc(func(d *record.RequestDoc) { d.Contract = canon.Sum("x") }), record.ErrNotInForce},
		{"under another contract in force", doc(func(d *record.RequestDoc) { d.Contract = w.Other.Digest }), record.ErrNotInForce},
		{"in no lineage", facts(func(f *record.RequestSubmit) { f.Lineage = canon.Sum("x") }), record.ErrNotFound},
		{"in a role that there is not", doc(func(d *record.RequestDoc) { d.Role = "root" }), contract.ErrRoleUnknown},
		{"for a login of another role", doc(func(d *record.RequestDoc) { d.Logins = []sshcert.Login{"root"} }), contract.ErrLoginNotInRole},
		{"for a login twice", doc(func(d *record.RequestDoc) { d.Logins = []sshcert.Login{"ops", "ops"} }), contract.ErrRepeated},
		{"on a host that there is not", doc(func(d *record.RequestDoc) { d.Hosts = []sshcert.Host{"web-9.demo"} }), contract.ErrHostNotInRole},
		{"on a host of another contract", doc(func(d *record.RequestDoc) { d.Hosts = []sshcert.Host{"db-1.other"} }), contract.ErrHostNotInRole},
		{"on more hosts than a certificate carries", doc(func(d *record.RequestDoc) { d.Hosts = manyHosts(65) }), record.ErrDocument},
		{"on a host twice", doc(func(d *record.RequestDoc) { d.Hosts = []sshcert.Host{"web-1.demo", "web-1.demo"} }), contract.ErrRepeated},
		{"for too long", doc(func(d *record.RequestDoc) { d.Seconds = 3601 }), contract.ErrTooLong},
		{"for ever", doc(func(d *record.RequestDoc) { d.Seconds = 1<<53 - 1 }), record.ErrDocument},
		{"for too short a time", doc(func(d *record.RequestDoc) { d.Seconds = 9 }), contract.ErrTooShort},
		{"for no time", doc(func(d *record.RequestDoc) { d.Seconds = 0 }), contract.ErrTooShort},
		// Who asks.
		{"by somebody outside the role", w.Submit(m, w.Bob, w.Ask(m, w.Bob)), contract.ErrNotMember},
		{"by somebody whose groups are unknown", w.Submit(m, silent, w.Ask(m, silent)), contract.ErrGroupsUnknown},
		{"by another person's groups", facts(func(f *record.RequestSubmit) { f.Claims.Snapshot = w.Bob.Claims.Snapshot }), record.ErrClaimsOld},
		{"by claims of another time", facts(func(f *record.RequestSubmit) { f.Claims.ClaimsAt += 1e6 }), record.ErrEvent},
		// Once.
		{"with an id that is taken", ask(func(a *recordtest.Ask) { a.Doc.Request = earlier.Doc.Request }), record.ErrExists},
	})
}

// The document's text is held to the one form that signers write.
func TestDocumentsHaveOneText(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	honest := w.Submit(m, w.Alice, w.Ask(m, w.Alice))
	for name, change := range map[string][2]string{
		"white space":          {`,"for_seconds"`, `, "for_seconds"`},
		"an unknown member":    {`,"for_seconds"`, `,"for_free":true,"for_seconds"`},
		"a member twice":       {`,"for_seconds":600`, `,"for_seconds":600,"for_seconds":600`},
		"a member missing":     {`,"for_seconds":600`, ``},
		"a login as a pattern": {`"logins":["ops"]`, `"logins":["*"]`},
		"a login list":         {`"logins":["ops"]`, `"logins":["ops,root"]`},
		"a host as a pattern":  {`"web-1.demo"`, `"*.demo"`},
		"no logins":            {`,"logins":["ops"]`, ``},
		"no host":              {`"hosts":["web-1.demo"],`, ``},
		"a negative time":      {`"for_seconds":600`, `"for_seconds":-600`},
	} {
		d := bent(honest, func(f *record.RequestSubmit) {
			text := strings.Replace(f.Document, change[0], change[1], 1)
			if text == f.Document {
				t.Fatalf("%s: nothing to change in %s", name, text)
			}
			f.Document, f.Signature = text, w.Signature(w.Alice.Device, sshcert.NamespaceDevice, text)
		})
		if err := m.Check(d); !errors.Is(err, record.ErrDocument) {
			t.Errorf("%s: %v, want ErrDocument", name, err)
		}
	}
}

// Claims that a later snapshot has overtaken, or that are too old, ask for
// nothing and decide nothing.
func TestClaimsMustBeTheNewestAndFresh(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	r := w.Request(m, ask.Doc.Request)
	before, bobBefore := *w.Alice, *w.Bob
	m.Clock += micros(time.Minute)
	logIn(t, w, m, w.Alice, w.Bob)
	if err := m.Check(w.Submit(m, &before, w.Ask(m, &before))); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("asking by claims that were overtaken: %v, want ErrClaimsOld", err)
	}
	if err := m.Check(w.Decide(m, &bobBefore, r, approval.Approve, 0)); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("deciding by claims that were overtaken: %v, want ErrClaimsOld", err)
	}
	// Mixing an old login with the newest snapshot is no way around.
	mixed := *w.Bob
	mixed.Claims.Login = bobBefore.Claims.Login
	if err := m.Check(w.Decide(m, &mixed, r, approval.Approve, 0)); !errors.Is(err, record.ErrEvent) {
		t.Errorf("an old login with a new snapshot: %v, want ErrEvent", err)
	}
	m.Clock = w.Alice.Claims.ClaimsAt + micros(60*time.Minute)
	if err := m.Check(w.Submit(m, w.Alice, w.Ask(m, w.Alice))); err != nil {
		t.Errorf("asking by claims of 60 minutes: %v", err)
	}
	m.Clock++
	if err := m.Check(w.Submit(m, w.Alice, w.Ask(m, w.Alice))); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("asking by older claims: %v, want ErrClaimsOld", err)
	}
}

func TestRequestDecideRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	foreignHost(t, w, m)
	w.Alice.Groups = []string{"engineers", "leads"} // may decide, but not on her own
	silent := w.User("emil")
	silent.GroupsKnown = false
	logIn(t, w, m, w.Alice, silent)
	one, two := w.Ask(m, w.Alice), w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, one), w.Submit(m, w.Alice, two))
	r, other := w.Request(m, one.Doc.Request), w.Request(m, two.Doc.Request)
	by := func(u *recordtest.User) recordtest.Draft { return w.Decide(m, u, r, approval.Approve, 0) }
	honest := by(w.Bob)
	bend := func(f func(*record.RequestDecide)) recordtest.Draft { return bent(honest, f) }
	refuses(t, m, honest, []refusal{
		{"on one's own", by(w.Alice), approval.ErrSelfApproval},
		{"on one's own, by another's claims", bend(func(f *record.RequestDecide) { f.Person = w.Alice.Person }), approval.ErrSelfApproval},
		{"by another person's claims", bend(func(f *record.RequestDecide) { f.Claims = w.Carol.Claims }), record.ErrClaimsOld},
		{"by another person's login", bend(func(f *record.RequestDecide) { f.Claims.Login = w.Carol.Claims.Login }), record.ErrEvent},
		{"by claims of another time", bend(func(f *record.RequestDecide) { f.Claims.ClaimsAt++ }), record.ErrEvent},
		{"by nobody", bend(func(f *record.RequestDecide) { f.Person = w.ID() }), record.ErrNotFound},
		{"by somebody whose groups are unknown", by(silent), contract.ErrGroupsUnknown},
		{"on no request", bend(func(f *record.RequestDecide) { f.Request = w.ID() }), record.ErrNotFound},
		{"having seen another request", bend(func(f *record.RequestDecide) { f.RequestLeaf = other.Leaf }), record.ErrEvent},
		{"in another lineage", bend(func(f *record.RequestDecide) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
		{"having seen another contract", bend(func(f *record.RequestDecide) { f.Contract = w.Other.Digest }), record.ErrNotInForce},
		{"by other means", bend(func(f *record.RequestDecide) { f.Assurance = "passkey" }), record.ErrEvent},
		{"in another stage", bend(func(f *record.RequestDecide) { f.Stage = "owner" }), approval.ErrDecision},
		{"for longer than asked", bend(func(f *record.RequestDecide) { f.Seconds = 601 }), approval.ErrWidening},
		{"with another word than yes or no", bend(func(f *record.RequestDecide) { f.Verdict = "maybe" }), approval.ErrDecision},
		{"a denial with time", bend(func(f *record.RequestDecide) { f.Verdict, f.Seconds = approval.Deny, 60 }), approval.ErrDecision},
	})
	m.Clock = w.Bob.Claims.ClaimsAt + micros(15*time.Minute)
	if err := m.Check(by(w.Bob)); err != nil {
		t.Errorf("by claims of 15 minutes: %v", err)
	}
	m.Clock++
	if err := m.Check(by(w.Bob)); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("by older claims: %v, want ErrClaimsOld", err)
	}
	m.Clock = r.At
	appendAll(t, m, by(w.Bob))
	r = w.Request(m, r.ID)
	for name, u := range map[string]*recordtest.User{"by the same person": w.Bob, "by another person": w.Carol} {
		want := map[string]error{"by the same person": approval.ErrDecidedTwice, "by another person": approval.ErrSettled}[name]
		if err := m.Check(by(u)); !errors.Is(err, want) {
			t.Errorf("a second time %s: %v, want %v", name, err, want)
		}
	}
	m.Clock += micros(15 * time.Minute)
	logIn(t, w, m, w.Carol)
	if err := m.Check(w.Decide(m, w.Carol, other, approval.Approve, 0)); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("at the deadline: %v, want ErrSettled", err)
	}
}

// A quorum of two is two people, however often one of them says yes.
func TestPromiseP04_OnePersonCountsOnceInTheLedger(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	ask := w.Ask(m, w.Alice)
	ask.Doc.Role, ask.Doc.Logins = "admin", []sshcert.Login{"root"}
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	m.Clock++
	logIn(t, w, m, w.Bob) // another session, the same person
	r := w.Request(m, ask.Doc.Request)
	if err := m.Check(w.Decide(m, w.Bob, r, approval.Approve, 0)); !errors.Is(err, approval.ErrDecidedTwice) {
		t.Errorf("one person twice: %v, want ErrDecidedTwice", err)
	}
	if s := r.Status(m.Clock.Time()); s.State != approval.Pending || s.Need != 1 || s.Stage != 0 {
		t.Errorf("after one of two: %+v", s)
	}
	appendAll(t, m, w.Decide(m, w.Carol, r, approval.Approve, 0))
	r = w.Request(m, ask.Doc.Request)
	// Carol is an owner too, but has decided in the stage before.
	if err := m.Check(w.Decide(m, w.Carol, r, approval.Approve, 0)); !errors.Is(err, approval.ErrDecidedTwice) {
		t.Errorf("one person in two stages: %v, want ErrDecidedTwice", err)
	}
	dirk := w.User("dirk", "owners")
	logIn(t, w, m, dirk)
	appendAll(t, m, w.Decide(m, dirk, r, approval.Approve, 0))
	if s := w.Request(m, ask.Doc.Request).Status(m.Clock.Time()); s.State != approval.Granted {
		t.Errorf("after three people: %+v", s)
	}
}

func TestRequestExpireRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	granted := w.Granted(m, 0)
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	r := w.Request(m, ask.Doc.Request)
	if err := m.Check(plain(w.Expire(m, r))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("a pending request: %v, want ErrEvent", err)
	}
	m.Clock += micros(15*time.Minute) - 1
	if err := m.Check(plain(w.Expire(m, r))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("just before the deadline: %v, want ErrEvent", err)
	}
	m.Clock++
	honest := plain(w.Expire(m, r))
	bend := func(f func(*record.RequestExpire)) recordtest.Draft { return bent(honest, f) }
	refuses(t, m, honest, []refusal{
		{"of a granted request", plain(w.Expire(m, granted)), record.ErrEvent},
		{"of no request", bend(func(f *record.RequestExpire) { f.Request = w.ID() }), record.ErrNotFound},
		{"of another leaf", bend(func(f *record.RequestExpire) { f.RequestLeaf = granted.Leaf }), record.ErrEvent},
		{"in another lineage", bend(func(f *record.RequestExpire) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
	})
	appendAll(t, m, honest)
	if err := m.Check(plain(w.Expire(m, r))); !errors.Is(err, record.ErrExists) {
		t.Errorf("twice: %v, want ErrExists", err)
	}
	if got := w.Request(m, r.ID); len(got.Decisions) != 0 || got.Status(m.Clock.Time()).State != approval.Expired {
		t.Errorf("the expired request is %+v", got)
	}
	key := recordtest.IndexKey{Key: record.Key{Table: record.TableRequest, ID: string(r.ID)}, Name: "state"}
	if state := m.Index[key]; state != string(approval.Expired) {
		t.Errorf("it is listed as %q", state)
	}
}

// What a person wrote is in no facts, and no leaf names anybody.
func TestPromiseP13_FactsNameNobody(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	granted := w.Granted(m, 0)
	issue, err := w.Issue(m, w.Alice, granted, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	for _, e := range m.Entries {
		if e.Leaf.Kind == ledger.ContractPropose || e.Leaf.Kind == ledger.ContractSign {
			continue // the contract names its signatories
		}
		text, err := e.Leaf.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"alice", "Alice", "bob", "carol", "@acme.example", "INC-42", "checkout", "ticket", "payload-of"} {
			if strings.Contains(string(e.Facts), word) || strings.Contains(string(text), word) {
				t.Errorf("leaf %d, %s, shows %q", e.Index, e.Leaf.Kind, word)
			}
		}
	}
}

func manyHosts(n int) []sshcert.Host {
	var out []sshcert.Host
	for i := range n {
		out = append(out, sshcert.Host(fmt.Sprintf("web-%02d.demo", i)))
	}
	return out
}

// Denying takes claims as old as a session can be: it must go on while the
// identity provider is away. Approving does not.
func TestPromiseP14_DenyingTakesOlderClaims(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	for _, tt := range []struct {
		name          string
		age           time.Duration
		approve, deny error
	}{
		{"15 minutes", 15 * time.Minute, nil, nil},
		{"older", 15*time.Minute + time.Microsecond, record.ErrClaimsOld, nil},
		{"12 hours", 12 * time.Hour, record.ErrClaimsOld, nil},
		{"over 12 hours", 12*time.Hour + time.Microsecond, record.ErrClaimsOld, record.ErrClaimsOld},
	} {
		m.Clock = w.Bob.Claims.ClaimsAt + micros(tt.age)
		logIn(t, w, m, w.Alice)
		ask := w.Ask(m, w.Alice)
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		r := w.Request(m, ask.Doc.Request)
		for verdict, want := range map[approval.Verdict]error{approval.Approve: tt.approve, approval.Deny: tt.deny} {
			if err := m.Check(w.Decide(m, w.Bob, r, verdict, 0)); !errors.Is(err, want) {
				t.Errorf("%s by claims of %s: %v, want %v", verdict, tt.name, err, want)
			}
		}
	}
}

// A request is listed as open for its maker while it may be decided.
func TestOpenRequestsAreListed(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	open := func(id canon.ID) string {
		return m.Index[recordtest.IndexKey{Key: record.Key{Table: record.TableRequest, ID: string(id)}, Name: "open"}]
	}
	granted := w.Granted(m, 0)
	ask := w.Ask(m, w.Alice)
	appendAll(t, m, w.Submit(m, w.Alice, ask))
	if got := open(granted.ID); got != "-" {
		t.Errorf("a granted request is open for %q", got)
	}
	if got := open(ask.Doc.Request); got != string(w.Alice.Person) {
		t.Errorf("a pending request is open for %q", got)
	}
	m.Clock += micros(15 * time.Minute)
	appendAll(t, m, plain(w.Expire(m, w.Request(m, ask.Doc.Request))))
	if got := open(ask.Doc.Request); got != "-" {
		t.Errorf("an expired request is open for %q", got)
	}
}
