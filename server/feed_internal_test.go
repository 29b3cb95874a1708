package server

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// idleFeed is a feed that has looked at the first 100 leaves and looks at no more.
func idleFeed() *feed {
	f := newFeed(nil, time.Now, nil)
	f.cancel, f.next, f.first = func() {}, 100, 0
	return f
}

// grow tells of leaves about requests.
func (f *feed) grow(ids ...canon.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		n := &news{index: f.next, kind: ledger.RequestSubmit, request: approval.Request{ID: id}}
		f.next++
		f.keep([]*news{n})
		f.tell(n)
	}
}

func (f *feed) mustJoin(t *testing.T, l *listener, after int64) ([]*news, bool) {
	t.Helper()
	backlog, lost, err := f.join(t.Context(), l, after)
	if err != nil {
		t.Fatal(err)
	}
	return backlog, lost
}

// TestSlowListener: who does not read is told to look anew, and holds nobody up.
func TestSlowListener(t *testing.T) {
	t.Parallel()
	f := idleFeed()
	slow, quick, other := &listener{session: canon.Digest{1}}, &listener{session: canon.Digest{2}}, &listener{session: canon.Digest{3}, only: "b"}
	for _, l := range []*listener{slow, quick, other} {
		f.mustJoin(t, l, -1)
	}
	for range maxQueue {
		f.grow("a")
		<-quick.queue
	}
	if len(slow.lost) != 0 || len(slow.queue) != maxQueue {
		t.Fatalf("%d wait for the slow one, lost %d", len(slow.queue), len(slow.lost))
	}
	f.grow("a", "a")
	if len(slow.lost) != 1 || len(quick.lost) != 0 || len(quick.queue) != 2 {
		t.Errorf("lost %d and %d, %d wait for the quick one", len(slow.lost), len(quick.lost), len(quick.queue))
	}
	if _, ok := f.newest(slow); ok {
		t.Error("the slow one's cursor moves over what it has not read")
	}
	if len(other.queue) != 0 || len(other.lost) != 0 {
		t.Error("who waits for another request was told")
	}
	f.grow("b")
	if n := <-other.queue; n.request.ID != "b" {
		t.Errorf("it was told of %s", n.request.ID)
	}
	for _, l := range []*listener{slow, quick, other} {
		f.leave(l)
	}
	if len(f.byRequest)+len(f.bySession)+f.count != 0 || f.cancel != nil {
		t.Errorf("%d left, it runs on: %t", f.count, f.cancel != nil)
	}
}

// TestBacklog: who comes back hears what there was since, or that it is too much.
func TestBacklog(t *testing.T) {
	t.Parallel()
	f := idleFeed()
	f.grow("a", "b", "a") // leaves 100 to 102
	for _, tt := range []struct {
		name  string
		only  canon.ID
		after int64
		want  []int64
		lost  bool
	}{
		{"from before", "", 50, []int64{100, 101, 102}, false},
		{"from the first", "", 100, []int64{101, 102}, false},
		{"one request", "a", 99, []int64{100, 102}, false},
		{"the end", "", 102, nil, false},
		{"no cursor", "", -1, nil, false},
	} {
		l := &listener{only: tt.only}
		backlog, lost := f.mustJoin(t, l, tt.after)
		var got []int64
		for _, n := range backlog {
			got = append(got, n.index)
		}
		if !slices.Equal(got, tt.want) || lost != tt.lost {
			t.Errorf("%s: %v, lost %t", tt.name, got, lost)
		}
		f.leave(l)
		f.cancel = func() {} // it looks at no more
	}
	f.grow(slices.Repeat([]canon.ID{"c"}, maxRecent)...) // one news for each leaf: what was before is given up
	l := &listener{}
	if backlog, lost := f.mustJoin(t, l, 101); len(backlog) != maxRecent || !lost {
		t.Errorf("%d news since leaf 101, lost %t", len(backlog), lost)
	}
	if _, lost := f.mustJoin(t, &listener{}, 102); lost || len(f.recent) != maxRecent {
		t.Errorf("lost %t since leaf 102, %d are kept", lost, len(f.recent))
	}
}

// TestTooManyListeners: there is a bound for a session and one for all.
func TestTooManyListeners(t *testing.T) {
	t.Parallel()
	f := idleFeed()
	var last *listener
	for i := range maxListeners {
		last = &listener{session: canon.Sum("test", []byte{byte(i), byte(i >> 8)})}
		f.mustJoin(t, last, -1)
	}
	if _, _, err := f.join(t.Context(), &listener{}, -1); !errors.Is(err, errAllStreams) {
		t.Errorf("one more: %v", err)
	}
	f.leave(last)
	for range maxOfSession - 1 {
		f.count-- // as if others had left
		f.mustJoin(t, &listener{session: canon.Sum("test", []byte{0, 0})}, -1)
	}
	f.count -= 10
	if _, _, err := f.join(t.Context(), &listener{session: canon.Sum("test", []byte{0, 0})}, -1); !errors.Is(err, errStreams) {
		t.Errorf("one more of a session: %v", err)
	}
	f.close()
	if _, _, err := f.join(t.Context(), &listener{}, -1); !errors.Is(err, errStopping) {
		t.Errorf("after the end: %v", err)
	}
}

// deaf is a client that reads nothing: after the first event each write fails at
// its deadline, as a socket's does.
type deaf struct {
	http.ResponseWriter
	writes    []string
	deadlines []time.Time
}

func (d *deaf) SetWriteDeadline(t time.Time) error {
	d.deadlines = append(d.deadlines, t)
	return nil
}

func (d *deaf) Flush() {}

func (d *deaf) Write(p []byte) (int, error) {
	d.writes = append(d.writes, string(p))
	if len(d.writes) > 1 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// TestEventDeadline: each event has a deadline of its own, and a client that does
// not take it is cut.
func TestEventDeadline(t *testing.T) {
	t.Parallel()
	d := &deaf{}
	stream := &stream{s: &Server{feed: idleFeed()}, w: d, out: http.NewResponseController(d)}
	stream.s.feed.mustJoin(t, &stream.listener, -1)
	if err := stream.run(t.Context(), nil, false); !errors.Is(err, errGone) {
		t.Errorf("it ends with %v", err)
	}
	if len(d.writes) != 2 || !strings.HasPrefix(d.writes[0], "retry: ") || d.writes[1] != "id: 99\nevent: ping\ndata: {}\n\n" {
		t.Errorf("it wrote %q", d.writes)
	}
	for _, at := range d.deadlines {
		if until := time.Until(at); until <= 0 || until > eventWrite {
			t.Errorf("a deadline in %s", until)
		}
	}
	if len(d.deadlines) != 2 {
		t.Errorf("%d deadlines", len(d.deadlines))
	}
}

// TestNewsKinds: every kind of leaf that is about a request is told, those that a
// later version brings among them.
func TestNewsKinds(t *testing.T) {
	t.Parallel()
	for _, of := range []string{"request", "certificate", "grant"} {
		for _, what := range []string{"submit", "decide", "expire", "cancel", "issue", "void", "revoke", "release", "end", "carry", "review"} {
			kind := ledger.Kind(of + "." + what)
			if kind.Known() && !slices.Contains(newsKinds, kind) {
				t.Errorf("%s is not told to those who wait", kind)
			}
		}
	}
}
