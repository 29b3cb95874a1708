package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// asked appends a request of u's and returns it.
func asked(t *testing.T, w *recordtest.World, m *recordtest.Map, u *recordtest.User) approval.Request {
	t.Helper()
	ask := w.Ask(m, u)
	appendAll(t, m, w.Submit(m, u, ask))
	return w.Request(m, ask.Doc.Request)
}

// inBrowser logs u in without a device key.
func inBrowser(t *testing.T, w *recordtest.World, m *recordtest.Map, u *recordtest.User) *recordtest.User {
	t.Helper()
	b := *u
	b.Device = nil
	login, err := m.Append(w.Login(m, &b))
	if err != nil {
		t.Fatal(err)
	}
	b.Claims.Login = login
	return &b
}

func TestRequestCancelRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	foreignHost(t, w, m)
	r, other := asked(t, w, m, w.Alice), asked(t, w, m, w.Alice)
	browser, bobs := inBrowser(t, w, m, w.Alice), inBrowser(t, w, m, w.Bob)
	signed, attested := plain(w.Cancel(m, w.Alice, r)), plain(w.Cancel(m, browser, r))
	bend := func(d recordtest.Draft, f func(*record.RequestCancel)) recordtest.Draft { return bent(d, f) }
	doc := func(f func(*record.CancelDoc)) recordtest.Draft {
		return bend(signed, func(c *record.RequestCancel) {
			d := w.CancelDoc(m, w.Alice, r)
			f(&d)
			c.Document = marshal(t, d)
			c.Signature = w.Signature(w.Alice.Device, sshcert.NamespaceDevice, c.Document)
		})
	}
	refuses(t, m, signed, []refusal{
		{"of no request", bend(signed, func(f *record.RequestCancel) { f.Request = w.ID() }), record.ErrNotFound},
		{"of another leaf", bend(signed, func(f *record.RequestCancel) { f.RequestLeaf = other.Leaf }), record.ErrEvent},
		{"in another lineage", bend(signed, func(f *record.RequestCancel) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
		// The document and who signed it.
		{"for another server", doc(func(d *record.CancelDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"for another request", doc(func(d *record.CancelDoc) { d.Request = other.ID }), record.ErrDocument},
		{"in another person's name", doc(func(d *record.CancelDoc) { d.Person = w.Bob.Person }), record.ErrDocument},
		{"another version of the document", doc(func(d *record.CancelDoc) { d.V = "sallyport.cancel/v2" }), record.ErrDocument},
		{"expired", doc(func(d *record.CancelDoc) { d.ExpiresAt = m.Clock - 1 }), record.ErrDocument},
		{"from a clock far ahead", doc(func(d *record.CancelDoc) { d.ExpiresAt = m.Clock + micros(7*time.Minute) }), record.ErrDocument},
		{"signed for another purpose", bend(signed, func(f *record.RequestCancel) {
			f.Signature = w.Signature(w.Alice.Device, sshcert.NamespacePossession, f.Document)
		}), record.ErrDocument},
		{"signed by another device", bend(signed, func(f *record.RequestCancel) {
			f.Signature = w.Signature(w.Key(), sshcert.NamespaceDevice, f.Document)
		}), record.ErrDocument},
		{"changed after it was signed", bend(signed, func(f *record.RequestCancel) {
			f.Document = strings.Replace(f.Document, string(r.ID), string(other.ID), 1)
		}), record.ErrDocument},
		{"with the document of a request", bend(signed, func(f *record.RequestCancel) {
			f.Document = factsOf[record.RequestSubmit](t, m).Document
			f.Signature = w.Signature(w.Alice.Device, sshcert.NamespaceDevice, f.Document)
		}), record.ErrDocument},
		{"without document", bend(signed, func(f *record.RequestCancel) { f.Document = "" }), record.ErrDocument},
		{"without signature", bend(signed, func(f *record.RequestCancel) { f.Signature = "" }), record.ErrDocument},
		// The login.
		{"by no login", bend(signed, func(f *record.RequestCancel) { f.Login = canon.Sum("x") }), record.ErrNotFound},
		{"by a snapshot for a login", bend(signed, func(f *record.RequestCancel) { f.Login = w.Alice.Claims.Snapshot }), record.ErrNotFound},
		{"by another person's login", bend(signed, func(f *record.RequestCancel) { f.Login = w.Bob.Claims.Login }), record.ErrEvent},
		{"signed, by a login without device key", bend(signed, func(f *record.RequestCancel) { f.Login = browser.Claims.Login }), record.ErrDocument},
		{"by other means", bend(signed, func(f *record.RequestCancel) { f.Assurance = "passkey" }), record.ErrEvent},
	})
	refuses(t, m, attested, []refusal{
		{"by another person's browser", bend(attested, func(f *record.RequestCancel) { f.Login = bobs.Claims.Login }), record.ErrEvent},
		{"a browser with a document", bend(attested, func(f *record.RequestCancel) { f.Document = "{}" }), record.ErrEvent},
		{"a browser with a signature", bend(attested, func(f *record.RequestCancel) { f.Signature = "x" }), record.ErrEvent},
	})
}

// Whoever has the bearer of a login with a device key, and not that key, takes
// nothing back: the ledger does not take the server's word for it.
func TestPromiseP02_ABearerAloneCancelsNothing(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := asked(t, w, m, w.Alice)
	word := bent(plain(w.Cancel(m, w.Alice, r)), func(f *record.RequestCancel) {
		f.Assurance, f.Document, f.Signature = record.AssuranceSession, "", ""
	})
	if err := m.Check(word); !errors.Is(err, record.ErrDocument) {
		t.Errorf("the server's word for a login with device key: %v, want ErrDocument", err)
	}
}

// Nobody else cancels: no approver, whatever they sign, and no other account of
// the same human. Requests stay each account's own.
func TestPromiseP03_NobodyElseCancels(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.User("alice2", "engineers", "leads")
	logIn(t, w, m, second)
	appendAll(t, m, w.Link(m, w.Alice, second))
	r := asked(t, w, m, w.Alice)
	for _, u := range []*recordtest.User{w.Bob, second, inBrowser(t, w, m, w.Bob), inBrowser(t, w, m, second)} {
		if err := m.Check(plain(w.Cancel(m, u, r))); !errors.Is(err, approval.ErrNotRequester) {
			t.Errorf("by %s: %v, want ErrNotRequester", u.Name, err)
		}
		// In the requester's name, with a login and device of one's own.
		named := *u
		named.Person = w.Alice.Person
		if err := m.Check(plain(w.Cancel(m, &named, r))); !errors.Is(err, record.ErrEvent) {
			t.Errorf("by %s in another name: %v, want ErrEvent", u.Name, err)
		}
	}
	if err := m.Check(plain(w.Cancel(m, w.Alice, r))); err != nil {
		t.Errorf("by the requester: %v", err)
	}
}

// What was decided, has expired or was cancelled is cancelled no more, and what
// was cancelled takes no decision and no expiry.
func TestPromiseP07_ASettledRequestIsNotCancelled(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	granted := w.Granted(m, 0)
	denied, gone, silent := asked(t, w, m, w.Alice), asked(t, w, m, w.Alice), asked(t, w, m, w.Alice)
	appendAll(t, m, w.Decide(m, w.Bob, denied, approval.Deny, 0), plain(w.Cancel(m, w.Alice, gone)))
	for name, r := range map[string]approval.Request{"granted": granted, "denied": w.Request(m, denied.ID), "cancelled": w.Request(m, gone.ID)} {
		if err := m.Check(plain(w.Cancel(m, w.Alice, r))); !errors.Is(err, approval.ErrSettled) {
			t.Errorf("what was %s: %v, want ErrSettled", name, err)
		}
	}
	gone = w.Request(m, gone.ID)
	for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
		if err := m.Check(w.Decide(m, w.Carol, gone, verdict, 0)); !errors.Is(err, approval.ErrSettled) {
			t.Errorf("%s what was cancelled: %v, want ErrSettled", verdict, err)
		}
	}
	if _, err := w.Issue(m, w.Alice, gone, w.Key()); !errors.Is(err, approval.ErrNotGranted) {
		t.Errorf("a certificate for what was cancelled: %v, want ErrNotGranted", err)
	}
	m.Clock += micros(15 * time.Minute)
	if err := m.Check(plain(w.Cancel(m, w.Alice, silent))); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("what has expired: %v, want ErrSettled", err)
	}
	if err := m.Check(plain(w.Expire(m, gone))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("the expiry of what was cancelled: %v, want ErrEvent", err)
	}
	appendAll(t, m, plain(w.Expire(m, silent)))
	if err := m.Check(plain(w.Cancel(m, w.Alice, silent))); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("what is recorded as expired: %v, want ErrSettled", err)
	}
}

