package storetest

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

// testCursors: a consumer has one place, moved by compare-and-swap by who holds it
// and nobody else; another process takes it over when the lease is over, or when the
// one before is known to be gone. It adds no leaf.
func testCursors(t *testing.T, f *fixture) {
	const a, b = canon.ID("mzxw6ytboi2dqmrvgm4tanrwge"), canon.ID("nzxw6ytboi2dqmrvgm4tanrwge")
	lease := canon.Micros(30 * time.Second / time.Microsecond)
	take := func(name string, holder canon.ID, gone bool) (c store.Cursor, err error) {
		err = f.write(func(l Ledger) error {
			c, err = l.TakeCursor(name, holder, l.Now()+lease, gone)
			return err
		})
		return c, err
	}
	move := func(c store.Cursor, next int64) error {
		return f.write(func(l Ledger) error { return l.MoveCursor(c, next, l.Now()+lease) })
	}
	f.setup()
	size := f.head().Tree.Size
	first, err := take("one", a, false)
	wants(t, "taking a new one", err, nil)
	if first.Next != 0 || first.Holder != a {
		t.Errorf("a new cursor is %+v", first)
	}
	wants(t, "moving it", move(first, 3), nil)
	wants(t, "moving it from where it was", move(first, 5), store.ErrHeld)
	_, err = take("one", b, false)
	wants(t, "taking one that is held", err, store.ErrHeld)
	wants(t, "moving it as another", move(store.Cursor{Name: "one", Next: 3, Holder: b}, 5), store.ErrHeld)
	wants(t, "moving one that is not there", move(store.Cursor{Name: "two", Holder: a}, 5), store.ErrHeld)
	again, err := take("one", a, false)
	wants(t, "taking one's own", err, nil)
	if again.Next != 3 {
		t.Errorf("it stands at %d, want 3", again.Next)
	}
	f.pass(31 * time.Second)
	over, err := take("one", b, false)
	wants(t, "taking one whose lease is over", err, nil)
	wants(t, "moving it by the one before", move(again, 4), store.ErrHeld)
	wants(t, "moving it", move(over, 4), nil)
	_, err = take("one", a, true)
	wants(t, "taking one whose holder is gone", err, nil)
	_, err = take("other", b, false)
	wants(t, "taking another one", err, nil)
	wants(t, "a write that is undone", f.write(func(l Ledger) error {
		if _, err := l.TakeCursor("third", a, l.Now(), false); err != nil {
			return err
		}
		return errChanged
	}), errChanged)
	f.mustRead(func(r *store.Reader) error {
		list, err := r.Cursors()
		if err == nil && (len(list) != 2 || list[0].Name != "one" || list[0].Next != 4 || list[0].Holder != a || list[1].Name != "other" || list[1].Next != 0) {
			t.Errorf("the cursors are %+v", list)
		}
		return err
	})
	if now := f.head().Tree.Size; now != size {
		t.Errorf("%d leaves, there were %d", now, size)
	}
}
