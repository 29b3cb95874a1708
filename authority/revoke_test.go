package authority

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

func grantTarget(r approval.Request) record.Target {
	return record.Target{Type: record.TargetGrant, ID: r.ID}
}

// revokeCall signs a revocation of u's.
func (u user) revokeCall(t record.Target) RevokeCall {
	u.w.t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		u.w.t.Fatal(err)
	}
	text, err := canon.Marshal(record.RevokeDoc{
		V: record.RevokeVersion, Origin: testOrigin, Revocation: id, Person: u.session.Person, Lineage: u.w.v.Lineage(), Target: t,
		ExpiresAt: canon.At(u.w.clock().Add(5 * time.Minute)),
	})
	if err != nil {
		u.w.t.Fatal(err)
	}
	call := RevokeCall{Because: "the laptop was stolen", Document: string(text)}
	if call.Signature, err = sshcert.Sign(rand.Reader, u.device, sshcert.NamespaceDevice, text); err != nil {
		u.w.t.Fatal(err)
	}
	return call
}

func (u user) revoke(t record.Target) (Revoked, error) {
	u.w.t.Helper()
	return u.w.a.Revoke(u.w.t.Context(), u.session, u.revokeCall(t))
}

// A grant is revoked by the requester and in an approver's browser; a repeat of the
// same call is answered alike and writes nothing.
func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	call := alice.revokeCall(grantTarget(grant))
	first, err := w.a.Revoke(t.Context(), alice.session, call)
	if err != nil {
		t.Fatal(err)
	}
	f, ok := w.newest().(record.AccessRevoke)
	if !ok || f.Assurance != record.AssuranceDevice || f.Person != alice.session.Person || f.About != alice.session.Person || first.Index != w.size()-1 {
		t.Errorf("recorded %+v in leaf %d", f, first.Index)
	}
	size := w.size()
	again, err := w.a.Revoke(t.Context(), alice.session, call)
	if err != nil || again != first || w.size() != size {
		t.Errorf("again: %+v, %v, and %d leaves more", again, err, w.size()-size)
	}
	call.Document, call.Signature = "", ""
	if _, err := w.a.Revoke(t.Context(), alice.session, call); !errors.Is(err, record.ErrDocument) {
		t.Errorf("a bearer without signature: %v, want ErrDocument", err)
	}
	grant = alice.granted(bob, 0)
	browser := w.inBrowser("bob", "leads")
	if _, err := w.a.Revoke(t.Context(), browser.session, RevokeCall{Target: grantTarget(grant), Because: "wrong host"}); err != nil {
		t.Fatal(err)
	}
	if f, ok := w.newest().(record.AccessRevoke); !ok || f.Assurance != record.AssuranceSession || f.Lineage != w.v.Lineage() {
		t.Errorf("recorded %+v", f)
	}
}

func TestRevokeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, mallory := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"}), w.logIn("mallory", []string{"engineers"})
	grant := alice.granted(bob, 0)
	size := w.size()
	bend := func(f func(*RevokeCall)) RevokeCall {
		call := alice.revokeCall(grantTarget(grant))
		f(&call)
		return call
	}
	for _, tt := range []struct {
		name string
		by   user
		call RevokeCall
		want error
	}{
		{"somebody else", mallory, mallory.revokeCall(grantTarget(grant)), record.ErrNotRevoker},
		{"in another's name", mallory, alice.revokeCall(grantTarget(grant)), record.ErrDocument},
		{"no reason", alice, bend(func(c *RevokeCall) { c.Because = " " }), ErrField},
		{"a reason of two lines", alice, bend(func(c *RevokeCall) { c.Because = "a\nb" }), ErrField},
		{"another text", alice, bend(func(c *RevokeCall) { c.Document = strings.Replace(c.Document, `"grant"`, `"request"`, 1) }), record.ErrDocument},
		{"a grant that is none", alice, alice.revokeCall(record.Target{Type: record.TargetGrant, ID: alice.session.Person}), ErrNotYours},
		{"a certificate that is none", alice, alice.revokeCall(record.Target{Type: record.TargetCertificate, Serial: 1}), ErrNotYours},
		{"a role", alice, alice.revokeCall(record.Target{Type: record.TargetRole, Role: "operator"}), record.ErrNotRevoker},
	} {
		if _, err := w.a.Revoke(t.Context(), tt.by.session, tt.call); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := w.a.RevokeAs(t.Context(), canon.Sum("x"), record.Target{Type: record.TargetRole, Role: "operator"}, "x"); !errors.Is(err, ErrField) {
		t.Errorf("another contract: %v, want ErrField", err)
	}
	if w.size() != size {
		t.Errorf("%d leaves were written", w.size()-size)
	}
}

