package authority

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/litewitness"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/witness"
)

// heads is a witness's memory that ends with the test.
type heads struct {
	mu   sync.Mutex
	kept map[string]ledger.Checkpoint
}

func (h *heads) Head(origin string) (ledger.Checkpoint, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c, ok := h.kept[origin]
	if !ok {
		return ledger.Checkpoint{}, witness.ErrNoHead
	}
	return c, nil
}

func (h *heads) SetHead(c ledger.Checkpoint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kept[c.Origin] = c
	return nil
}

// nearby is a witness of ours in the same process, without HTTP in between, that
// a test can take away, slow down or set the clock of.
type nearby struct {
	w      *witness.Witness
	signer *ledger.CosignerSigner
	heads  *heads

	mu    sync.Mutex
	away  bool
	hang  bool
	calls int
}

func newNearby(w *world, name string) *nearby {
	w.t.Helper()
	policy, err := ledger.NewPolicy(testOrigin, w.config.Log.PublicKey())
	if err != nil {
		w.t.Fatal(err)
	}
	n := &nearby{signer: ledgertest.Cosigner(w.t, name), heads: &heads{kept: make(map[string]ledger.Checkpoint)}}
	n.w, err = witness.New(witness.Config{Signer: n.signer, Logs: []*ledger.Policy{policy}, Heads: n.heads, Now: w.clock})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

func (n *nearby) Key() ledger.CosignerKey { return n.signer.Key() }

func (n *nearby) set(away, hang bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away, n.hang = away, hang
}

func (n *nearby) Cosign(ctx context.Context, ask ledger.AddCheckpoint, c ledger.Checkpoint) (ledger.Cosignature, error) {
	n.mu.Lock()
	away, hang := n.away, n.hang
	n.calls++
	n.mu.Unlock()
	if hang {
		<-ctx.Done()
		return ledger.Cosignature{}, ctx.Err()
	}
	if away {
		return ledger.Cosignature{}, witness.ErrUnreachable
	}
	line, err := n.w.Add(ctx, ask.Marshal())
	switch {
	case errors.Is(err, ledger.ErrRewound):
		head, err := n.heads.Head(c.Origin)
		if err != nil {
			return ledger.Cosignature{}, err
		}
		return ledger.Cosignature{}, &witness.StaleError{Size: head.Size}
	case errors.Is(err, ledger.ErrForked):
		return ledger.Cosignature{}, witness.ErrFork
	case err != nil:
		return ledger.Cosignature{}, err
	}
	at, err := n.Key().Verify(c, line)
	return ledger.Cosignature{Key: n.Key(), Line: line, At: at}, err
}

// cosigned is a world whose checkpoints need words of the witnesses.
func cosigned(t *testing.T, need int, names ...string) (*world, []*nearby) {
	t.Helper()
	w := newWorld(t)
	list := make([]*nearby, 0, len(names))
	for _, name := range names {
		n := newNearby(w, name)
		list = append(list, n)
		w.config.Quorum.Witnesses = append(w.config.Quorum.Witnesses, n.Key())
		w.config.Cosigners = append(w.config.Cosigners, n)
	}
	w.config.Quorum.Need = need
	w.reopen()
	return w, list
}

// reopen takes up the ledger again, as a restart does.
func (w *world) reopen() {
	w.t.Helper()
	w.a.Close()
	a, err := Open(w.t.Context(), w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.a = a
	w.t.Cleanup(a.Close)
}

func (w *world) policy() *ledger.Policy {
	w.t.Helper()
	own, err := ledger.NewPolicy(testOrigin, w.config.Log.PublicKey())
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := own.WithCosigners(w.config.Quorum)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestPromiseP01_NoCertificateBeforeItsCosignatures(t *testing.T) {
	t.Parallel()
	w, witnesses := cosigned(t, 2, "w1", "w2", "w3")
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	q := alice.granted(lead, 0)
	issued, err := alice.issue(q, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certproof.Verify(issued.Certificate, w.policy()); err != nil {
		t.Errorf("the certificate's proof without two witnesses' words: %v", err)
	}
	// Issuing goes on with two of three, whichever is dead or hangs, and stops with one.
	witnesses[0].set(true, false)
	if _, err := alice.issue(q, newKey(t)); err != nil {
		t.Errorf("with a dead witness of three: %v", err)
	}
	witnesses[0].set(false, true)
	if _, err := alice.issue(q, newKey(t)); err != nil {
		t.Errorf("with a witness that hangs: %v", err)
	}
	witnesses[1].set(true, false)
	before := w.size()
	_, err = alice.issue(q, newKey(t))
	if !errors.Is(err, ErrUncosigned) {
		t.Fatalf("with one of three: %v, want ErrUncosigned", err)
	}
	for _, part := range []string{"2 of 3 witnesses", "w2: " + witness.ErrUnreachable.Error(), "stays granted"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
	// While it is known that there are too few, nothing is recorded for nothing.
	after := w.size()
	if after > before+1 {
		t.Errorf("%d leaves of a certificate that could not be made", after-before)
	}
	if _, err := alice.issue(q, newKey(t)); !errors.Is(err, ErrUncosigned) || w.size() != after {
		t.Errorf("again: %v, and %d more leaves", err, w.size()-after)
	}
	// Deciding and denying need nobody's word.
	other, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lead.decide(other, approval.Deny, 0); err != nil {
		t.Errorf("denying without witnesses: %v", err)
	}
	// When they are back, a retry works.
	witnesses[0].set(false, false)
	witnesses[1].set(false, false)
	if err := w.eventually(func() error { _, err := alice.issue(q, newKey(t)); return err }); err != nil {
		t.Errorf("after the witnesses are back: %v", err)
	}
}

// TestPromiseP11_AWitnessNoticesARestoredBackup puts an older database and mark
// back: the server itself can't notice, its witness does.
func TestPromiseP11_AWitnessNoticesARestoredBackup(t *testing.T) {
	t.Parallel()
	for _, grow := range []bool{false, true} {
		name := "as it was"
		if grow {
			name = "grown again"
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, list := cosigned(t, 1, "w1")
			alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			restore := w.backup()
			q := alice.granted(lead, 0)
			if _, err := alice.issue(q, newKey(t)); err != nil {
				t.Fatal(err)
			}
			size := w.size()
			list[0].set(grow, false) // it comes back when there are as many leaves again
			restore()
			for grow && w.size() <= size {
				w.logIn("mallory", []string{"engineers"})
			}
			list[0].set(false, false)
			q = alice.granted(lead, 0)
			err := w.eventually(func() error { _, err := alice.issue(q, newKey(t)); return err })
			if !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), "put the newer database back") {
				t.Errorf("after a restore: %v, want ErrHalted", err)
			}
		})
	}
}

// eventually repeats what fails for want of cosignatures until it ends otherwise.
func (w *world) eventually(act func() error) (last error) {
	w.t.Helper()
	deadline, cancel := context.WithTimeout(w.t.Context(), 20*time.Second)
	defer cancel()
	if err := lab.Poll(deadline, "the cosigners", func() (bool, error) {
		last = act()
		return !errors.Is(last, ErrUncosigned), nil
	}); err != nil {
		w.t.Fatal(err, last)
	}
	return last
}

// vacuumInto makes a copy of the database.
func (w *world) vacuumInto(path string) {
	w.t.Helper()
	db, err := sql.Open("sqlite3", filepath.Join(w.dir, "ledger.db"))
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = db.ExecContext(w.t.Context(), `VACUUM INTO $1`, path)
	if err := errors.Join(err, db.Close()); err != nil {
		w.t.Fatal(err)
	}
}

// copyFile copies a file.
func copyFile(t testing.TB, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// backup copies database and mark, and returns what puts them back.
func (w *world) backup() (restore func()) {
	w.t.Helper()
	const saved = "backup.db"
	w.vacuumInto(filepath.Join(w.dir, saved))
	mark, ok := w.config.Mark.(*memoryMark)
	if !ok {
		w.t.Fatal("another mark")
	}
	note, err := mark.Load(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return func() {
		w.t.Helper()
		w.a.Close()
		if err := w.config.Store.Close(); err != nil {
			w.t.Fatal(err)
		}
		w.openStore(saved)
		mark.set(note)
		a, err := Open(w.t.Context(), w.config)
		if err != nil {
			w.t.Fatal(err)
		}
		w.a = a
		w.t.Cleanup(a.Close)
	}
}

// TestACosignerThatIsAhead: another server of the same ledger was faster.
func TestACosignerThatIsAhead(t *testing.T) {
	t.Parallel()
	w, list := cosigned(t, 1, "w1")
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	q := alice.granted(lead, 0)
	second, err := Open(t.Context(), w.config)
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := alice.issue(q, newKey(t)); err != nil {
		t.Fatal(err)
	}
	// The second offers what it has signed; the witness has seen more by now.
	u := user{w: &world{t: t, config: w.config, a: second, v: w.v, now: w.clock()}, device: alice.device, session: alice.session}
	if _, err := u.issue(q, newKey(t)); err != nil {
		t.Errorf("through the second server: %v", err)
	}
	if list[0].calls == 0 {
		t.Error("the witness was never asked")
	}
}

// TestPromiseP01_RealWitness runs the loop against an independent implementation.
func TestPromiseP01_RealWitness(t *testing.T) {
	t.Parallel()
	w := newWorldAt(t, time.Now()) // the witness has a clock of its own
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	lite, err := litewitness.Start(t.Context(), dir, "witness.example/lite", testOrigin, w.config.Log.PublicKey())
	if err != nil {
		t.Fatal(errors.Join(err, dir.Remove()))
	}
	t.Cleanup(func() {
		if err := errors.Join(lite.Close(), dir.Remove()); err != nil {
			t.Error(err)
		}
	})
	c, err := witness.NewClient(lite.Key(), lite.URL(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	w.config.Quorum = ledger.Cosigners{Need: 1, Witnesses: []ledger.CosignerKey{lite.Key()}}
	w.config.Cosigners = []Cosigner{c}
	w.reopen()
	alice, lead := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	q := alice.granted(lead, 0)
	issued, err := alice.issue(q, newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := certproof.Verify(issued.Certificate, w.policy()); err != nil {
		t.Error(err)
	}
	if err := lite.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.issue(q, newKey(t)); !errors.Is(err, ErrUncosigned) {
		t.Errorf("with the witness gone: %v, want ErrUncosigned", err)
	}
	if err := lite.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.eventually(func() error { _, err := alice.issue(q, newKey(t)); return err }); err != nil {
		t.Errorf("after the witness is back: %v", err)
	}
}
