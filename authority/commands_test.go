package authority

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Free text is one line of visible plain text, whoever writes it.
func TestPromiseP16_FreeText(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	pending, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Shown(pending)
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	for name, text := range map[string]string{
		"an escape": "look \x1b[2J here", "a line break": "one\ntwo", "a carriage return": "one\rtwo", "NUL": "a b\x00", "DEL": "a b\x7f",
		"a C1 control": "a b\u009b31m", "a right-to-left override": "a \u202egnp.exe", "an isolate": "a \u2066b", "a zero-width space": "a\u200b b",
		"a byte order mark": "\ufeffa b", "a line separator": "a\u2028b", "a paragraph separator": "a\u2029b", "a tag character": "a b\U000e0041",
		"another Unicode form": "Zoe\u0308 asks", "no UTF-8": "a \xff b", "too long": strings.Repeat("word ", 201),
	} {
		q := alice.newRequest()
		q.reason = text
		if _, _, err := w.a.Submit(t.Context(), alice.session, Ask{Document: `{}`, PersonSalt: q.salt.String(), Reason: text}); !errors.Is(err, ErrField) {
			t.Errorf("a reason with %s: %v, want ErrField", name, err)
		}
		if _, err := w.a.Decide(t.Context(), bob.session, Verdict{Request: pending.ID, Verdict: approval.Approve, Words: text, Shown: shown}); !errors.Is(err, ErrField) {
			t.Errorf("an answer with %s: %v, want ErrField", name, err)
		}
	}
	for _, reason := range []string{"", "   "} {
		if _, _, err := w.a.Submit(t.Context(), alice.session, Ask{Document: `{}`, PersonSalt: alice.newRequest().salt.String(), Reason: reason}); !errors.Is(err, ErrField) {
			t.Errorf("reason %q: %v, want ErrField", reason, err)
		}
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
	q := alice.newRequest()
	q.reason = `Zoë's "50%" <b>checkout</b> is slow; $(reboot) 日本語`
	if _, err := alice.submit(q); err != nil {
		t.Errorf("plain text: %v", err)
	}
}

func TestSubmitRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"engineers"})
	size := w.size()
	good := alice.newRequest()
	for _, tt := range []struct {
		name string
		ask  Ask
		want error
	}{
		{"no salt", Ask{Document: `{}`, Reason: "two words"}, ErrField},
		{"a salt of zeros", Ask{Document: `{}`, PersonSalt: canon.B64(make([]byte, 32)), Reason: "two words"}, ErrField},
		{"no document", Ask{Signature: "x", PersonSalt: good.salt.String(), Reason: "two words"}, ErrField},
		{"no signature", Ask{Document: `{"a":1}`, PersonSalt: good.salt.String(), Reason: "two words"}, ErrField},
		{"a document of another kind", Ask{Document: `{"a":1}`, Signature: "x", PersonSalt: good.salt.String(), Reason: "two words"}, record.ErrDocument},
	} {
		if _, _, err := w.a.Submit(t.Context(), alice.session, tt.ask); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	q := alice.newRequest()
	q.doc.Contract = canon.Sum("x")
	if _, err := alice.submit(q); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a contract of nobody: %v, want ErrNotInForce", err)
	}
	// Somebody else's session does not make somebody else's request.
	q = alice.newRequest()
	thief := bob
	thief.device = alice.device
	if _, err := thief.submit(q); !errors.Is(err, record.ErrDocument) {
		t.Errorf("in another person's session: %v, want ErrDocument", err)
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
}

// The same document again is the same request; the same id with another content
// is none.
func TestPromiseP14_ARepeatedRequestIsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, carol := w.logIn("alice", []string{"engineers"}), w.logIn("carol", []string{"engineers"})
	q := alice.newRequest()
	part, err := canon.Marshal(record.RequestPerson{Reason: q.reason})
	if err != nil {
		t.Fatal(err)
	}
	q.doc.Commitment = ledger.PersonCommitment(q.salt, part)
	first, err := alice.submit(q)
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	w.pass(10 * time.Minute) // the document has expired; the request is there
	again, err := alice.submit(q)
	if err != nil || again.Leaf != first.Leaf || w.size() != size {
		t.Errorf("again: %v, leaf %s after %s", err, again.Leaf, first.Leaf)
	}
	other := q
	other.doc.Seconds = 300
	if _, err := alice.submit(other); !errors.Is(err, record.ErrExists) {
		t.Errorf("the id with another content: %v, want ErrExists", err)
	}
	if _, err := carol.submit(q); !errors.Is(err, ErrNotYours) {
		t.Errorf("by somebody else: %v, want ErrNotYours", err)
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
}

func TestTooManyOpenRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	var last approval.Request
	for range MaxOpen {
		r, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatal(err)
		}
		last = r
	}
	if _, err := alice.submit(alice.newRequest()); !errors.Is(err, ErrTooManyOpen) {
		t.Errorf("one more: %v, want ErrTooManyOpen", err)
	}
	if _, err := bob.decide(last, approval.Deny, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.submit(alice.newRequest()); err != nil {
		t.Errorf("after one was decided: %v", err)
	}
	// What has expired is open no more, recorded or not.
	w.pass(15 * time.Minute)
	alice = w.logIn("alice", []string{"engineers"})
	if _, err := alice.submit(alice.newRequest()); err != nil {
		t.Errorf("after the others expired: %v", err)
	}
}

// A decision counts only for what its page showed.
func TestPromiseP07_ADecisionIsOnWhatWasShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, carol := w.logIn("alice", []string{"engineers", "leads"}), w.logIn("bob", []string{"leads"}), w.logIn("carol", []string{"leads"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	other, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	wrong := func(u user, shown canon.Digest) error {
		_, err := w.a.Decide(t.Context(), u.session, Verdict{Request: r.ID, Verdict: approval.Approve, Shown: shown})
		return err
	}
	ofOther, err := Shown(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, shown := range map[string]canon.Digest{"nothing": {}, "another request": ofOther} {
		if err := wrong(bob, shown); !errors.Is(err, ErrShown) {
			t.Errorf("having seen %s: %v, want ErrShown", name, err)
		}
		if err := wrong(alice, shown); !errors.Is(err, approval.ErrSelfApproval) {
			t.Errorf("one's own, having seen %s: %v, want ErrSelfApproval", name, err)
		}
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
	if _, err := bob.decide(r, approval.Approve, 0); err != nil {
		t.Fatal(err)
	}
	// r is what the page showed before Bob decided.
	if _, err := carol.decide(r, approval.Deny, 0); !errors.Is(err, ErrShown) {
		t.Errorf("an old page: %v, want ErrShown", err)
	}
	if _, err := bob.decide(r, approval.Approve, 0); !errors.Is(err, approval.ErrDecidedTwice) {
		t.Errorf("one's own old page: %v, want ErrDecidedTwice", err)
	}
	if _, err := w.a.Decide(t.Context(), bob.session, Verdict{Request: "mzxw6ytboi2dqmrvgm4tanrwge", Verdict: approval.Approve}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("no request: %v, want ErrNotFound", err)
	}
}

// Of many decisions at once, by one person in many sessions or by many people,
// exactly one fills a quorum of one.
func TestPromiseP04_ParallelDecisionsCountOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	var leads []user
	for n := range 4 {
		name := fmt.Sprintf("lead-%d", n/2) // two people, two sessions each
		leads = append(leads, w.logIn(name, []string{"leads"}))
	}
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	size := w.size()
	var group sync.WaitGroup
	var counted atomic.Int32
	for _, u := range append(leads, leads...) {
		group.Go(func() {
			switch _, err := u.decide(r, approval.Approve, 0); {
			case err == nil:
				counted.Add(1)
			case !errors.Is(err, approval.ErrDecidedTwice) && !errors.Is(err, ErrShown):
				t.Errorf("a decision among many: %v", err)
			}
		})
	}
	group.Wait()
	if n := counted.Load(); n != 1 || w.size() != size+1 {
		t.Errorf("%d decisions counted, %d leaves", n, w.size()-size)
	}
}

// Of many calls with one challenge at most one makes a certificate.
func TestPromiseP02_ParallelIssueCallsUseAChallengeOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	doc := alice.issueDoc(grant, key)
	size := w.size()
	var group sync.WaitGroup
	var made atomic.Int32
	for range 8 {
		group.Go(func() {
			switch _, err := alice.issueAs(grant, doc, alice.device, key); {
			case err == nil:
				made.Add(1)
			case !errors.Is(err, store.ErrNoChallenge):
				t.Errorf("an issue call among many: %v", err)
			}
		})
	}
	group.Wait()
	if n := made.Load(); n != 1 || w.size() != size+1 {
		t.Errorf("%d certificates, %d leaves", n, w.size()-size)
	}
}

// The sweep records each expiry once, and forgets what is over.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	granted := alice.granted(bob, 0)
	silent, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.a.Sweep(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing has expired, the sweep says %d, %v", n, err)
	}
	w.pass(15 * time.Minute)
	size := w.size()
	for _, want := range []int{1, 0} {
		if n, err := w.a.Sweep(t.Context()); n != want || err != nil {
			t.Errorf("the sweep says %d, %v; want %d", n, err, want)
		}
	}
	if w.size() != size+1 {
		t.Errorf("%d leaves for one expiry", w.size()-size)
	}
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		for state, want := range map[approval.State]string{approval.Pending: "", approval.Granted: string(granted.ID), approval.Expired: string(silent.ID)} {
			list, err := Requests(r, "state", string(state))
			var ids []string
			for _, q := range list {
				ids = append(ids, string(q.ID))
			}
			if got := strings.Join(ids, " "); err != nil || got != want {
				t.Errorf("%s: %q, %v; want %q", state, got, err, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	fresh := w.logIn("bob", []string{"leads"})
	if _, err := fresh.decide(silent, approval.Approve, 0); !errors.Is(err, approval.ErrSettled) {
		t.Errorf("after it expired: %v, want ErrSettled", err)
	}
}

// A crash between the commit and the checkpoint loses nothing: the next start
// signs over it.
func TestPromiseP11_AStartSignsForWhatWasCommitted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	mark, _ := w.config.Mark.(*memoryMark)
	mark.fail = errBroken
	grant := alice.granted(bob, 0) // acknowledged at the commit, without a mark
	mark.fail = nil
	size, _, _, err := checkpointOf(t, w.config.Store)
	if err != nil || size >= w.size() {
		t.Fatalf("checkpoint at %d of %d, %v", size, w.size(), err)
	}
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	if size, _, _, err = checkpointOf(t, w.config.Store); err != nil || size != w.size() {
		t.Errorf("after the start the checkpoint is at %d of %d, %v", size, w.size(), err)
	}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Errorf("issuing after the start: %v", err)
	}
}

// A mark that is not this log's checkpoint stops the start.
func TestPromiseP11_AMarkThatIsNoneStopsTheStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := newLedger(t)
	_, _, foreign, err := checkpointOf(t, other.config.Store) // the same origin, another key
	if err != nil {
		t.Fatal(err)
	}
	for name, note := range map[string][]byte{"empty": {}, "junk": []byte("junk"), "another log's": foreign} {
		c := w.config
		c.Mark = &memoryMark{note: note}
		if _, err := Open(t.Context(), c); !errors.Is(err, ErrHalted) {
			t.Errorf("%s: %v, want ErrHalted", name, err)
		}
	}
	if _, err := Create(t.Context(), w.config); !errors.Is(err, record.ErrExists) {
		t.Errorf("a ledger in a ledger: %v, want ErrExists", err)
	}
}

