package authority

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// cancelDoc is the honest document.
func (u user) cancelDoc(r approval.Request) record.CancelDoc {
	return record.CancelDoc{
		V: record.CancelVersion, Origin: testOrigin, Request: r.ID, Person: u.session.Person, ExpiresAt: canon.At(u.w.clock().Add(5 * time.Minute)),
	}
}

// cancelCall signs a document for r.
func (u user) cancelCall(r approval.Request, doc record.CancelDoc) CancelCall {
	u.w.t.Helper()
	text, err := canon.Marshal(doc)
	if err != nil {
		u.w.t.Fatal(err)
	}
	sig, err := sshcert.Sign(rand.Reader, u.device, sshcert.NamespaceDevice, text)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return CancelCall{Request: r.ID, Document: string(text), Signature: sig}
}

func (u user) cancel(r approval.Request) (approval.Request, error) {
	u.w.t.Helper()
	return u.w.a.Cancel(u.w.t.Context(), u.session, u.cancelCall(r, u.cancelDoc(r)))
}

// inBrowser is name in a session without device key.
func (w *world) inBrowser(name string, groups ...string) user {
	w.t.Helper()
	id := oidc.Identity{
		Issuer: testIssuer, Client: "web", Flow: "code", Subject: "sub-" + name, Groups: groups, GroupsKnown: true,
		IssuedAt: w.clock().Truncate(time.Second), Raw: "a.b." + name,
	}
	u := user{w: w}
	var err error
	if u.session, _, err = w.a.logIn(w.t.Context(), id, store.Web, "", "", func(*store.Tx) error { return nil }); err != nil {
		w.t.Fatal(err)
	}
	return u
}

// newest returns the facts of the newest leaf.
func (w *world) newest() record.Facts {
	w.t.Helper()
	var facts record.Facts
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		e, err := r.Entry(w.size() - 1)
		if err != nil {
			return err
		}
		facts, err = record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return facts
}

// A request is taken back by the command line and in a browser, by one leaf that
// says how; doing it again, by a repeat or anew, answers the same.
func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	browser := w.inBrowser("alice", "engineers")
	if browser.session.Person != alice.session.Person {
		t.Fatal("alice is two people")
	}
	for name, first := range map[string]user{record.AssuranceDevice: alice, record.AssuranceSession: browser} {
		r, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatal(err)
		}
		call := CancelCall{Request: r.ID}
		if first.device != nil {
			call = first.cancelCall(r, first.cancelDoc(r))
		}
		gone, err := w.a.Cancel(t.Context(), first.session, call)
		if err != nil || gone.Status(w.clock()).State != approval.Cancelled {
			t.Fatalf("%s: %v, %+v", name, err, gone)
		}
		f, ok := w.newest().(record.RequestCancel)
		if !ok || f.Assurance != name || f.Document != call.Document || f.Login != first.session.Login || f.Request != r.ID {
			t.Errorf("%s: the leaf says %+v", name, f)
		}
		if _, err := alice.issue(r, newKey(t)); !errors.Is(err, approval.ErrNotGranted) {
			t.Errorf("%s: a certificate for it: %v, want ErrNotGranted", name, err)
		}
		size := w.size()
		w.pass(time.Hour) // the document has expired; the request is cancelled
		again, err := w.a.Cancel(t.Context(), first.session, call)
		if err != nil || again.Cancelled != gone.Cancelled {
			t.Errorf("%s: a repeat answers %+v, %v; want %+v", name, again.Cancelled, err, gone.Cancelled)
		}
		anew, err := alice.cancel(r)
		if err != nil || anew.Cancelled != gone.Cancelled {
			t.Errorf("%s: doing it again answers %+v, %v", name, anew.Cancelled, err)
		}
		if w.size() != size {
			t.Errorf("%s: %d leaves for repeats", name, w.size()-size)
		}
		alice = w.logIn("alice", []string{"engineers"})
		browser = w.inBrowser("alice", "engineers")
	}
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"engineers", "leads"})
	bobsBrowser := w.inBrowser("bob", "engineers", "leads")
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	gone, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if gone, err = alice.cancel(gone); err != nil {
		t.Fatal(err)
	}
	unknown := r
	unknown.ID = "mzxw6ytboi2dqmrvgm4tanrwge"
	thief := alice
	thief.device = newKey(t)
	doc := func(q approval.Request, f func(*record.CancelDoc)) CancelCall {
		d := alice.cancelDoc(q)
		f(&d)
		return alice.cancelCall(q, d)
	}
	honest := alice.cancelCall(r, alice.cancelDoc(r))
	type row struct {
		name string
		who  user
		call CancelCall
		want error
	}
	list := []row{
		{"by somebody else", bob, bob.cancelCall(r, bob.cancelDoc(r)), approval.ErrNotRequester},
		{"by somebody else's browser", bobsBrowser, CancelCall{Request: r.ID}, approval.ErrNotRequester},
		{"by somebody else, cancelled already", bob, bob.cancelCall(gone, bob.cancelDoc(gone)), approval.ErrNotRequester},
		{"with the requester's document", bob, honest, record.ErrDocument},
		{"an unknown one", alice, alice.cancelCall(unknown, alice.cancelDoc(unknown)), ErrNotYours},
		{"a browser with a document", bobsBrowser, honest, record.ErrDocument},
		{"by an expired document", alice, doc(r, func(d *record.CancelDoc) { d.ExpiresAt = canon.At(w.clock()) - 1 }), record.ErrDocument},
	}
	// The signature is asked for whether or not there is something to cancel.
	for name, q := range map[string]approval.Request{"pending": r, "cancelled": gone} {
		good := alice.cancelCall(q, alice.cancelDoc(q))
		list = append(list,
			row{name + ", a bearer alone", alice, CancelCall{Request: q.ID}, record.ErrDocument},
			row{name + ", a bearer and another key", thief, thief.cancelCall(q, thief.cancelDoc(q)), record.ErrDocument},
			row{name + ", no signature", alice, CancelCall{Request: q.ID, Document: good.Document}, record.ErrDocument},
			row{name + ", no document", alice, CancelCall{Request: q.ID, Signature: good.Signature}, record.ErrDocument},
			row{name + ", signed for another", alice, CancelCall{Request: q.ID, Document: alice.cancelCall(unknown, alice.cancelDoc(unknown)).Document, Signature: good.Signature}, record.ErrDocument},
			row{name + ", of another", alice, CancelCall{Request: q.ID, Document: alice.cancelCall(unknown, alice.cancelDoc(unknown)).Document, Signature: alice.cancelCall(unknown, alice.cancelDoc(unknown)).Signature}, record.ErrDocument},
			row{name + ", for another server", alice, doc(q, func(d *record.CancelDoc) { d.Origin = "evil.example" }), record.ErrDocument},
			row{name + ", in another name", alice, doc(q, func(d *record.CancelDoc) { d.Person = bob.session.Person }), record.ErrDocument},
			row{name + ", another version", alice, doc(q, func(d *record.CancelDoc) { d.V = "sallyport.cancel/v2" }), record.ErrDocument},
		)
	}
	size := w.size()
	for _, tt := range list {
		if _, err := w.a.Cancel(t.Context(), tt.who.session, tt.call); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
}

