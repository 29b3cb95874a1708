package server_test

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/api/apitest"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

// event is one server-sent event.
type event struct{ id, name, data string }

// listening is an open stream of events.
type listening struct {
	t      *testing.T
	events chan event // closed when the stream ends
	stop   context.CancelFunc
}

// listen opens a stream.
func (w *world) listen(path string, header http.Header) *listening {
	t := w.t
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.base+path, nil)
	must(t, err)
	req.Header = header
	transport := &http.Transport{}
	resp, err := transport.RoundTrip(req)
	must(t, err)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" || resp.Header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s: %d %v", path, resp.StatusCode, resp.Header)
	}
	l := &listening{t: t, events: make(chan event, 1000), stop: stop}
	done := make(chan struct{})
	var raw strings.Builder
	go func() {
		defer close(done)
		defer close(l.events)
		var e event
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			raw.WriteString(lines.Text() + "\n")
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				e.id = value
			case "event":
				e.name = value
			case "data":
				e.data = value
			case "":
				if e.name != "" {
					l.events <- e
				}
				e = event{}
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-done
		_ = resp.Body.Close()
		transport.CloseIdleConnections()
		if !strings.HasPrefix(path, "/v1/") {
			return
		}
		err := w.openAPI.Check(apitest.Exchange{Method: http.MethodGet, Target: path, Status: resp.StatusCode, Header: resp.Header, Body: []byte(raw.String())})
		if err != nil {
			t.Errorf("not as in docs/openapi.json: %v", err)
		}
	})
	return l
}

// next is the next event that is no ping.
func (l *listening) next() event {
	l.t.Helper()
	limit := time.After(30 * time.Second)
	for {
		select {
		case e, ok := <-l.events:
			if !ok {
				l.t.Fatal("the stream has ended")
			}
			if e.name != "ping" {
				return e
			}
		case <-limit:
			l.t.Fatal("no event came")
		}
	}
}

// past are the events of the beginning, up to the first ping.
func (l *listening) past() []event {
	l.t.Helper()
	var out []event
	for e := range l.events {
		if e.name == "ping" {
			return out
		}
		out = append(out, e)
	}
	l.t.Fatal("the stream has ended")
	return nil
}

// end demands that the stream ends, after these words of goodbye.
func (l *listening) end(reason string) {
	l.t.Helper()
	if e := l.next(); e.name != "bye" || e.data != `{"reason":"`+reason+`"}` || e.id != "" {
		l.t.Errorf("goodbye is %+v", e)
	}
	if e, ok := <-l.events; ok {
		l.t.Errorf("after the goodbye came %+v", e)
	}
}

// is demands an event about a request.
func (e event) is(t testing.TB, kind, state string, id canon.ID) {
	t.Helper()
	var got api.Event
	if err := json.Unmarshal([]byte(e.data), &got); err != nil || e.name != "request" || e.id == "" || got != (api.Event{Request: id, State: state, Kind: kind}) {
		t.Errorf("event is %+v (%v), want %s, %s, %s", e, err, kind, state, id)
	}
}

func (c *cli) listen(path string) *listening {
	c.w.t.Helper()
	return c.w.listen(path, http.Header{"Authorization": {"Bearer " + c.bearer}})
}

func (b *browser) listen(path string) *listening {
	b.w.t.Helper()
	return b.w.listen(path, http.Header{"Cookie": {b.cookieHeader()}, "Sec-Fetch-Site": {"same-origin"}})
}

// TestPromiseP15_EventsAreForThoseWhoMaySee follows one request, and what
// requesters, approvers and strangers hear of it: ids and states, nothing that
// anybody wrote.
func TestPromiseP15_EventsAreForThoseWhoMaySee(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, mallory := w.logIn("alice"), w.logIn("mallory")
	bob, _ := w.signIn("bob", "/")
	sam, _ := w.signIn("sam", "/")
	eve, _ := w.signIn("eve", "/")
	unknown, _ := w.signIn("nil", "/")
	start := itoa(w.size() - 1)
	own, lead, security, stranger := alice.listen("/v1/events"), bob.listen("/events"), sam.listen("/events"), mallory.listen("/v1/events")

	q := alice.submit(nil)
	admin := alice.submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" })
	own.next().is(t, "request.submit", "pending", q.ID)
	own.next().is(t, "request.submit", "pending", admin.ID)
	lead.next().is(t, "request.submit", "pending", q.ID)
	lead.next().is(t, "request.submit", "pending", admin.ID)
	security.next().is(t, "request.submit", "pending", admin.ID) // of the second stage only

	bob.press(bob.open(requestPath(q.ID)), q.ID, "Deny", map[string]string{"words": "use the staging host"})
	own.next().is(t, "request.decide", "denied", q.ID)
	lead.next().is(t, "request.decide", "denied", q.ID)
	bob.press(bob.open(requestPath(admin.ID)), admin.ID, "Approve", nil)
	own.next().is(t, "request.decide", "pending", admin.ID)
	security.next().is(t, "request.decide", "pending", admin.ID)

	theirs := mallory.submit(nil) // the stranger hears of her own request, and of nothing before
	stranger.next().is(t, "request.submit", "pending", theirs.ID)
	for name, l := range map[string]*listening{
		"eve": eve.listen("/events?after=" + start), "of unknown groups": unknown.listen("/events?after=" + start),
	} {
		if past := l.past(); len(past) != 0 {
			t.Errorf("%s is told %v", name, past)
		}
	}
	for name, l := range map[string]*listening{"alice": alice.listen("/v1/events?after=" + start), "bob": bob.listen("/events?after=" + start)} {
		for _, e := range l.past() {
			for _, secret := range []string{"INC-42", "staging", "Alice", "Bob", "acme.test", "ops", "root", "web-1"} {
				if strings.Contains(e.id+e.name+e.data, secret) {
					t.Errorf("%s is told %q in %+v", name, secret, e)
				}
			}
		}
	}
}

