package server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// soon is a time that a test can wait for; the other times are late.
const (
	soon = 300 * time.Millisecond
	late = time.Minute
)

// but are times that are all late, but for what change makes of them.
func but(change func(*times)) times {
	t := times{late, late, late, late, soon}
	change(&t)
	return t
}

// TestUsualTimes holds the times to DESIGN §10: each is there.
func TestUsualTimes(t *testing.T) {
	t.Parallel()
	if usualTimes != (times{5 * time.Second, 15 * time.Second, time.Minute, 2 * time.Minute, 10 * time.Second}) {
		t.Errorf("got %+v", usualTimes)
	}
}

// start serves h until the test ends. The certificate is that of httptest, for
// 127.0.0.1.
func start(t *testing.T, within times, withTLS bool, h http.HandlerFunc) (addr string, conf *tls.Config) {
	t.Helper()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serverConf *tls.Config
	if withTLS {
		known := httptest.NewTLSServer(nil)
		serverConf = &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12}
		conf = known.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
		known.Close()
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() { ended <- within.serve(ctx, ln, serverConf, h, slog.New(slog.DiscardHandler)) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), conf
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp4", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // the server has closed it
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// drip writes text and then a byte more each few milliseconds, until the server
// has enough of it or the test ends.
func drip(t *testing.T, conn net.Conn, text, more string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	go func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if _, err := io.WriteString(conn, more); err != nil {
					return
				}
			}
		}
	}()
}

// closedSoon reads until the server closes the connection and demands that it
// waited for soon, and not until it is late.
func closedSoon(t *testing.T, conn net.Conn, begin time.Time) {
	t.Helper()
	_, err := io.Copy(io.Discard, conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("it is still open")
	}
	inTime(t, begin)
}

func inTime(t *testing.T, begin time.Time) {
	t.Helper()
	if took := time.Since(begin); took < soon*9/10 || took > late/2 {
		t.Errorf("it took %s, want about %s", took, soon)
	}
}

// TestPromiseP14_SlowHeaders is a client that never comes to the end of its
// headers (slowloris).
func TestPromiseP14_SlowHeaders(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, but(func(at *times) { at.header = soon }), false, func(http.ResponseWriter, *http.Request) { t.Error("it was answered") })
	begin := time.Now()
	conn := dial(t, addr)
	drip(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n", "X: y\r\n")
	closedSoon(t, conn, begin)
}

// TestSlowBody is a client that never comes to the end of its body.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	addr, _ := start(t, but(func(at *times) { at.read = soon }), false, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		failed <- err
	})
	begin := time.Now()
	conn := dial(t, addr)
	drip(t, conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n", "x")
	closedSoon(t, conn, begin)
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler was told %v", err)
	}
}

// TestSlowReader is a client that does not take its answer.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	addr, _ := start(t, but(func(at *times) { at.write = soon }), false, func(w http.ResponseWriter, _ *http.Request) {
		var err error
		for block := make([]byte, 1<<20); err == nil; {
			_, err = w.Write(block)
		}
		failed <- err
	})
	begin := time.Now()
	if _, err := io.WriteString(dial(t, addr), "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler was told %v", err)
	}
	inTime(t, begin)
}

// TestIdleConnection is a client that keeps a connection and asks nothing.
func TestIdleConnection(t *testing.T) {
	t.Parallel()
	addr, _ := start(t, but(func(at *times) { at.idle = soon }), false, func(http.ResponseWriter, *http.Request) {})
	conn := dial(t, addr)
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	begin := time.Now()
	closedSoon(t, conn, begin)
}

// TestLargeHeaders sends more headers than are read, over both protocols.
func TestLargeHeaders(t *testing.T) {
	t.Parallel()
	for _, withTLS := range []bool{false, true} {
		addr, conf := start(t, usualTimes, withTLS, func(_ http.ResponseWriter, r *http.Request) {
			if len(r.Header.Get("X")) > maxHeader {
				t.Errorf("a header of %d bytes was answered", len(r.Header.Get("X")))
			}
		})
		url := "http://" + addr
		if withTLS {
			url = "https://" + addr
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DisableKeepAlives: true}}
		for size, want := range map[int]int{20 << 10: http.StatusOK, 64 << 10: http.StatusRequestHeaderFieldsTooLarge} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("X", strings.Repeat("x", size))
			resp, err := client.Do(req)
			if err != nil {
				// Over HTTP/2 the client has been told the limit and keeps to it.
				if withTLS && want != http.StatusOK {
					continue
				}
				t.Fatal(err)
			}
			if resp.StatusCode != want || resp.ProtoMajor != map[bool]int{false: 1, true: 2}[withTLS] {
				t.Errorf("%d bytes over %s: %d, want %d", size, resp.Proto, resp.StatusCode, want)
			}
			_ = resp.Body.Close() // it is empty
		}
	}
}

// h2 is an HTTP/2 connection without a client's good manners.
type h2 struct {
	*http2.Framer
	conn net.Conn
}

