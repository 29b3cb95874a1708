package store

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
)

const (
	// maxBatch is how many functions share one transaction at most.
	maxBatch = 256
	// maxWaiting is how many functions wait at most; more are turned away.
	maxWaiting = 1024
	// maxUrgent is how many may wait in the lane that is kept free.
	maxUrgent = 256
)

// ErrBusy says that too many writes are waiting. Nothing happened; trying again
// is safe. It is an ErrUnavailable.
var ErrBusy = fmt.Errorf("%w: too many writes are waiting, try again", ErrUnavailable)

var (
	errPanicked = errors.New("store: the function panicked")
	errGone     = fmt.Errorf("%w: the writer has ended", ErrUnavailable)
)

// job is one function that waits to be run in a batch.
type job struct {
	ctx   context.Context //nolint:containedctx // the waiting caller's own
	fn    func(*Tx) error
	taken atomic.Bool // by the writer, or by the caller who gave up
	done  chan struct{}

	// Set before done is closed.
	err   error
	panic any
}

// Write runs fn in a transaction that holds the ledger's head. If fn returns an
// error nothing of it stands; if Write returns nil everything is durable. fn does
// no network, file or key service call, keeps its side effects until Write has
// returned, and may be run again.
//
// Functions that wait at the same time share one transaction, each under its own
// savepoint. The commit is not cancelled with ctx, whose end counts only while
// fn waits: what has begun is told as it ends.
func (s *Store) Write(ctx context.Context, fn func(*Tx) error) error {
	return s.enqueue(ctx, s.waiting, fn)
}

// WriteUrgent is Write in the lane that is kept free for what takes access away
// (deny, revoke) and for what finishes a recorded certificate: it is served
// first, and a flood of other writes does not turn it away.
func (s *Store) WriteUrgent(ctx context.Context, fn func(*Tx) error) error {
	return s.enqueue(ctx, s.urgent, fn)
}

func (s *Store) enqueue(ctx context.Context, lane chan<- *job, fn func(*Tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-s.closing:
		return fmt.Errorf("%w: it is being closed", ErrUnavailable)
	default:
	}
	select {
	case lane <- j:
	default:
		return ErrBusy
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.taken.CompareAndSwap(false, true) {
			return ctx.Err() // it never began
		}
		<-j.done
	case <-s.closed:
		if j.taken.CompareAndSwap(false, true) {
			return fmt.Errorf("%w: it was closed", ErrUnavailable)
		}
		<-j.done
	}
	if j.panic != nil {
		panic(j.panic) // in the goroutine whose function it was
	}
	return j.err
}

// Waiting returns how many functions wait to be run, for the operator's gauges.
func (s *Store) Waiting() int { return len(s.waiting) + len(s.urgent) }

// write is the one goroutine that writes: it drains what waits, without waiting
// for more to come.
func (s *Store) write() {
	defer close(s.closed)
	for {
		var first *job
		select {
		case first = <-s.urgent:
		default:
			select {
			case first = <-s.urgent:
			case first = <-s.waiting:
			case <-s.closing:
				return
			}
		}
		s.runBatch(s.collect(first))
	}
}

// collect returns first and what else waits, the urgent lane before the other.
func (s *Store) collect(first *job) []*job {
	batch := take(nil, first)
	for len(batch) < maxBatch {
		select {
		case j := <-s.urgent:
			batch = take(batch, j)
			continue
		default:
		}
		select {
		case j := <-s.waiting:
			batch = take(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// take adds a job unless its caller has given up.
func take(batch []*job, j *job) []*job {
	if j.taken.CompareAndSwap(false, true) {
		return append(batch, j)
	}
	return batch
}

// runBatch runs the jobs in one transaction and, if that cannot be committed,
// one by one: a job that breaks the commit must not sink the others.
func (s *Store) runBatch(batch []*job) {
	ended := false
	defer func() {
		for _, j := range batch {
			if !ended { // a function ended this goroutine: no caller may wait for ever, or take it for done
				j.err = errGone
			}
			close(j.done)
		}
	}()
	if err := s.commit(batch); err != nil && len(batch) > 1 {
		for _, j := range batch {
			if err := s.commit([]*job{j}); err != nil {
				j.err = err
			}
		}
	} else if err != nil {
		batch[0].err = err
	}
	ended = true
}

// commit runs jobs in one transaction, each under its own savepoint, and sets
// each one's own error. An error of its own means that nothing stands.
func (s *Store) commit(jobs []*job) error {
	if len(jobs) == 0 {
		return nil
	}
	begin := s.now()
	err := s.transact(jobs)
	s.observe(Transaction{Writes: len(jobs), Took: s.now().Sub(begin), Err: err})
	return err
}

// transact does what commit says.
func (s *Store) transact(jobs []*job) error {
	ctx := context.Background()
	dbtx, err := s.engine.Begin(ctx)
	if err != nil {
		return s.engine.MapError(fmt.Errorf("beginning: %w", err))
	}
	defer func() { _ = dbtx.Rollback() }() // a no-op after the commit
	tx, err := s.newTx(ctx, dbtx)
	if err != nil {
		return s.engine.MapError(err)
	}
	wrote := false
	for _, j := range jobs {
		if err := tx.runJob(j); err != nil {
			return s.engine.MapError(err)
		}
		j.err = s.engine.MapError(j.err)
		wrote = wrote || j.err == nil
	}
	if !wrote {
		return nil
	}
	if err := tx.finish(); err != nil {
		return s.engine.MapError(err)
	}
	if err := dbtx.Commit(); err != nil {
		return s.engine.MapError(fmt.Errorf("committing: %w", err))
	}
	if tx.tree.Size != tx.size {
		s.growth.tell()
	}
	return nil
}

// runJob runs one function under a savepoint. If the function fails, the
// database and the transaction's own counters are as if it had never run. The
// error is of the transaction as a whole.
func (tx *Tx) runJob(j *job) error {
	tx.ctx = context.WithoutCancel(j.ctx) // a cancelled statement may undo the others' work
	if err := tx.exec(`SAVEPOINT job`); err != nil {
		return err
	}
	tree, last, stopped := tx.tree, tx.last, tx.stopped
	j.err, j.panic = nil, nil
	j.call(tx)
	if j.err == nil && tx.stopped != nil {
		j.err = tx.stopped // the function swallowed a half-made append
	}
	if j.err == nil {
		j.err = j.ctx.Err() // nobody waits for it any more
	}
	if j.err != nil {
		tx.tree, tx.last, tx.stopped = tree, last, stopped
		if err := tx.exec(`ROLLBACK TO SAVEPOINT job`); err != nil {
			return errors.Join(j.err, err)
		}
	}
	return tx.exec(`RELEASE SAVEPOINT job`)
}

// call runs the function; a panic becomes its caller's.
func (j *job) call(tx *Tx) {
	defer func() {
		if p := recover(); p != nil {
			j.panic, j.err = p, errPanicked
		}
	}()
	j.err = j.fn(tx)
}