// TestEventsOfOneRequest waits as a client does: for one request.
func TestEventsOfOneRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, mallory := w.logIn("alice"), w.logIn("mallory")
	q, other := alice.submit(nil), alice.submit(nil)
	l := alice.listen("/v1/events?request=" + string(q.ID))
	bob, _ := w.signIn("bob", "/")
	bob.press(bob.open(requestPath(other.ID)), other.ID, "Approve", nil)
	bob.press(bob.open(requestPath(q.ID)), q.ID, "Approve", nil)
	l.next().is(t, "request.decide", "granted", q.ID)
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)
	l.next().is(t, "certificate.issue", "granted", q.ID)
	for _, id := range []string{string(q.ID), strings.Repeat("a", 26), "x", ""} {
		mallory.call("/v1/events?request="+id, nil).wantProblem(t, http.StatusNotFound, "not-found", "no such request")
	}
}

// TestEventsGoOn comes back with the id of the last event, in the header as
// browsers do, and with one that the ledger has not reached.
func TestEventsGoOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	l := alice.listen("/v1/events")
	first := alice.submit(nil)
	seen := l.next()
	seen.is(t, "request.submit", "pending", first.ID)
	l.stop()
	second, third := alice.submit(nil), alice.submit(nil)
	header := http.Header{"Authorization": {"Bearer " + alice.bearer}, "Last-Event-Id": {seen.id}}
	for name, l := range map[string]*listening{
		"by header": w.listen("/v1/events", header), "by address": alice.listen("/v1/events?after=" + seen.id),
		"the header is newer": w.listen("/v1/events?after=0", header),
	} {
		past := l.past()
		if len(past) != 2 {
			t.Fatalf("%s: %v", name, past)
		}
		past[0].is(t, "request.submit", "pending", second.ID)
		past[1].is(t, "request.submit", "pending", third.ID)
	}
	ahead := alice.listen("/v1/events?after=" + itoa(w.size()+5))
	if e := ahead.next(); e.name != "reset" || e.id != itoa(w.size()-1) {
		t.Errorf("from beyond the end: %+v", e)
	}
	if past := alice.listen("/v1/events?after=" + itoa(w.size()-1)).past(); len(past) != 0 {
		t.Errorf("from the end: %v", past)
	}
}

// TestEventsRefused asks for streams that there are none of.
func TestEventsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	cookie, bearer := http.Header{"Cookie": {bob.cookieHeader()}}, http.Header{"Authorization": {"Bearer " + alice.bearer}}
	with := func(h http.Header, name string, values ...string) http.Header {
		out := h.Clone()
		out[name] = values
		return out
	}
	for _, tt := range []struct {
		name, path string
		header     http.Header
		status     int
		slug       string
		words      string
	}{
		{"a word for a number", "/v1/events?after=x", bearer, 422, "field-refused", "after: not accepted: a whole number"},
		{"less than nothing", "/v1/events?after=-1", bearer, 422, "field-refused", "after"},
		{"too large", "/v1/events?after=99999999999999999999", bearer, 422, "field-refused", "after"},
		{"twice", "/v1/events?after=1&after=2", bearer, 422, "field-refused", "given 2 times"},
		{"the request twice", "/v1/events?request=a&request=b", bearer, 422, "field-refused", "given 2 times"},
		{"the header is no number", "/v1/events", with(bearer, "Last-Event-Id", "x"), 422, "field-refused", "Last-Event-ID"},
		{"the header twice", "/v1/events", with(bearer, "Last-Event-Id", "1", "2"), 422, "field-refused", "given 2 times"},
		{"another parameter", "/v1/events?since=1", bearer, 400, "malformed", "since"},
		{"nobody", "/v1/events", nil, 401, "unauthenticated", "log in"},
		{"a cookie", "/v1/events", cookie, 401, "unauthenticated", "log in"},
		{"a made-up bearer", "/v1/events", http.Header{"Authorization": {"Bearer " + canon.Digest{1}.String()}}, 401, "unauthenticated", "not logged in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.send(http.MethodGet, tt.path, tt.header, nil).wantProblem(t, tt.status, tt.slug, tt.words)
		})
	}
	for _, tt := range []struct {
		name   string
		header http.Header
		status int
	}{
		{"nobody is led to sign in", nil, 401},
		{"a bearer", bearer, 401},
		{"another site's page", with(cookie, "Sec-Fetch-Site", "cross-site"), 403},
		{"another port's page", with(cookie, "Sec-Fetch-Site", "same-site"), 403},
	} {
		t.Run("page, "+tt.name, func(t *testing.T) {
			if r := w.send(http.MethodGet, "/events", tt.header, nil); r.status != tt.status || r.header.Get("Location") != "" {
				t.Errorf("%d %v", r.status, r.header)
			}
		})
	}
	if r := w.send(http.MethodHead, "/v1/events", bearer, nil); r.status != 200 || r.header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("HEAD: %d %v", r.status, r.header)
	}
	w.send(http.MethodPost, "/v1/events", bearer, nil).wantProblem(t, 405, "method-not-allowed")
}

