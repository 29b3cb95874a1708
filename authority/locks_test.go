package authority

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/record"
)

// A storm of repeats of one call is one certificate.
func TestPromiseP14_ARetryStormIsOneLeaf(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	docs := make([]record.IssueDoc, 16)
	for i := range docs {
		docs[i] = alice.issueDoc(grant, key)
	}
	size := w.size()
	serials := make([]uint64, len(docs))
	var calls sync.WaitGroup
	for i := range docs {
		calls.Go(func() {
			issued, err := alice.issueAs(grant, docs[i], alice.device, key)
			if err != nil {
				t.Errorf("call %d: %v", i, err)
				return
			}
			serials[i] = issued.Certificate.Serial
		})
	}
	calls.Wait()
	for i, serial := range serials {
		if serial != serials[0] {
			t.Errorf("call %d got serial %d, the first %d", i, serial, serials[0])
		}
	}
	if n := w.size() - size; n != 1 {
		t.Errorf("%d leaves, want 1", n)
	}
	if n := len(w.a.issuing.byName); n != 0 {
		t.Errorf("%d locks are left", n)
	}
}

// Who waits for another's call gives up with their own.
func TestLockGivesUp(t *testing.T) {
	t.Parallel()
	var l locks
	unlock, err := l.lock(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := l.lock(ctx, "a"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v, want DeadlineExceeded", err)
	}
	other, err := l.lock(t.Context(), "b")
	if err != nil {
		t.Fatal(err)
	}
	other()
	unlock()
	if unlock, err = l.lock(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	unlock()
	if len(l.byName) != 0 {
		t.Errorf("left: %v", l.byName)
	}
}
