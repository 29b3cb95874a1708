package store

import "sync"

// growth tells those who wait that leaves were committed.
type growth struct {
	mu   sync.Mutex
	next chan struct{} // guarded by mu; closed at the next commit
}

func (g *growth) tell() {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.next)
	g.next = make(chan struct{})
}

// Grown returns a channel that is closed once this process commits leaves. Who
// takes it before they read misses nothing: what was committed after the read
// closes it. It says nothing of what other processes write.
func (s *Store) Grown() <-chan struct{} {
	s.growth.mu.Lock()
	defer s.growth.mu.Unlock()
	return s.growth.next
}
