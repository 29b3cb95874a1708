package storetest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// write is one function that waits with others.
type write struct {
	name   string
	urgent bool
	do     func(Ledger) error
}

// outcome is what became of writes that shared a batch.
type outcome struct {
	mu    sync.Mutex
	errs  map[string]error
	order []string // in which their functions ran, reruns included
}

// inLine is a context that tells when its write has been put in line: it is
// asked for Done only then.
type inLine struct {
	context.Context //nolint:containedctx // it is one

	once sync.Once
	now  chan struct{}
}

func newInLine(ctx context.Context) *inLine { return &inLine{Context: ctx, now: make(chan struct{})} }

// Done tells, and answers as the context does.
func (c *inLine) Done() <-chan struct{} {
	c.once.Do(func() { close(c.now) })
	return c.Context.Done()
}

// hold keeps the writer busy until release is called.
func (f *fixture) hold() (release func()) {
	f.t.Helper()
	held, free, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		err := f.s.Write(f.t.Context(), func(*store.Tx) error {
			close(held)
			<-free
			return errChanged
		})
		wants(f.t, "the write that holds the writer", err, errChanged)
	}()
	<-held
	return func() {
		close(free)
		<-done
	}
}

// together has writes wait in the order given until all stand in line, so that
// they share a batch, and returns what became of each.
func (f *fixture) together(jobs []write) *outcome {
	f.t.Helper()
	out := &outcome{errs: make(map[string]error)}
	var group sync.WaitGroup
	release := f.hold()
	for _, j := range jobs {
		ctx := newInLine(f.t.Context())
		do := f.s.Write
		if j.urgent {
			do = f.s.WriteUrgent
		}
		group.Go(func() {
			err := call(func() error {
				return do(ctx, func(tx *store.Tx) error {
					out.mu.Lock()
					out.order = append(out.order, j.name)
					out.mu.Unlock()
					return j.do(Ledger{tx})
				})
			})
			out.mu.Lock()
			defer out.mu.Unlock()
			out.errs[j.name] = err
		})
		<-ctx.now
	}
	release()
	group.Wait()
	return out
}

// errPanic is what call makes of a panic.
var errPanic = errors.New("panicked")

func call(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errPanic, p)
		}
	}()
	return do()
}

func (f *fixture) join(name string) func(Ledger) error {
	return func(l Ledger) error { return l.facts(f.w.Join(l, sshcert.Host(name), "demo")) }
}

// testBatch: functions that share a transaction fail alone, whatever they have
// done before they fail.
func testBatch(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	jobs := []write{
		{name: "refused", do: func(l Ledger) error {
			if err := f.join("refused.demo")(l); err != nil {
				return err
			}
			return f.join("web-1.demo")(l)
		}},
		{name: "changed its mind", do: func(l Ledger) error {
			return errors.Join(f.join("changed.demo")(l), l.PutChallenge(canon.Sum("changed"), "issue", l.Now()+1e6), errChanged)
		}},
		{name: "panics", do: func(l Ledger) error {
			if err := f.join("panics.demo")(l); err != nil {
				return err
			}
			panic("on purpose")
		}},
	}
	for n := range 5 {
		name := fmt.Sprintf("good-%d.demo", n)
		jobs = append(jobs, write{name: name, do: f.join(name)})
	}
	out := f.together(jobs)
	wants(t, "refused", out.errs["refused"], record.ErrExists)
	wants(t, "changed its mind", out.errs["changed its mind"], errChanged)
	wants(t, "panics", out.errs["panics"], errPanic)
	for n := range 5 {
		wants(t, "a good one", out.errs[fmt.Sprintf("good-%d.demo", n)], nil)
	}
	if got := f.head().Tree.Size - before; got != 5 {
		t.Errorf("%d leaves, want 5", got)
	}
	if len(out.order) != len(jobs) {
		t.Errorf("they did not share a batch: %v", out.order)
	}
	f.mustRead(func(r *store.Reader) error {
		for _, name := range []sshcert.Host{"refused.demo", "changed.demo", "panics.demo"} {
			_, err := record.Host(r, name)
			wants(t, string(name), err, record.ErrNotFound)
		}
		return nil
	})
	err := f.write(func(l Ledger) error { return l.TakeChallenge(canon.Sum("changed"), "issue") })
	wants(t, "a row of the one that changed its mind", err, store.ErrNoChallenge)
	f.consistent()
}

