package store

import (
	"context"
	"sync"
)

// Listener is an Engine on whose database other processes write too.
type Listener interface {
	// Listen calls grown with the size of the ledger whenever it may have changed,
	// until ctx ends.
	Listen(ctx context.Context, grown func(size int64))
}

// growth tells those who wait that leaves were committed.
type growth struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu; closed at the next commit
	size int64         // guarded by mu; of the ledger when it was told last
}

// tell wakes who waits, unless they were told of this size.
func (g *growth) tell(size int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if size == g.size {
		return
	}
	g.size = size
	close(g.next)
	g.next = make(chan struct{})
}

// Grown returns a channel that is closed once leaves are committed, by this process
// or, where several write to one database, by another. Who takes it before they
// read misses nothing: what was committed after the read closes it. It may be
// closed without a new leaf.
func (s *Store) Grown() <-chan struct{} {
	s.growth.mu.Lock()
	defer s.growth.mu.Unlock()
	return s.growth.next
}

// listen hears of other processes' commits until the store is closed.
func (s *Store) listen(l Listener) {
	defer close(s.deaf)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.closing:
			cancel()
		case <-ctx.Done():
		}
	}()
	l.Listen(ctx, s.growth.tell)
}
