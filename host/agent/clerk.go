package agent

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/sshcert"
)

// How a session ended by itself; else it is the session.Why.
const (
	left = string(hostcall.Left)
	lost = string(hostcall.Lost)
)

// retryEvery is how long the clerk waits when a disk takes nothing.
const retryEvery = time.Second

// clerk writes down what became of sessions: into the spool first, then into their
// records, so that a crash in between repeats an event and loses none. It has its own
// goroutine, since a disk may be slow or full and sessions end on time all the same.
type clerk struct {
	sessions session.Folder
	spool    *Spool
	log      *slog.Logger

	mu   sync.Mutex
	todo []*entry      // guarded by mu
	wake chan struct{} // has room for one
}

// entry is one thing to write down.
type entry struct {
	session.Session
	event hostcall.Event
	kept  bool // it is in the spool
}

func newClerk(sessions session.Folder, spool *Spool, log *slog.Logger) *clerk {
	return &clerk{sessions: sessions, spool: spool, log: log, wake: make(chan struct{}, 1)}
}

// opened notes that a session began.
func (c *clerk) opened(s session.Session) {
	e := hostcall.Event{What: hostcall.Opened, Session: s.ID, Login: sshcert.Login(s.Login), Serial: s.Serial(), OpenedAt: s.OpenedAt}
	if s.OfflineKey != "" {
		e.What, e.Key = hostcall.Offline, s.OfflineKey
	}
	c.note(&entry{Session: s, event: e})
}

// closed notes that a session is over, and forgets its record.
func (c *clerk) closed(s session.Session, how string, at canon.Micros) {
	c.note(&entry{Session: s, event: hostcall.Event{What: hostcall.Closed, Session: s.ID, How: hostcall.How(how), ClosedAt: at}})
}

// refused notes how many were refused in one minute.
func (c *clerk) refused(e hostcall.Event) { c.note(&entry{event: e}) }

func (c *clerk) note(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.todo = append(c.todo, e)
	select {
	case c.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// run writes until ctx ends, and once more then.
func (c *clerk) run(ctx context.Context) {
	for ctx.Err() == nil {
		pause := time.Hour
		if !c.write(ctx) {
			pause = retryEvery
		}
		wait(ctx, pause, c.wake)
	}
	c.write(context.WithoutCancel(ctx))
}

// write writes all there is, in order, and reports whether it got through.
func (c *clerk) write(ctx context.Context) bool {
	for {
		c.mu.Lock()
		if len(c.todo) == 0 {
			c.mu.Unlock()
			return true
		}
		e := c.todo[0]
		c.mu.Unlock()
		if err := c.keep(ctx, e); err != nil {
			c.log.LogAttrs(ctx, slog.LevelError, "what became of a session can't be written down, tried again", about(e.Session, slog.String("error", err.Error()))...)
			return false
		}
		c.mu.Lock()
		c.todo = c.todo[1:]
		c.mu.Unlock()
	}
}

func (c *clerk) keep(ctx context.Context, e *entry) error {
	if !e.kept {
		err := e.event.Check()
		if err == nil {
			err = c.spool.Add(e.event)
		} else {
			// No certificate opens an account of such a name, so the ledger has none.
			c.log.LogAttrs(ctx, slog.LevelWarn, "a session is not told to the server", about(e.Session, slog.String("error", err.Error()))...)
			err = nil
		}
		switch {
		case errors.Is(err, ErrSpoolFull): // it is counted; the disk must not fill up
			c.log.LogAttrs(ctx, slog.LevelError, "events are lost", slog.Int64("lost", c.spool.Lost()), slog.String("error", err.Error()))
		case err != nil:
			return err
		}
		e.kept = true
	}
	switch e.event.What {
	case hostcall.Closed:
		return c.sessions.Remove(e.ID)
	case hostcall.Opened, hostcall.Offline:
		e.Told = true
		return c.sessions.Replace(e.Record)
	}
	return nil
}
