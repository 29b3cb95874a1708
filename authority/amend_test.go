package authority

import (
	"bytes"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// amendment is a version that amends the newest one, with the first of each pair
// replaced by the second in its terms.
func (w *world) amendment(parent *contract.Version, pairs ...string) map[string][]byte {
	w.t.Helper()
	terms := string(parent.Files[contract.TermsFile])
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(terms, pairs[i]) != 1 {
			w.t.Fatalf("%q does not stand once in the terms", pairs[i])
		}
		terms = strings.Replace(terms, pairs[i], pairs[i+1], 1)
	}
	files := map[string][]byte{contract.ProseFile: parent.Files[contract.ProseFile], contract.TermsFile: []byte(terms)}
	all, err := contract.NewAmendment(files, parent, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// signedBy is chris' signature over an amendment, by a key.
func (w *world) signedBy(files map[string][]byte, parent *contract.Version, key ssh.Signer) []Signature {
	w.t.Helper()
	v, err := contract.LoadAmendment(files, parent)
	if err != nil {
		w.t.Fatal(err)
	}
	statement, err := contract.NewStatement(v, "demo", "chris")
	if err != nil {
		w.t.Fatal(err)
	}
	armored, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceContract, statement)
	if err != nil {
		w.t.Fatal(err)
	}
	return []Signature{{Statement: statement, Armored: []byte(armored)}}
}

// amended puts an amendment of the version in force in force.
func (w *world) amended(pairs ...string) *contract.Version {
	w.t.Helper()
	files := w.amendment(w.v, pairs...)
	added, err := w.a.AddContract(w.t.Context(), files, w.signedBy(files, w.v, w.signer))
	if err != nil {
		w.t.Fatal(err)
	}
	if added.Row.InForceAt == 0 || len(added.Missing) > 0 || added.Version.Parent.Digest != w.v.Digest {
		w.t.Fatalf("the amendment is %+v", added.Row)
	}
	w.v = added.Version
	return w.v
}

// TestPromiseP10_AGrantGoesOnUnderTheAmendmentThatAllowsIt: a grant that version 2
// would have allowed goes on, and its next certificate names version 2; until it is
// signed version 1 binds, whoever proposes it.
func TestPromiseP10_AGrantGoesOnUnderTheAmendmentThatAllowsIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	under := func(want canon.Digest) {
		t.Helper()
		issued, err := alice.issue(grant, newKey(t))
		if err != nil {
			t.Fatal(err)
		}
		id, err := sshcert.ParseKeyID(issued.Certificate.KeyId)
		if err != nil || id.Contract != want {
			t.Errorf("the certificate names %s, %v; want %s", id.Contract, err, want)
		}
	}
	first := w.v
	under(first.Digest)
	w.pass(time.Second)
	files := w.amendment(first, "title: Demo", "title: Demonstration")
	other := newKey(t)
	if _, err := w.a.AddContract(t.Context(), files, w.signedBy(files, first, other)); !errors.Is(err, contract.ErrBadSignature) {
		t.Errorf("signed by another key: %v, want ErrBadSignature", err)
	}
	added, err := w.a.AddContract(t.Context(), files, nil)
	if err != nil || added.Row.InForceAt != 0 || len(added.Missing) == 0 {
		t.Fatalf("proposed: %+v, %v", added.Row, err)
	}
	under(first.Digest)
	if added, err = w.a.AddContract(t.Context(), files, w.signedBy(files, first, w.signer)); err != nil || added.Row.InForceAt == 0 {
		t.Fatalf("signed: %+v, %v", added.Row, err)
	}
	before := w.size()
	under(added.Version.Digest)
	if got := w.size() - before; got != 2 {
		t.Errorf("the first certificate under version 2 writes %d leaves, want that the grant goes on, and its own", got)
	}
	under(added.Version.Digest)
	if got := w.size() - before; got != 3 {
		t.Errorf("the second one writes %d leaves, want its own alone", got-2)
	}
	if len(w.listed()) != 0 {
		t.Errorf("certificates %v are revoked by an amendment that ends nothing", w.listed())
	}
	// What asks under version 1 is refused from now on.
	late := alice.newRequest()
	if _, err := alice.submit(late); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a request under version 1: %v, want ErrNotInForce", err)
	}
}

