// Package consumer feeds the ledger to whoever acts on it outside: exports to a
// SIEM, notifications, webhooks. A consumer is a name and a function over entries
// in order; how far it has come is a row of the database.
//
// Each entry is handed over at least once, in order, and none is passed over: the
// cursor moves when the function has succeeded, so a crash in between hands the
// same entries over again. Only what is under a signed checkpoint is handed over,
// because anything newer may yet be lost with its database. Of several processes on
// one database one feeds a consumer at a time, as long as its lease is renewed.
//
// An entry that can't be taken holds up those behind it, for as long as it takes:
// it is tried again, ever more seldom, and the operator is told. Nothing is skipped.
package consumer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// Ledger is the authority as a consumer needs it.
type Ledger interface {
	// Store is read from.
	Store() *store.Store
	// TakeCursor makes holder the one that feeds the consumer, and returns where it
	// stands. It refuses with store.ErrHeld while another process is.
	TakeCursor(ctx context.Context, name string, holder canon.ID) (store.Cursor, error)
	// MoveCursor is durable when it returns. It refuses with store.ErrHeld if the
	// consumer stands elsewhere, or is fed by another process.
	MoveCursor(ctx context.Context, c store.Cursor, next int64) (store.Cursor, error)
}

// Func takes entries, in order and without a gap. What it returns nil for is taken
// for good: it is durable, or delivered. It may be given the same entries again.
type Func func(ctx context.Context, entries []store.Entry) error

// Config is a consumer. All but Logger and Failed must be given.
type Config struct {
	Name   string // of its cursor, for good
	Take   Func
	Ledger Ledger
	Now    func() time.Time
	Rand   io.Reader    // a cryptographic source, for the process's id
	Logger *slog.Logger // zero: nothing is logged
	Failed func()       // called for each failure; zero: nobody counts
}

const (
	// batch is how many entries are handed over at once.
	batch = 256
	// renewEvery is how often a lease is renewed while nothing happens. It is less
	// than half of what a lease lasts.
	renewEvery = 10 * time.Second
	// firstPause and longestPause bound how long a failing consumer waits; the pause
	// doubles each time, and is spread so that several do not come at once.
	firstPause   = 500 * time.Millisecond
	longestPause = time.Minute
	// signPause is how long a leaf is given to be signed before it is looked for
	// again, ever more seldom: a commit wakes, its checkpoint comes a little later.
	signPause = 20 * time.Millisecond
)

// Consumer feeds one function.
type Consumer struct {
	Config
	holder canon.ID
	cursor store.Cursor
	held   bool // cursor is ours, as far as is known
	failed int  // times in a row
	early  int  // looks in a row that found leaves, and none of them signed
}

// New returns a consumer that Run starts.
func New(c Config) (*Consumer, error) {
	if c.Name == "" || c.Take == nil || c.Ledger == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("consumer: name, function, ledger, clock and randomness must be given")
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Failed == nil {
		c.Failed = func() {}
	}
	holder, err := canon.NewID(c.Rand)
	return &Consumer{Config: c, holder: holder}, err
}

// Run feeds the function until ctx ends.
func (c *Consumer) Run(ctx context.Context) {
	for ctx.Err() == nil {
		grown := c.Ledger.Store().Grown() // before the read, so that nothing is missed
		took, err := c.step(ctx)
		switch {
		case err == nil && took:
			c.succeeded(ctx)
		case err == nil:
			c.succeeded(ctx)
			pause(ctx, c.quiet(), grown)
		case errors.Is(err, store.ErrHeld): // another process does it
			c.held, c.failed = false, 0
			pause(ctx, renewEvery, nil)
		case ctx.Err() == nil:
			c.fail(ctx, err)
			pause(ctx, c.wait(), nil)
		}
	}
}

// step hands over the next entries, if there are some and this process may.
func (c *Consumer) step(ctx context.Context) (took bool, err error) {
	if !c.held || c.cursor.Until < canon.At(c.Now().Add(2*renewEvery)) {
		if c.cursor, err = c.Ledger.TakeCursor(ctx, c.Name, c.holder); err != nil {
			return false, err
		}
		c.held = true
	}
	entries, err := c.next(ctx)
	if err != nil || len(entries) == 0 {
		return false, err
	}
	if err := c.Take(ctx, entries); err != nil {
		return false, fmt.Errorf("leaves %d to %d: %w", entries[0].Index, entries[len(entries)-1].Index, err)
	}
	// What was taken is taken also if this process is told to stop meanwhile.
	moved, err := c.Ledger.MoveCursor(context.WithoutCancel(ctx), c.cursor, entries[len(entries)-1].Index+1)
	if err != nil {
		c.held = false // it is read anew where it stands
		return false, err
	}
	c.cursor = moved
	return true, nil
}

// next reads the entries behind the cursor that are under a signed checkpoint.
func (c *Consumer) next(ctx context.Context) (entries []store.Entry, err error) {
	err = c.Ledger.Store().Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		signed, _, _, err := r.Checkpoint()
		if err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
		switch {
		case head.Tree.Size <= c.cursor.Next:
			c.early = 0
			return nil
		case signed <= c.cursor.Next:
			c.early++
			return nil
		}
		c.early = 0
		entries, err = r.EntriesFrom(c.cursor.Next, int(min(batch, signed-c.cursor.Next)))
		if err != nil {
			return err
		}
		for i, e := range entries {
			if e.Index != c.cursor.Next+int64(i) {
				return fmt.Errorf("leaf %d: %w", c.cursor.Next+int64(i), record.ErrNotFound)
			}
		}
		return nil
	})
	return entries, err
}

// fail tells the operator, the first time and then less and less often.
func (c *Consumer) fail(ctx context.Context, err error) {
	c.failed++
	c.Failed()
	if c.failed&(c.failed-1) == 0 { // 1, 2, 4, 8, …
		c.Logger.LogAttrs(ctx, slog.LevelError, "consumer stuck", slog.String("consumer", c.Name), slog.Int("tries", c.failed), slog.Any("error", err))
	}
}

func (c *Consumer) succeeded(ctx context.Context) {
	if c.failed > 0 {
		c.Logger.LogAttrs(ctx, slog.LevelInfo, "consumer goes on", slog.String("consumer", c.Name), slog.Int64("next", c.cursor.Next))
	}
	c.failed = 0
}

// quiet is how long to wait while there is nothing to take.
func (c *Consumer) quiet() time.Duration {
	if c.early == 0 || c.early > 9 {
		return renewEvery
	}
	return signPause << (c.early - 1)
}

// wait is how long to wait after so many failures: from half of the pause to all
// of it.
func (c *Consumer) wait() time.Duration {
	d := longestPause
	if c.failed < 8 {
		d = min(d, firstPause<<(c.failed-1))
	}
	return d/2 + rand.N(d/2+1) //nolint:gosec // nobody gains from guessing it
}

// pause waits for d, or less if woken or ctx ends.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
	}
}
