package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/internal/lab"
)

// sealed: nothing is signed and it is said to be for now; after the unseal the
// same signer goes on.
func sealed(t *testing.T, w world) {
	ctx := t.Context()
	c := w.config(t, "user-ca")
	s := open(t, c)
	if err := w.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(ctx, []byte("while sealed"))
	if sig != nil || !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "Vault is sealed") {
		t.Errorf("%v, %v", sig, err)
	}
	if err := s.Ready(ctx); !errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("ready: %v", err)
	}
	refusedAt(t, c, ca.ErrUnavailable, "Vault is sealed")
	c.Public = s.PublicKey()
	late := open(t, c) // knows what the key must be, so it may compare later
	wrong := c
	wrong.Public = newKey(t)
	misled := open(t, wrong)
	if _, err := late.Sign(ctx, []byte("while sealed")); !errors.Is(err, ca.ErrUnavailable) {
		t.Error(err)
	}
	if err := w.Unseal(ctx); err != nil {
		t.Fatal(err)
	}
	for _, signer := range []*Signer{s, late} {
		sig, err := signer.Sign(ctx, []byte("unsealed"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.PublicKey().Verify([]byte("unsealed"), sig); err != nil {
			t.Error(err)
		}
		if err := signer.Ready(ctx); err != nil {
			t.Error(err)
		}
	}
	if _, err := misled.Sign(ctx, []byte("unsealed")); !errors.Is(err, ErrKey) {
		t.Errorf("another key than the ledger's: %v", err)
	}
	if err := misled.Ready(ctx); !errors.Is(err, ErrKey) {
		t.Errorf("ready: %v", err)
	}
}

// slow: a Vault that takes connections and never answers. The deadline counts
// from each call, also for those who wait behind another.
func slow(t *testing.T, w world) {
	c := w.config(t, "user-ca")
	c.Timeout = 500 * time.Millisecond
	s := open(t, c)
	if err := w.Pause(t.Context()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	patient, done := context.WithTimeout(t.Context(), 20*time.Second)
	defer done()
	var calls sync.WaitGroup
	for i := range 8 {
		calls.Go(func() {
			_, err := s.Sign(patient, fmt.Appendf(nil, "%d", i))
			if !errors.Is(err, ca.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(fmt.Sprint(err), "no answer in time") {
				t.Errorf("caller %d: %v", i, err)
			}
		})
	}
	calls.Wait()
	// Far more than the deadline, and far less than a client's own minute.
	if took := time.Since(begin); took < c.Timeout || took > 10*time.Second {
		t.Errorf("it took %s", took)
	}
	if err := w.Resume(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := lab.Poll(ctx, "a signature", func() (bool, error) {
		_, err := s.Sign(ctx, []byte("afterwards"))
		if err != nil && !errors.Is(err, ca.ErrUnavailable) {
			return false, err
		}
		return err == nil, nil
	})
	if err != nil {
		t.Error(err)
	}
}

// noneLeft: every signer of the parts before was closed, and nothing of them
// runs any more, whatever its callers and Vault did.
func noneLeft(t *testing.T, _ world) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var left []string
	err := lab.Poll(ctx, "the end of the signers' goroutines", func() (bool, error) {
		left = nil
		for _, stack := range stacks(t) {
			if strings.Contains(stack, "/ca/vault.(*Signer)") {
				left = append(left, stack)
			}
		}
		return len(left) == 0, nil
	})
	if err != nil {
		t.Errorf("%v:\n%s", err, strings.Join(left, "\n\n"))
	}
}

// away: no Vault at all.
func away(t *testing.T, w world) {
	c := w.config(t, "user-ca")
	s := open(t, c)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(t.Context(), []byte("x")); !errors.Is(err, ca.ErrUnavailable) || !strings.Contains(fmt.Sprint(err), "no answer") {
		t.Error(err)
	}
	refusedAt(t, c, ca.ErrUnavailable, "no answer")
}
