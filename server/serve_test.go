package server_test

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/server"
)

func TestConfig(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	good := server.Config{Authority: w.authority, BaseURL: w.base, Now: w.clock.Now, Rand: rand.Reader}
	for _, tt := range []struct {
		name   string
		change func(*server.Config)
		ok     bool
	}{
		{"as it is", func(*server.Config) {}, true},
		{"a slash at the end", func(c *server.Config) { c.BaseURL = "https://sallyport.test/" }, true},
		{"a port", func(c *server.Config) { c.BaseURL = "https://sallyport.test:8443" }, true},
		{"http on localhost", func(c *server.Config) { c.BaseURL = "http://localhost:8080" }, true},
		{"http on another loopback address", func(c *server.Config) { c.BaseURL = "http://127.8.9.1:8080" }, true},
		{"http on ::1", func(c *server.Config) { c.BaseURL = "http://[::1]:8080" }, true},
		{"http elsewhere", func(c *server.Config) { c.BaseURL = "http://sallyport.test" }, false},
		{"http on an address that looks local", func(c *server.Config) { c.BaseURL = "http://127.0.0.1.evil.test" }, false},
		{"http on every address", func(c *server.Config) { c.BaseURL = "http://0.0.0.0:8080" }, false},
		{"no scheme", func(c *server.Config) { c.BaseURL = "sallyport.test" }, false},
		{"another scheme", func(c *server.Config) { c.BaseURL = "ftp://sallyport.test" }, false},
		{"a path", func(c *server.Config) { c.BaseURL = "https://sallyport.test/x" }, false},
		{"a query", func(c *server.Config) { c.BaseURL = "https://sallyport.test?x" }, false},
		{"a password", func(c *server.Config) { c.BaseURL = "https://a:b@sallyport.test" }, false},
		{"capitals", func(c *server.Config) { c.BaseURL = "https://Sallyport.test" }, false},
		{"empty", func(c *server.Config) { c.BaseURL = "" }, false},
		{"no authority", func(c *server.Config) { c.Authority = nil }, false},
		{"no clock", func(c *server.Config) { c.Now = nil }, false},
		{"no randomness", func(c *server.Config) { c.Rand = nil }, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			s, err := server.New(c)
			if (err == nil) != tt.ok || (s != nil) != tt.ok || err != nil && !errors.Is(err, server.ErrConfig) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// listener says that it has another address.
type listener struct {
	net.Listener
	addr net.Addr
}

func (l listener) Addr() net.Addr { return l.addr }

func TestServeRefusesPlainHTTPElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	secure, err := server.New(server.Config{Authority: w.authority, BaseURL: "https://sallyport.test", Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	for _, tt := range []struct {
		name string
		s    *server.Server
		ip   string
		conf *tls.Config
	}{
		{"every address", secure, "0.0.0.0", nil},
		{"a public address", secure, "192.0.2.1", nil},
		{"TLS with an http base URL", w.server, "127.0.0.1", &tls.Config{MinVersion: tls.VersionTLS12}},
	} {
		ln := loopback(t)
		stopped, stop := context.WithCancel(t.Context())
		stop() // a server that starts ends at once
		err := tt.s.Serve(stopped, listener{ln, &net.TCPAddr{IP: net.ParseIP(tt.ip), Port: 80}}, tt.conf)
		if !errors.Is(err, server.ErrConfig) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if _, err := ln.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: the listener is open: %v", tt.name, err)
		}
	}
}

func loopback(t testing.TB) net.Listener {
	t.Helper()
	var listen net.ListenConfig
	ln, err := listen.Listen(t.Context(), "tcp4", "127.0.0.1:0")
	must(t, err)
	return ln
}

// TestTLS signs in over TLS and looks at what only TLS brings.
func TestTLS(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	must(t, err)
	parsed, err := x509.ParseCertificate(der)
	must(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)

	ln := loopback(t)
	base := "https://" + ln.Addr().String()
	w.idp.AllowRedirect(base + "/callback")
	s, err := server.New(server.Config{Authority: w.authority, BaseURL: base, Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	conf := &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, MinVersion: tls.VersionTLS10}
	go func() { ended <- s.Serve(ctx, ln, conf) }()

	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, ForceAttemptHTTP2: true}
	b, err := robot.New(transport)
	must(t, err)
	page, err := b.LogIn(t.Context(), base+"/", "bob", "bob-pw")
	must(t, err)
	if page.Status != http.StatusOK || !strings.Contains(page.Text(), "Waiting for you") || page.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("inbox: %d %v", page.Status, page.Header)
	}
	cookies, err := b.Cookies(base + "/")
	must(t, err)
	if !slices.ContainsFunc(cookies, func(c *http.Cookie) bool { return c.Name == "__Host-sallyport" }) {
		t.Errorf("cookies are %v", cookies)
	}
	out, err := b.Submit(t.Context(), page, "/logout", nil, "Sign out")
	must(t, err)
	contains(t, out.Text(), "Signed out")
	client := http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+"/login", nil)
	must(t, err)
	resp, err := client.Do(req)
	must(t, err)
	must(t, resp.Body.Close())
	set := resp.Header.Get("Set-Cookie")
	contains(t, set, "__Host-sallyport-login-", "; Secure", "; HttpOnly", "; SameSite=Lax", "; Path=/")
	if strings.Contains(set, "Domain") || resp.ProtoMajor != 2 {
		t.Errorf("HTTP/%d, cookie %s", resp.ProtoMajor, set)
	}
	for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
		d := tls.Dialer{Config: &tls.Config{RootCAs: roots, MinVersion: version, MaxVersion: version}}
		if c, err := d.DialContext(t.Context(), "tcp4", ln.Addr().String()); err == nil {
			t.Errorf("TLS version %x was accepted: %v", version, c.Close())
		}
	}
	transport.CloseIdleConnections()
	b.Close()
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestStop ends the server while a request is being read: it is answered.
func TestStop(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ln := loopback(t)
	base := "http://" + ln.Addr().String()
	s, err := server.New(server.Config{Authority: w.authority, BaseURL: base, Now: w.clock.Now, Rand: rand.Reader})
	must(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, ln, nil) }()

	var d net.Dialer
	conn, err := d.DialContext(t.Context(), "tcp4", ln.Addr().String())
	must(t, err)
	const body = `{"purpose":"session"}`
	_, err = fmt.Fprintf(conn, "POST /v1/challenges HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nExpect: 100-continue\r\n\r\n", ln.Addr(), len(body))
	must(t, err)
	answers := bufio.NewReader(conn)
	first, err := answers.ReadString('\n') // it comes when the handler wants the body
	if err != nil || !strings.Contains(first, "100 Continue") {
		t.Fatalf("%q, %v", first, err)
	}
	stop()
	for { // until no new connection is taken
		c, err := d.DialContext(t.Context(), "tcp4", ln.Addr().String())
		if err != nil {
			break
		}
		must(t, c.Close())
	}
	_, err = io.WriteString(conn, body)
	must(t, err)
	_, err = answers.ReadString('\n') // the empty line after 100
	must(t, err)
	resp, err := http.ReadResponse(answers, nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("the running request: %+v, %v", resp, err)
	}
	must(t, errors.Join(resp.Body.Close(), conn.Close()))
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

// TestHost asks under other names than the base URL's (DNS rebinding).
func TestHost(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	for _, host := range []string{"evil.test", "127.0.0.1", "localhost:" + w.port(), "127.0.0.1:1", "127.0.0.1:" + w.port() + ".evil.test"} {
		header := http.Header{"Host": {host}, "Authorization": {"Bearer " + alice.bearer}}
		w.send(http.MethodGet, "/v1/hosts", header, nil).wantProblem(t, http.StatusMisdirectedRequest, "misdirected", w.base)
		if r := w.send(http.MethodGet, "/", header, nil); r.status != http.StatusMisdirectedRequest {
			t.Errorf("host %s: %d", host, r.status)
		}
	}
}
