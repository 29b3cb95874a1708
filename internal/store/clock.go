package store

import (
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// ErrClock says that the clock can't be right. Nothing is written until it is, and
// after a jump not before the server is started again: what the ledger dates
// wrongly it dates wrongly for ever. It is an ErrUnavailable.
var ErrClock = fmt.Errorf("%w: this machine's clock can't be right; set it and start the server again", ErrUnavailable)

// maxJump is how far the clock may move against the time that has passed, and how
// far it may be behind the newest leaf.
const maxJump = 30 * time.Second

// CheckClock refuses a clock that is behind the newest leaf, as a write would.
func CheckClock(now time.Time, head Head) error {
	if canon.At(now.Add(maxJump)) < head.At {
		return fmt.Errorf("%w (it shows %s, the newest entry is of %s)", ErrClock, now.UTC().Format(time.RFC3339), head.At.Time().Format(time.RFC3339))
	}
	return nil
}

// maxApart is how far the clock and the database's may be apart. Several servers
// write to one database, and each dates what it writes by its own clock.
const maxApart = 5 * time.Second

// clock compares wall-clock time with the time that has passed since the first
// look.
type clock struct {
	mu    sync.Mutex
	first time.Time // with its monotonic reading
}

// CheckClock returns ErrClock if nothing would be written now because of the
// clock.
func (s *Store) CheckClock(head Head) error { return s.clock.check(s.now(), head, time.Time{}) }

// check refuses a clock that jumped, that is behind the newest leaf by more than
// maxJump, or more than maxApart from the database's, which is zero if it has none
// but ours. A time without monotonic reading, as tests give, never jumps.
func (c *clock) check(now time.Time, head Head, database time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() {
		c.first = now
	}
	if apart := now.Round(0).Sub(database); !database.IsZero() && apart.Abs() > maxApart {
		return fmt.Errorf("%w (it is %s from the database's, at most %s are allowed)", ErrClock, apart.Round(time.Millisecond), maxApart)
	}
	return c.held(now, now.Sub(c.first), head)
}

// held is check for a moment at which passed has gone by since the first look.
func (c *clock) held(now time.Time, passed time.Duration, head Head) error {
	shown := now.Round(0).Sub(c.first.Round(0)) // Round(0) leaves out the monotonic reading
	if jump := shown - passed; jump.Abs() > maxJump {
		return fmt.Errorf("%w (it jumped by %s)", ErrClock, jump.Round(time.Second))
	}
	return CheckClock(now, head)
}
