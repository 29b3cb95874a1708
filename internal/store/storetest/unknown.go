package storetest

import (
	"context"
	"database/sql"
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
)

var errBroken = errors.New("the connection broke")

// Commit commits, or does what the test has put in its place for once.
func (e *watched) Commit(tx *sql.Tx) error {
	e.mu.Lock()
	instead := e.instead
	e.instead = nil
	e.mu.Unlock()
	if instead != nil {
		return instead(tx)
	}
	return e.Engine.Commit(tx)
}

// nextCommit puts something in the place of the next commit.
func (f *fixture) nextCommit(instead func(*sql.Tx) error) {
	f.engine.mu.Lock()
	defer f.engine.mu.Unlock()
	f.engine.instead = instead
}

// testUnknown: a write whose commit was not answered is found out about before
// anybody hears of it, and is made again if it does not stand.
func testUnknown(t *testing.T, f *fixture) {
	f.setup()
	for name, stands := range map[string]bool{"stands.demo": true, "lost.demo": false} {
		before, ran, asked := f.s.Acknowledged().Tree.Size, 0, 0
		f.nextCommit(func(tx *sql.Tx) error {
			end := tx.Rollback
			if stands {
				end = func() error { return f.engine.Engine.Commit(tx) }
			}
			return &store.UnknownError{Err: errors.Join(errBroken, end()), Settle: func(context.Context) (bool, error) {
				if asked++; asked < 3 {
					return false, errBroken
				}
				if n := f.s.Acknowledged().Tree.Size; n != before {
					t.Errorf("%d leaves count as acknowledged, %d are", n, before)
				}
				return stands, nil
			}}
		})
		f.mustWrite(func(l Ledger) error {
			ran++
			return f.join(name)(l)
		})
		want := 2
		if stands {
			want = 1
		}
		if ran != want || f.head().Tree.Size != before+1 || f.s.Acknowledged().Tree.Size != before+1 {
			t.Errorf("%s: run %d times, want %d; %d leaves", name, ran, want, f.head().Tree.Size-before)
		}
	}
	f.consistent()
}

// testUnsettled: whose patience ends hears that the outcome is unknown, whoever
// comes then is turned away, and nothing counts as acknowledged until a later write
// is.
func testUnsettled(t *testing.T, f *fixture) {
	f.setup()
	before := f.s.Acknowledged().Tree.Size
	known := make(chan struct{})
	f.nextCommit(func(tx *sql.Tx) error {
		return &store.UnknownError{Err: errors.Join(errBroken, f.engine.Engine.Commit(tx)), Settle: func(ctx context.Context) (bool, error) {
			select {
			case <-known:
				return true, nil
			case <-ctx.Done():
				return false, ctx.Err()
			}
		}}
	})
	err := f.write(f.join("unknown.demo"))
	wants(t, "the write", err, store.ErrUnknownOutcome)
	wants(t, "the write", err, store.ErrUnavailable)
	for name, write := range map[string]func(context.Context, func(*store.Tx) error) error{"a later one": f.s.Write, "a denial": f.s.WriteUrgent} {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second) // it is turned away at once
		err := write(ctx, func(*store.Tx) error {
			t.Error("it ran")
			return nil
		})
		cancel()
		wants(t, name, err, store.ErrUnavailable)
		if errors.Is(err, store.ErrUnknownOutcome) {
			t.Errorf("%s was not done, and says %v", name, err)
		}
	}
	if n := f.s.Acknowledged().Tree.Size; n != before {
		t.Errorf("%d leaves count as acknowledged, %d are", n, before)
	}
	close(known)
	for err = store.ErrUnavailable; errors.Is(err, store.ErrUnavailable); {
		err = f.s.Barrier(t.Context())
	}
	wants(t, "a barrier afterwards", err, nil)
	if n := f.s.Acknowledged().Tree.Size; n != before+1 {
		t.Errorf("%d leaves are acknowledged then, want %d", n, before+1)
	}
	f.mustWrite(f.join("later.demo"))
	f.consistent()
}

// testUnsettledAtTheEnd: a store that is closed waits for no answer.
func testUnsettledAtTheEnd(t *testing.T, f *fixture) {
	f.setup()
	asked := make(chan struct{})
	f.nextCommit(func(tx *sql.Tx) error {
		return &store.UnknownError{Err: errors.Join(errBroken, tx.Rollback()), Settle: func(ctx context.Context) (bool, error) {
			close(asked)
			<-ctx.Done()
			return false, ctx.Err()
		}}
	})
	ended := make(chan error, 1)
	go func() { ended <- f.write(f.join("unknown.demo")) }()
	select {
	case <-asked:
	case err := <-ended:
		t.Fatalf("the write was answered: %v", err)
	}
	if err := f.s.Close(); err != nil {
		t.Error(err)
	}
	wants(t, "the write", <-ended, store.ErrUnknownOutcome)
	f.s = nil
	f.reopen()
	f.mustWrite(f.join("unknown.demo"))
}

// patience is that of the suite's stores.
const patience = time.Second
