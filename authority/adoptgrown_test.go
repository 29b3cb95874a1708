package authority

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

// TestPromiseP11_AGrownBackupIsNotAdopted has a restored backup grow leaves of its
// own: with the mark where it was they are named and refused; with a mark that went
// along, two ledgers are signed, and nobody goes on with either.
func TestPromiseP11_AGrownBackupIsNotAdopted(t *testing.T) {
	t.Parallel()
	l := newLost(t)
	s := l.backup()
	forked := l.config
	forked.Store, forked.Mark = s, &memoryMark{}
	if err := forked.Mark.Save(t.Context(), nil, l.signedAt(t, l.size)); err != nil {
		t.Fatal(err)
	}
	a, err := Open(t.Context(), forked)
	if err != nil {
		t.Fatal(err)
	}
	honest, config := l.a, l.config
	l.a, l.config = a, forked
	alice, bob := l.logIn("alice", []string{"engineers"}), l.logIn("bob", []string{"leads"})
	issued, err := alice.issue(alice.granted(bob, 0), newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	grown := l.size
	l.a, l.config = honest, config
	if _, err := l.adopt(t.Context(), s, l.copy); !errors.Is(err, ledger.ErrForked) || !strings.Contains(err.Error(), fmt.Sprintf("leaf %d here is another one", grown)) ||
		!strings.Contains(err.Error(), fmt.Sprintf("2 person.login, 1 request.decide, 1 request.submit; certificates [%d]", issued.Certificate.Serial)) {
		t.Errorf("grown with the mark where it was: %v", err)
	}
	_, err = Adopt(t.Context(), forked, l.copy.copy())
	if !errors.Is(err, ledger.ErrForked) || !strings.Contains(err.Error(), "both are signed by this log key") {
		t.Errorf("two signed ledgers: %v", err)
	}
}

// TestPromiseP01_WhatMayBeSignedIsNotVoided makes the copy while a certificate is
// recorded and not signed yet. It is given out afterwards, so adopting waits until
// it is over, and nothing calls it void.
func TestPromiseP01_WhatMayBeSignedIsNotVoided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	saved := w.vacuum("backup.db")
	var mirror *kept
	w.a.ca = watched{w.config.CA, func([]byte) error { mirror = w.mirror(); return nil }}
	issued, err := alice.issue(grant, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	l := &lost{world: w}
	s := w.opened(saved("restored.db"))
	if _, err := l.adopt(t.Context(), s, mirror); !errors.Is(err, ErrCopy) || !strings.Contains(err.Error(), fmt.Sprintf("certificates [%d]", issued.Certificate.Serial)) {
		t.Errorf("while it is valid: %v", err)
	}
	w.pass(time.Minute)
	if _, err := l.adopt(t.Context(), s, mirror); err != nil {
		t.Fatal(err)
	}
	c := w.config
	c.Store = s
	if _, err := Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	w.config.Store = s
	if n := w.kinds(ledger.CertificateVoid); n != 0 {
		t.Errorf("%d void leaves", n)
	}
	// A copy that has it signed puts it back without a leaf.
	full := &kept{checkpoint: mirror.checkpoint, leaves: slices.Clone(mirror.leaves)}
	full.leaves[issued.Certificate.Serial-1].Certificate = issued.Certificate.Marshal()
	done, err := l.adopt(t.Context(), s, full)
	if err != nil || done.Certificates != 1 || done.Had != done.Has {
		t.Errorf("with the certificate: %+v, %v", done, err)
	}
	if w.kept() != 1 {
		t.Errorf("%d certificates are kept", w.kept())
	}
}

// vacuum saves the database and returns what copies it to a new file.
func (w *world) vacuum(name string) func(to string) string {
	w.t.Helper()
	saved := filepath.Join(w.dir, name)
	w.vacuumInto(saved)
	return func(to string) string {
		w.t.Helper()
		path := filepath.Join(w.dir, to)
		copyFile(w.t, saved, path)
		return path
	}
}

// TestPromiseP13_WhoWasErasedStaysSo adopts a tail in which somebody came, asked, was
// answered and was erased. What is gone is not asked for, nothing of it is there
// afterwards, and the rows are what they were; what is merely not shown is still
// refused.
func TestPromiseP13_WhoWasErasedStaysSo(t *testing.T) {
	t.Parallel()
	w := newErasing(t)
	secrets := w.secrets()
	text, signatures := w.document(w.signer, w.second)
	if _, err := w.a.ErasePerson(t.Context(), w.alice.session.Person, text, signatures); err != nil {
		t.Fatal(err)
	}
	mirror := w.mirror()
	const restored = "restored.db"
	s := w.opened(filepath.Join(w.dir, restored))
	if err := s.Write(t.Context(), func(tx *store.Tx) error { // of the ledger only leaf 0 is left
		leaf, err := ledger.ParseLeaf(mirror.leaves[0].Text)
		if err == nil {
			_, err = tx.Adopt(leaf, mirror.leaves[0].Opening, false)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	l := &lost{world: w.world}
	hidden := &kept{checkpoint: mirror.checkpoint, leaves: slices.Clone(mirror.leaves)}
	for i, leaf := range hidden.leaves {
		if strings.Contains(string(leaf.Opening.Person), "sub-bob") {
			hidden.leaves[i].Opening.Person = nil
		}
	}
	if _, err := l.adopt(t.Context(), s, hidden); !errors.Is(err, ErrCopy) || !strings.Contains(err.Error(), "the person part of leaf") {
		t.Errorf("somebody who was not erased is not shown: %v, want ErrCopy", err)
	}
	if _, err := l.adopt(t.Context(), s, mirror); err != nil {
		t.Fatal(err)
	}
	if have, want := w.stateRows(s), w.stateRows(w.config.Store); !slices.Equal(have, want) {
		t.Error("the rows are not what they were")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := w.found(restored, secrets); len(found) > 0 {
		t.Errorf("out of the copy: %q", found)
	}
}
