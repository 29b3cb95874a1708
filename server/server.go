// Package server owns the HTTP interface: the JSON routes under /v1 for
// command-line clients, and the pages where people decide.
//
// It translates and nothing more. What is asked becomes a call of package
// authority, which decides; what is refused becomes a problem document
// (RFC 9457) or a page, by one table (problems.go). The two sides never mix:
// routes under /v1 take bearers and no cookies, pages take cookies and no
// bearers.
package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
)

// Limits of what one client can make the server hold on to.
const (
	maxBody    = 64 << 10 // bytes of a request's body
	maxHeader  = 32 << 10 // bytes of a request's headers: an authorisation code fits
	maxStreams = 100      // of one HTTP/2 connection
)

// StopTimeout is how long requests that run have to finish when Serve is told to
// stop.
const StopTimeout = 10 * time.Second

// times bound how long a client can take.
type times struct {
	header time.Duration // to send the headers of a request
	read   time.Duration // to send a whole request
	write  time.Duration // from the headers to the end of the answer
	idle   time.Duration // between two requests on a connection
	stop   time.Duration // StopTimeout
}

// usualTimes are those that hold; a certificate may wait for a key service.
var usualTimes = times{header: 5 * time.Second, read: 15 * time.Second, write: time.Minute, idle: 2 * time.Minute, stop: StopTimeout}

// ErrConfig is wrapped by every refusal of New and Serve.
var ErrConfig = errors.New("unusable server settings")

// Config is what a Server needs. Authority, BaseURL, Now and Rand are required.
type Config struct {
	Authority *authority.Authority
	// BaseURL is the one address under which browsers and clients reach the
	// server: https://HOST[:PORT], or http:// if HOST is a loopback address. It
	// decides how cookies are named and marked; requests for another host are
	// refused.
	BaseURL string
	Now     func() time.Time // the authority's clock
	Rand    io.Reader        // a cryptographic source
	Logger  *slog.Logger     // zero: nothing is logged
	Version string           // told to clients; may be empty
	// PublicTiles lets everybody read the ledger's tiles; zero: those who are
	// logged in.
	PublicTiles bool
	Limits      Limits // how often clients may ask
	// Observer hears what an operator counts. Zero: nobody does.
	Observer Observer
	// TrustedProxies are whose X-Forwarded-For is believed. Zero: nobody's, and
	// who speaks to us is the client.
	TrustedProxies []netip.Prefix
	// Workloads issue identity tokens by which hosts join, for the audience ClientID. An
	// invitation names issuer and subject. Zero: hosts join by secrets alone.
	Workloads []oidc.Issuer
}

// Observer hears what an operator counts. Its methods return at once and may be
// called from several goroutines. No argument is text that a client sent.
type Observer interface {
	// Requested: a request was answered. method is one that HTTP names or "other",
	// route the template of its address or "none".
	Requested(method, route string, status int, took time.Duration)
	// Limited: a request was refused because of the rate limit of that name.
	Limited(limit string)
	// NotIssued: a call for a certificate was refused; problem is the last part of
	// the problem's type.
	NotIssued(problem string)
}

// nobody is the Observer that hears nothing.
type nobody struct{}

func (nobody) Requested(string, string, int, time.Duration) {}
func (nobody) Limited(string)                               {}
func (nobody) NotIssued(string)                             {}

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	authority *authority.Authority
	store     *store.Store
	base      *url.URL
	now       func() time.Time
	rand      io.Reader
	logger    *slog.Logger
	watch     Observer
	version   string
	// publicTiles lets strangers read the tiles.
	publicTiles bool
	cookies     cookieNames
	pages       *pages
	limiter     *limiter
	readiness   *readiness
	exports     chan struct{} // one for each export that runs
	exporting   sync.Map      // whose they are, by the person's id
	times       times
	feed        *feed
	lists       *lists
	workloads   []workload
	handler     http.Handler
}

// New checks the settings and returns a Server that serves nothing yet.
func New(c Config) (*Server, error) {
	if c.Authority == nil || c.Now == nil || c.Rand == nil {
		return nil, fmt.Errorf("%w: authority, clock and randomness must be given", ErrConfig)
	}
	base, err := parseBase(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if err := c.Limits.Check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Observer == nil {
		c.Observer = nobody{}
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &Server{
		authority: c.Authority, store: c.Authority.Store(), base: base, now: c.Now, rand: c.Rand,
		logger: c.Logger, watch: c.Observer, version: c.Version, cookies: nameCookies(base), pages: p, publicTiles: c.PublicTiles,
		exports: make(chan struct{}, maxExports),
		limiter: newLimiter(c.Limits, c.TrustedProxies), readiness: newReadiness(c.Authority, c.Now, c.Logger), times: usualTimes,
		feed: newFeed(c.Authority.Store(), c.Now, c.Logger),
	}
	if s.workloads, err = newWorkloads(c.Workloads, c.Now); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	s.lists = newLists(s)
	s.handler = s.routes()
	return s, nil
}

// parseBase reads the base URL and leaves out the scheme's own port, as browsers
// do in Origin and Host.
func parseBase(text string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	switch {
	case err != nil || u.Hostname() == "" || u.Path != "" || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || u.User != nil:
		return nil, fmt.Errorf("%w: base URL %q: it is scheme and host only, such as https://sallyport.example", ErrConfig, text)
	case strings.ToLower(u.Host) != u.Host:
		return nil, fmt.Errorf("%w: base URL %q: write the host in lower case, as browsers do", ErrConfig, text)
	case u.Scheme == "https", u.Scheme == "http" && loopbackName(u.Hostname()):
		u.Host = strings.TrimSuffix(u.Host, defaultPort(u.Scheme))
		return u, nil
	case u.Scheme == "http":
		return nil, fmt.Errorf("%w: base URL %q: http is for loopback addresses only; use https with a certificate", ErrConfig, text)
	default:
		return nil, fmt.Errorf("%w: base URL %q: its scheme is neither https nor http", ErrConfig, text)
	}
}

func defaultPort(scheme string) string {
	if scheme == "https" {
		return ":443"
	}
	return ":80"
}

func loopbackName(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// secure reports whether browsers speak to the server over TLS.
func (s *Server) secure() bool { return s.base.Scheme == "https" }

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

func (s *Server) checkListener(addr net.Addr, conf *tls.Config) error {
	if conf != nil {
		if !s.secure() {
			return fmt.Errorf("%w: TLS is configured, but the base URL %s is http; make it https", ErrConfig, s.base)
		}
		return nil
	}
	return onlyLoopback(addr)
}

// onlyLoopback refuses to speak plain HTTP to other machines.
func onlyLoopback(addr net.Addr) error {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil || !ap.Addr().IsLoopback() {
		return fmt.Errorf("%w: plain HTTP on %s; it is for loopback addresses only, so configure a TLS certificate", ErrConfig, addr)
	}
	return nil
}