// Cancelling only takes away: it works by groups that were taken away or are
// unknown, and by claims as old as a session can be.
func TestPromiseP14_CancellingNeedsNoFreshClaims(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	before := *w.Alice
	r, late := asked(t, w, m, w.Alice), asked(t, w, m, w.Alice)
	m.Clock += micros(time.Minute)
	w.Alice.Groups, w.Alice.GroupsKnown = nil, false
	logIn(t, w, m, w.Alice)
	for name, u := range map[string]*recordtest.User{"by claims that were overtaken": &before, "in no group any more": w.Alice} {
		if err := m.Check(plain(w.Cancel(m, u, r))); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	m.Clock = r.At + micros(15*time.Minute) - 1
	if err := m.Check(plain(w.Cancel(m, &before, r))); err != nil {
		t.Errorf("just before it expires: %v", err)
	}
	// No role of this contract waits for half a day, so the request is made to.
	key := record.Key{Table: record.TableRequest, ID: string(late.ID)}
	m.Rows[key] = []byte(strings.Replace(string(m.Rows[key]), `"timeout_seconds":900`, `"timeout_seconds":90000`, 1))
	m.Clock = before.Claims.ClaimsAt + micros(record.SessionLife)
	if err := m.Check(plain(w.Cancel(m, &before, late))); err != nil {
		t.Errorf("by claims of twelve hours: %v", err)
	}
	m.Clock++
	if err := m.Check(plain(w.Cancel(m, &before, late))); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("by older claims: %v, want ErrClaimsOld", err)
	}
}

