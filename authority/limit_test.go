package authority

import (
	"errors"
	"strings"
	"sync"
	"testing"

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