// What is settled is not cancelled, and says how it ended.
func TestPromiseP07_SettledIsNotCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	granted := alice.granted(bob, 0)
	denied, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	silent, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if denied, err = bob.decide(denied, approval.Deny, 0); err != nil {
		t.Fatal(err)
	}
	refused := func(r approval.Request, words string) {
		t.Helper()
		size := w.size()
		if _, err := alice.cancel(r); !errors.Is(err, approval.ErrSettled) || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want ErrSettled and %q", err, words)
		}
		if w.size() != size {
			t.Errorf("%d leaves", w.size()-size)
		}
	}
	refused(granted, "a grant is not cancelled, it ends by itself")
	refused(denied, "it was denied")
	w.pass(15 * time.Minute)
	refused(silent, "it expired at")
	if n, err := w.a.Sweep(t.Context()); n != 1 || err != nil {
		t.Fatalf("Sweep = %d, %v", n, err)
	}
	refused(silent, "it expired at")
}

// After a cancellation nobody decides, and each is told so, whatever page they
// had before them; the sweep has nothing to record.
func TestPromiseP07_ACancelledRequestTakesNoDecision(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers", "leads"}), w.logIn("bob", []string{"leads"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	gone, err := alice.cancel(r)
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	for name, page := range map[string]approval.Request{"an old page": r, "a new page": gone} {
		for _, verdict := range []approval.Verdict{approval.Approve, approval.Deny} {
			if _, err := bob.decide(page, verdict, 0); !errors.Is(err, approval.ErrSettled) || !strings.Contains(err.Error(), "it was cancelled at") {
				t.Errorf("%s on %s: %v, want ErrSettled", verdict, name, err)
			}
			if _, err := alice.decide(page, verdict, 0); !errors.Is(err, approval.ErrSelfApproval) {
				t.Errorf("one's own: %v, want ErrSelfApproval", err)
			}
		}
	}
	if _, err := alice.issue(gone, newKey(t)); !errors.Is(err, approval.ErrNotGranted) || !strings.Contains(err.Error(), "it is cancelled") {
		t.Errorf("a certificate for it: %v, want ErrNotGranted", err)
	}
	w.pass(15 * time.Minute)
	if n, err := w.a.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("Sweep = %d, %v", n, err)
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
}

// Of a cancellation and an approval at once exactly one counts, and a certificate
// is to be had only if it was the approval.
func TestPromiseP07_CancelAgainstApproveOneWins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	for range 12 {
		r, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatal(err)
		}
		size := w.size()
		var cancelled, approved error
		var group sync.WaitGroup
		group.Go(func() { _, cancelled = alice.cancel(r) })
		group.Go(func() { _, approved = bob.decide(r, approval.Approve, 0) })
		group.Wait()
		if (cancelled == nil) == (approved == nil) || w.size() != size+1 {
			t.Fatalf("cancelled: %v, approved: %v, %d leaves", cancelled, approved, w.size()-size)
		}
		if lost := errors.Join(cancelled, approved); !errors.Is(lost, approval.ErrSettled) {
			t.Errorf("who came second is told %v, want ErrSettled", lost)
		}
		if _, err := alice.issue(r, newKey(t)); (err == nil) != (approved == nil) {
			t.Errorf("approved: %v, issued: %v", approved, err)
		}
	}
}

// Of many cancellations at once one is recorded, and all are answered alike.
func TestParallelCancellationsAreOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	answers := make([]approval.Cancellation, 8)
	var group sync.WaitGroup
	for i := range answers {
		group.Go(func() {
			q, err := alice.cancel(r)
			if err != nil {
				t.Errorf("one of many: %v", err)
			}
			answers[i] = q.Cancelled
		})
	}
	group.Wait()
	if len(slices.Compact(answers)) != 1 || w.size() != size+1 {
		t.Errorf("%v, %d leaves", answers, w.size()-size)
	}
}
