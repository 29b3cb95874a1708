package server

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

const (
	maxListeners = 10_000 // streams in all
	maxOfSession = 8      // streams of one session: tabs share one, windows of several browsers do not
	maxRecent    = 1000   // news that are kept for those who come back
	maxCatchUp   = 1000   // leaves that are read for those who come back after a start
	feedPause    = 20 * time.Millisecond
	feedRetry    = 5 * time.Second // after a read that failed, and for what another process wrote
)

// feed reads the ledger once for all who listen to it. It runs while somebody
// does.
type feed struct {
	store  *store.Store
	now    func() time.Time
	logger *slog.Logger

	reading sync.Mutex // one reader at a time; taken before mu
	running sync.WaitGroup

	mu        sync.Mutex // guards what follows
	count     int
	byRequest map[canon.ID]listeners     // by what they listen for; those for all under ""
	bySession map[canon.Digest]listeners // by the hash of the session's secret
	recent    []*news                    // of the leaves from first up to next
	first     int64                      // every news of a leaf from here on is in recent
	next      int64                      // the first leaf that was not looked at; 0 before the first look
	cancel    context.CancelFunc         // ends the run; nil if there is none
	closed    bool
}

type listeners map[*listener]struct{}

func newFeed(s *store.Store, now func() time.Time, logger *slog.Logger) *feed {
	return &feed{store: s, now: now, logger: logger, byRequest: make(map[canon.ID]listeners), bySession: make(map[canon.Digest]listeners)}
}

// join adds a listener and returns the news since leaf after. With lost set there
// may be more than that. A negative after stands for the end of the ledger.
func (f *feed) join(ctx context.Context, l *listener, after int64) (backlog []*news, lost bool, err error) {
	f.mu.Lock()
	err = f.admit(l)
	look := f.cancel == nil || after >= f.next
	f.mu.Unlock()
	if err != nil {
		return nil, false, err
	}
	if look {
		if err := f.catchUp(ctx); err != nil {
			return nil, false, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.admit(l); err != nil { // others may have come meanwhile
		return nil, false, err
	}
	l.queue, l.lost, l.over = make(chan *news, maxQueue), make(chan struct{}, 1), make(chan struct{})
	f.count++
	add(f.byRequest, l.only, l)
	add(f.bySession, l.session, l)
	if f.cancel == nil {
		var run context.Context
		run, f.cancel = context.WithCancel(context.Background())
		f.running.Go(func() { f.run(run) })
	}
	if after < 0 {
		return nil, false, nil
	}
	i, _ := slices.BinarySearchFunc(f.recent, after+1, func(n *news, index int64) int { return int(n.index - index) })
	for _, n := range f.recent[i:] {
		if l.wants(n) {
			backlog = append(backlog, n)
		}
	}
	return backlog, after+1 < f.first || after >= f.next, nil
}

// admit returns nil if there is room for one more; the caller holds mu.
func (f *feed) admit(l *listener) error {
	switch {
	case f.closed:
		return errStopping
	case len(f.bySession[l.session]) >= maxOfSession:
		return errStreams
	case f.count >= maxListeners:
		return errAllStreams
	}
	return nil
}

// leave takes a listener away.
func (f *feed) leave(l *listener) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	remove(f.byRequest, l.only, l)
	remove(f.bySession, l.session, l)
	if f.count == 0 {
		f.stop()
	}
}

func add[K comparable](to map[K]listeners, key K, l *listener) {
	if to[key] == nil {
		to[key] = make(listeners)
	}
	to[key][l] = struct{}{}
}

func remove[K comparable](from map[K]listeners, key K, l *listener) {
	if delete(from[key], l); len(from[key]) == 0 {
		delete(from, key)
	}
}

// stop ends the run; the caller holds mu.
func (f *feed) stop() {
	if f.cancel != nil {
		f.cancel()
		f.cancel = nil
	}
}

// end ends the streams of a session.
func (f *feed) end(session canon.Digest) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for l := range f.bySession[session] {
		l.end(byeSession)
	}
}

