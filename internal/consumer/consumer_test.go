package consumer

import (
	"context"
	"crypto/rand"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// world is a ledger over a real database, as package authority writes it.
type world struct {
	t     *testing.T
	w     *recordtest.World
	s     *store.Store
	alone bool // no other process can be there

	mu  sync.Mutex
	now time.Time // guarded by mu
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, w: recordtest.New(t, t.Name()), now: recordtest.Start().Time(), alone: true}
	engine, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	must(t, err)
	w.s, err = store.New(store.Config{Engine: engine, Now: w.clock, Rand: rand.Reader})
	must(t, err)
	t.Cleanup(func() { must(t, w.s.Close()) })
	w.write(func(l storetest.Ledger) { w.w.Setup(l) })
	w.sign()
	return w
}

func (w *world) clock() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) write(fn func(storetest.Ledger)) {
	w.t.Helper()
	must(w.t, w.s.Write(context.Background(), func(tx *store.Tx) error {
		fn(storetest.Ledger{Tx: tx})
		return nil
	}))
}

// join appends a leaf.
func (w *world) join(name string) {
	w.t.Helper()
	w.write(func(l storetest.Ledger) {
		_, err := l.Append(recordtest.Draft{Facts: w.w.Join(l, sshcert.Host(name), "demo")})
		must(w.t, err)
	})
}

// sign signs what there is, and returns how many leaves that are.
func (w *world) sign() (size int64) {
	w.t.Helper()
	signer, err := ledger.NewLogSigner(w.w.LogPrivate)
	must(w.t, err)
	w.write(func(l storetest.Ledger) {
		head, err := l.Head()
		must(w.t, err)
		root, err := head.Tree.Root()
		must(w.t, err)
		c := ledger.Checkpoint{Origin: recordtest.Origin, Size: head.Tree.Size, Root: root}
		note, err := signer.Sign(c)
		must(w.t, err)
		must(w.t, l.PutCheckpoint(c, note))
		size = c.Size
	})
	return size
}

// The Ledger of a consumer.

func (w *world) Store() *store.Store { return w.s }

func (w *world) TakeCursor(ctx context.Context, name string, holder canon.ID) (c store.Cursor, err error) {
	err = w.s.Write(ctx, func(tx *store.Tx) error {
		c, err = tx.TakeCursor(name, holder, tx.Now()+lease, w.alone)
		return err
	})
	return c, err
}

func (w *world) MoveCursor(ctx context.Context, c store.Cursor, next int64) (store.Cursor, error) {
	err := w.s.Write(ctx, func(tx *store.Tx) error { return tx.MoveCursor(c, next, tx.Now()+lease) })
	if err == nil {
		c.Next = next
		c.Until = canon.At(w.clock()) + lease
	}
	return c, err
}

const lease = canon.Micros(30 * time.Second / time.Microsecond)

// taker keeps what it was given, and fails when it is told to.
type taker struct {
	mu    sync.Mutex
	taken []int64
	fails int
	calls int
	news  chan struct{}
}

var errAway = errors.New("the sink is away")

func newTaker(fails int) *taker { return &taker{fails: fails, news: make(chan struct{}, 1000)} }

func (k *taker) take(_ context.Context, entries []store.Entry) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.calls++
	if k.fails > 0 {
		k.fails--
		return errAway
	}
	for _, e := range entries {
		k.taken = append(k.taken, e.Index)
		k.news <- struct{}{}
	}
	return nil
}

// more waits for so many leaves more.
func (k *taker) more(t *testing.T, n int64) {
	t.Helper()
	for range n {
		select {
		case <-k.news:
		case <-time.After(20 * time.Second):
			t.Fatal("a new leaf was not taken")
		}
	}
}

// upTo waits until leaf size-1 was taken, and demands that all before it were, once,
// in order.
func (k *taker) upTo(t *testing.T, from, size int64) {
	t.Helper()
	k.more(t, size-from)
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := from; i < size; i++ {
		if k.taken[i-from] != i {
			t.Fatalf("taken were %v", k.taken)
		}
	}
}

// run starts a consumer and returns what ends it.
func (w *world) run(name string, k *taker) (stop func()) {
	w.t.Helper()
	c, err := New(Config{Name: name, Take: k.take, Ledger: w, Now: w.clock, Rand: rand.Reader})
	must(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { c.Run(ctx) })
	return func() { cancel(); running.Wait() }
}