// TestEventsEndWithTheSession: a stream neither outlives its session nor prolongs
// it, and nor does what a page asks for by itself.
func TestEventsEndWithTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	other, _ := w.signIn("bob", "/")
	l, others := bob.listen("/events"), other.listen("/events")
	l.past()
	_, err := bob.Submit(t.Context(), bob.open("/"), "/logout", nil, "Sign out")
	must(t, err)
	l.end("session")
	mine := alice.listen("/v1/events")
	mine.past()

	byItself := http.Header{"Cookie": {other.cookieHeader()}, "Sallyport-Live": {"1"}}
	for range 2 {
		w.clock.advance(7 * time.Minute)
		q := alice.submit(nil)
		others.next().is(t, "request.submit", "pending", q.ID)
		if r := w.send(http.MethodGet, requestPath(q.ID), byItself, nil); r.status != http.StatusOK {
			t.Fatalf("the page, by itself: %d", r.status)
		}
	}
	w.clock.advance(time.Minute)
	alice.submit(nil)
	others.end("session")
	if r := w.send(http.MethodGet, "/", byItself, nil); r.status != http.StatusUnauthorized || r.header.Get("Location") != "" {
		t.Errorf("the page, by itself, in a session that is over: %d", r.status)
	}
	w.send(http.MethodDelete, "/v1/sessions/current", http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil)
	for range 3 {
		mine.next()
	}
	mine.end("session")
}

// TestEventsEndUnused: the stream of a session that nobody used for too long ends
// though nothing happens that its person would be told.
func TestEventsEndUnused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	eve, _ := w.signIn("eve", "/")
	l := eve.listen("/events")
	l.past()
	w.clock.advance(16 * time.Minute)
	alice.submit(nil) // eve is not told, but the clock is looked at
	l.end("session")
}

// TestEventsOfChangedGroups: whoever comes into a group hears of its requests, and
// whoever leaves it hears no more, in the stream that is open.
func TestEventsOfChangedGroups(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	issuer := w.issuers()["acme/lab"]
	c, rz := &cli{w: w, device: newKey(t)}, [32]byte{9}
	p, got := w.tokens(issuer, "eve", oidc.DeviceNonce(rz, c.device.PublicKey().Marshal()))
	c.bearer = into[api.Session](t, c.call("/v1/sessions", w.loginBody(issuer.ID, got.ID, rz, c.device)), http.StatusCreated).Bearer
	l := c.listen("/v1/events")
	alice.submit(nil) // she is no lead
	must(t, w.idp.SetGroups("eve", []string{"leads"}))
	renewed, got := c.renew(p, got, rz)
	into[api.Session](t, renewed, http.StatusOK)
	heard := alice.submit(nil)
	l.next().is(t, "request.submit", "pending", heard.ID)
	must(t, w.idp.SetGroups("eve", []string{"visitors"}))
	renewed, _ = c.renew(p, got, rz)
	into[api.Session](t, renewed, http.StatusOK)
	alice.submit(nil) // she is no lead any more
	w.send(http.MethodDelete, "/v1/sessions/current", http.Header{"Authorization": {"Bearer " + c.bearer}}, nil)
	l.end("session")
}

// TestEventsEndElsewhere: a session that was ended behind the server's back hears
// nothing any more.
func TestEventsEndElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, again := w.logIn("alice"), w.logIn("alice")
	l := alice.listen("/v1/events")
	q := again.submit(nil)
	l.next().is(t, "request.submit", "pending", q.ID)
	must(t, w.authority.LogOut(t.Context(), alice.bearer))
	again.submit(nil)
	l.end("session")
}
