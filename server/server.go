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
	"context"
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
	"time"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
)

// Limits of what one client can make the server hold on to.
const (
	maxBody       = 64 << 10 // bytes of a request's body
	maxHeader     = 32 << 10 // bytes of a request's headers: an authorisation code fits
	headerTimeout = 5 * time.Second
	readTimeout   = 15 * time.Second
	writeTimeout  = 60 * time.Second // a certificate may wait for a key service
	idleTimeout   = 2 * time.Minute
	stopTimeout   = 10 * time.Second // for requests that run when Serve is told to stop
	maxStreams    = 100              // of one HTTP/2 connection
)

// ErrConfig is wrapped by every refusal of New and Serve.
var ErrConfig = errors.New("unusable server settings")

// Config is what a Server needs. All fields but Logger and Version are required.
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
}

// Server answers HTTP requests. It is safe for concurrent use.
type Server struct {
	authority *authority.Authority
	store     *store.Store
	base      *url.URL
	now       func() time.Time
	rand      io.Reader
	logger    *slog.Logger
	version   string
	// publicTiles lets strangers read the tiles.
	publicTiles bool
	cookies     cookieNames
	pages       *pages
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
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	p, err := loadPages()
	if err != nil {
		return nil, err
	}
	s := &Server{
		authority: c.Authority, store: c.Authority.Store(), base: base, now: c.Now, rand: c.Rand,
		logger: c.Logger, version: c.Version, cookies: nameCookies(base), pages: p, publicTiles: c.PublicTiles,
	}
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

// Serve answers requests on ln, which it closes, until ctx ends; requests that
// run then have ten seconds to finish. conf nil means plain HTTP, which is
// refused on other than loopback addresses.
func (s *Server) Serve(ctx context.Context, ln net.Listener, conf *tls.Config) error {
	if err := s.checkListener(ln.Addr(), conf); err != nil {
		return errors.Join(err, ln.Close())
	}
	srv := &http.Server{
		Handler: s, ReadHeaderTimeout: headerTimeout, ReadTimeout: readTimeout, WriteTimeout: writeTimeout,
		IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(s.logger.Handler(), slog.LevelWarn),
	}
	serve := func() error { return srv.Serve(ln) }
	if conf != nil {
		srv.TLSConfig = conf.Clone()
		srv.TLSConfig.MinVersion = max(srv.TLSConfig.MinVersion, tls.VersionTLS12)
		serve = func() error { return srv.ServeTLS(ln, "", "") } // the certificate is in conf
	}
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", errors.Join(err, srv.Close()))
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	err := srv.Shutdown(stop)
	if err != nil {
		err = fmt.Errorf("stopping: requests still ran after %s: %w", stopTimeout, errors.Join(err, srv.Close()))
	}
	if closed := <-ended; err == nil && !errors.Is(closed, http.ErrServerClosed) {
		err = fmt.Errorf("serving: %w", closed)
	}
	return err
}

func (s *Server) checkListener(addr net.Addr, conf *tls.Config) error {
	if conf != nil {
		if !s.secure() {
			return fmt.Errorf("%w: TLS is configured, but the base URL %s is http; make it https", ErrConfig, s.base)
		}
		return nil
	}
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil || !ap.Addr().IsLoopback() {
		return fmt.Errorf("%w: plain HTTP on %s; it is for loopback addresses only, so configure a TLS certificate", ErrConfig, addr)
	}
	return nil
}