func (w *world) cursor(name string) store.Cursor {
	w.t.Helper()
	var out store.Cursor
	must(w.t, w.s.Read(w.t.Context(), func(r *store.Reader) error {
		list, err := r.Cursors()
		for _, c := range list {
			if c.Name == name {
				out = c
			}
		}
		return err
	}))
	return out
}

// TestPromiseP14_ConsumersLoseNothing: a consumer takes every signed leaf once, in
// order, is woken by new ones, goes on where it stood after a restart, and fails
// without passing anything over. Another one has a place of its own.
func TestPromiseP14_ConsumersLoseNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	first := w.sign()
	one := newTaker(0)
	stop := w.run("one", one)
	one.upTo(t, 0, first)
	w.join("web-3.demo") // wakes, and is not signed yet
	second := w.sign()
	one.more(t, second-first)
	w.join("web-4.demo") // is not signed at all
	stop()
	if c := w.cursor("one"); c.Next != second {
		t.Errorf("it stands at %d, signed are %d", c.Next, second)
	}

	third := w.sign()
	again := newTaker(2)
	stop = w.run("one", again)
	again.upTo(t, second, third)
	stop()
	again.mu.Lock()
	if again.calls < 3 {
		t.Errorf("it was tried %d times", again.calls)
	}
	again.mu.Unlock()

	other := newTaker(0)
	stop = w.run("other", other)
	other.upTo(t, 0, third)
	stop()
}

// TestPromiseP11_ConsumersSeeWhatIsSigned: a leaf that is not under a signed
// checkpoint may yet be lost with its database, so nobody outside is told of it.
func TestPromiseP11_ConsumersSeeWhatIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	signed := w.sign()
	w.join("web-3.demo")
	k := newTaker(0)
	c, err := New(Config{Name: "one", Take: k.take, Ledger: w, Now: w.clock, Rand: rand.Reader})
	must(t, err)
	for _, want := range []bool{true, false, false} {
		if took, err := c.step(t.Context()); took != want || err != nil {
			t.Fatalf("took %t, %v", took, err)
		}
	}
	if c.cursor.Next != signed {
		t.Errorf("it stands at %d, signed are %d", c.cursor.Next, signed)
	}
}

// TestPromiseP14_OneProcessFeedsAConsumer: of two processes one does, until it is
// silent for as long as its lease lasts. Who was taken over from does not move the
// cursor any more.
func TestPromiseP14_OneProcessFeedsAConsumer(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.alone = false
	a, b := newTaker(0), newTaker(0)
	process := func(k *taker) *Consumer {
		c, err := New(Config{Name: "one", Take: k.take, Ledger: w, Now: w.clock, Rand: rand.Reader})
		must(t, err)
		return c
	}
	first, second := process(a), process(b)
	step := func(c *Consumer, want bool, wantErr error) {
		t.Helper()
		if took, err := c.step(t.Context()); took != want || !errors.Is(err, wantErr) {
			t.Fatalf("took %t, %v; want %t, %v", took, err, want, wantErr)
		}
	}
	step(first, true, nil)
	step(second, false, store.ErrHeld)
	w.pass(29 * time.Second)
	step(first, false, nil) // renews
	w.pass(29 * time.Second)
	w.join("web-3.demo")
	w.sign()
	step(second, false, store.ErrHeld)
	w.pass(2 * time.Second)
	step(second, true, nil)
	w.join("web-4.demo")
	w.sign()
	first.cursor.Until = canon.At(w.clock()) + lease // it has not looked at the clock since
	step(first, false, store.ErrHeld)
	step(second, true, nil)
	if b.taken[len(b.taken)-1] != w.cursor("one").Next-1 {
		t.Errorf("taken were %v, it stands at %d", b.taken, w.cursor("one").Next)
	}
}

// TestWait: the pause doubles up to a minute, and is spread over half of itself.
func TestWait(t *testing.T) {
	t.Parallel()
	for failed, most := range map[int]time.Duration{1: firstPause, 2: 2 * firstPause, 7: 64 * firstPause, 8: longestPause, 1000: longestPause} {
		c := &Consumer{failed: failed}
		low, high := false, false
		for range 1000 {
			d := c.wait()
			if d < most/2 || d > most {
				t.Fatalf("after %d failures it waits %s, at most %s", failed, d, most)
			}
			low, high = low || d < most*3/4, high || d > most*3/4
		}
		if !low || !high {
			t.Errorf("after %d failures the pauses are not spread", failed)
		}
	}
}
