package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
)

const (
	krlPath = "/v1/hosts/krl"
	// maxKRLWait is how long somebody may wait for another list.
	maxKRLWait = 60 * time.Second
	// maxKRLWaiting is how many may wait at the same time.
	maxKRLWaiting = 10_000
)

// revocationList answers GET /v1/hosts/krl: the newest list of revoked certificates
// with a signed statement for the hosts of a contract. Whoever names the list that
// they have is told of another one as soon as there is one, and is sent no list that
// they have.
func (s *Server) revocationList(w http.ResponseWriter, r *http.Request) error {
	ask, err := parseListAsk(r)
	if err != nil {
		return err
	}
	if ask.wait > 0 && r.Method != http.MethodHead {
		if err := s.lists.join(); err != nil {
			return err
		}
		defer s.lists.leave()
		deadline := time.Now().Add(ask.wait + eventWrite)
		_ = http.NewResponseController(w).SetWriteDeadline(deadline) // where there is none it need not be moved
	}
	signed, err := s.newerList(r.Context(), ask)
	if err != nil {
		return err
	}
	header := w.Header()
	header.Set("Cache-Control", "no-cache") // to be asked about each time, with If-None-Match
	header.Set("ETag", etagOf(signed))
	if ask.after < 0 && noneMatch(r, header.Get("ETag")) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	out := api.RevocationList{Number: signed.Number, Statement: signed.Statement, Signature: signed.Signature}
	if signed.Number != ask.after {
		out.KRL = canon.B64(signed.KRL)
	}
	return writeJSON(w, http.StatusOK, out)
}

// etagOf changes with the list, and with what is signed about it.
func etagOf(s authority.SignedRevocations) string {
	return `"` + canon.Sum("sallyport.etag/v1", []byte(s.Statement)).String() + `"`
}

func noneMatch(r *http.Request, etag string) bool {
	for _, line := range r.Header.Values("If-None-Match") {
		for one := range strings.SplitSeq(line, ",") {
			if one = strings.TrimPrefix(strings.TrimSpace(one), "W/"); one == etag || one == "*" {
				return true
			}
		}
	}
	return false
}

// listAsk is what somebody asks of the lists.
type listAsk struct {
	lineage canon.Digest
	after   int64 // number of the list that they have; -1: none
	wait    time.Duration
}

func parseListAsk(r *http.Request) (a listAsk, err error) {
	values, err := query(r, "lineage", "after", "wait")
	if err != nil {
		return a, err
	}
	text, err := single(values, "lineage")
	if err != nil {
		return a, err
	}
	if a.lineage, err = canon.ParseDigest(text); err != nil || a.lineage.IsZero() {
		return a, fmt.Errorf("lineage: %w: the digest of version 1 of the hosts' contract", authority.ErrField)
	}
	if a.after, err = number(values, "after", -1); err != nil {
		return a, err
	}
	seconds, err := number(values, "wait", 0)
	if err != nil {
		return a, err
	}
	a.wait = time.Duration(min(seconds, 3600)) * time.Second
	switch {
	case a.wait > maxKRLWait:
		return a, fmt.Errorf("wait: %w: at most %d seconds", authority.ErrField, int(maxKRLWait/time.Second))
	case a.wait > 0 && a.after < 0:
		return a, fmt.Errorf("wait: %w: say with after which list you have", authority.ErrField)
	}
	return a, nil
}

// newerList returns the newest list, at the latest when the wait is over.
func (s *Server) newerList(ctx context.Context, ask listAsk) (authority.SignedRevocations, error) {
	var over <-chan time.Time
	if ask.wait > 0 {
		timer := time.NewTimer(ask.wait)
		defer timer.Stop()
		over = timer.C
	}
	for {
		changed := s.authority.RevocationsChanged() // before the look, so that nothing is missed
		signed, err := s.authority.SignedRevocations(ctx, ask.lineage)
		if err != nil || over == nil || signed.Number > ask.after {
			return signed, err
		}
		select {
		case <-changed:
		case <-over:
			return s.authority.SignedRevocations(ctx, ask.lineage)
		case <-s.lists.over:
			return signed, nil
		case <-ctx.Done():
			return signed, ctx.Err()
		}
	}
}

// lists looks for another list whenever the ledger grows, while somebody waits for
// one: one look, however many wait.
type lists struct {
	s       *Server
	running sync.WaitGroup
	over    chan struct{} // closed when the server stops

	mu     sync.Mutex // guards what follows
	count  int
	cancel context.CancelFunc // ends the run; nil if there is none
	closed bool
}

func newLists(s *Server) *lists { return &lists{s: s, over: make(chan struct{})} }

func (l *lists) join() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closed:
		return errStopping
	case l.count >= maxKRLWaiting:
		return errAllStreams
	}
	l.count++
	if l.cancel == nil {
		var run context.Context
		run, l.cancel = context.WithCancel(context.Background())
		l.running.Go(func() { l.run(run) })
	}
	return nil
}

func (l *lists) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.count--; l.count == 0 {
		l.stop()
	}
}

// stop ends the run; the caller holds mu.
func (l *lists) stop() {
	if l.cancel != nil {
		l.cancel()
		l.cancel = nil
	}
}

// close answers all who wait, and returns when nothing runs any more.
func (l *lists) close() {
	l.mu.Lock()
	if !l.closed {
		l.closed = true
		close(l.over)
	}
	l.stop()
	l.mu.Unlock()
	l.running.Wait()
}

func (l *lists) run(ctx context.Context) {
	for {
		grown := l.s.store.Grown() // before the look, so that nothing is missed
		if _, err := l.s.authority.Revocations(ctx); err != nil && ctx.Err() == nil {
			l.s.logger.LogAttrs(ctx, slog.LevelError, "the list of revoked certificates was not made", slog.Any("error", err))
		}
		if !pause(ctx, feedRetry, grown) || !pause(ctx, feedPause, nil) { // what comes at the same time is read at once
			return
		}
	}
}