// targets are what can be revoked that a grant belongs to.
func targets(r approval.Request) []record.Target {
	return []record.Target{
		grantTarget(r),
		{Type: record.TargetRequest, ID: r.ID},
		{Type: record.TargetPerson, ID: r.By},
		{Type: record.TargetRole, Role: r.Role},
		{Type: record.TargetHost, Host: r.Hosts[0]},
	}
}

// What is revoked gives no certificate any more, a repeat of one that was made
// included; the list of revoked certificates has those that were made.
func TestPromiseP09_NothingIsIssuedUnderWhatIsRevoked(t *testing.T) {
	t.Parallel()
	for i := range targets(approval.Request{Hosts: make([]sshcert.Host, 1)}) {
		w := newWorld(t)
		alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
		grant, key := alice.granted(bob, 0), newKey(t)
		issued, err := alice.issue(grant, key)
		if err != nil {
			t.Fatal(err)
		}
		target := targets(grant)[i]
		w.pass(time.Second)
		if _, err := w.a.RevokeAs(t.Context(), w.v.Lineage(), target, "for the test"); err != nil {
			t.Fatal(err)
		}
		for name, k := range map[string]func() (Issued, error){
			"the same key":  func() (Issued, error) { return alice.issue(grant, key) },
			"a new key":     func() (Issued, error) { return alice.issue(grant, newKey(t)) },
			"after a start": func() (Issued, error) { w.a.proven.forget(); return alice.issue(grant, newKey(t)) },
		} {
			if _, err := k(); !errors.Is(err, approval.ErrRevoked) {
				t.Errorf("%s, %s: %v, want ErrRevoked", target, name, err)
			}
		}
		if list := w.listed(); !slices.Equal(list, []uint64{issued.Certificate.Serial}) {
			t.Errorf("%s: the list has %v, want %d", target, list, issued.Certificate.Serial)
		}
		w.pass(time.Second)
		if _, err := alice.issue(alice.granted(bob, 0), newKey(t)); err != nil {
			t.Errorf("%s: what was asked for later: %v", target, err)
		}
	}
}

// A certificate that is revoked by itself is not given out again, its grant goes on.
func TestPromiseP09_ARevokedCertificateIsNotAnsweredAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	issued, err := alice.issue(grant, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.revoke(record.Target{Type: record.TargetCertificate, Serial: issued.Certificate.Serial}); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.issue(grant, key); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("the same key: %v, want ErrRevoked", err)
	}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Errorf("a new key: %v", err)
	}
}

// What is revoked while its signature is made is not released, however quick that
// was (docs/issuance.md, step 6), and it is in the list.
func TestPromiseP09_RevokedWhileItIsSigned(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		then func(w *world, grant approval.Request) error
	}{
		{"the grant", func(w *world, grant approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), grantTarget(grant), "x")
			return err
		}},
		{"the role", func(w *world, grant approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), record.Target{Type: record.TargetRole, Role: grant.Role}, "x")
			return err
		}},
		{"the certificate", func(w *world, _ approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), record.Target{Type: record.TargetCertificate, Serial: uint64(w.size())}, "x")
			return err
		}},
		{"the person is locked", func(w *world, grant approval.Request) error {
			_, err := w.a.LockPerson(context.Background(), grant.By, "x")
			return err
		}},
	} {
		w := newWorld(t)
		alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
		grant := alice.granted(bob, 0)
		w.a.ca = watched{w.config.CA, func([]byte) error { return tt.then(w, grant) }}
		serial := uint64(w.size() + 1)
		if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, approval.ErrRevoked) {
			t.Errorf("%s: %v, want ErrRevoked", tt.name, err)
		}
		if kept := w.kept(); kept != 0 {
			t.Errorf("%s: %d certificates kept", tt.name, kept)
		}
		if list := w.listed(); !slices.Equal(list, []uint64{serial}) {
			t.Errorf("%s: the list has %v, want %d", tt.name, list, serial)
		}
	}
}

