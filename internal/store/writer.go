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

	// Set before done is closed, by the writer alone.
	err   error
	panic any
	ended bool
}

// end answers the caller. Only the first answer counts.
func (j *job) end(err error) {
	if !j.ended {
		j.err, j.ended = err, true
		close(j.done)
	}
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
	if s.unsettled.Load() {
		return errWaiting
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

// maxTries is how often a transaction is tried that meets somebody else's.
const maxTries = 3

// runBatch runs the jobs in one transaction and, if that cannot be committed,
// one by one: a job that breaks the commit must not sink the others.
func (s *Store) runBatch(batch []*job) {
	ended := false
	defer func() {
		for _, j := range batch {
			if !ended { // a function ended this goroutine: no caller may wait for ever, or take it for done
				j.end(errGone)
				continue
			}
			j.end(j.err)
		}
	}()
	began, err := s.commit(batch)
	switch {
	case err == nil || errors.Is(err, errUnsettled):
	case len(batch) == 1 || !began:
		fail(batch, err)
	default:
		for i, j := range batch {
			began, err := s.commit([]*job{j})
			if err != nil && !errors.Is(err, errUnsettled) {
				j.err = err
			}
			if !began { // nor will the next one
				fail(batch[i:], err)
				break
			}
		}
	}
	ended = true
}

func fail(jobs []*job, err error) {
	for _, j := range jobs {
		j.err = err
	}
}

// commit runs jobs in one transaction, each under its own savepoint, and sets
// each one's own error. An error of its own means that nothing stands, or that it
// is errUnsettled. If it never began, no other job's would have.
//
// A transaction that meets somebody else's is tried again, and so is one that was
// lost on the way, once: the server may have ended its connection.
func (s *Store) commit(jobs []*job) (began bool, err error) {
	if len(jobs) == 0 {
		return true, nil
	}
	for try := 1; ; try++ {
		begin := s.now()
		began, err = s.transact(jobs)
		s.observe(Transaction{Writes: len(jobs), Took: s.now().Sub(begin), Err: err})
		again := errors.Is(err, ErrConflict) || began && try == 1 && errors.Is(err, ErrUnavailable)
		if !again || try == maxTries {
			return began, err
		}
	}
}

// transact does what commit says, once.
func (s *Store) transact(jobs []*job) (began bool, err error) {
	defer func() { err = s.engine.MapError(err) }()
	ctx := context.Background()
	dbtx, err := s.engine.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("beginning: %w", err)
	}
	defer func() { _ = dbtx.Rollback() }() // a no-op after the commit
	tx, err := s.newTx(ctx, dbtx)
	if err != nil {
		return true, err
	}
	wrote := false
	for _, j := range jobs {
		if err := tx.runJob(j); err != nil {
			return true, err
		}
		j.err = s.engine.MapError(j.err)
		wrote = wrote || j.err == nil
	}
	if !wrote {
		s.known = tx.known // as it was
		return true, nil
	}
	if err := tx.finish(); err != nil {
		return true, err
	}
	err = s.engine.Commit(dbtx)
	if unknown, ok := errors.AsType[*UnknownError](err); ok {
		err = s.settle(unknown, jobs)
	}
	if err != nil {
		return true, fmt.Errorf("committing: %w", err)
	}
	head := Head{Tree: tx.tree, At: tx.last}
	s.acknowledged.Store(&head)
	tx.known.settled(head, tx.done)
	s.known = tx.known
	if tx.tree.Size != tx.size {
		s.growth.tell(tx.tree.Size)
	}
	return true, nil
}

// Acknowledged returns the head as of the newest write that the database
// acknowledged to this process as durable, nil before the first. What is read may
// be newer: another process's write, not yet acknowledged to it.
func (s *Store) Acknowledged() *Head { return s.acknowledged.Load() }

// Barrier writes nothing new and returns when the database has acknowledged it:
// what anybody wrote before is durable then, and Acknowledged has it.
func (s *Store) Barrier(ctx context.Context) error {
	return s.WriteUrgent(ctx, func(tx *Tx) error { return tx.Touch() })
}

// runJob runs one function. If the function fails, the
// database and the transaction's own counters are as if it had never run. The
// error is of the transaction as a whole.
func (tx *Tx) runJob(j *job) error {
	tx.ctx = context.WithoutCancel(j.ctx) // a cancelled statement may undo the others' work
	tx.saved, tx.undone = false, unsentRows{}
	tree, last, stopped := tx.tree, tx.last, tx.stopped
	j.err, j.panic = nil, nil
	j.call(tx)
	if tx.broken != nil {
		return tx.broken
	}
	if j.err == nil && tx.stopped != nil {
		j.err = tx.stopped // the function swallowed a half-made append
	}
	if j.err == nil {
		j.err = j.ctx.Err() // nobody waits for it any more
	}
	if j.err == nil {
		return tx.keep()
	}
	tx.tree, tx.last, tx.stopped = tree, last, stopped
	if err := tx.undo(); err != nil {
		return errors.Join(j.err, err)
	}
	return nil
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
