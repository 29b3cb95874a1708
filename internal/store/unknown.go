package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrUnknownOutcome says that the database did not say, in time, what became of a
// write: it may stand, or may come to stand. Nothing that rests on it has left
// this process, and nothing will before the database has acknowledged a later
// write. Asking again is safe. It is an ErrUnavailable.
var ErrUnknownOutcome = fmt.Errorf("%w: it does not say whether the write stands", ErrUnavailable)

// errLost says that a write whose outcome was unknown turned out not to stand, as
// after a failover to a standby that never had it.
var errLost = fmt.Errorf("%w: the database has lost the write", ErrConflict)

// errUnsettled ends a batch whose callers have been answered already.
var errUnsettled = errors.New("store: the callers know that the outcome is unknown")

// UnknownError is what Engine.Commit returns if nobody can tell yet what became of
// the transaction: the connection broke, or the database said that it did not wait
// for what makes a commit durable. It is an ErrUnknownOutcome.
type UnknownError struct {
	Err error
	// Settle makes a write of its own, which the database must acknowledge cleanly,
	// and reports whether the transaction stood before it. What stands then is
	// durable, for it lies before that write on the same timeline; what does not
	// stand never will. An error says that it is not known yet.
	Settle func(ctx context.Context) (stands bool, err error)
}

func (e *UnknownError) Error() string { return ErrUnknownOutcome.Error() + ": " + e.Err.Error() }

// Unwrap returns ErrUnknownOutcome and the cause.
func (e *UnknownError) Unwrap() []error { return []error{ErrUnknownOutcome, e.Err} }

const (
	settleEvery = 200 * time.Millisecond
	// settleMost bounds one try.
	settleMost = 30 * time.Second
)

// settle finds out what became of a transaction of these jobs. Until it knows,
// nothing else is written. Callers whose patience ends before are told that the
// outcome is unknown; whoever comes later is turned away.
func (s *Store) settle(u *UnknownError, jobs []*job) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	patience := time.NewTimer(s.patience)
	defer patience.Stop()
	told := false
	tell := func(err error) {
		told = true
		s.unsettled.Store(true)
		for _, j := range jobs {
			j.end(err)
		}
		s.turnAway()
	}
	defer s.unsettled.Store(false)
	answers := make(chan settled, 1)
	for {
		go func() { answers <- trySettle(ctx, u) }()
		for waiting := true; waiting; {
			select {
			case a := <-answers:
				switch {
				case a.err == nil && told:
					return errUnsettled
				case a.err == nil && a.stands:
					return nil
				case a.err == nil:
					return errLost
				}
				waiting = false
			case <-patience.C:
				tell(s.engine.MapError(u))
			case <-s.closing:
				tell(s.engine.MapError(u))
				cancel()
				<-answers
				return errUnsettled
			}
		}
		s.pause(settleEvery)
	}
}

// settled is what one try has found out.
type settled struct {
	stands bool
	err    error
}

func trySettle(ctx context.Context, u *UnknownError) settled {
	ctx, cancel := context.WithTimeout(ctx, settleMost)
	defer cancel()
	stands, err := u.Settle(ctx)
	return settled{stands, err}
}

// pause waits, unless the store is being closed.
func (s *Store) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.closing:
	}
}

// turnAway answers everybody who waits in line.
func (s *Store) turnAway() {
	for {
		var j *job
		select {
		case j = <-s.urgent:
		case j = <-s.waiting:
		default:
			return
		}
		if j.taken.CompareAndSwap(false, true) {
			j.end(errWaiting)
		}
	}
}

// errWaiting is what writes meet while an earlier one's outcome is unknown.
var errWaiting = fmt.Errorf("%w: it has not said yet whether an earlier write stands; nothing of this one was done", ErrUnavailable)
