package authority

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// beside is another server on the same ledger, that shares the mark.
func (w *world) beside(file string) *world {
	w.t.Helper()
	other := &world{t: w.t, dir: w.dir, now: w.clock(), v: w.v, signer: w.signer, config: w.config}
	other.config.Now, other.config.Shared = other.clock, true
	other.openStore(file)
	return other
}

// open is beside with its authority.
func (w *world) openBeside() *world {
	w.t.Helper()
	other := w.beside("ledger.db")
	var err error
	if other.a, err = Open(w.t.Context(), other.config); err != nil {
		w.t.Fatal(err)
	}
	return other
}

// at is the same person at another server.
func (u user) at(w *world) user { return user{w: w, device: u.device, session: u.session} }

// Servers that share the mark issue at the same time. Every checkpoint that any of
// them signs is of the one ledger, and one person decides once.
func TestPromiseP11_ServersThatShareTheMark(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	all := []*world{w, w.openBeside(), w.openBeside()}
	var mu sync.Mutex
	var notes [][]byte
	var group sync.WaitGroup
	for _, server := range all {
		group.Go(func() {
			for range 4 {
				grant := alice.at(server).granted(bob.at(server), 0)
				if _, err := alice.at(server).issue(grant, newKey(t)); err != nil {
					t.Error(err)
				}
				note, err := server.a.Checkpoint(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				notes = append(notes, note)
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if err := w.a.store.Barrier(t.Context()); err != nil {
		t.Fatal(err)
	}
	note, err := w.a.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	newest, err := w.a.policy.OpenCheckpoint(note)
	if err != nil || newest.Size != w.size() {
		t.Fatalf("checkpoint of %d leaves, there are %d (%v)", newest.Size, w.size(), err)
	}
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		for _, note := range notes {
			c, err := w.a.policy.OpenCheckpoint(note)
			if err != nil {
				return err
			}
			if err := ledger.CheckConsistency(c, newest, r); err != nil {
				return fmt.Errorf("a checkpoint of %d leaves: %w", c.Size, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if got := w.kinds(ledger.CertificateIssue); got != 12 || w.kept() != 12 {
		t.Errorf("%d certificates recorded, %d kept", got, w.kept())
	}
}

// One person decides at two servers at the same time and counts once.
func TestPromiseP04_OnePersonAtTwoServers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	other := w.openBeside()
	for range 5 {
		q, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatal(err)
		}
		var group sync.WaitGroup
		errs := make([]error, 2)
		for i, server := range []*world{w, other} {
			group.Go(func() { _, errs[i] = bob.at(server).decide(q, approval.Approve, 0) })
		}
		group.Wait()
		refused := errors.Join(errs...)
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(refused, approval.ErrDecidedTwice) && !errors.Is(refused, approval.ErrSettled) {
			t.Errorf("at one server %v, at the other %v", errs[0], errs[1])
		}
	}
}

// What another server has written, and the database has not acknowledged to this
// one, this one signs nothing over: it may yet be lost. Whoever needs it covered
// writes first.
func TestPromiseP11_OnlyWhatWasAcknowledgedIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := w.openBeside()
	mine := w.size()
	other.addHost("web-3.demo", map[string]string{"env": "demo"})
	// The other server has signed and told so in the mark; take that back.
	mark, _ := w.config.Mark.(*memoryMark)
	mark.note = w.a.last.note
	signed := func() int64 {
		t.Helper()
		note, err := w.a.Checkpoint(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		c, err := w.a.policy.OpenCheckpoint(note)
		if err != nil {
			t.Fatal(err)
		}
		return c.Size
	}
	if got := signed(); got != mine || w.size() != mine+1 {
		t.Errorf("signed over %d leaves; %d were acknowledged, %d can be read", got, mine, w.size())
	}
	if _, err := w.a.Prove(t.Context(), mine); err != nil {
		t.Errorf("the leaf that the other wrote: %v", err)
	}
	if got := signed(); got != mine+1 {
		t.Errorf("signed over %d leaves, %d are acknowledged", got, mine+1)
	}
}

// A server that is connected to another past of the database signs nothing,
// whether that is behind what others signed or has gone its own way.
func TestPromiseP11_AServerOnAForkStops(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	if err := w.config.Store.Close(); err != nil { // all of it is in the file then
		t.Fatal(err)
	}
	past, err := os.ReadFile(filepath.Join(w.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.dir, "fork.db"), past, 0o600); err != nil {
		t.Fatal(err)
	}
	w.openStore("ledger.db")
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	fork := w.beside("fork.db")
	if fork.a, err = Open(t.Context(), fork.config); err != nil {
		t.Fatal(err) // up to here both are the same
	}
	grant := alice.granted(bob, 0)
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Fatal(err)
	}
	mark, _ := w.config.Mark.(*memoryMark)
	signed := mark.note
	for range 2 { // behind at first, then past the mark and elsewhere
		forked := alice.at(fork).granted(bob.at(fork), 0)
		if _, err := alice.at(fork).issue(forked, newKey(t)); !errors.Is(err, ErrHalted) {
			t.Errorf("issued on the fork: %v, want ErrHalted", err)
		}
		if _, err := fork.a.Checkpoint(t.Context()); !errors.Is(err, ErrHalted) {
			t.Errorf("signed for the fork: %v, want ErrHalted", err)
		}
		if string(mark.note) != string(signed) {
			t.Error("the fork moved the mark")
		}
		for range 3 {
			_ = alice.at(fork).granted(bob.at(fork), 0)
		}
	}
	if fork.kept() != 0 {
		t.Error("the fork keeps a certificate")
	}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Errorf("on the ledger itself: %v", err)
	}
}

// A server that starts beside others voids only what nobody can be at any more.
func TestPromiseP01_OthersUnsignedCertificatesAreLeftToThem(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, testStart, "5m")
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	w.a.ca = watched{w.config.CA, func([]byte) error { return errBroken }}
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	left := uint64(w.size())
	// While this one is being signed the other server starts.
	var other *world
	w.a.ca = watched{w.config.CA, func([]byte) error {
		other = w.openBeside()
		_, err := other.a.Sweep(t.Context())
		return err
	}}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Fatalf("a certificate that was being signed: %v", err)
	}
	for i, want := range []int{0, 1, 1} {
		other.pass(othersFinish / 2)
		if _, err := other.a.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := w.kinds(ledger.CertificateVoid); n != want {
			t.Errorf("%d are void after %s, want %d", n, time.Duration(i+1)*othersFinish/2, want)
		}
	}
	err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		row, err := record.Certificate(r, left)
		if err == nil && !row.Void {
			t.Error("the one that nobody will sign is not void")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
