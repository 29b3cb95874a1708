package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
)

const (
	// readyLife is how long an answer about the parts is given again: however
	// often we are asked, we ask others no oftener.
	readyLife = 5 * time.Second
	// readyTimeout is how long a part may take to say how it is.
	readyTimeout = 4 * time.Second
)

var errSlow = errors.New("it did not say in time how it is")

// part is one of what issuing rests on. What is said of it is the same for
// everybody and names nothing of ours: why, is in the log.
type part struct {
	name string
	// check returns nil, an error that wraps authority.ErrDegraded, or another
	// one for a part that has failed.
	check func(*authority.Authority, context.Context) error
	// vital: nothing can be issued without it.
	vital                bool
	ok, degraded, failed string
}

var parts = []part{
	{
		"database", (*authority.Authority).CheckDatabase, true, "it is read and written",
		"it is read; nothing is written while the clock can't be right", "nothing can be recorded now, denials included",
	},
	{
		"ledger", (*authority.Authority).CheckLedger, true, "checkpoints are signed",
		"it can't be looked at now", "checkpoints can't be signed, so nothing is issued; denying goes on",
	},
	{
		"witnesses", (*authority.Authority).CheckWitnesses, true, "enough have confirmed the ledger, or nobody is asked",
		"enough have confirmed the ledger, not all", "too few have confirmed the ledger, so no certificate can be made; deciding goes on, and what is granted stays granted",
	},
	{
		"signer", (*authority.Authority).CheckSigner, true, "certificates can be signed",
		"it can't be told whether certificates can be signed", "no certificate can be signed now; deciding goes on, and what is granted stays granted",
	},
	{
		"clock", (*authority.Authority).CheckClock, true, "it can be right",
		"it can't be compared with the ledger now", "it can't be right, so nothing is recorded",
	},
	{
		"contract", (*authority.Authority).CheckContracts, true, "one is in force",
		"the contracts can't be read now", "none is in force, so nobody can log in or ask",
	},
	{
		"identity_providers", (*authority.Authority).CheckProviders, false, "all answer",
		"not all answer; who can't log in anew can go on until their claims are too old", "none answers, so nobody can log in; who is logged in can go on until their claims are too old",
	},
}

// readiness asks the parts and keeps what they said. It is safe for concurrent
// use.
type readiness struct {
	parts     []part
	authority *authority.Authority
	now       func() time.Time
	logger    *slog.Logger
	asking    []atomic.Bool // by part: the last asking has not ended

	mu      sync.Mutex
	last    api.Readiness // guarded by mu
	at      time.Time     // guarded by mu; when last was asked for, zero: never
	running chan struct{} // guarded by mu; closed when the asking that runs has ended
}

func newReadiness(a *authority.Authority, now func() time.Time, logger *slog.Logger) *readiness {
	return &readiness{parts: parts, authority: a, now: now, logger: logger, asking: make([]atomic.Bool, len(parts))}
}

// get returns how the parts are, or were a moment ago.
func (r *readiness) get(ctx context.Context) (api.Readiness, error) {
	r.mu.Lock()
	if age := r.now().Sub(r.at); !r.at.IsZero() && age >= 0 && age < readyLife {
		defer r.mu.Unlock()
		return r.last, nil
	}
	if r.running == nil {
		r.running = make(chan struct{})
		go r.ask(context.WithoutCancel(ctx), r.running) // who asked may leave, the answer is for all
	}
	running := r.running
	r.mu.Unlock()
	select {
	case <-running:
	case <-ctx.Done():
		return api.Readiness{}, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last, nil
}

// ask asks all parts at once and keeps what they say.
func (r *readiness) ask(ctx context.Context, done chan<- struct{}) {
	at := r.now()
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	type answer struct {
		part int
		err  error
	}
	answers := make(chan answer, len(r.parts))
	said := make([]error, len(r.parts))
	waiting := 0
	for i, p := range r.parts {
		said[i] = errSlow
		if !r.asking[i].CompareAndSwap(false, true) {
			continue // it has not even answered the last time
		}
		waiting++
		go func() {
			err := p.check(r.authority, ctx)
			r.asking[i].Store(false)
			answers <- answer{i, err}
		}()
	}
collect:
	for range waiting {
		select {
		case a := <-answers:
			said[a.part] = a.err
		case <-ctx.Done():
			break collect
		}
	}
	next := judge(r.parts, said)
	r.mu.Lock()
	before := r.last
	r.last, r.at, r.running = next, at, nil
	r.mu.Unlock()
	r.tell(ctx, before, next, said)
	close(done)
}

// judge turns what the parts said into an answer: as bad as the worst vital part,
// and no better than degraded if any part is not as it should be.
func judge(parts []part, said []error) api.Readiness {
	out := api.Readiness{Status: api.PartOK, Parts: make([]api.Part, len(parts))}
	for i, p := range parts {
		one := api.Part{Part: p.name, Status: api.PartOK, Text: p.ok}
		switch {
		case said[i] == nil:
		case errors.Is(said[i], authority.ErrDegraded):
			one.Status, one.Text = api.PartDegraded, p.degraded
		default:
			one.Status, one.Text = api.PartFailed, p.failed
		}
		switch {
		case one.Status == api.PartFailed && p.vital:
			out.Status = api.PartFailed
		case one.Status != api.PartOK && out.Status == api.PartOK:
			out.Status = api.PartDegraded
		}
		out.Parts[i] = one
	}
	return out
}

// tell logs each part that changed, with what it said.
func (r *readiness) tell(ctx context.Context, before, now api.Readiness, said []error) {
	for i, p := range now.Parts {
		was := api.PartOK
		if before.Parts != nil {
			was = before.Parts[i].Status
		}
		switch {
		case p.Status == was:
		case p.Status == api.PartOK:
			r.logger.LogAttrs(ctx, slog.LevelInfo, "part is well again", slog.String("part", p.Part))
		default:
			r.logger.LogAttrs(ctx, slog.LevelError, "part is not well",
				slog.String("part", p.Part), slog.String("status", p.Status), slog.Any("error", said[i]))
		}
	}
}

// Ready returns how the parts are that issuing rests on. However often it is
// called, the parts are asked once in a few seconds.
func (s *Server) Ready(ctx context.Context) (api.Readiness, error) { return s.readiness.get(ctx) }

// ready answers GET /readyz.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) error {
	out, err := s.Ready(r.Context())
	if err != nil {
		return err
	}
	status := http.StatusOK
	if out.Status == api.PartFailed {
		status = http.StatusServiceUnavailable
	}
	return writeJSON(w, status, out)
}
