package client

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

func TestAskIsRefusedBeforeAnyCall(t *testing.T) {
	t.Parallel()
	good := Ask{Principals: []string{"ops@web-1.demo"}, For: "10m", Because: "INC-42"}
	tests := []struct {
		name   string
		change func(*Ask)
		want   string
		is     error
	}{
		{"nobody", func(a *Ask) { a.Principals = nil }, "LOGIN@HOST", nil},
		{"no @", func(a *Ask) { a.Principals = []string{"ops"} }, "it has no @", sshcert.ErrPrincipal},
		{"a comma in the login", func(a *Ask) { a.Principals = []string{"ops,root@web-1.demo"} }, "1 to 32 characters", sshcert.ErrLogin},
		{"a newline in the login", func(a *Ask) { a.Principals = []string{"ops\nroot@web-1.demo"} }, "1 to 32 characters", sshcert.ErrLogin},
		{"a wildcard login", func(a *Ask) { a.Principals = []string{"*@web-1.demo"} }, "1 to 32 characters", sshcert.ErrLogin},
		{"a wildcard host", func(a *Ask) { a.Principals = []string{"ops@*.demo"} }, "at most 95", sshcert.ErrHost},
		{"an option as the host", func(a *Ask) { a.Principals = []string{"ops@-oProxyCommand=x"} }, "lower-case DNS name", sshcert.ErrHost},
		{"not every login on every host", func(a *Ask) { a.Principals = []string{"ops@web-1.demo", "root@web-2.demo"} }, "make two requests", nil},
		{"too many principals", func(a *Ask) { a.Principals = manyHosts(65) }, "1 to 64 principals", sshcert.ErrPrincipal},
		{"no length", func(a *Ask) { a.For = "" }, "--for: say for how long", nil},
		{"no unit", func(a *Ask) { a.For = "10" }, "--for \"10\": not a duration", nil},
		{"no time at all", func(a *Ask) { a.For = "0s" }, "--for 0s: at least 1s", nil},
		{"backwards", func(a *Ask) { a.For = "-5m" }, "--for -5m: at least 1s", nil},
		{"half seconds", func(a *Ask) { a.For = "1500ms" }, "whole seconds", nil},
		{"no reason", func(a *Ask) { a.Because = "" }, "--because: say why", nil},
		{"white space as the reason", func(a *Ask) { a.Because = " \u00a0\t" }, "--because: say why", nil},
		{"a long reason", func(a *Ask) { a.Because = strings.Repeat("é", 501) }, "--because: 1002 bytes, at most 1000", nil},
		{"an escape in the reason", func(a *Ask) { a.Because = "\x1b[31mok" }, "control characters", nil},
		{"two lines", func(a *Ask) { a.Because = "a\nb" }, "control characters", nil},
		{"not UTF-8", func(a *Ask) { a.Because = "a\xff" }, "UTF-8", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			a := good
			tt.change(&a)
			err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: a})
			wantExit(t, err, ExitUsage, tt.want)
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("%v does not wrap %v", err, tt.is)
			}
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

func manyHosts(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "ops@web-" + strings.Repeat("x", i/26) + string(rune('a'+i%26)) + ".demo"
	}
	return out
}

