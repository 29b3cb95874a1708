package client

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
)

// pending is a request that expires in half an hour.
func pending(now time.Time) api.Request {
	return api.Request{ID: "mzxw6ytboi4dknrzgq2tmnzxgi", State: "pending", Need: 1, From: []string{"leads"}, ExpiresAt: canon.At(now.Add(30 * time.Minute))}
}

func TestWait(t *testing.T) {
	t.Parallel()
	away := fail(ExitUnreachable, "the server does not answer")
	tests := []struct {
		name    string
		timeout time.Duration
		get     func(waited time.Duration) (state string, err error)
		cancel  time.Duration // 0: never
		code    int           // of wait
		want    string        // in its error, or the state
		took    time.Duration // at most
	}{
		{
			name: "granted", code: ExitOK, want: "granted", took: 22 * time.Second,
			get: func(d time.Duration) (string, error) { return after(d, 20*time.Second, "granted"), nil },
		},
		{
			name: "denied", code: ExitOK, want: "denied", took: 3 * time.Second,
			get: func(d time.Duration) (string, error) { return after(d, 2*time.Second, "denied"), nil },
		},
		{
			name: "nobody decides in time", timeout: time.Minute, code: ExitTimeout, want: "within 1m0s; the request stays open", took: 63 * time.Second,
			get: func(time.Duration) (string, error) { return "pending", nil },
		},
		{
			name: "Ctrl-C", cancel: 5 * time.Second, code: ExitInterrupted, want: "; take it back with: sally cancel mzxw6ytboi4dknrzgq2tmnzxgi; go on with: sally wait mzxw6ytboi4dknrzgq2tmnzxgi", took: 5 * time.Second,
			get: func(time.Duration) (string, error) { return "pending", nil },
		},
		{
			name: "the server comes back", code: ExitOK, want: "granted", took: 63 * time.Second,
			get: func(d time.Duration) (string, error) {
				if d > 5*time.Second && d < 50*time.Second {
					return "", away
				}
				return after(d, time.Minute, "granted"), nil
			},
		},
		{
			name: "the server stays away", code: ExitUnreachable, want: "the request stays open", took: 70 * time.Second,
			get: func(d time.Duration) (string, error) {
				if d > 5*time.Second {
					return "", away
				}
				return "pending", nil
			},
		},
		{
			name: "the server wants to be asked less often", code: ExitOK, want: "granted", took: 70 * time.Second,
			get: func(d time.Duration) (string, error) {
				if d > 5*time.Second && d < 50*time.Second {
					return "", tooSoon(20 * time.Second)
				}
				return after(d, time.Minute, "granted"), nil
			},
		},
		{
			name: "less often than there is time", timeout: 10 * time.Second, code: ExitTimeout, want: "within 10s; the request stays open", took: 10 * time.Second,
			get: func(time.Duration) (string, error) { return "", tooSoon(time.Minute) },
		},
		{
			name: "the session ends", code: ExitLogin, want: "log in", took: 3 * time.Second,
			get: func(time.Duration) (string, error) {
				return "", problem(api.Problem{Type: "/problems/unauthenticated", Detail: "the session is over"})
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour) // a wait without end fails
				defer cancel()
				if tt.cancel > 0 {
					time.AfterFunc(tt.cancel, cancel)
				}
				w := newWorld(t)
				start := time.Now()
				r := pending(start)
				var last time.Time
				var said error // at the last poll
				w.Env.Now = time.Now
				got, err := waiter{env: w.Env, timeout: tt.timeout, resume: "sally wait " + string(r.ID), get: func(_ context.Context, id canon.ID) (api.Request, error) {
					if id != r.ID {
						t.Errorf("asked for %s", id)
					}
					switch pause, told := time.Since(last), retryAfter(said); {
					case last.IsZero(), tt.timeout > 0 && time.Since(start) == tt.timeout: // the first, the last
					case told > 0 && pause != told, told == 0 && (pause < pollFirst || pause > pollMost):
						t.Errorf("polled after %s", pause)
					}
					last = time.Now()
					state, err := tt.get(time.Since(start))
					said = err
					next := r
					next.State = state
					return next, err
				}}.wait(ctx, r)
				if took := time.Since(start); took > tt.took {
					t.Errorf("took %s, want at most %s", took, tt.took)
				}
				if tt.code != ExitOK {
					wantExit(t, err, tt.code, tt.want)
				} else if err != nil || got.State != tt.want {
					t.Errorf("got %s, %v; want %s", got.State, err, tt.want)
				}
			})
		})
	}
}

// tooSoon is a server's refusal of a request that came too soon.
func tooSoon(wait time.Duration) error {
	header := http.Header{"Retry-After": {strconv.Itoa(int(wait.Seconds()))}}
	return withRetry(problem(api.Problem{Type: "/problems/rate", Detail: "too many"}), header, time.Now())
}

func after(waited, when time.Duration, state string) string {
	if waited < when {
		return "pending"
	}
	return state
}

// Without a terminal there is one line at the start and one each 15 seconds.
func TestWaitTellsInPlainLines(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		start := time.Now()
		_, err := waiter{env: w.Env, get: func(context.Context, canon.ID) (api.Request, error) {
			r := pending(start)
			r.State = after(time.Since(start), 50*time.Second, "granted")
			return r, nil
		}}.wait(t.Context(), pending(start))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(w.stderr()), "\n")
		if len(lines) != 4 || lines[0] != "sally: waiting for leads, 0s, 30m0s left; Ctrl-C keeps it open" || w.stdout() != "" {
			t.Errorf("said %q", lines)
		}
	})
}