// An ID token made for another contract's client could be had by whoever runs
// that client: it takes nothing back under this contract.
func TestPromiseP03_AnotherContractsClientCancelsNothing(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := asked(t, w, m, w.Alice)
	foreign := *w.Alice
	foreign.Device = w.Key()
	login, err := m.Append(bent(w.Login(m, &foreign), func(f *record.PersonLogin) { f.Client = "theirs" }))
	if err != nil {
		t.Fatal(err)
	}
	foreign.Claims.Login = login
	if err := m.Check(plain(w.Cancel(m, &foreign, r))); !errors.Is(err, record.ErrOtherLogin) {
		t.Errorf("%v, want ErrOtherLogin", err)
	}
}

// A cancelled request leaves the list of what is open and pending.
func TestCancelledIsListedAsSuch(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := asked(t, w, m, w.Alice)
	appendAll(t, m, plain(w.Cancel(m, w.Alice, r)))
	key := record.Key{Table: record.TableRequest, ID: string(r.ID)}
	for name, want := range map[string]string{"state": "cancelled", "open": "-", "by": string(w.Alice.Person)} {
		if got := m.Index[recordtest.IndexKey{Key: key, Name: name}]; got != want {
			t.Errorf("listed under %s as %q, want %q", name, got, want)
		}
	}
	if got := w.Request(m, r.ID); got.Cancelled.Leaf.IsZero() || got.Cancelled.At != m.Clock || len(got.Decisions) != 0 {
		t.Errorf("the row is %+v", got)
	}
}