// A locked account is issued nothing, and neither is another one of the same human.
func TestPromiseP03_LockingStopsIssuing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, second := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"}), w.logIn("alice2", []string{"engineers"})
	one, other := alice.granted(bob, 0), second.granted(bob, 0)
	for u, grant := range map[user]approval.Request{alice: one, second: other} {
		if _, err := u.issue(grant, newKey(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.a.LinkPeople(t.Context(), alice.session.Person, second.session.Person, "one badge"); err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	locked, err := w.a.LockPerson(t.Context(), alice.session.Person, "left on Friday")
	if err != nil || len(locked) != 2 {
		t.Fatalf("locked %v, %v", locked, err)
	}
	if again, err := w.a.LockPerson(t.Context(), alice.session.Person, "left on Friday"); err != nil || len(again) != 0 {
		t.Errorf("again: %v, %v", again, err)
	}
	for u, grant := range map[user]approval.Request{alice: one, second: other} {
		if _, err := u.issue(grant, newKey(t)); !errors.Is(err, approval.ErrRevoked) {
			t.Errorf("a certificate: %v, want ErrRevoked", err)
		}
		if _, err := u.submit(u.newRequest()); !errors.Is(err, record.ErrLocked) {
			t.Errorf("a request: %v, want ErrLocked", err)
		}
	}
	if n := len(w.listed()); n != 2 {
		t.Errorf("the list has %d certificates, want 2", n)
	}
	if unlocked, err := w.a.UnlockPerson(t.Context(), second.session.Person, "it was another one"); err != nil || len(unlocked) != 2 {
		t.Errorf("unlocked %v, %v", unlocked, err)
	}
	w.pass(time.Second)
	if _, err := alice.issue(one, newKey(t)); !errors.Is(err, approval.ErrRevoked) {
		t.Errorf("unlocked, under the old grant: %v, want ErrRevoked", err)
	}
	if _, err := w.a.LockPerson(t.Context(), one.ID, "x"); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("nobody locked: %v, want ErrNotFound", err)
	}
}

// Rows from which somebody has taken a revocation or a lock away issue nothing.
func TestPromiseP06_EditedRevocationsIssueNothing(t *testing.T) {
	t.Parallel()
	role := record.Target{Type: record.TargetRole, Role: "operator"}
	for _, tt := range []struct {
		name string
		do   func(w *world, grant approval.Request) error
		undo func(w *world, grant approval.Request, before map[record.Key][]byte)
	}{
		{"of the grant", func(w *world, grant approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), grantTarget(grant), "x")
			return err
		}, func(w *world, grant approval.Request, before map[record.Key][]byte) {
			w.restore(record.TableRequest, string(grant.ID), before[requestKey(grant.ID)])
		}},
		{"of the role, from its contract's row", func(w *world, _ approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), role, "x")
			return err
		}, func(w *world, _ approval.Request, before map[record.Key][]byte) {
			k := lineageKey(w.v.Lineage())
			w.restore(k.Table, k.ID, before[k])
		}},
		{"of the role, from its own row", func(w *world, _ approval.Request) error {
			_, err := w.a.RevokeAs(context.Background(), w.v.Lineage(), role, "x")
			return err
		}, func(w *world, _ approval.Request, _ map[record.Key][]byte) {
			w.edit(`DELETE FROM state WHERE tbl = 'revoked'`)
		}},
		{"a lock", func(w *world, grant approval.Request) error {
			_, err := w.a.LockPerson(context.Background(), grant.By, "x")
			return err
		}, func(w *world, grant approval.Request, before map[record.Key][]byte) {
			w.restore(record.TablePerson, string(grant.By), before[personKey(grant.By)])
		}},
	} {
		for _, known := range []bool{false, true} {
			w := newWorld(t)
			alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			grant := alice.granted(bob, 0)
			if known { // the rows were proved as they were before
				if _, err := alice.issue(grant, newKey(t)); err != nil {
					t.Fatal(err)
				}
			}
			before := make(map[record.Key][]byte)
			for _, k := range []record.Key{requestKey(grant.ID), lineageKey(w.v.Lineage()), personKey(grant.By)} {
				before[k] = w.row(k.Table, k.ID)
			}
			w.pass(time.Second)
			if err := tt.do(w, grant); err != nil {
				t.Fatal(err)
			}
			if known { // and as they are now
				if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, approval.ErrRevoked) {
					t.Fatal(err)
				}
			}
			tt.undo(w, grant, before)
			if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, ErrHalted) {
				t.Errorf("%s, known before: %t: %v, want ErrHalted", tt.name, known, err)
			}
		}
	}
}

