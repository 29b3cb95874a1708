package authority

import (
	"context"
	"sync"
)

// locks are mutexes by name, there while somebody holds or waits for them. The
// zero value is ready.
type locks struct {
	mu     sync.Mutex
	byName map[string]*namedLock
}

type namedLock struct {
	users int           // guarded by locks.mu
	taken chan struct{} // has room for the one who holds it
}

// lock waits for the mutex of a name. It gives up with ctx.
func (l *locks) lock(ctx context.Context, name string) (unlock func(), err error) {
	l.mu.Lock()
	if l.byName == nil {
		l.byName = make(map[string]*namedLock)
	}
	one, ok := l.byName[name]
	if !ok {
		one = &namedLock{taken: make(chan struct{}, 1)}
		l.byName[name] = one
	}
	one.users++
	l.mu.Unlock()
	leave := func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if one.users--; one.users == 0 {
			delete(l.byName, name)
		}
	}
	select {
	case one.taken <- struct{}{}:
		return func() { <-one.taken; leave() }, nil
	case <-ctx.Done():
		leave()
		return nil, ctx.Err()
	}
}
