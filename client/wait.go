package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
)

const (
	pollFirst = 300 * time.Millisecond
	pollMost  = 2 * time.Second
	pollLive  = 15 * time.Second // while the server tells of changes by itself
	tellEvery = 15 * time.Second // where the line cannot be rewritten
	patience  = time.Minute      // with a server that stopped answering
)

// waiter waits until a request is settled.
type waiter struct {
	env Env
	// get reads the request again.
	get func(ctx context.Context, id canon.ID) (api.Request, error)
	// listen hears of changes; nil: get is asked from time to time.
	listen func(ctx context.Context, id canon.ID) *news
	// timeout ends the wait with ExitTimeout; 0 waits for as long as it takes.
	timeout time.Duration
	// resume is the command that goes on with the request.
	resume string
}

// wait waits until r is settled and returns it then: it reads r again when the
// server tells that it changed, and from time to time anyway. Ctrl-C, the timeout
// and a server that stays away end the wait and leave the request open; the error
// says how to go on.
func (w waiter) wait(ctx context.Context, r api.Request) (api.Request, error) {
	start, tick := w.env.Now(), pollFirst
	asked := start
	var heard *news
	if w.listen != nil {
		listening, stop := context.WithCancel(ctx)
		defer stop()
		heard = w.listen(listening, r.ID)
	}
	line := newProgress(w.env)
	defer line.clear()
	var lost time.Time // when the server stopped answering
	for {
		if approval.State(r.State) != approval.Pending {
			return r, nil
		}
		waited := w.env.Now().Sub(start)
		if w.timeout > 0 && waited >= w.timeout {
			return r, fail(ExitTimeout, "nobody has decided within %s; the request stays open until %s; go on with: %s",
				w.timeout, w.env.clock(r.ExpiresAt.Time()), w.resume)
		}
		line.show(waited, w.progressText(r, waited))
		if w.timeout > 0 {
			tick = min(tick, w.timeout-waited)
		}
		told, err := heard.wait(ctx, tick)
		if err != nil {
			return r, fail(ExitInterrupted, "interrupted; the request stays open until %s; take it back with: sally cancel %s; go on with: %s",
				w.env.clock(r.ExpiresAt.Time()), r.ID, w.resume)
		}
		tick = min(tick*5/4, pollMost)
		if heard.live() && !told && w.env.Now().Sub(asked) < pollLive {
			continue
		}
		asked = w.env.Now()
		next, err := w.get(ctx, r.ID)
		switch wait := retryAfter(err); {
		case err == nil:
			r, lost = next, time.Time{}
		case wait > 0: // the server answers, and wants to be asked less often
			tick, lost = min(wait, patience), time.Time{}
		case errors.Is(err, context.Canceled): // told at the next sleep
		case ExitCode(err) != ExitUnreachable:
			return r, err
		case lost.IsZero():
			lost = w.env.Now()
		case w.env.Now().Sub(lost) >= patience:
			return r, fail(ExitUnreachable, "%w; the request stays open, go on with: %s", err, w.resume)
		}
	}
}

func (w waiter) progressText(r api.Request, waited time.Duration) string {
	who := strings.Join(r.From, " or ")
	if who == "" {
		who = "a decision"
	}
	if r.Need > 1 {
		who = fmt.Sprintf("%d of %s", r.Need, who)
	}
	text := fmt.Sprintf("waiting for %s, %s", who, waited.Truncate(time.Second))
	if left := r.ExpiresAt.Time().Sub(w.env.Now()).Truncate(time.Second); left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text + "; Ctrl-C keeps it open"
}

// outcome says what became of a settled request: nil if it was granted.
func outcome(r api.Request) error {
	switch approval.State(r.State) {
	case approval.Granted:
		return nil
	case approval.Denied:
		for _, d := range r.Decisions {
			if approval.Verdict(d.Verdict) != approval.Deny {
				continue
			}
			words := ""
			if d.Words != "" {
				words = ": " + d.Words
			}
			return fail(ExitDenied, "denied by %s%s (request %s)", first(d.ByName, "person "+string(d.By)), words, r.ID)
		}
		return fail(ExitDenied, "denied (request %s)", r.ID)
	case approval.Expired:
		return fail(ExitDenied, "nobody decided in time, so request %s expired; ask again, and tell %s",
			r.ID, first(strings.Join(r.From, " or "), "those who decide"))
	case approval.Cancelled:
		return fail(ExitDenied, "request %s was cancelled; ask again if you still need it", r.ID)
	case approval.Ended:
		return fail(ExitDenied, "request %s ended, for its contract was amended or has ended; ask again under the contract in force", r.ID)
	case approval.Revoked:
		words := ""
		if r.Revoked != nil && r.Revoked.Because != "" {
			words = ": " + r.Revoked.Because
		}
		return fail(ExitDenied, "request %s was revoked%s; ask again if you still need it", r.ID, words)
	case approval.Pending:
		return fail(ExitTimeout, "request %s is still open", r.ID)
	default:
		return fail(ExitDenied, "request %s is %s", r.ID, r.State)
	}
}

// progress shows that the program is waiting: one line that is rewritten on a
// terminal, else a line at the start and one each tellEvery.
type progress struct {
	env   Env
	tty   bool
	shown bool
	next  time.Duration // when the next plain line is due
}

func newProgress(e Env) *progress { return &progress{env: e, tty: e.terminal(e.Err)} }

func (p *progress) show(waited time.Duration, text string) {
	if p.tty {
		_, _ = io.WriteString(p.env.Err, "\r\x1b[K"+p.line(text)) // for people; see Env.say
		p.shown = true
		return
	}
	if waited >= p.next {
		p.env.say("%s", text)
		p.next += tellEvery
	}
}

// line is what stands on the terminal. It fits in one line, with the ^C that a
// terminal writes behind it: the next one clears no more than that.
func (p *progress) line(text string) string {
	const prefix = "sally: "
	text = p.env.visible(text)
	if n := columns(p.env.Err); n > 0 {
		text = clipped(text, max(n-len(" ^C")-len(prefix), 0))
	}
	return prefix + text
}

// clear removes the line before something else is written.
func (p *progress) clear() {
	if p.shown {
		_, _ = io.WriteString(p.env.Err, "\r\x1b[K") // for people; see Env.say
		p.shown = false
	}
}