func dialH2(t *testing.T, addr string, conf *tls.Config) *h2 {
	t.Helper()
	conf = conf.Clone()
	conf.NextProtos, conf.ServerName = []string{"h2"}, "127.0.0.1"
	conn := tls.Client(dial(t, addr), conf)
	if err := conn.HandshakeContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, http2.ClientPreface); err != nil {
		t.Fatal(err)
	}
	c := &h2{http2.NewFramer(conn, conn), conn}
	if err := c.WriteSettings(); err != nil {
		t.Fatal(err)
	}
	return c
}

// open begins a request whose body does not end.
func (c *h2) open(stream uint32) error {
	var block bytes.Buffer
	enc := hpack.NewEncoder(&block)
	for _, f := range [][2]string{{":method", "POST"}, {":scheme", "https"}, {":authority", "x"}, {":path", "/"}} {
		if err := enc.WriteField(hpack.HeaderField{Name: f[0], Value: f[1]}); err != nil {
			return err
		}
	}
	return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block.Bytes(), EndHeaders: true})
}

// TestManyStreams opens more requests on one connection than are allowed.
func TestManyStreams(t *testing.T) {
	t.Parallel()
	addr, conf := start(t, but(func(*times) {}), true, func(_ http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	c := dialH2(t, addr, conf)
	const more = 20
	for i := range maxStreams + more {
		if err := c.open(uint32(2*i + 1)); err != nil {
			t.Fatal(err)
		}
	}
	told, refused := uint32(0), 0
	for refused < more {
		frame, err := c.ReadFrame()
		if err != nil {
			t.Fatalf("%d of %d were refused, then %v", refused, more, err)
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if v, ok := f.Value(http2.SettingMaxConcurrentStreams); ok {
				told = v
			}
		case *http2.RSTStreamFrame:
			if f.StreamID <= 2*maxStreams {
				t.Fatalf("stream %d was reset: %s", f.StreamID, f.ErrCode)
			}
			refused++
		case *http2.GoAwayFrame:
			t.Fatalf("the connection was ended: %s", f.ErrCode)
		}
	}
	if told != maxStreams {
		t.Errorf("clients are told of %d streams, want %d", told, maxStreams)
	}
}

// TestSlowBodyOverHTTP2 opens a request and never ends its body.
func TestSlowBodyOverHTTP2(t *testing.T) {
	t.Parallel()
	failed := make(chan error, 1)
	addr, conf := start(t, but(func(at *times) { at.read = soon }), true, func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		failed <- err
	})
	c := dialH2(t, addr, conf)
	begin := time.Now()
	if err := c.open(1); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; err == nil {
		t.Error("the handler was told that the body ends")
	}
	inTime(t, begin)
}

// TestPromiseP15_HandshakesAreNotRepeated: what a stranger sends instead of a
// handshake, and whence, stands in no log.
func TestPromiseP15_HandshakesAreNotRepeated(t *testing.T) {
	t.Parallel()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	known := httptest.NewTLSServer(nil)
	conf := &tls.Config{Certificates: known.TLS.Certificates, MinVersion: tls.VersionTLS12}
	known.Close()
	ctx, stop := context.WithCancel(t.Context())
	var out bytes.Buffer
	ended := make(chan error, 1)
	go func() {
		ended <- usualTimes.serve(ctx, ln, conf, http.NotFoundHandler(), slog.New(slog.NewJSONHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	}()
	d := tls.Dialer{Config: &tls.Config{NextProtos: []string{"alpn-canary"}, InsecureSkipVerify: true}} // the server ends it first
	if conn, err := d.DialContext(t.Context(), "tcp4", ln.Addr().String()); err == nil {
		t.Errorf("a handshake for another protocol: %v", conn.Close())
	}
	conn := dial(t, ln.Addr().String())
	if _, err := io.WriteString(conn, "GET /plain-canary HTTP/1.1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, conn) // it is closed, one way or another
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	log := out.String()
	if strings.Count(log, `"level":"DEBUG","msg":"tls handshake failed"`) != 2 || strings.Contains(log, "canary") || strings.Contains(log, "127.0.0.1") {
		t.Errorf("the log is %s", log)
	}
	if _, err := (errorLog{slog.New(slog.NewJSONHandler(&out, nil))}).Write([]byte("http: Accept error: too many open files; retrying\n")); err != nil {
		t.Error(err)
	}
	if log := out.String(); !strings.Contains(log, `"level":"WARN","msg":"connection","error":"http: Accept error: too many open files; retrying"`) {
		t.Errorf("the log is %s", log)
	}
}

// TestCutOff stops a server while a client holds a request open. It gets its time
// and no more, and that is no error.
func TestCutOff(t *testing.T) {
	t.Parallel()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	running, ended := make(chan bool, 1), make(chan error, 1)
	var log bytes.Buffer
	go func() {
		ended <- but(func(*times) {}).serve(ctx, ln, nil, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			running <- true
			_, _ = io.Copy(io.Discard, r.Body)
		}), slog.New(slog.NewJSONHandler(&log, nil)))
	}()
	conn := dial(t, ln.Addr().String())
	if _, err := fmt.Fprint(conn, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-running
	begin := time.Now()
	stop()
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v", err)
	}
	inTime(t, begin)
	if !strings.Contains(log.String(), `"msg":"requests cut off"`) {
		t.Errorf("the log does not say it: %s", log.String())
	}
	closedSoon(t, conn, begin)
}