// testPoison: a function that breaks the whole transaction is run alone, and the
// others with which it shared it are not lost.
func testPoison(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	poison := func(l Ledger) error {
		if err := f.join("poison.demo")(l); err != nil {
			return err
		}
		return f.moveHead()
	}
	out := f.together([]write{
		{name: "good-1.demo", do: f.join("good-1.demo")}, {name: "poison", do: poison}, {name: "good-2.demo", do: f.join("good-2.demo")},
	})
	wants(t, "the poison", out.errs["poison"], store.ErrConflict)
	wants(t, "the one before", out.errs["good-1.demo"], nil)
	wants(t, "the one after", out.errs["good-2.demo"], nil)
	if got := f.head().Tree.Size - before; got != 2 {
		t.Errorf("%d leaves, want 2", got)
	}
	f.consistent()
}

// testUrgent: what takes access away goes before what was there first, and a
// flood does not turn it away.
func testUrgent(t *testing.T, f *fixture) {
	f.setup()
	var jobs []write
	var names []string
	for n := range 20 {
		name := fmt.Sprintf("web-%d.demo", 10+n)
		jobs, names = append(jobs, write{name: name, do: f.join(name)}), append(names, name)
	}
	jobs = append(jobs, write{name: "urgent.demo", urgent: true, do: f.join("urgent.demo")})
	out := f.together(jobs)
	for name, err := range out.errs {
		wants(t, name, err, nil)
	}
	if want := append([]string{"urgent.demo"}, names...); !slices.Equal(out.order, want) {
		t.Errorf("the order was %v, want %v", out.order, want)
	}

	release := f.hold()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const flood = 2000
	busy := make(chan error, flood)
	var group sync.WaitGroup
	for range flood {
		group.Go(func() {
			if err := f.s.Write(ctx, func(*store.Tx) error { return nil }); errors.Is(err, store.ErrBusy) {
				busy <- err
			}
		})
	}
	wants(t, "in a flood", <-busy, store.ErrUnavailable)
	urgent := newInLine(t.Context())
	turned := make(chan error, 1)
	group.Go(func() {
		turned <- f.s.WriteUrgent(urgent, func(tx *store.Tx) error { return f.join("flood.demo")(Ledger{tx}) })
	})
	select {
	case <-urgent.now:
	case err := <-turned:
		t.Errorf("an urgent write in a flood: %v", err)
	}
	cancel() // who waits gives up, and need not be run
	release()
	group.Wait()
	f.mustRead(func(r *store.Reader) error {
		_, err := record.Host(r, "flood.demo")
		wants(t, "the host of the urgent write", err, nil)
		return nil
	})
	f.consistent()
}

// testGivesUp: a caller who gives up in line is not run.
func testGivesUp(t *testing.T, f *fixture) {
	f.setup()
	f.unchanged(func() {
		release := f.hold()
		cancelled, cancel := context.WithCancel(t.Context())
		ctx := newInLine(cancelled)
		ran, ended := false, make(chan error)
		go func() {
			ended <- f.s.Write(ctx, func(tx *store.Tx) error {
				ran = true
				return f.join("given-up.demo")(Ledger{tx})
			})
		}()
		<-ctx.now
		cancel()
		wants(t, "given up in line", <-ended, context.Canceled)
		release()
		wants(t, "the writer goes on", f.write(func(Ledger) error { return errChanged }), errChanged)
		if ran {
			t.Error("its function ran")
		}
	})
}

// testClosing: a write that comes when the store is closed is turned away.
func testClosing(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	if err := f.s.Close(); err != nil {
		t.Fatal(err)
	}
	wants(t, "a write after the end", f.write(f.join("late.demo")), store.ErrUnavailable)
	f.s = nil
	f.reopen()
	if got := f.head().Tree.Size; got != before {
		t.Errorf("%d leaves, want %d", got, before)
	}
}

// testGone: a function that ends the writer's goroutine, as a test's Fatal does,
// leaves nobody waiting and nothing written.
func testGone(t *testing.T, f *fixture) {
	f.setup()
	before := f.head().Tree.Size
	out := f.together([]write{{name: "good", do: f.join("good.demo")}, {name: "ends", do: func(Ledger) error {
		runtime.Goexit()
		return nil
	}}})
	for name, err := range out.errs {
		wants(t, name, err, store.ErrUnavailable)
	}
	wants(t, "a write afterwards", f.write(f.join("late.demo")), store.ErrUnavailable)
	f.reopen()
	if got := f.head().Tree.Size; got != before || len(out.errs) != 2 {
		t.Errorf("%d leaves, want %d; %d answers", got, before, len(out.errs))
	}
}

// consistent holds the head to the leaves that are there.
func (f *fixture) consistent() {
	f.t.Helper()
	var reference hashes
	var kinds []string
	for _, e := range slices.Backward(f.entries()) {
		reference.add(f.t, e.Text)
		kinds = append(kinds, string(e.Leaf.Kind))
	}
	head := f.head()
	if head.Tree.Size != reference.size || f.root(head) != reference.root(f.t) {
		f.t.Errorf("the head is at %d, the leaves are %s", head.Tree.Size, strings.Join(kinds, " "))
	}
}
