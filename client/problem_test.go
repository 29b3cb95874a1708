package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
)

func TestProblemsHaveExitCodesAndSayWhatToDo(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		p    api.Problem
		code int
		want string
	}{
		{"malformed", api.Problem{Type: "/problems/malformed", Detail: "the body is not JSON"}, ExitFailed, "the body is not JSON; this version of sally may not fit the server; see sally version"},
		{"unauthenticated", api.Problem{Type: "/problems/unauthenticated", Detail: "the session is over."}, ExitLogin, "the session is over; log in: sally login"},
		{"login-too-old", api.Problem{Type: "/problems/login-too-old", Title: "your login is too old"}, ExitLogin, "your login is too old; log in again: sally login"},
		{"advice of the server's own", api.Problem{Type: "/problems/login-too-old", Detail: "over 60 minutes old: run sally login"}, ExitLogin, "over 60 minutes old: run sally login"},
		{"contract-forbids", api.Problem{Type: "/problems/contract-forbids", Detail: "acme §3: at most 1h, not 2h"}, ExitForbidden, "acme §3: at most 1h, not 2h"},
		{"self-approval", api.Problem{Type: "/problems/self-approval", Detail: "nobody decides on their own request"}, ExitFailed, "nobody decides on their own request; somebody else must decide"},
		{"grant-over", api.Problem{Type: "/problems/grant-over", Detail: "the grant is over"}, ExitFailed, "the grant is over; ask again: sally request"},
		{"unavailable", api.Problem{Type: "/problems/unavailable", Detail: "the database is away"}, ExitUnreachable, "the database is away; try again, a retry is safe"},
		{"internal", api.Problem{Type: "/problems/internal", Title: "internal error", Instance: "q7"}, ExitFailed, "internal error (log line q7); tell the operator"},
		{"field-refused", api.Problem{Type: "/problems/field-refused", Detail: "hosts: web-9 is not in the inventory"}, ExitFailed, "hosts: web-9 is not in the inventory"},
		{"one that this version does not know", api.Problem{Type: "/problems/new-thing", Detail: "a new thing"}, ExitFailed, "a new thing"},
		{"nothing but a type", api.Problem{Type: "/problems/rate"}, ExitFailed, "rate; wait a minute and try again"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := problem(tt.p)
			if ExitCode(err) != tt.code || err.Error() != tt.want || !errors.Is(err, ErrProblem) {
				t.Errorf("got %d %q, want %d %q", ExitCode(err), err, tt.code, tt.want)
			}
			p, ok := errors.AsType[*ProblemError](err)
			if !ok || "/problems/"+p.Slug != tt.p.Type {
				t.Errorf("the slug of %s is lost", tt.p.Type)
			}
		})
	}
}

func TestExitCode(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"none", nil, ExitOK},
		{"any", errors.New("x"), ExitFailed},
		{"interrupted", fmt.Errorf("x: %w", context.Canceled), ExitInterrupted},
		{"wrapped", fmt.Errorf("x: %w", Usagef("y")), ExitUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if got := Report(w.Env, tt.err); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
			if lines := strings.Count(w.stderr(), "\n"); (lines == 1) != (tt.err != nil) {
				t.Errorf("reported as %q", w.stderr())
			}
		})
	}
}

// TestAnswers shows what becomes of answers that a good server does not send.
func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		h    http.HandlerFunc
		code int
		want string
	}{
		{"redirect", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusTemporaryRedirect)
		}, ExitFailed, "redirects elsewhere (status 307)"},
		{"a proxy's page", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, ExitUnreachable, "not available (status 502)"},
		{"another server", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotFound) }, ExitFailed, "is that a Sallyport server?"},
		{"HTML", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, ExitFailed, "not what this version of sally understands"},
		{"too long", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, strings.Repeat(" ", maxAnswer+1)) }, ExitFailed, "more than 1048576 bytes"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, ExitUnreachable, "does not answer"},
		{"a problem in another type's clothes", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"type":"/problems/contract-forbids"}`)
		}, ExitFailed, "no problem document"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := httptest.NewServer(tt.h)
			t.Cleanup(s.Close)
			base, err := url.Parse(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			c := newConn(newWorld(t).Env, base, "the-bearer")
			var into api.Server
			err = c.get(t.Context(), "/v1/server", nil, &into)
			wantExit(t, err, tt.code, tt.want)
			if strings.Contains(err.Error(), "/v1/server?") || strings.Contains(err.Error(), "the-bearer") {
				t.Errorf("the sentence tells too much: %v", err)
			}
		})
	}
}

// A redirect is not followed even once, so no bearer reaches another server.
func TestRedirectsGetNoBearer(t *testing.T) {
	t.Parallel()
	got := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("Authorization") }))
	t.Cleanup(other.Close)
	s := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	if err := newConn(newWorld(t).Env, base, "secret").get(t.Context(), "/v1/hosts", nil, nil); err == nil {
		t.Error("a redirect counts as an answer")
	}
	select {
	case h := <-got:
		t.Errorf("the other server was asked, with %q", h)
	default:
	}
}

// TLS is verified with the system's roots: a certificate from nowhere is not
// accepted.
func TestUnknownTLSCertificateIsRefused(t *testing.T) {
	t.Parallel()
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // it logs our refusal
	s.StartTLS()
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	err = newConn(newWorld(t).Env, base, "").get(t.Context(), "/v1/server", nil, nil)
	wantExit(t, err, ExitUnreachable, "certificate")
}

func TestClocksAreCompared(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		off  time.Duration // of this machine
		want string        // empty: no word
	}{
		{"right", 0, ""},
		{"half a minute", 20 * time.Second, ""},
		{"behind", -2 * time.Minute, "behind the server's; set it right"},
		{"ahead", time.Hour, "ahead of the server's"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.Now = func() time.Time { return time.Now().Add(tt.off) }
			base, err := url.Parse(f.url)
			if err != nil {
				t.Fatal(err)
			}
			c := newConn(w.Env, base, "")
			for range 3 {
				if err := c.get(t.Context(), "/v1/server", nil, nil); err != nil {
					t.Fatal(err)
				}
			}
			if tt.want == "" {
				if w.stderr() != "" {
					t.Errorf("said %q", w.stderr())
				}
				return
			}
			if strings.Count(w.stderr(), "clock is") != 1 || !strings.Contains(w.stderr(), tt.want) {
				t.Errorf("said %q, want once %q", w.stderr(), tt.want)
			}
			if d := time.Until(c.now()).Abs(); d > 5*time.Second {
				t.Errorf("documents are dated %s off", d)
			}
		})
	}
}
