package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// answers are what a server answers, in turn; the last one again and again.
type answers struct {
	list []*http.Response
	at   []time.Time // when it was asked
	sent []string    // bodies
}

func (a *answers) RoundTrip(r *http.Request) (*http.Response, error) {
	a.at = append(a.at, time.Now())
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // it is in memory
	}
	a.sent = append(a.sent, string(body))
	next := *a.list[min(len(a.at), len(a.list))-1]
	next.Request = r
	text := next.Status
	next.Body = io.NopCloser(strings.NewReader(text))
	return &next, nil
}

func answerOf(status int, retryAfter, media, body string) *http.Response {
	h := http.Header{"Content-Type": {media}}
	if retryAfter != "" {
		h.Set("Retry-After", retryAfter)
	}
	return &http.Response{StatusCode: status, Status: body, Header: h}
}

func tooMuchFor(retryAfter string) *http.Response {
	return answerOf(http.StatusTooManyRequests, retryAfter, "application/problem+json",
		`{"type":"/problems/rate","title":"too much at once","status":429,"detail":"more than 60 steps of logins a minute come from this address; try again in a while"}`)
}

// TestRetryAfter: a call that came too soon is made again when the server says
// so, with the same body, and the person is told; nothing else is.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	good := answerOf(http.StatusOK, "", "application/json", `{}`)
	begin := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // of a synctest bubble
	tests := []struct {
		name   string
		list   []*http.Response
		cancel time.Duration
		code   int
		want   string        // in the error
		calls  int           // in all
		took   time.Duration // in all
	}{
		{"no limit", []*http.Response{good}, 0, ExitOK, "", 1, 0},
		{"once", []*http.Response{tooMuchFor("3"), good}, 0, ExitOK, "", 2, 3 * time.Second},
		{"a time", []*http.Response{tooMuchFor(begin.Add(7 * time.Second).Format(http.TimeFormat)), good}, 0, ExitOK, "", 2, 7 * time.Second},
		{"a few times", []*http.Response{tooMuchFor("10"), tooMuchFor("20"), tooMuchFor("30"), good}, 0, ExitOK, "", 4, time.Minute},
		{"for ever", []*http.Response{tooMuchFor("25")}, 0, ExitFailed, "come from this address; try again in a while", 3, 50 * time.Second},
		{"longer than anybody waits", []*http.Response{tooMuchFor("61"), good}, 0, ExitFailed, "try again in a while", 1, 0},
		{"Ctrl-C", []*http.Response{tooMuchFor("30"), good}, 5 * time.Second, ExitInterrupted, "canceled", 1, 5 * time.Second},
		{"it does not say when", []*http.Response{tooMuchFor(""), good}, 0, ExitFailed, "try again in a while", 1, 0},
		{"at once", []*http.Response{tooMuchFor("0"), good}, 0, ExitFailed, "try again in a while", 1, 0},
		{"in the past", []*http.Response{tooMuchFor(begin.Add(-time.Hour).Format(http.TimeFormat)), good}, 0, ExitFailed, "", 1, 0},
		{"junk", []*http.Response{tooMuchFor("soon"), good}, 0, ExitFailed, "", 1, 0},
		{"negative", []*http.Response{tooMuchFor("-5"), good}, 0, ExitFailed, "", 1, 0},
		{"a huge number", []*http.Response{tooMuchFor("99999999999999999999"), good}, 0, ExitFailed, "", 1, 0},
		{"a proxy", []*http.Response{answerOf(http.StatusTooManyRequests, "2", "text/html", "<html>"), good}, 0, ExitOK, "", 2, 2 * time.Second},
		{"a proxy that does not say", []*http.Response{answerOf(http.StatusTooManyRequests, "", "text/html", "<html>"), good}, 0, ExitFailed, "the server is asked too much at once; wait a minute and try again", 1, 0},
		{"not available", []*http.Response{answerOf(http.StatusServiceUnavailable, "2", "application/problem+json",
			`{"type":"/problems/unavailable","detail":"the database is not available"}`), good}, 0, ExitUnreachable, "a retry is safe", 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				w := newWorld(t)
				server := &answers{list: tt.list}
				c := newConn(w.Env, &url.URL{Scheme: "http", Host: "127.0.0.1:1"}, "")
				c.http.Transport = server
				start := time.Now()
				var into struct{}
				err := c.post(ctx, "/v1/x", map[string]string{"a": "b"}, &into)
				if ExitCode(err) != tt.code || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got %v", err)
				}
				if tt.cancel > 0 && !errors.Is(err, context.Canceled) {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took != tt.took || len(server.at) != tt.calls {
					t.Errorf("%d calls in %s, want %d in %s", len(server.at), took, tt.calls, tt.took)
				}
				for _, sent := range server.sent {
					if sent != `{"a":"b"}` {
						t.Errorf("sent %q", sent)
					}
				}
				said := strings.Count(w.stderr(), "sally: the server is asked too much at once; trying again in ")
				waits := tt.calls - 1
				if tt.cancel > 0 {
					waits++
				}
				if said != waits {
					t.Errorf("it was told %d times: %s", said, w.stderr())
				}
			})
		})
	}
}

// TestRetryAfterOverTheWire is the same over a real connection.
func TestRetryAfterOverTheWire(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w := newWorld(t)
	w.logIn(t, f)
	f.later = 1
	var out bytes.Buffer
	e := w.Env
	e.Out = &out
	if err := Whoami(t.Context(), WhoamiOptions{Env: e}); err != nil || !strings.Contains(w.stderr(), "trying again in 1s") {
		t.Errorf("%v: %s", err, w.stderr())
	}
}
