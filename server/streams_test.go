package server_test

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/server"
)

// TestEventsAreBounded opens more streams than a session may have.
func TestEventsAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	var open []*listening
	for range 8 {
		l := alice.listen("/v1/events")
		l.past()
		open = append(open, l)
	}
	alice.call("/v1/events", nil).wantProblem(t, http.StatusTooManyRequests, "rate", "8 open event streams", "close some")
	w.logIn("alice").listen("/v1/events").past() // another session of hers
	open[0].stop()
	for range open[0].events { // until the client has noticed
	}
	for { // and the server
		ctx, stop := context.WithCancel(t.Context())
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+"/v1/events", nil)
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+alice.bearer)
		resp, err := http.DefaultTransport.RoundTrip(req)
		must(t, err)
		stop()
		must(t, resp.Body.Close())
		if resp.StatusCode == http.StatusOK {
			return
		}
	}
}

// observer keeps how long the answers of a route took.
type observer struct{ took chan time.Duration }

func (o observer) Requested(_, route string, _ int, took time.Duration) {
	if route == "/v1/events" {
		o.took <- took
	}
}
func (observer) Limited(string)   {}
func (observer) NotIssued(string) {}

// TestEventsTookNoTime: how long a stream was open is not how long its answer took.
func TestEventsTookNoTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	ln := loopback(t)
	w.base = "http://" + ln.Addr().String()
	o := observer{make(chan time.Duration, 1)}
	s, err := server.New(server.Config{Authority: w.authority, BaseURL: w.base, Now: w.clock.Now, Rand: rand.Reader, Observer: o})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, nil) }()
	l := alice.listen("/v1/events")
	l.past()
	w.clock.advance(time.Hour)
	l.stop()
	if took := <-o.took; took >= time.Hour {
		t.Errorf("%s", took)
	}
	stop()
	must(t, <-ended)
}

// TestStopEndsEvents stops the server under an open stream, which says so.
func TestStopEndsEvents(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	ln := loopback(t)
	w.base = "http://" + ln.Addr().String()
	s, err := server.New(server.Config{Authority: w.authority, BaseURL: w.base, Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, nil) }()
	l := alice.listen("/v1/events")
	l.past()
	stop()
	l.end("stopping")
	if err := <-ended; err != nil { // it would be "requests still ran"
		t.Error(err)
	}
}

// TestEventsOutliveTheWriteTimeout has a stream on a server whose time for writing
// an answer is over.
func TestEventsOutliveTheWriteTimeout(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	ln := loopback(t)
	s, err := server.New(server.Config{Authority: w.authority, BaseURL: "http://" + ln.Addr().String(), Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	over := make(chan struct{})
	srv := &http.Server{ReadHeaderTimeout: time.Minute, WriteTimeout: 50 * time.Millisecond, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/control" {
			s.ServeHTTP(rw, r)
			return
		}
		var err error
		for out := http.NewResponseController(rw); err == nil; err = errors.Join(err, out.Flush()) {
			_, err = rw.Write([]byte(strings.Repeat("x", 1000)))
		}
		close(over)
	})}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ln) }()
	first, base := w.base, "http://"+ln.Addr().String()
	w.base = base
	l := alice.listen("/v1/events")
	l.past()
	w.base = first
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/control", nil)
	must(t, err)
	resp, err := http.DefaultTransport.RoundTrip(req)
	must(t, err)
	if _, err := io.Copy(io.Discard, resp.Body); err == nil {
		t.Error("the control was not cut")
	}
	must(t, resp.Body.Close())
	<-over
	q := alice.submit(nil)
	l.next().is(t, "request.submit", "pending", q.ID)
	l.stop()
	must(t, srv.Close())
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
}
