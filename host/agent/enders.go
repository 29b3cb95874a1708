package agent

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/session"
)

const (
	// tick is how often sessions are looked at when nothing is due before.
	tick = time.Second
	// settling is how long a session that begins may take to get its terminals.
	settling = 10 * time.Second
	// maxEnding bounds one try to end a session: what sleeps in a driver is not killed
	// at once.
	maxEnding = 30 * time.Second
)

// Scopes warns and ends sessions; [session.Scopes] does.
type Scopes interface {
	// Warn writes to the session's terminals and returns how many there are.
	Warn(s session.Session, left time.Duration, over bool) (int, error)
	// End returns nil when nothing in the session's cgroup runs any more, and the
	// cgroup is gone.
	End(ctx context.Context, s session.Session, why session.Why) (session.Ended, error)
	// Over reports whether a session has ended by itself.
	Over(s session.Session) (bool, error)
	// Tidy removes what is left of one that is over.
	Tidy(s session.Session) error
}

// enders ends sessions on time. It needs the clock, the records and the list of what
// is revoked, no network, and waits neither for the server nor for the spool.
type enders struct {
	sessions session.Folder
	scopes   Scopes
	now      func() time.Time
	log      *slog.Logger
	// rules says what sessions are held to now, and whether that is only watched.
	rules func() rules
	clerk *clerk
	// refusals are counted by the minute, and told like the rest.
	refusals *refusals

	mu    sync.Mutex
	known map[canon.ID]*known // guarded by mu
	bad   map[canon.ID]bool   // records that can't be read; guarded by mu
	tasks sync.WaitGroup      // sessions that are being ended
}

// rules are what sessions are held to.
type rules struct {
	observe bool // only say what would be ended
	grace   time.Duration
	revoked func(*ssh.Certificate) bool
}

// known is what is kept about a session in between.
type known struct {
	session.Session
	begun    bool // the clerk has its beginning
	lingers  bool // PAM closed it, and something of it went on
	observed bool // it was said that it would be ended
	ending   bool
	over     bool // the clerk has its end
	warned   time.Duration
	wasTold  bool // warned counts
}

// run looks after sessions until ctx ends.
func (e *enders) run(ctx context.Context) {
	for ctx.Err() == nil {
		next := e.look(ctx)
		pause := tick
		if !next.IsZero() {
			pause = max(min(pause, next.Sub(e.now())), 0)
		}
		wait(ctx, pause, nil)
	}
	e.tasks.Wait()
}

// look does what is due and returns when the next thing is.
func (e *enders) look(ctx context.Context) time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refresh(ctx)
	now, r := e.now(), e.rules()
	policy := session.Policy{Grace: r.grace, Revoked: r.revoked}
	var list []session.Session
	warned := map[canon.ID]time.Duration{}
	for id, k := range e.known {
		if k.ending || k.over {
			continue
		}
		list = append(list, k.Session)
		if k.wasTold {
			warned[id] = k.warned
		}
	}
	for _, action := range session.Plan(list, warned, now, policy) {
		k := e.known[action.Session]
		switch {
		case r.observe:
			e.observe(ctx, k, action)
		case action.Ends:
			e.end(ctx, k, action.Why)
		default:
			e.warn(ctx, k, action)
		}
	}
	for _, k := range e.known {
		e.keep(ctx, k, now)
	}
	if event, due := e.refusals.due(now); due {
		e.clerk.refused(event)
	}
	return session.Next(list, now, policy)
}

// refresh reads the records that came since, and forgets those that are gone.
func (e *enders) refresh(ctx context.Context) {
	ids, closed, err := e.sessions.IDs()
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelError, "sessions can't be listed", slog.String("error", err.Error()))
		return
	}
	there := make(map[canon.ID]bool, len(ids))
	for _, id := range ids {
		there[id] = true
		if e.known[id] != nil || e.bad[id] {
			continue
		}
		s, err := e.sessions.Read(id)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			e.bad[id] = true
			e.log.LogAttrs(ctx, slog.LevelError, "a session's record can't be read, so nobody ends it", slog.String("session", string(id)), slog.String("error", err.Error()))
		default:
			e.known[id] = &known{Session: s, begun: s.Told}
		}
	}
	for _, id := range closed {
		k := e.known[id]
		if k == nil || k.ClosedAt != 0 {
			continue
		}
		if k.ClosedAt, err = e.sessions.ClosedAt(id); err != nil {
			e.log.LogAttrs(ctx, slog.LevelError, "when a session was closed can't be read", slog.String("session", string(id)), slog.String("error", err.Error()))
		}
	}
	for id, k := range e.known {
		if !there[id] && !k.ending {
			delete(e.known, id)
		}
	}
}

