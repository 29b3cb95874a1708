package authority

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
)

// A cancelled request makes room for another one.
func TestACancelledRequestIsNotOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	var last approval.Request
	for range MaxOpen {
		var err error
		if last, err = alice.submit(alice.newRequest()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := alice.submit(alice.newRequest()); !errors.Is(err, ErrTooManyOpen) || !strings.Contains(err.Error(), "sally cancel") {
		t.Errorf("one more: %v, want ErrTooManyOpen", err)
	}
	if _, err := alice.cancel(last); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.submit(alice.newRequest()); err != nil {
		t.Errorf("after one was cancelled: %v", err)
	}
	if _, err := alice.submit(alice.newRequest()); !errors.Is(err, ErrTooManyOpen) {
		t.Errorf("and one more: %v, want ErrTooManyOpen", err)
	}
}

// However many are filed at once, no more than the limit are open.
func TestParallelRequestsKeepTheLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	var group sync.WaitGroup
	errs := make([]error, MaxOpen+8)
	for i := range errs {
		group.Go(func() { _, errs[i] = alice.submit(alice.newRequest()) })
	}
	group.Wait()
	filed := 0
	for _, err := range errs {
		switch {
		case err == nil:
			filed++
		case !errors.Is(err, ErrTooManyOpen):
			t.Errorf("one of many: %v", err)
		}
	}
	if filed != MaxOpen {
		t.Errorf("%d requests are open", filed)
	}
}

// Cancelling makes room for another request, but not for requests without end:
// each is two leaves that stay. It is never cancelling that is refused.
func TestRequestsToCancelAreLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, carol := w.logIn("alice", []string{"engineers"}), w.logIn("carol", []string{"engineers"})
	first := w.clock()
	for i := range MaxCancelled {
		r, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatalf("request %d: %v", i+1, err)
		}
		if _, err := alice.cancel(r); err != nil {
			t.Fatal(err)
		}
		w.pass(time.Second)
	}
	size := w.size()
	_, err := alice.submit(alice.newRequest())
	if !errors.Is(err, ErrTooManyCancelled) || !strings.Contains(err.Error(), "after "+first.Add(time.Hour).UTC().Format(time.RFC3339)) {
		t.Errorf("one more: %v, want ErrTooManyCancelled until %s", err, first.Add(time.Hour))
	}
	if w.size() != size {
		t.Errorf("%d leaves", w.size()-size)
	}
	if _, err := carol.submit(carol.newRequest()); err != nil {
		t.Errorf("somebody else's: %v", err)
	}
	w.pass(time.Hour)
	alice = w.logIn("alice", []string{"engineers"})
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatalf("an hour later: %v", err)
	}
	if _, err := alice.cancel(r); err != nil {
		t.Error(err)
	}
}

// What is open can be cancelled although too many were, and hides none of them.
func TestCancellingIsNotLimited(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice", []string{"engineers"})
	file := func() approval.Request {
		t.Helper()
		r, err := alice.submit(alice.newRequest())
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	for range MaxCancelled - 1 {
		if _, err := alice.cancel(file()); err != nil {
			t.Fatal(err)
		}
	}
	var open []approval.Request
	for range MaxOpen {
		open = append(open, file())
	}
	if _, err := alice.cancel(open[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := alice.submit(alice.newRequest()); !errors.Is(err, ErrTooManyCancelled) {
		t.Errorf("one more: %v, want ErrTooManyCancelled", err)
	}
	for _, r := range open {
		if _, err := alice.cancel(r); err != nil {
			t.Errorf("cancelling: %v", err)
		}
	}
}