// A lock from before the login that asks is missed as well.
func TestPromiseP06_AnOldLockIsNotForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	if _, err := w.a.LockPerson(t.Context(), alice.session.Person, "x"); err != nil {
		t.Fatal(err)
	}
	w.replace("person", string(alice.session.Person), `"lock":{`, `"lokk":{`)
	body := w.row(record.TablePerson, string(alice.session.Person))
	at := slices.Index(body, '{')
	w.restore(record.TablePerson, string(alice.session.Person), withoutMember(t, body[at:], "lokk"))
	w.pass(time.Second)
	alice = w.logIn("alice", []string{"engineers"})
	grant := alice.granted(bob, 0) // the fold believes the row
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, ErrHalted) {
		t.Errorf("%v, want ErrHalted", err)
	}
}

// withoutMember takes a member of flat values out of an object.
func withoutMember(t *testing.T, body []byte, name string) []byte {
	t.Helper()
	text := string(body)
	from := indexOf(t, text, `"`+name+`":{`)
	to := from + indexOf(t, text[from:], "}") + 1
	if to < len(text) && text[to] == ',' {
		to++
	} else if text[from-1] == ',' {
		from--
	}
	return []byte(text[:from] + text[to:])
}

func indexOf(t *testing.T, text, part string) int {
	t.Helper()
	for i := range text {
		if len(text)-i >= len(part) && text[i:i+len(part)] == part {
			return i
		}
	}
	t.Fatalf("no %s in %s", part, text)
	return 0
}

// Revoking works while the key service is sealed, the log key can't sign and the
// ledger is halted: it asks none of them.
func TestPromiseP14_RevokingAsksNoKeyService(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, other := alice.granted(bob, 0), alice.granted(bob, 0)
	issued, err := alice.issue(grant, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	asked := atomic.Int64{}
	w.a.ca = watched{w.config.CA, func([]byte) error { asked.Add(1); return errBroken }}
	w.a.mark = brokenMark{}
	w.pass(11 * time.Minute) // by claims that approve nothing any more
	if _, err := alice.issue(other, newKey(t)); err == nil {
		t.Fatal("a certificate is issued")
	}
	grant = alice.mustStand(grant.ID)
	w.pass(-11 * time.Minute)
	asked.Store(0)
	if _, err := bob.revoke(grantTarget(grant)); err != nil {
		t.Errorf("a grant: %v", err)
	}
	if _, err := w.a.LockPerson(t.Context(), bob.session.Person, "x"); err != nil {
		t.Errorf("a lock: %v", err)
	}
	if asked.Load() != 0 {
		t.Errorf("the key service was asked %d times", asked.Load())
	}
	if list := w.listed(); !slices.Contains(list, issued.Certificate.Serial) {
		t.Errorf("the list has %v, want %d", list, issued.Certificate.Serial)
	}
}

// brokenMark is a mark on a disk that is full.
type brokenMark struct{}

func (brokenMark) Load(context.Context) ([]byte, error)       { return nil, errBroken }
func (brokenMark) Save(context.Context, []byte, []byte) error { return errBroken }

// mustStand reads a request with what revoked it.
func (u user) mustStand(id canon.ID) (q approval.Request) {
	u.w.t.Helper()
	err := u.w.config.Store.Read(u.w.t.Context(), func(r *reader) (err error) {
		q, err = Standing(r, id)
		return err
	})
	if err != nil {
		u.w.t.Fatal(err)
	}
	return q
}