// endSessions ends the streams of sessions that are over. If they can't be read
// nothing is told either.
func (f *feed) endSessions(ctx context.Context) {
	kinds := make(map[canon.Digest]store.SessionKind)
	f.mu.Lock()
	f.all(func(l *listener) { kinds[l.session] = l.kind })
	f.mu.Unlock()
	var over []canon.Digest
	err := f.store.Read(ctx, func(r *store.Reader) error {
		for session, kind := range kinds {
			switch _, _, err := r.Session(session, kind, canon.At(f.now())); {
			case isSignedOut(err):
				over = append(over, session)
			case err != nil:
				return err
			}
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		f.logger.LogAttrs(ctx, slog.LevelError, "sessions were not read for those who wait", slog.Any("error", err))
	}
	for _, session := range over {
		f.end(session)
	}
}

// all calls do for every listener; the caller holds mu.
func (f *feed) all(do func(*listener)) {
	for _, of := range f.bySession {
		for l := range of {
			do(l)
		}
	}
}

// close ends all streams, now and later, and returns when nothing runs any more.
func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.all(func(l *listener) { l.end(byeStopping) })
	f.stop()
	f.mu.Unlock()
	f.running.Wait()
}

// run looks at the ledger whenever it grew, and at the sessions from time to
// time, until ctx ends.
func (f *feed) run(ctx context.Context) {
	looked := f.now()
	for {
		if now := f.now(); now.Sub(looked) >= heartbeat {
			looked = now
			f.endSessions(ctx)
		}
		grown := f.store.Grown() // before the read, so that nothing is missed
		if err := f.catchUp(ctx); err != nil && ctx.Err() == nil {
			f.logger.LogAttrs(ctx, slog.LevelError, "the ledger was not read for those who wait", slog.Any("error", err))
		}
		if !pause(ctx, feedRetry, grown) || !pause(ctx, feedPause, nil) { // what comes at the same time is read at once
			return
		}
	}
}

// pause waits for d, or less if woken; false if ctx ended.
func pause(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-woken:
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// catchUp looks at the leaves that it has not looked at, and tells the listeners.
func (f *feed) catchUp(ctx context.Context) error {
	f.reading.Lock()
	defer f.reading.Unlock()
	f.mu.Lock()
	from := f.next
	f.mu.Unlock()
	var found []*news
	var size int64
	err := f.store.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil || head.Tree.Size == from {
			return err
		}
		size = head.Tree.Size
		from = max(from, size-maxCatchUp)
		found, err = readNews(r, from, f.now())
		return err
	})
	if err != nil || size == 0 {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if from != f.next { // leaves were left out
		f.recent, f.first = nil, from
		f.all((*listener).miss)
	}
	f.next = size
	f.keep(found)
	for _, n := range found {
		f.tell(n)
	}
	return nil
}

// tell hands news to those who want it; the caller holds mu.
func (f *feed) tell(n *news) {
	if n.person != "" {
		f.all(func(l *listener) {
			if l.wants(n) {
				l.offer(n)
			}
		})
		return
	}
	for _, key := range []canon.ID{n.request.ID, ""} {
		for l := range f.byRequest[key] {
			l.offer(n)
		}
	}
}

// keep adds to what those who come back are told; the caller holds mu.
func (f *feed) keep(found []*news) {
	f.recent = append(f.recent, found...)
	if over := len(f.recent) - maxRecent; over > 0 {
		f.first = f.recent[over-1].index + 1
		f.recent = slices.Clone(f.recent[over:])
	}
}

// newest is the index of the newest leaf that was looked at, if everything about
// it was handed to the listener.
func (f *feed) newest(l *listener) (int64, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.next - 1, len(l.queue) == 0 && len(l.lost) == 0
}
