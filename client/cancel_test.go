package client

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
)

func TestCancel(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.open("web-1.demo", "web-2.demo")
	for range 2 { // what is cancelled already is as good
		if err := Cancel(t.Context(), CancelOptions{Env: w.Env, ID: string(q.ID)}); err != nil {
			t.Fatal(err)
		}
	}
	want := "sally: request " + string(q.ID) + " for ops@web-1.demo, ops@web-2.demo is cancelled since "
	if n := strings.Count(w.stderr(), want); n != 2 || w.stdout() != "" {
		t.Errorf("said %q, printed %q", w.stderr(), w.stdout())
	}
	if err := Cancel(t.Context(), CancelOptions{Env: w.Env, ID: string(q.ID), JSON: true}); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.stdout(), `"state": "cancelled"`) || !strings.Contains(w.stdout(), `"cancelled_at": `) {
		t.Errorf("printed %s", w.stdout())
	}
	if err := Status(t.Context(), StatusOptions{Env: w.Env, ID: string(q.ID)}); err != nil || !strings.Contains(w.stdout(), "\nstate     cancelled at ") {
		t.Errorf("status: %v, %s", err, w.stdout())
	}
	wantExit(t, Status(t.Context(), StatusOptions{Env: w.Env, ID: string(q.ID), Wait: true}), ExitDenied, "was cancelled; ask again")
}

func TestCancelRefuses(t *testing.T) {
	t.Parallel()
	state := func(name string) func(*fake) string {
		return func(f *fake) string {
			q := f.open("web-1.demo")
			f.requests[q.ID].State = name
			return string(q.ID)
		}
	}
	tests := []struct {
		name    string
		prepare func(*fake) string // returns the id to cancel
		code    int
		want    string
		calls   int // at most
	}{
		{"no id", func(*fake) string { return "" }, ExitUsage, "name the request to cancel; sally status lists what you have open", 0},
		{"no request's id", func(*fake) string { return "../x" }, ExitUsage, `ID "../x": a request's id is 26 characters`, 0},
		{"an id in capitals", func(*fake) string { return strings.Repeat("A", 26) }, ExitUsage, "26 characters", 0},
		{"an unknown one", func(f *fake) string { return string(newID(f.t)) }, ExitFailed, "no such request; sally list shows your requests", 1},
		{"a granted one", func(f *fake) string { return string(f.granted(time.Minute, "web-1.demo").ID) }, ExitFailed, "is granted, so there is nothing to cancel; the grant ends by itself at ", 2},
		{"one whose grant is over", func(f *fake) string {
			q := f.granted(time.Minute, "web-1.demo")
			f.requests[q.ID].Grant.Active = false
			return string(q.ID)
		}, ExitFailed, "was granted and its grant is over", 2},
		{"a denied one", state("denied"), ExitDenied, "is denied already, so there is nothing to cancel", 2},
		{"an expired one", state("expired"), ExitDenied, "is expired already, so there is nothing to cancel", 2},
		{"a settled one that is not shown any more", func(f *fake) string {
			id := state("denied")(f)
			f.refuse["GET /v1/requests/"+id] = api.Problem{Type: "/problems/unavailable", Status: 503, Detail: "x"}
			return id
		}, ExitFailed, "this request is settled", 2},
		{"somebody else's", func(f *fake) string {
			id := state("pending")(f)
			f.refuse["POST /v1/requests/"+id+"/cancel"] = api.Problem{Type: "/problems/not-requester", Status: 403, Detail: "a request is cancelled by the account that made it"}
			return id
		}, ExitFailed, "a request is cancelled by the account that made it", 1},
		{"a login that is over", func(f *fake) string {
			id := state("pending")(f)
			f.bearer = strings.Repeat("c", 43)
			return id
		}, ExitLogin, "log in: sally login", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			id := tt.prepare(f)
			wantExit(t, Cancel(t.Context(), CancelOptions{Env: w.Env, ID: id}), tt.code, tt.want)
			if n := f.called(""); n > tt.calls {
				t.Errorf("the server was called %d times", n)
			}
			if w.stdout() != "" {
				t.Errorf("printed %q", w.stdout())
			}
		})
	}
	w := newWorld(t)
	wantExit(t, Cancel(t.Context(), CancelOptions{Env: w.Env, ID: string(newID(t))}), ExitLogin, "log in first")
}

// A server that stays away is asked three times; whether it heard is not known, and
// a repeat does no harm.
func TestCancelWithoutAnswer(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.open("web-1.demo")
	path := "POST /v1/requests/" + string(q.ID) + "/cancel"
	f.refuse[path] = api.Problem{Type: "/problems/unavailable", Status: 503, Detail: "starting"}
	wantExit(t, Cancel(t.Context(), CancelOptions{Env: w.Env, ID: string(q.ID)}), ExitUnreachable, "a retry is safe")
	if n := f.called(path); n != 3 {
		t.Errorf("it was asked %d times", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantExit(t, Cancel(ctx, CancelOptions{Env: w.Env, ID: string(q.ID)}), ExitInterrupted, "sally status "+string(q.ID))
}

// A server that answers about another request, or that it is not cancelled, is not
// believed to have done it.
func TestCancelBelievesNoOtherAnswer(t *testing.T) {
	t.Parallel()
	other := newID(t)
	for name, tt := range map[string]struct {
		lie  func(*api.Request)
		want string
	}{
		"about another request": {func(q *api.Request) { q.ID = other }, "the server answered about request " + string(other)},
		"not cancelled":         {func(q *api.Request) { q.State = "pending" }, "is pending, not cancelled; tell the operator"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			f.lieCancel = tt.lie
			wantExit(t, Cancel(t.Context(), CancelOptions{Env: w.Env, ID: string(f.open("web-1.demo").ID)}), ExitFailed, tt.want)
			if w.stderr() != "" {
				t.Errorf("said %q", w.stderr())
			}
		})
	}
}
