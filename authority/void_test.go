package authority

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// A signature that took longer than five seconds is released only if what
// allowed the certificate still does; else nothing is released.
func TestPromiseP14_ASlowSignatureIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		then func(w *world)
		want error
	}{
		{"still allowed", func(w *world) { w.pass(6 * time.Second) }, nil},
		{"out of the group meanwhile", func(w *world) { w.pass(6 * time.Second); w.logIn("alice", []string{"others"}) }, record.ErrClaimsOld},
		{"nearly over", func(w *world) { w.pass(16 * time.Second) }, ErrVoid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			grant := alice.granted(bob, 0)
			w.a.ca = watched{w.config.CA, func([]byte) error { tt.then(w); return nil }}
			_, err := alice.issue(grant, newKey(t))
			if !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if kept := w.kept(); (kept == 1) != (tt.want == nil) {
				t.Errorf("%d certificates kept", kept)
			}
		})
	}
}

// A certificate that was recorded and never signed, because the process ended,
// is voided at the next start; its serial stays used.
func TestPromiseP01_UnsignedCertificatesAreVoidedAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Fatal(err)
	}
	w.a.ca = watched{w.config.CA, func([]byte) error { return errBroken }}
	if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, errBroken) {
		t.Fatal(err)
	}
	lost := uint64(w.size())
	var err error
	for range 2 { // the second start finds nothing left to void
		if w.a, err = Open(t.Context(), w.config); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.kinds(ledger.CertificateVoid); got != 1 {
		t.Errorf("%d void leaves, want 1", got)
	}
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		row, err := record.Certificate(r, lost)
		if err == nil && !row.Void {
			t.Error("the unsigned certificate is not void")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Errorf("after the restart: %v", err)
	}
}

// kept is how many signed certificates the store has.
func (w *world) kept() int {
	w.t.Helper()
	n := 0
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		for serial := range head.Tree.Size + 1 {
			switch _, err := r.SignedCertificate(uint64(serial)); {
			case err == nil:
				n++
			case !isNotFound(err):
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}

// kinds is how many leaves of a kind the ledger has.
func (w *world) kinds(kind ledger.Kind) int {
	w.t.Helper()
	n := 0
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		list, err := r.Entries(1<<40, 1000)
		for _, e := range list {
			if e.Leaf.Kind == kind {
				n++
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return n
}
