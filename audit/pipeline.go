package audit

import (
	"context"
	"errors"
	"io"
	"runtime"
	"sync"
)

// Bounds of one piece of work: enough to be worth handing over, little enough to
// have several in memory.
const (
	batchEntries = 64
	batchBytes   = 256 << 10
)

// inOrder runs work on every core: next yields pieces one after the other until
// io.EOF, do works on several at a time, and each gets the results in the order of
// the pieces. Only each runs in the caller's goroutine. The first error ends it.
func inOrder[In, Out any](ctx context.Context, next func() (In, error), do func(In) Out, each func(Out) error) error {
	ctx, stop := context.WithCancel(ctx)
	type job struct {
		in   In
		out  Out
		err  error // of next
		done chan struct{}
	}
	workers := max(2, runtime.GOMAXPROCS(0))
	todo, order := make(chan *job), make(chan *job, 2*workers)
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	running.Go(func() {
		defer close(order)
		defer close(todo)
		for {
			j := &job{done: make(chan struct{})}
			if j.in, j.err = next(); j.err != nil {
				close(j.done)
			}
			select {
			case order <- j:
			case <-ctx.Done():
				return
			}
			if j.err != nil {
				return
			}
			select {
			case todo <- j:
			case <-ctx.Done():
				return
			}
		}
	})
	for range workers {
		running.Go(func() {
			for j := range todo {
				j.out = do(j.in)
				close(j.done)
			}
		})
	}
	for j := range order {
		select {
		case <-j.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(j.err, io.EOF) {
			return nil
		}
		if j.err != nil {
			return j.err
		}
		if err := each(j.out); err != nil {
			return err
		}
	}
	return ctx.Err()
}
