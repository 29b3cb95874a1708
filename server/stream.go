package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
)

const (
	heartbeat  = 20 * time.Second // proxies cut what is silent for longer
	eventWrite = 10 * time.Second // for one event to leave; who reads slower is cut and comes back
	eventRetry = 2000             // milliseconds that who was cut waits before coming back
)

// The names of events, and why a stream ends.
const (
	eventRequest = "request" // a request changed: api.Event
	eventReset   = "reset"   // anything may have changed: look anew
	eventPing    = "ping"    // nothing changed
	eventBye     = "bye"     // the stream ends: api.Bye

	byeSession  = "session"  // the session is over; sign in again
	byeStopping = "stopping" // the server stops; come back
)

// pageEvents answers GET /events for pages.
func (s *Server) pageEvents(w http.ResponseWriter, r *http.Request) error {
	if elsewhere(r) {
		return fmt.Errorf("%w: it was asked for from somewhere else", errCrossSite)
	}
	secret, err := s.cookies.secret(r)
	if err != nil {
		return err
	}
	session, _, err := s.open(r.Context(), secret, store.Web)
	if err != nil {
		return err
	}
	if err := s.countPerson(session); err != nil {
		return err
	}
	return s.events(w, r, secret, store.Web)
}

// apiEvents answers GET /v1/events for clients that bring a bearer.
func (s *Server) apiEvents(w http.ResponseWriter, r *http.Request, _ store.Session) error {
	secret, err := bearerOf(r)
	if err != nil {
		return err
	}
	return s.events(w, r, secret, store.CLI)
}

// events answers with a stream of server-sent events (HTML Standard, §9.2): what
// changed about the requests that the person may see, or about the one that is
// asked for, as ids and states. An event's id is the index of its leaf; who comes
// back with one is told what happened since. An open stream is no use of the
// session: it does not prolong it, and ends with it.
func (s *Server) events(w http.ResponseWriter, r *http.Request, secret string, kind store.SessionKind) error {
	t := &stream{s: s, listener: listener{session: store.SecretHash(secret), kind: kind}}
	if err := t.renew(r.Context()); err != nil {
		return err
	}
	after, err := t.parse(r)
	if err != nil {
		return err
	}
	var backlog []*news
	var lost bool
	if r.Method != http.MethodHead {
		if backlog, lost, err = s.feed.join(r.Context(), &t.listener, after); err != nil {
			return err
		}
		defer s.feed.leave(&t.listener)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would keep events until there are many
	if r.Method == http.MethodHead {
		return nil
	}
	t.w, t.out = w, http.NewResponseController(w)
	traceOf(r.Context()).opened = s.now()
	if err := t.run(r.Context(), backlog, lost); err != nil && !errors.Is(err, errGone) && r.Context().Err() == nil {
		s.logger.LogAttrs(r.Context(), slog.LevelError, "event stream cut",
			slog.String("request_id", string(traceOf(r.Context()).id)), slog.Any("error", err))
	}
	return nil // the answer has begun; the client comes back
}

// stream is one open answer.
type stream struct {
	listener
	s       *Server
	current store.Session
	subject contract.Subject // what the ledger says of the person's groups
	w       http.ResponseWriter
	out     *http.ResponseController
}

// parse reads what is asked for. It returns the leaf after which events are
// wanted, -1 for those to come.
func (t *stream) parse(r *http.Request) (after int64, err error) {
	values, err := query(r, "after", "request")
	if err != nil {
		return 0, err
	}
	if values.Has("request") {
		text, err := single(values, "request")
		if err != nil {
			return 0, err
		}
		id, err := canon.ParseID(text)
		if err != nil {
			return 0, authority.ErrNotYours
		}
		t.only = id
		err = t.s.store.Read(r.Context(), func(reader *store.Reader) error {
			_, err := seen(reader, id, t.current, t.s.now())
			return err
		})
		if err != nil {
			return 0, err
		}
	}
	name := "after"
	if last := r.Header.Values("Last-Event-ID"); len(last) > 0 { // newer than the address, which a browser asks for again
		name, values = "Last-Event-ID", url.Values{"Last-Event-ID": last}
	}
	return number(values, name, -1)
}

// renew reads the session again, and what the ledger says of its person.
func (t *stream) renew(ctx context.Context) error {
	return t.s.store.Read(ctx, func(r *store.Reader) (err error) {
		if t.current, _, err = r.Session(t.session, t.kind, canon.At(t.s.now())); err != nil {
			return err
		}
		t.person = t.current.Person
		t.subject, err = authority.Subject(r, t.current)
		return err
	})
}

// run sends events until somebody ends it. The error says why it was cut.
func (t *stream) run(ctx context.Context, backlog []*news, lost bool) error {
	if err := t.send(ctx, fmt.Sprintf("retry: %d\n\n", eventRetry)); err != nil {
		return err
	}
	if lost {
		t.miss()
		backlog = nil
	}
	for _, n := range backlog {
		if err := t.tell(ctx, n); err != nil {
			return t.farewell(ctx, err)
		}
	}
	if err := t.ping(ctx, eventPing); err != nil {
		return err
	}
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
		case <-t.over:
			return t.event(ctx, eventBye, "", api.Bye{Reason: t.bye})
		case n := <-t.queue:
			err = t.tell(ctx, n)
		case <-t.lost:
			for len(t.queue) > 0 {
				<-t.queue
			}
			if err = t.renew(ctx); err == nil {
				err = t.ping(ctx, eventReset)
			}
		case <-beat.C:
			err = t.ping(ctx, eventPing)
		}
		if err != nil {
			return t.farewell(ctx, err)
		}
	}
}

