package client

import (
	"bufio"
	"context"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/canon"
)

const (
	newsPath    = "/v1/events"
	newsSilence = time.Minute     // the server says something every 20 seconds
	newsAgain   = 5 * time.Second // until a stream that ended is opened anew
)

// news tells that a request has changed, by the server's stream of events. It
// says no more than that: the request itself is asked for anew. Without a stream
// it says nothing. The nil news has none.
type news struct {
	changed chan struct{} // has room for one
	open    atomic.Bool
}

// listen opens the stream of a request, or of all that one may see, and keeps it open until ctx ends. A server
// that refuses it is not asked again.
func (c *conn) listen(ctx context.Context, id canon.ID) *news {
	n := &news{changed: make(chan struct{}, 1)}
	go func() {
		for n.follow(ctx, c, id) && sleep(ctx, newsAgain) == nil {
		}
	}()
	return n
}

// follow reads one stream to its end; false if there will be none.
func (n *news) follow(ctx context.Context, c *conn, id canon.ID) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	silence := time.AfterFunc(newsSilence, cancel)
	defer silence.Stop()
	only := url.Values{}
	if id != "" {
		only.Set("request", string(id))
	}
	req, err := c.request(ctx, http.MethodGet, newsPath, only, nil)
	if err != nil {
		return false
	}
	req.Header.Set("Accept", "text/event-stream")
	// The client of the other calls gives each a time to end.
	streams := &http.Client{Transport: c.http.Transport, CheckRedirect: c.http.CheckRedirect}
	resp, err := streams.Do(req)
	if err != nil {
		return true // it is away; the caller finds out by asking
	}
	defer func() { _ = resp.Body.Close() }() // only read
	if resp.StatusCode != http.StatusOK {
		return resp.StatusCode >= http.StatusInternalServerError
	}
	n.open.Store(true)
	n.tell()       // what came before it is asked for
	defer n.tell() // and what came behind the end is asked for
	defer n.open.Store(false)
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); { // a longer line than it takes ends the stream
		silence.Reset(newsSilence)
		if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok && name != "ping" {
			n.tell()
		}
	}
	return true
}

func (n *news) tell() {
	select {
	case n.changed <- struct{}{}:
	default: // it is told already
	}
}

// wait sleeps for d, or less if something changed; then told is true. It ends
// with ctx, whose error it returns.
func (n *news) wait(ctx context.Context, d time.Duration) (told bool, err error) {
	if n == nil {
		return false, sleep(ctx, d)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-n.changed:
		return true, nil
	case <-timer.C:
		return false, nil
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// live reports whether the server would tell if something changed.
func (n *news) live() bool { return n != nil && n.open.Load() }
