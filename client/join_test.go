package client

import (
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
)

// A second ask for what is open joins it; what is granted is not asked for again.
func TestRequestUsesWhatThereIs(t *testing.T) {
	t.Parallel()
	type prepare = func(f *fake) api.Request // what is there; its id is printed if nothing is filed
	open := func(hosts ...string) prepare { return func(f *fake) api.Request { return f.open(hosts...) } }
	but := func(change func(*api.Request)) prepare {
		return func(f *fake) api.Request {
			q := f.open("web-1.demo")
			change(f.requests[q.ID])
			return q
		}
	}
	granted := func(d time.Duration) prepare { return func(f *fake) api.Request { return f.granted(d, "web-1.demo") } }
	ask := func(change func(*Ask)) Ask {
		a := askWeb1()
		change(&a)
		return a
	}
	none := func(*Ask) {}
	const filed, joined, used = "asked for ", "joining request ", "using the grant of request "
	tests := []struct {
		name    string
		prepare prepare
		ask     func(*Ask) // changes the ask for ten minutes because of INC-42
		another bool
		said    []string
		unsaid  string
		asked   int
	}{
		{"an open one for the same", open("web-1.demo"), none, false, []string{joined, "it is decided at ", "waiting for leads", "granted by Bob"}, "that counts", 0},
		{"an open one for longer", open("web-1.demo"), func(a *Ask) { a.For = "5m" }, false, []string{joined, `it asks for 10m0s because "INC-42"; that counts`, "sally request --new"}, filed, 0},
		{"an open one for another reason", open("web-1.demo"), func(a *Ask) { a.Because = "INC-43" }, false, []string{joined, `it asks for 10m0s because "INC-42"; that counts`}, "INC-43", 0},
		{"an open one, and another is wanted", open("web-1.demo"), none, true, []string{filed}, joined, 1},
		{"an open one for more hosts", open("web-1.demo", "web-2.demo"), none, false, []string{joined, `it asks for ops@web-1.demo, ops@web-2.demo for 10m0s because "INC-42"; that counts`}, filed, 0},
		{"an open one of a role that was not named", but(func(q *api.Request) { q.Role = "root" }), none, false, []string{joined, " under acme/root, open since "}, filed, 0},
		{"an open one for fewer hosts", open("web-1.demo"), func(a *Ask) { a.Principals = append(a.Principals, "ops@web-2.demo") }, false, []string{filed}, joined, 1},
		{"an open one for another login", open("web-1.demo"), func(a *Ask) { a.Principals[0] = "root@web-1.demo" }, false, []string{filed}, joined, 1},
		{"an open one under another contract", but(func(q *api.Request) { q.Contract.ID = "other" }), func(a *Ask) { a.Contract = "acme" }, false, []string{filed}, joined, 1},
		{"an open one under another role", but(func(q *api.Request) { q.Role = "other" }), func(a *Ask) { a.Role = "ops" }, false, []string{filed}, joined, 1},
		{"a cancelled one", but(func(q *api.Request) { q.State = "cancelled" }), none, false, []string{filed}, joined, 1},
		{"a grant", granted(time.Hour), none, false, []string{used, " under acme/ops, until "}, "it is for", 0},
		{"a grant for more hosts", func(f *fake) api.Request { return f.granted(time.Hour, "web-1.demo", "web-2.demo") }, none, false, []string{used, "; it is for ops@web-1.demo, ops@web-2.demo"}, "--new", 0},
		{"a grant that ends sooner than was asked", granted(time.Minute), none, false, []string{used, "; sally request --new asks for more"}, "granted by", 0},
		{"a grant, and another is wanted", granted(time.Hour), none, true, []string{filed}, used, 1},
		{"a grant that is nearly over", granted(3 * time.Second), none, false, []string{filed}, used, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			f.polled = func(q *api.Request) { grant(q, time.Minute) }
			there := tt.prepare(f)
			if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: ask(tt.ask), New: tt.another}); err != nil {
				t.Error(err)
			}
			for _, want := range tt.said {
				if !strings.Contains(w.stderr(), want) {
					t.Errorf("no %q in %q", want, w.stderr())
				}
			}
			if tt.unsaid != "" && strings.Contains(w.stderr(), tt.unsaid) {
				t.Errorf("%q in %q", tt.unsaid, w.stderr())
			}
			if n := f.called("POST /v1/requests"); n != tt.asked {
				t.Errorf("%d were filed, want %d", n, tt.asked)
			}
			if id, _, _ := strings.Cut(w.stdout(), "\n"); (id == string(there.ID)) != (tt.asked == 0) {
				t.Errorf("printed %q, there was %s", w.stdout(), there.ID)
			}
		})
	}
}