// TestPromiseP09_WhatAnAmendmentEndsIsRevoked: certificates of a grant that the
// amendment would not have allowed are on the list as soon as it is signed, those that
// were not yet over, and nobody else's.
func TestPromiseP09_WhatAnAmendmentEndsIsRevoked(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, testStart, "5m")
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	long := alice.granted(bob, 0)
	q := alice.newRequest()
	q.doc.Seconds = 240
	short, err := alice.submit(q)
	if err != nil {
		t.Fatal(err)
	}
	if short, err = bob.decide(short, approval.Approve, 0); err != nil {
		t.Fatal(err)
	}
	waits, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	gone, err := alice.issue(long, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	stays, err := alice.issue(short, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	first, changed := w.v, w.a.RevocationsChanged()
	second := w.amended("grant: {max: 1h}", "grant: {max: 5m}")
	if got := w.listed(); !slices.Equal(got, []uint64{gone.Certificate.Serial}) {
		t.Errorf("the list has %v, want %d; %d stays", got, gone.Certificate.Serial, stays.Certificate.Serial)
	}
	select {
	case <-changed:
	default:
		t.Error("no host is told of the list")
	}
	// It is the same list wherever it is made.
	running, err := w.a.Revocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var fresh revocations
	if err := w.config.Store.Read(t.Context(), func(r *reader) error { return fresh.catchUp(r, w.config.CA.PublicKey()) }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(fresh.list.KRL, running.KRL) {
		t.Error("a server that starts now makes another list")
	}
	if _, err := alice.issue(long, newKey(t)); !errors.Is(err, record.ErrNotCarried) || !strings.Contains(err.Error(), "5m") {
		t.Errorf("the next certificate of what ended: %v, want ErrNotCarried and the new limit", err)
	}
	issued, err := alice.issue(short, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := sshcert.ParseKeyID(issued.Certificate.KeyId); err != nil || id.Contract != second.Digest {
		t.Errorf("what goes on has a certificate under %s, %v; want version 2, not %s", id.Contract, err, first.Digest)
	}
	if _, err := bob.decide(waits, approval.Approve, 0); !errors.Is(err, record.ErrNotCarried) {
		t.Errorf("a request that waited, for more than the amendment has: %v, want ErrNotCarried", err)
	}
	w.pass(16 * time.Minute) // it leaves the list of what waits, and ended with the amendment
	for i := range 2 {
		if n, err := w.a.Sweep(t.Context()); n != 1-i || err != nil {
			t.Errorf("sweep %d records %d expired requests, %v", i, n, err)
		}
	}
	err = w.config.Store.Read(t.Context(), func(r *reader) error {
		q, err := record.Request(r, waits.ID)
		if err != nil {
			return err
		}
		q, err = record.Standing(r, q)
		if s := q.Status(w.clock()); err == nil && s.State != approval.Ended {
			t.Errorf("it is %s at %s, want ended", s.State, s.At)
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPromiseP09_AnAmendmentOfALaterDay: what would outlast the day is
// revoked when all have signed; until that day the grant gives another certificate,
// which ends by then.
func TestPromiseP09_AnAmendmentOfALaterDay(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, testStart, "5m")
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	before, err := alice.issue(grant, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	first, day := w.v, testStart.Add(3*time.Minute).Truncate(time.Second)
	w.amended("grant: {max: 1h}", "grant: {max: 5m}", "issuers: {local", "effect: {not_before: \""+day.Format(time.RFC3339)+"\"}\nissuers: {local")
	if got := w.listed(); !slices.Equal(got, []uint64{before.Certificate.Serial}) {
		t.Errorf("the list has %v, want what outlasts the day, %d", got, before.Certificate.Serial)
	}
	w.pass(time.Second)
	after, err := alice.issue(grant, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	id, err := sshcert.ParseKeyID(after.Certificate.KeyId)
	if err != nil || id.Contract != first.Digest || id.End.After(day) || after.Certificate.ValidBefore > uint64(day.Unix()) {
		t.Errorf("the next certificate is under %s until %s (%v), its sessions until %s; want version 1 and the day, %s", id.Contract, time.Unix(int64(after.Certificate.ValidBefore), 0), err, id.End, day)
	}
	if got := w.listed(); !slices.Equal(got, []uint64{before.Certificate.Serial}) {
		t.Errorf("the list has %v", got)
	}
	w.pass(3 * time.Minute)
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, record.ErrNotCarried) {
		t.Errorf("on that day: %v, want ErrNotCarried", err)
	}
}

// TestPromiseP10_WhoWaitsIsDecidedUnderTheAmendment if it decides alike.
func TestPromiseP10_WhoWaitsIsDecidedUnderTheAmendment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	waits, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	second := w.amended("title: Demo", "title: Demonstration")
	r, err := bob.decide(waits, approval.Approve, 0)
	if err != nil {
		t.Fatal(err)
	}
	issued, err := alice.issue(r, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if id, err := sshcert.ParseKeyID(issued.Certificate.KeyId); err != nil || id.Contract != second.Digest {
		t.Errorf("a certificate under %s, %v; want version 2", id.Contract, err)
	}
}
