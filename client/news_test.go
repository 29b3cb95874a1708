package client

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
)

// TestWaitHears: while the server tells of changes, a request is read when it
// tells and hardly else; when it stops telling, it is read from time to time.
func TestWaitHears(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		tell    time.Duration // when the server tells of the decision; 0: it does not
		deaf    time.Duration // when the stream ends; 0: never
		decided time.Duration
		took    time.Duration
		reads   int // at most
	}{
		{"told", 40 * time.Second, 0, 40 * time.Second, 40 * time.Second, 4},
		{"not told", 0, 0, 40 * time.Second, 40*time.Second + pollLive + pollMost, 5},
		{"the stream ends", 0, 20 * time.Second, 40 * time.Second, 40*time.Second + pollMost, 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.Env.Now = time.Now
				start, reads := time.Now(), 0
				n := &news{changed: make(chan struct{}, 1)}
				n.open.Store(true)
				if tt.tell > 0 {
					time.AfterFunc(tt.tell, n.tell)
				}
				if tt.deaf > 0 {
					time.AfterFunc(tt.deaf, func() { n.open.Store(false) })
				}
				r, err := waiter{
					env: w.Env, listen: func(context.Context, canon.ID) *news { return n },
					get: func(context.Context, canon.ID) (api.Request, error) {
						reads++
						next := pending(start)
						next.State = after(time.Since(start), tt.decided, "granted")
						return next, nil
					},
				}.wait(t.Context(), pending(start))
				if took := time.Since(start); err != nil || r.State != "granted" || took > tt.took || reads > tt.reads {
					t.Errorf("%s after %s and %d reads: %v", r.State, took, reads, err)
				}
			})
		})
	}
}

// TestNews reads a stream as a server sends it.
func TestNews(t *testing.T) {
	t.Parallel()
	const id = canon.ID("mzxw6ytboi4dknrzgq2tmnzxgi")
	send, end := make(chan string), make(chan struct{})
	asked := make(chan *http.Request, 10)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			if http.NewResponseController(w).Flush() != nil {
				return
			}
			select {
			case text := <-send:
				fmt.Fprint(w, text)
			case <-end:
				return
			case <-r.Context().Done():
				return
			}
		}
	}))
	t.Cleanup(srv.Close)
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	n := &news{changed: make(chan struct{}, 1)}
	ended := make(chan bool, 1)
	go func() { ended <- n.follow(ctx, newConn(newWorld(t).Env, base, "secret"), id) }()
	if r := <-asked; r.URL.String() != newsPath+"?request="+string(id) || r.Header.Get("Authorization") != "Bearer secret" || r.Header.Get("Accept") != "text/event-stream" {
		t.Errorf("asked for %s with %v", r.URL, r.Header)
	}
	<-n.changed // it is open
	if !n.live() {
		t.Error("an open stream does not count")
	}
	send <- "retry: 2000\n\nid: 7\nevent: ping\ndata: {}\n\n"
	send <- "id: 8\nevent: request\ndata: {}\n\n"
	<-n.changed
	send <- ": words\n\nevent: reset\ndata: {}\n\n"
	<-n.changed
	select {
	case <-n.changed:
		t.Error("a ping, a comment or an end was taken for a change")
	default:
	}
	close(end)
	<-n.changed
	if again := <-ended; !again || n.live() {
		t.Errorf("after its end: again %t, live %t", again, n.live())
	}
	var none *news
	if _, err := none.wait(ctx, time.Nanosecond); err != nil || none.live() {
		t.Errorf("without a stream: %v", err)
	}
}

// TestNewsRefused: a server that has no streams is asked once, one that is full
// again.
func TestNewsRefused(t *testing.T) {
	t.Parallel()
	for status, again := range map[int]bool{401: false, 404: false, 429: false, 302: false, 503: true, 500: true} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		base, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		n := &news{changed: make(chan struct{}, 1)}
		c := newConn(newWorld(t).Env, base, "secret")
		if got := n.follow(t.Context(), c, "mzxw6ytboi4dknrzgq2tmnzxgi"); got != again || n.live() || len(n.changed) != 0 {
			t.Errorf("%d: again %t, want %t", status, got, again)
		}
		srv.Close()
		if !n.follow(t.Context(), c, "mzxw6ytboi4dknrzgq2tmnzxgi") {
			t.Error("a server that is away is given up")
		}
	}
}
