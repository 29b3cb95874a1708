package siem

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/store"
)

// ErrAddress says that a syslog address can't be used.
var ErrAddress = errors.New("not an address for syslog")

const (
	// priority is facility 13 (log audit), severity 6 (informational), RFC 5424 §6.2.1.
	priority = 13<<3 + 6
	// syslogWait bounds a connection attempt, and how long a batch may take to leave.
	syslogWait = 10 * time.Second
	// maxDatagram is the largest message that a datagram takes, in bytes.
	maxDatagram = 65507
)

// Address says where syslog messages go.
type Address struct {
	network  string // tcp, udp, unixgram
	address  string
	tls      bool
	hostName string // for TLS
}

// ParseAddress reads tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or
// unix:///PATH, and refuses everything else with ErrAddress.
func ParseAddress(text string) (Address, error) {
	const forms = "tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH"
	u, err := url.Parse(text)
	if err != nil || len(text) > 512 || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Opaque != "" {
		return Address{}, fmt.Errorf("%w; it is written %s", ErrAddress, forms)
	}
	if u.Scheme == "unix" {
		if u.Host != "" || len(u.Path) < 2 {
			return Address{}, fmt.Errorf("%w: a socket is named by its whole path, such as unix:///dev/log", ErrAddress)
		}
		return Address{network: "unixgram", address: u.Path}, nil
	}
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if u.Hostname() == "" || err != nil || port == 0 || u.Path != "" {
		return Address{}, fmt.Errorf("%w; it is written %s", ErrAddress, forms)
	}
	a := Address{address: net.JoinHostPort(u.Hostname(), u.Port()), hostName: u.Hostname()}
	switch u.Scheme {
	case "tls":
		a.network, a.tls = "tcp", true
	case "tcp", "udp":
		a.network = u.Scheme
	default:
		return Address{}, fmt.Errorf("%w; it is written %s", ErrAddress, forms)
	}
	return a, nil
}

// TLS reports whether messages are encrypted on their way.
func (a Address) TLS() bool { return a.tls }

// Syslog sends events as RFC 5424 messages: over a stream each behind its length
// (RFC 6587 §3.4.1, RFC 5425), else one a datagram. Syslog acknowledges nothing: what
// a receiver lost that was sent, only a file would still have. After a connection
// that broke the batch before is sent once more. It is used by one goroutine.
type Syslog struct {
	origin string
	to     Address
	roots  *x509.CertPool // nil: the system's
	host   string

	conn   net.Conn
	gone   chan struct{} // closed when the other side has ended a stream
	last   [][]byte      // the batch before, as it was sent over the connection before
	broken bool          // the connection before ended
}

// NewSyslog returns the sink for an address. roots vouch for a TLS receiver; nil:
// the system's authorities. Nothing is sent before there is something to send.
func NewSyslog(origin string, to Address, roots *x509.CertPool) *Syslog {
	host, err := os.Hostname()
	if err != nil || host == "" || len(host) > 255 {
		host = "-"
	}
	return &Syslog{origin: origin, to: to, roots: roots, host: host}
}

// Take sends entries. It returns when the system has taken all of them.
func (s *Syslog) Take(ctx context.Context, entries []store.Entry) error {
	messages := make([][]byte, len(entries))
	for i, e := range entries {
		var err error
		if messages[i], err = s.message(e); err != nil {
			return err
		}
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	if s.broken {
		if err := s.send(ctx, s.last); err != nil {
			return err
		}
		s.broken = false
	}
	if err := s.send(ctx, messages); err != nil {
		return err
	}
	s.last = messages
	return nil
}

// message is an event as a syslog message, framed as the network wants it.
func (s *Syslog) message(e store.Entry) ([]byte, error) {
	event, err := NewEvent(s.origin, e)
	if err != nil {
		return nil, err
	}
	line, err := event.Line()
	if err != nil {
		return nil, err
	}
	text := fmt.Appendf(nil, "<%d>1 %s %s sallyd - %s - ", priority, event.Time, s.host, msgID(event.Kind))
	text = append(text, line...)
	switch {
	case s.to.network == "tcp":
		return append(fmt.Appendf(nil, "%d ", len(text)), text...), nil
	case len(text) > maxDatagram:
		return nil, fmt.Errorf("leaf %d: %w: %d bytes are too many for a datagram; use tcp or tls", e.Index, ErrEntry, len(text))
	}
	return text, nil
}

// msgID is at most 32 characters (RFC 5424 §6).
func msgID(kind string) string { return kind[:min(len(kind), 32)] }

// connect makes the connection, unless there is one.
func (s *Syslog) connect(ctx context.Context) error {
	if s.conn != nil {
		select {
		case <-s.gone:
			s.hangUp()
		default:
			return nil
		}
	}
	ctx, cancel := context.WithTimeout(ctx, syslogWait)
	defer cancel()
	conn, err := s.dial(ctx)
	if err != nil {
		return fmt.Errorf("syslog: %w", err)
	}
	s.conn, s.gone = conn, make(chan struct{})
	if s.to.network == "tcp" {
		go watch(conn, s.gone)
	}
	return nil
}

func (s *Syslog) dial(ctx context.Context) (net.Conn, error) {
	if s.to.tls {
		d := tls.Dialer{Config: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: s.roots, ServerName: s.to.hostName}}
		return d.DialContext(ctx, s.to.network, s.to.address)
	}
	return (&net.Dialer{}).DialContext(ctx, s.to.network, s.to.address)
}

// watch returns when the other side ends a stream. It has nothing to say.
func watch(conn net.Conn, gone chan<- struct{}) {
	defer close(gone)
	_, _ = io.Copy(io.Discard, conn) // its end is all that matters
}

// send writes messages. If it fails the connection is given up.
func (s *Syslog) send(ctx context.Context, messages [][]byte) error {
	conn := s.conn
	err := conn.SetWriteDeadline(time.Now().Add(syslogWait))
	defer context.AfterFunc(ctx, func() { _ = conn.SetWriteDeadline(time.Unix(1, 0)) })() // who is told to stop waits for nobody
	for _, m := range messages {
		if err != nil {
			break
		}
		_, err = conn.Write(m)
	}
	if err != nil {
		s.hangUp()
		return fmt.Errorf("syslog: %w", err)
	}
	return nil
}

func (s *Syslog) hangUp() {
	_ = s.conn.Close() // it is given up in any case
	s.conn, s.broken = nil, true
}

// Close ends the connection.
func (s *Syslog) Close() error {
	if s.conn == nil {
		return nil
	}
	err := s.conn.Close()
	s.conn = nil
	return err
}
