package siem

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/store"
)

// receiver takes syslog messages over a stream.
type receiver struct {
	net.Listener
	conns    chan net.Conn
	messages chan string
}

func newReceiver(t *testing.T, ln net.Listener) *receiver {
	t.Helper()
	r := &receiver{Listener: ln, conns: make(chan net.Conn, 10), messages: make(chan string, 1000)}
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			r.conns <- conn
			go r.read(conn)
		}
	}()
	t.Cleanup(func() { _ = ln.Close() })
	return r
}

// read takes messages apart by their lengths (RFC 6587, octet counting).
func (r *receiver) read(conn net.Conn) {
	buf := bufio.NewReader(conn)
	for {
		text, err := buf.ReadString(' ')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.TrimSuffix(text, " "))
		if err != nil {
			r.messages <- "no length: " + text
			return
		}
		message := make([]byte, n)
		if _, err := io.ReadFull(buf, message); err != nil {
			return
		}
		r.messages <- string(message)
	}
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	ln, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	return ln
}

// sink is a Syslog to an address.
func sink(t *testing.T, address string, roots *x509.CertPool) *Syslog {
	t.Helper()
	to, err := ParseAddress(address)
	must(t, err)
	s := NewSyslog(origin, to, roots)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

var rfc5424 = regexp.MustCompile(`^<110>1 (\S+) (\S+) sallyd - (\S+) - (\{.*\})$`)

// expects takes the messages of entries from a channel.
func expects(t *testing.T, messages <-chan string, list []store.Entry) {
	t.Helper()
	for _, e := range list {
		var have string
		select {
		case have = <-messages:
		case <-time.After(10 * time.Second):
			t.Fatalf("leaf %d does not come", e.Index)
		}
		m := rfc5424.FindStringSubmatch(have)
		if m == nil {
			t.Fatalf("no RFC 5424 message: %q", have)
		}
		want := strings.TrimSuffix(string(lines(t, []store.Entry{e})), "\n")
		if m[4] != want || m[3] != string(e.Leaf.Kind) || !strings.Contains(want, m[1]) {
			t.Fatalf("leaf %d is sent as %q", e.Index, have)
		}
	}
}

// TestSyslogOverAStream: each message stands behind its length. When the receiver
// goes and comes back nothing is passed over; what may have been lost comes again.
func TestSyslogOverAStream(t *testing.T) {
	t.Parallel()
	list := entries(t)
	r := newReceiver(t, listenTCP(t))
	s := sink(t, "tcp://"+r.Addr().String(), nil)
	must(t, s.Take(t.Context(), list[:10]))
	expects(t, r.messages, list[:10])
	must(t, (<-r.conns).Close())
	<-s.gone
	must(t, s.Take(t.Context(), list[10:12]))
	expects(t, r.messages, list[:12])
	must(t, s.Take(t.Context(), list[12:]))
	expects(t, r.messages, list[12:])

	must(t, errors.Join(r.Close(), (<-r.conns).Close()))
	<-s.gone
	if err := s.Take(t.Context(), list[:1]); err == nil {
		t.Error("it was taken, and nobody listens")
	}
}

// TestSyslogOverTLS: the receiver is known by its certificate, and nobody else is
// told anything.
func TestSyslogOverTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	must(t, lab.WriteTLS(dir))
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, lab.TLSCertificate), filepath.Join(dir, lab.TLSKey))
	must(t, err)
	r := newReceiver(t, tls.NewListener(listenTCP(t), &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}}))
	authority, err := os.ReadFile(filepath.Join(dir, lab.TLSAuthority))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	list := entries(t)[:3]
	must(t, sink(t, "tls://"+r.Addr().String(), roots).Take(t.Context(), list))
	expects(t, r.messages, list)
	if err := sink(t, "tls://"+r.Addr().String(), x509.NewCertPool()).Take(t.Context(), list); err == nil || len(r.messages) > 0 {
		t.Errorf("a receiver that nobody vouches for: %v, %d messages", err, len(r.messages))
	}
}

// TestSyslogAsDatagrams: one message each, over UDP and a socket like /dev/log.
func TestSyslogAsDatagrams(t *testing.T) {
	t.Parallel()
	list := entries(t)
	dir, err := os.MkdirTemp("", "syslog") // a socket's path is short
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(dir)) })
	path := filepath.Join(dir, "log")
	for network, at := range map[string]string{"udp": "127.0.0.1:0", "unixgram": path} {
		conn, err := (&net.ListenConfig{}).ListenPacket(t.Context(), network, at)
		must(t, err)
		messages := make(chan string, 100)
		go func() {
			buf := make([]byte, maxDatagram)
			for {
				n, _, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				messages <- string(buf[:n])
			}
		}()
		address := "unix://" + path
		if network == "udp" {
			address = "udp://" + conn.LocalAddr().String()
		}
		must(t, sink(t, address, nil).Take(t.Context(), list[:3]))
		expects(t, messages, list[:3])
		must(t, conn.Close())
	}
	if err := sink(t, "unix://"+path+"-nowhere", nil).Take(t.Context(), list[:1]); err == nil {
		t.Error("nobody has that socket")
	}
}

var addresses = []struct{ text, want string }{
	{"tls://siem.acme.example:6514", "tcp siem.acme.example:6514 true"},
	{"tcp://10.0.0.1:601", "tcp 10.0.0.1:601 false"},
	{"udp://[2001:db8::1]:514", "udp [2001:db8::1]:514 false"},
	{"unix:///dev/log", "unixgram /dev/log false"},
	{"", ""},
	{"siem.acme.example:514", ""},
	{"tcp://siem.acme.example", ""},
	{"tcp://siem.acme.example:0", ""},
	{"tcp://siem.acme.example:65536", ""},
	{"tcp://:514", ""},
	{"tcp://me:secret@siem.acme.example:514", ""},
	{"tcp://siem.acme.example:514/path", ""},
	{"tcp://siem.acme.example:514?x", ""},
	{"tcp://siem.acme.example:514#x", ""},
	{"tcp:siem.acme.example:514", ""},
	{"https://siem.acme.example:443", ""},
	{"unix://dev/log", ""},
	{"unix:///", ""},
	{"unix:dev", ""},
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range addresses {
		a, err := ParseAddress(tt.text)
		switch {
		case tt.want == "" && !errors.Is(err, ErrAddress):
			t.Errorf("%q: %+v, %v, want ErrAddress", tt.text, a, err)
		case tt.want != "" && (err != nil || fmt.Sprintf("%s %s %t", a.network, a.address, a.TLS()) != tt.want):
			t.Errorf("%q: %+v, %v", tt.text, a, err)
		}
	}
}

// FuzzParseAddress: what is read names a place and nothing else.
func FuzzParseAddress(f *testing.F) {
	for _, tt := range addresses {
		f.Add(tt.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := ParseAddress(text)
		if err != nil {
			if !errors.Is(err, ErrAddress) || a != (Address{}) {
				t.Errorf("%q: %+v, %v", text, a, err)
			}
			return
		}
		if a.network == "unixgram" {
			if !strings.HasPrefix(a.address, "/") {
				t.Errorf("%q: a socket at %q", text, a.address)
			}
			return
		}
		if _, port, err := net.SplitHostPort(a.address); err != nil || port == "" || a.hostName == "" {
			t.Errorf("%q is read as %q", text, a.address)
		}
	})
}