func TestOutcome(t *testing.T) {
	t.Parallel()
	r := pending(time.Now())
	deny := api.Decision{ByName: "Bob Example", Verdict: "deny", Words: "use the replica"}
	tests := []struct {
		name      string
		state     string
		decisions []api.Decision
		code      int
		want      string
	}{
		{"granted", "granted", nil, ExitOK, ""},
		{"denied", "denied", []api.Decision{{ByName: "Carol", Verdict: "approve"}, deny}, ExitDenied, "denied by Bob Example: use the replica"},
		{"denied in silence", "denied", nil, ExitDenied, "denied (request " + string(r.ID)},
		{"expired", "expired", nil, ExitDenied, "nobody decided in time"},
		{"cancelled", "cancelled", nil, ExitDenied, "was cancelled; ask again"},
		{"a state of later", "frozen", nil, ExitDenied, "is frozen"},
		{"pending", "pending", nil, ExitTimeout, "still open"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := r
			r.State, r.Decisions = tt.state, tt.decisions
			err := outcome(r)
			if tt.code == ExitOK {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantExit(t, err, tt.code, tt.want)
		})
	}
}

// A request that is filed and decided while sally waits, over HTTP.
func TestRequestWaitsForTheDecision(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		decide func(*api.Request)
		code   int
		want   string
	}{
		{"granted and narrowed", func(q *api.Request) { grant(q, 5*time.Minute) }, ExitOK, "granted by Bob Example for 5m0s (asked 10m0s), until "},
		{"denied", func(q *api.Request) {
			q.State = "denied"
			q.Decisions = []api.Decision{{By: "mzxw6ytboi4dknrzgq2tmnzxgi", ByName: "Bob\x1b]52;c;x\x07", Verdict: "deny", Words: "no\u202e"}}
		}, ExitDenied, `denied by Bob\x1b]52;c;x\x07: no\u202e`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			polls := 0
			f.polled = func(q *api.Request) {
				if polls++; polls == 2 {
					tt.decide(q)
				}
			}
			err := Request(t.Context(), RequestOptions{Env: w.Env, JSON: true, Ask: Ask{Principals: []string{"ops@web-1.demo"}, For: "10m", Because: "x"}})
			if code := Report(w.Env, err); code != tt.code || !strings.Contains(w.stderr(), tt.want) {
				t.Errorf("exit %d, said %q; want %d, %q", code, w.stderr(), tt.code, tt.want)
			}
			if !strings.Contains(w.stdout(), `"state": "`+string(f.requests[f.order[0]].State)) {
				t.Errorf("printed %s", w.stdout())
			}
		})
	}
}

func TestStatus(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	now := time.Now()
	ids := make([]canon.ID, 4)
	for i, state := range []string{"pending", "granted", "denied", "over"} {
		q := pending(now)
		q.ID, q.By, q.State, q.Contract, q.Role, q.Logins, q.Hosts = newID(t), f.person, state, f.contract, "ops", logins("ops"), hostsOf("web-1.demo")
		q.Reason, q.Seconds, q.URL = "INC-42", 600, f.url+"/requests/x"
		switch state {
		case "granted":
			grant(&q, time.Minute)
		case "over":
			grant(&q, time.Minute)
			q.Grant.Active = false
		}
		ids[i] = q.ID
		f.add(&q)
	}
	for i, want := range []string{"state     pending until", "state     granted, active", "state     denied", "state     granted, over"} {
		if err := Status(t.Context(), StatusOptions{Env: w.Env, ID: string(ids[i])}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(w.stdout(), want) || !strings.Contains(w.stdout(), "because   INC-42") {
			t.Errorf("no %q in %q", want, w.stdout())
		}
	}
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: string(ids[1]), Wait: true}), ExitOK)
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: string(ids[2]), Wait: true}), ExitDenied, "denied")
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: string(ids[0]), Wait: true, Timeout: time.Millisecond}), ExitTimeout, "stays open")
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: string(newID(t))}), ExitFailed, "no such request")
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: "../x"}), ExitUsage, "26 characters")
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, Wait: true}), ExitUsage, "name the request")
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, Timeout: time.Second}), ExitUsage, "--timeout: it bounds a wait")
	wantExit(t, Wait(t.Context(), WaitOptions{Env: w.Env}), ExitUsage, "name the ID")
	wantExit(t, Wait(t.Context(), WaitOptions{Env: w.Env, ID: "x"}), ExitUsage, "26 characters")
	wantExit(t, Wait(t.Context(), WaitOptions{Env: w.Env, ID: string(ids[1])}), ExitOK)
	wantExit(t, Wait(t.Context(), WaitOptions{Env: w.Env, ID: string(ids[2])}), ExitDenied, "denied")
	wantExit(t, Wait(t.Context(), WaitOptions{Env: w.Env, ID: string(ids[0]), Timeout: time.Millisecond}), ExitTimeout, "stays open", "sally wait "+string(ids[0]))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantExit(t, Wait(ctx, WaitOptions{Env: w.Env, ID: string(ids[0])}), ExitInterrupted, "stays as it is; go on with: sally wait "+string(ids[0]))
	if err := errors.Join(Status(t.Context(), StatusOptions{Env: w.Env, JSON: true}), Status(t.Context(), StatusOptions{Env: w.Env, JSON: true, ID: string(ids[2])})); err != nil {
		t.Error(err)
	}
}