// Who waits for a request that is cancelled meanwhile is told so.
func TestJoinedAndCancelled(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.open("web-1.demo")
	f.polled = func(q *api.Request) { q.State, q.CancelledAt = "cancelled", 1 }
	wantExit(t, Request(t.Context(), RequestOptions{Env: w.Env, Ask: askWeb1()}), ExitDenied, "was cancelled; ask again")
}

// Of several that would do the newest open one is joined, and any grant comes
// first: the one that ends last.
func TestWhichRequestIsUsed(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.open("web-1.demo")
	newer := f.open("web-1.demo")
	run := func(want string) {
		t.Helper()
		before := len(w.stdout())
		if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: askWeb1(), NoWait: true}); err != nil {
			t.Fatal(err)
		}
		if got, _, _ := strings.Cut(w.stdout()[before:], "\n"); got != want {
			t.Errorf("printed %s, want %s", got, want)
		}
	}
	run(string(newer.ID))
	long := f.granted(time.Hour, "web-1.demo")
	f.granted(time.Minute, "web-1.demo")
	run(string(long.ID))
}

// With --json a request that is joined or used is printed like one that is filed.
func TestJoinedInJSON(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(time.Hour, "web-1.demo")
	if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: askWeb1(), JSON: true}); err != nil {
		t.Fatal(err)
	}
	if out := w.stdout(); !strings.HasPrefix(out, "{") || !strings.Contains(out, `"id": "`+string(q.ID)+`"`) || !strings.Contains(out, `"active": true`) {
		t.Errorf("printed %s", out)
	}
}

// Runs at the same time, of sally ssh and sally request, file one request.
func TestParallelAsksFileOneRequest(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			if err := Request(t.Context(), RequestOptions{Env: w.Env, Ask: askWeb1(), NoWait: true}); err != nil {
				t.Error(err)
			}
		})
		group.Go(func() {
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: askWeb1(), Timeout: time.Millisecond, Exec: (&execRecorder{}).exec})
			if ExitCode(err) != ExitTimeout {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if n := f.called("POST /v1/requests"); n != 1 {
		t.Errorf("%d requests for 12 runs", n)
	}
}

// Ctrl-C before the server has answered: whether the request is there nobody knows,
// and its id is told.
func TestInterruptedWhileAsking(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.refuse["POST /v1/requests"] = api.Problem{Type: "/problems/unavailable", Status: 503, Detail: "starting"}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for f.called("POST /v1/requests") == 0 && ctx.Err() == nil {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	err := Request(ctx, RequestOptions{Env: w.Env, Ask: askWeb1()})
	wantExit(t, err, ExitInterrupted, "interrupted while asking; whether the request was filed, this says: sally status ")
	if !regexp.MustCompile(` sally status [a-z2-7]{26}$`).MatchString(err.Error()) || w.stdout() != "" {
		t.Errorf("%v; printed %q", err, w.stdout())
	}
}

// The command that goes on with a request is written as a shell takes it.
func TestResume(t *testing.T) {
	t.Parallel()
	for want, o := range map[string]SSHOptions{
		"sally ssh ops@web-1.demo":                                              {},
		"sally ssh ops@web-1.demo --role admin --contract acme":                 {Ask: Ask{Role: "admin", Contract: "acme"}},
		"sally ssh ops@web-1.demo --key-file -- -v uptime":                      {KeyFile: true, Args: []string{"-v", "uptime"}},
		"sally ssh ops@web-1.demo --key-type rsa-3072":                          {KeyType: "rsa-3072"},
		"sally ssh ops@web-1.demo --identity '/home/alice/my keys/id_sk'":       {Identity: "/home/alice/my keys/id_sk"},
		`sally ssh ops@web-1.demo -- 'echo "$HOME"' 'it'\''s' '' a-b_c.d/e@f=1`: {Args: []string{`echo "$HOME"`, "it's", "", "a-b_c.d/e@f=1"}},
		"sally ssh ops@web-1.demo -- 'rm *; true' '~'":                          {Args: []string{"rm *; true", "~"}},
	} {
		o.Principals = []string{"ops@web-1.demo"}
		if got := o.resume(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