// farewell tells the client that its session is over, if that is why the stream
// ends.
func (t *stream) farewell(ctx context.Context, err error) error {
	if isSignedOut(err) {
		return t.event(ctx, eventBye, "", api.Bye{Reason: byeSession})
	}
	return err
}

// tell sends news if they are for this person, in a session that lives.
func (t *stream) tell(ctx context.Context, n *news) error {
	if n.person != "" {
		return t.renew(ctx)
	}
	err := shownTo(n.request, n.terms, t.person, func() (contract.Subject, error) { return t.subject, nil })
	switch {
	case errors.Is(err, authority.ErrNotYours), errors.Is(err, contract.ErrGroupsUnknown):
		return nil
	case err != nil:
		return err
	}
	if _, _, err := t.s.peek(ctx, t.session, t.kind); err != nil {
		return err
	}
	return t.event(ctx, eventRequest, strconv.FormatInt(n.index, 10), api.Event{Request: n.request.ID, State: string(n.state), Kind: string(n.kind)})
}

// ping sends an event without content. Its id moves the client's cursor on if
// nothing waits to be sent.
func (t *stream) ping(ctx context.Context, name string) error {
	id := ""
	if newest, ok := t.s.feed.newest(&t.listener); ok {
		id = strconv.FormatInt(newest, 10)
	}
	return t.event(ctx, name, id, struct{}{})
}

// event sends one event. Its data is JSON, which has no line breaks.
func (t *stream) event(ctx context.Context, name, id string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	out := "event: " + name + "\ndata: " + string(text) + "\n\n"
	if id != "" {
		out = "id: " + id + "\n" + out
	}
	return t.send(ctx, out)
}

// errGone says that the client went away, or reads too slowly.
var errGone = errors.New("the client does not read")

// send writes to the client, for a bounded time.
func (t *stream) send(ctx context.Context, text string) error {
	if err := t.out.SetWriteDeadline(time.Now().Add(eventWrite)); err != nil {
		return err
	}
	_, err := t.w.Write([]byte(text))
	if err == nil {
		err = t.out.Flush()
	}
	if err != nil {
		return fmt.Errorf("%w: %w", errGone, err)
	}
	return ctx.Err()
}