func TestAddHostNamesItsContract(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	host := NewHost{Name: "web-3.demo", Address: "127.0.0.1", Port: 22, Key: newKey(t).PublicKey()}
	host.Contract = "other"
	if _, err := w.a.AddHost(t.Context(), host); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a contract that there is not: %v, want ErrNotInForce", err)
	}
	host.Contract = "demo"
	if _, err := w.a.AddHost(t.Context(), host); err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.AddHost(t.Context(), host); !errors.Is(err, record.ErrExists) {
		t.Errorf("twice: %v, want ErrExists", err)
	}
	err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		hosts, err := Hosts(r)
		if err != nil || len(hosts) != 3 || hosts[2].Name != "web-3.demo" {
			t.Errorf("%d hosts, %v", len(hosts), err)
		}
		if name, err := Name(r, "mzxw6ytboi2dqmrvgm4tanrwge"); err != nil || name != "mzxw6ytboi2dqmrvgm4tanrwge" {
			t.Errorf("somebody without a name is shown as %q, %v", name, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trailing signs right and drags something behind the signature.
type trailing struct{ ca.Signer }

func (s trailing) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	sig, err := s.Signer.Sign(ctx, tbs)
	if err == nil {
		sig.Rest = []byte("x")
	}
	return sig, err
}

// What was signed is read once more as a stranger would read it: the last gate
// before a certificate leaves.
func TestPromiseP02_TheFinishedCertificateIsLinted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	w.a.ca = trailing{w.config.CA}
	if _, err := alice.issue(grant, key); !errors.Is(err, ca.ErrLint) {
		t.Errorf("%v, want ErrLint", err)
	}
	err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		_, err := r.SignedCertificate(uint64(w.size()))
		return err
	})
	if !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a certificate that was refused is kept: %v", err)
	}
	w.a.ca = w.config.CA
	if _, err := alice.issue(grant, key); err != nil {
		t.Errorf("the retry: %v", err)
	}
}

// TestOpenWithoutTheAuthorityKey: who only records needs no CA key; nothing is
// issued then, and a ledger is not begun without one.
func TestOpenWithoutTheAuthorityKey(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	r := alice.granted(bob, 0)
	public := w.config.CA.PublicKey().Marshal()
	w.config.CA = nil
	var err error
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	w.addHost("web-3.demo", map[string]string{"env": "demo"})
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		key, err := UserCA(r)
		if err == nil && !bytes.Equal(key.Marshal(), public) {
			t.Error("leaf 0 names another authority key")
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	if _, err := alice.issue(r, newKey(t)); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("issuing: %v, want ca.ErrUnavailable", err)
	}
	c := newLedger(t).config
	c.CA = nil
	if _, err := Create(t.Context(), c); err == nil {
		t.Error("a ledger was begun without an authority key")
	}
}
