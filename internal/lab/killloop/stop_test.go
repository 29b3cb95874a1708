package killloop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// TestStop tells sallyd to stop while it reads a request: it answers that one,
// takes no other, and ends with exit code 0.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, site.Config{})
			held := hold(t, s)
			must(t, s.Signal(sig))
			stopping(t, s)
			held.end(t)
			must(t, ended(t, s))
			must(t, s.StopServing()) // it has ended well
		})
	}
}

// TestSecondSignalEndsAtOnce tells sallyd twice while a client holds it up.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			s := open(t, site.Config{})
			hold(t, s)
			must(t, s.Signal(sig))
			stopping(t, s)
			begin := time.Now()
			must(t, s.Signal(sig))
			must(t, ended(t, s))
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			must(t, s.Serve(t.Context())) // and nothing is in its way
		})
	}
}

// request is one whose body is owed.
type request struct {
	net.Conn
	answers *bufio.Reader
}

const owed = `{"purpose":"session"}`

// hold begins a request and returns when its handler waits for the body.
func hold(t *testing.T, s *site.Site) request {
	t.Helper()
	address := strings.TrimPrefix(s.URL(), "http://")
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp4", address)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() }) // sallyd is gone by then
	_, err = fmt.Fprintf(conn, "POST /v1/challenges HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", address, len(owed))
	must(t, err)
	answers := bufio.NewReader(conn)
	if line, err := answers.ReadString('\n'); err != nil || !strings.Contains(line, "100 Continue") {
		t.Fatalf("%q, %v", line, err)
	}
	_, err = answers.ReadString('\n') // the empty line behind it
	must(t, err)
	return request{conn, answers}
}

// end sends the body and demands the answer.
func (r request) end(t *testing.T) {
	t.Helper()
	_, err := io.WriteString(r, owed)
	must(t, err)
	resp, err := http.ReadResponse(r.answers, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the request that ran: %+v, %v", resp, err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	must(t, err)
}

// stopping returns when sallyd says that it stops and takes no connection.
func stopping(t *testing.T, s *site.Site) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	must(t, lab.Poll(ctx, "sallyd to say that it stops", func() (bool, error) {
		return strings.Contains(s.Logs(5)[0].Text, "sallyd: stopping; what runs has 10s to finish, a second signal ends it at once") &&
			lab.PortClosed(ctx, strings.TrimPrefix(s.URL(), "http://")), nil
	}))
}

func ended(t *testing.T, s *site.Site) error {
	t.Helper()
	select {
	case <-s.ServerDone():
		return nil
	case <-time.After(20 * time.Second):
		return fmt.Errorf("sallyd is still there:\n%s", s.Logs(20)[0].Text)
	}
}