func TestReasonIsComposedAndTrimmed(t *testing.T) {
	t.Parallel()
	got, err := parseReason("  cafe\u0301 down ")
	if err != nil || got != "café down" {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestRequestIsFiledAsSigned(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	err := Request(t.Context(), RequestOptions{
		Env: w.Env, NoWait: true,
		Ask: Ask{Principals: []string{"ops@web-2.demo", "ops@web-1.demo", "ops@web-1.demo"}, For: "1h30m", Because: " INC-42 "},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(f.order) != 1 {
		t.Fatalf("%d requests", len(f.order))
	}
	q := f.requests[f.order[0]] // the fake opened document, signature and commitment
	if !slices.Equal(q.Logins, []sshcert.Login{"ops"}) || !slices.Equal(q.Hosts, []sshcert.Host{"web-1.demo", "web-2.demo"}) ||
		q.Seconds != 5400 || q.Reason != "INC-42" || q.Role != "ops" {
		t.Errorf("filed %+v", q)
	}
	if want := string(q.ID) + "\n" + q.URL + "\n"; w.stdout() != want {
		t.Errorf("printed %q, want %q", w.stdout(), want)
	}
	if !strings.Contains(w.stderr(), "asked for ops@web-1.demo, ops@web-2.demo for 1h30m0s under acme/ops §2; it is decided at "+q.URL) {
		t.Errorf("said %q", w.stderr())
	}
}

// An answer that got lost is asked for again with the same id: no second
// request comes of it.
func TestLostAnswerIsTheSameRequest(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.refuse["POST /v1/requests"] = api.Problem{Type: "/problems/unavailable", Status: 503, Detail: "starting"}
	go func() {
		for f.called("POST /v1/requests") == 0 {
			time.Sleep(time.Millisecond)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.refuse, "POST /v1/requests")
	}()
	a := w.account(t)
	q, err := a.submit(t.Context(), wanted{logins: []sshcert.Login{"ops"}, hosts: []sshcert.Host{"web-1.demo"}, length: time.Minute, reason: "x"})
	if err != nil || f.called("POST /v1/requests") != 2 || len(f.order) != 1 || f.order[0] != q.ID {
		t.Errorf("%v, %d calls, %d requests", err, f.called("POST /v1/requests"), len(f.order))
	}
}

func TestChooseRole(t *testing.T) {
	t.Parallel()
	other := api.Contract{ID: "beta", Digest: canon.Sum("test", []byte("beta"))}
	tests := []struct {
		name           string
		role, contract string
		options        func(*fake)
		code           int
		want           string // the role, or what the refusal says
	}{
		{"the only one", "", "", func(*fake) {}, ExitOK, "ops"},
		{"none", "", "", func(f *fake) { f.roles = nil }, ExitForbidden, "no contract in force lets you ask for ops@web-1.demo"},
		{"several", "", "", func(f *fake) { f.roles = append(f.roles, api.RoleOption{Contract: other, Role: "ops"}) }, ExitUsage, "acme/ops, beta/ops"},
		{"several, role does not tell", "ops", "", func(f *fake) { f.roles = append(f.roles, api.RoleOption{Contract: other, Role: "ops"}) }, ExitUsage, "--contract"},
		{"several, contract tells", "", "beta", func(f *fake) { f.roles = append(f.roles, api.RoleOption{Contract: other, Role: "dba"}) }, ExitOK, "dba"},
		{"several, role tells", "dba", "", func(f *fake) { f.roles = append(f.roles, api.RoleOption{Contract: other, Role: "dba"}) }, ExitOK, "dba"},
		{"a role that does not fit", "root", "", func(*fake) {}, ExitUsage, "you may choose acme/ops"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			tt.options(f)
			o, err := w.account(t).chooseRole(t.Context(), wanted{
				logins: []sshcert.Login{"ops"}, hosts: []sshcert.Host{"web-1.demo"}, role: tt.role, contract: tt.contract,
			})
			if tt.code != ExitOK {
				wantExit(t, err, tt.code, tt.want)
			} else if err != nil || o.Role != tt.want {
				t.Errorf("got %q, %v; want %q", o.Role, err, tt.want)
			}
		})
	}
}

// An answer about another request is not taken for an answer.
func TestAnswerAboutAnotherRequest(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	a := w.account(t)
	other := newID(t)
	f.polled = func(q *api.Request) { q.ID = other }
	r := f.granted(time.Minute, "web-1.demo")
	_, err := a.request(t.Context(), r.ID)
	wantExit(t, err, ExitFailed, "answered about request "+string(other))

	f.renumber = func(q *api.Request) { q.ID = other }
	_, err = a.submit(t.Context(), wanted{logins: logins("ops"), hosts: hostsOf("web-1.demo"), length: time.Minute, reason: "x"})
	wantExit(t, err, ExitFailed, "answered about request "+string(other))
}

// A role that wants a ticket is not asked without one, and the ticket that is named
// is signed with the reason, sent and shown.
func TestAskNamesATicket(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.roles[0].Ticket = &api.RoleTicket{Required: true, Pattern: "INC-[0-9]+"}
	ask := Ask{Principals: []string{"ops@web-1.demo"}, For: "10m", Because: "checkout latency"}
	err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: ask, NoWait: true})
	wantExit(t, err, ExitUsage, "wants a ticket that matches INC-[0-9]+: add --ticket ID")
	if len(f.order) != 0 {
		t.Errorf("%d requests were filed", len(f.order))
	}
	ask.Ticket = " INC-42 "
	if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: ask, NoWait: true}); err != nil {
		t.Fatal(err)
	}
	q := f.requests[f.order[0]]
	if q.Ticket != "INC-42" {
		t.Errorf("the ticket is %q", q.Ticket)
	}
	w.out.Reset()
	if err := Status(t.Context(), StatusOptions{Env: w.Env, ID: string(q.ID)}); err != nil || !strings.Contains(w.out.String(), "\nticket    INC-42\n") {
		t.Errorf("status: %v\n%s", err, w.out.String())
	}
	w.out.Reset()
	if err := List(t.Context(), ListOptions{Env: w.Env, Limit: 50}); err != nil || !strings.Contains(w.out.String(), "checkout latency [INC-42]") {
		t.Errorf("list: %v\n%s", err, w.out.String())
	}
	ask.Ticket = "INC-43"
	w.err.Reset()
	if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: ask, NoWait: true}); err != nil || !strings.Contains(w.err.String(), "with ticket INC-42; that counts") {
		t.Errorf("joined: %v\n%s", err, w.err.String())
	}
}
