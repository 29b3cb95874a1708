package authority

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
)

// shows is a home of the key that shows it whatever becomes of signatures, as
// Vault does with a policy that allows reading alone.
type shows struct {
	ca.Signer
	ready, sign error
	signed      *atomic.Int64
}

func (s shows) Ready(context.Context) error { return s.ready }

func (s shows) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	s.signed.Add(1)
	if s.sign != nil {
		return nil, s.sign
	}
	return s.Signer.Sign(ctx, tbs)
}

// TestPromiseP14_TheSignerIsNotTakenAtItsWord: a home that shows the key and does
// not sign is found out by the first certificate, and asked to sign a probe until
// it does. One that signs is not asked to.
func TestPromiseP14_TheSignerIsNotTakenAtItsWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	var signed atomic.Int64
	good := shows{Signer: w.config.CA, signed: &signed}
	refuses := good
	refuses.sign = ca.ErrUnavailable
	check := func(what string, want error, probes int64) {
		t.Helper()
		before := signed.Load()
		if err := w.a.CheckSigner(t.Context()); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", what, err, want)
		}
		if n := signed.Load() - before; n != probes {
			t.Errorf("%s: it signed %d times, want %d", what, n, probes)
		}
	}
	w.a.ca = refuses
	check("nobody has asked for a certificate", nil, 0)
	if _, err := alice.issue(grant, key); !errors.Is(err, ca.ErrUnavailable) {
		t.Fatal(err)
	}
	check("a signature has failed", ca.ErrUnavailable, 1)
	check("and goes on failing", ca.ErrUnavailable, 1)
	w.a.ca = good
	check("it signs again", nil, 1)
	check("and is believed", nil, 0)
	w.a.ca = refuses
	if _, err := alice.issue(grant, key); err == nil {
		t.Fatal("it was issued")
	}
	w.a.ca = good
	if _, err := alice.issue(grant, key); err != nil {
		t.Fatal(err)
	}
	check("a certificate was signed", nil, 0)
	away := good
	away.ready = ca.ErrUnavailable
	w.a.ca = away
	check("it says itself that it is away", ca.ErrUnavailable, 0)
	w.a.ca = wrongBytes{w.config.CA}
	w.a.doubted.Store(true)
	check("it signs something else", ca.ErrSigner, 0)
}

// TestChecksOfAWholeAuthority finds nothing wrong, and leaves no leaf.
func TestChecksOfAWholeAuthority(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	before := w.size()
	for name, check := range map[string]func(context.Context) error{
		"database": w.a.CheckDatabase, "ledger": w.a.CheckLedger, "signer": w.a.CheckSigner, "clock": w.a.CheckClock, "contracts": w.a.CheckContracts,
	} {
		if err := check(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if w.size() != before {
		t.Error("the checks left a leaf")
	}
	mark := w.config.Mark.(*memoryMark)
	mark.fail = errors.New("no space left on device")
	w.addHost("another.demo", nil) // committed, and no checkpoint over it
	if err := w.a.CheckLedger(t.Context()); err == nil || errors.Is(err, ErrDegraded) {
		t.Errorf("a mark that can't be written: %v", err)
	}
	mark.fail = nil
	if err := w.a.CheckLedger(t.Context()); err != nil {
		t.Errorf("a mark that can be written again: %v", err)
	}
}