// observe says once what would be done where certificates are only observed.
func (e *enders) observe(ctx context.Context, k *known, action session.Action) {
	if !action.Ends || k.observed {
		return
	}
	k.observed = true
	e.log.LogAttrs(ctx, slog.LevelWarn, "a session would be ended, in mode require", about(k.Session, slog.String("why", string(action.Why)))...)
}

func (e *enders) warn(ctx context.Context, k *known, action session.Action) {
	told, err := e.scopes.Warn(k.Session, action.Left, action.Level == 0)
	if err == nil && told == 0 && e.now().Before(k.OpenedAt.Time().Add(settling)) {
		return // its terminal comes after its record
	}
	k.warned, k.wasTold = action.Level, true
	if err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "a session could not be warned", about(k.Session, slog.String("error", err.Error()))...)
		return
	}
	e.log.LogAttrs(ctx, slog.LevelInfo, "a session was warned", about(k.Session, slog.Duration("left", action.Left), slog.Int("terminals", told))...)
}

// end ends a session beside everything else: one that can't be killed at once must
// not keep others.
func (e *enders) end(ctx context.Context, k *known, why session.Why) {
	k.ending = true
	s := k.Session
	e.tasks.Go(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), maxEnding)
		defer cancel()
		ended, err := e.scopes.End(ctx, s, why)
		e.mu.Lock()
		defer e.mu.Unlock()
		k.ending = false
		if err != nil {
			e.log.LogAttrs(ctx, slog.LevelError, "a session could not be ended, tried again", about(s, slog.String("error", err.Error()))...)
			return
		}
		e.report(ctx, s, why, ended)
		k.over = true
		e.clerk.closed(s, string(why), canon.At(e.now()))
	})
}

// report says what was ended, and what went on beside it: it is not claimed that
// nothing did.
func (e *enders) report(ctx context.Context, s session.Session, why session.Why, ended session.Ended) {
	level := slog.LevelInfo
	if len(ended.Outside)+len(ended.Beside) > 0 {
		level = slog.LevelWarn
	}
	e.log.LogAttrs(ctx, level, "a session was ended", about(s,
		slog.String("why", string(why)), slog.Int("killed", ended.Killed),
		slog.Any("outside", numbers(ended.Outside)), slog.Any("beside", numbers(ended.Beside)))...)
}

// keep has the clerk write down the beginning and the end of a session.
func (e *enders) keep(ctx context.Context, k *known, now time.Time) {
	if !k.begun {
		k.begun = true
		e.clerk.opened(k.Session)
	}
	if k.ending || k.over {
		return
	}
	over, err := e.scopes.Over(k.Session)
	switch {
	case err != nil:
		e.log.LogAttrs(ctx, slog.LevelError, "whether a session is over can't be read", about(k.Session, slog.String("error", err.Error()))...)
		return
	case !over:
		k.lingers = k.lingers || k.ClosedAt != 0
		return
	}
	if err := e.scopes.Tidy(k.Session); err != nil {
		e.log.LogAttrs(ctx, slog.LevelWarn, "the cgroup of a session that is over stays", about(k.Session, slog.String("error", err.Error()))...)
	}
	how, at := left, k.ClosedAt
	if at == 0 { // sshd was killed, or the machine was
		how = lost
	}
	if at == 0 || k.lingers {
		at = canon.At(now)
	}
	k.over = true
	e.clerk.closed(k.Session, how, at)
}

// about is how logs name a session.
func about(s session.Session, more ...slog.Attr) []slog.Attr {
	return append([]slog.Attr{slog.String("session", string(s.ID)), slog.String("login", s.Login), slog.Uint64("serial", s.Serial())}, more...)
}

// numbers are process ids: names of processes are whatever somebody calls them.
func numbers(list []session.Process) []int {
	out := make([]int, 0, len(list))
	for _, p := range list {
		out = append(out, p.PID)
	}
	return out
}
