package storetest

import (
	"testing"

	"github.com/sallyport/sallyport/internal/store"
)

// testGrown: readers are woken by a commit of leaves and by nothing else, and
// what they read then has the leaves.
func testGrown(t *testing.T, f *fixture) {
	grown := func(c <-chan struct{}) bool {
		select {
		case <-c:
			return true
		default:
			return false
		}
	}
	before, also := f.s.Grown(), f.s.Grown()
	f.mustRead(func(r *store.Reader) error {
		_, err := r.Head()
		return err
	})
	f.mustWrite(func(l Ledger) error { return l.Sweep() })
	wants(t, "a write that is undone", f.write(func(l Ledger) error {
		f.w.Setup(l)
		return errChanged
	}), errChanged)
	if grown(before) || grown(also) {
		t.Error("readers were woken without a leaf")
	}
	woken := make(chan int64, 1)
	go func() {
		<-before
		woken <- f.head().Tree.Size
	}()
	f.setup()
	if size := <-woken; size != f.head().Tree.Size || size == 0 {
		t.Errorf("who was woken finds %d leaves of %d", size, f.head().Tree.Size)
	}
	if !grown(also) {
		t.Error("the other reader was not woken")
	}
	if after := f.s.Grown(); grown(after) {
		t.Error("a reader that came after the commit was woken")
	}
}
