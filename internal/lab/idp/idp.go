// Package idp owns the lab's identity provider: a real OpenID Connect provider
// with a login form, for tests, the demo and development.
//
// The protocol is zitadel/oidc's; accounts, clients, codes and the login form
// are ours and live in memory. It speaks plain HTTP and therefore only ever
// listens on a loopback address. No product binary links it.
package idp

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/op"
)

// Names of the two clients.
const (
	CLIClient = "sally-cli"     // public, native: http://127.0.0.1:PORT/callback with any port
	WebClient = "sallyport-web" // confidential, authenticates with client_secret_basic
)

// Config says what the provider knows at the start.
type Config struct {
	// Accounts are the people. Usernames and subjects must be unique.
	Accounts []Account
	// WebSecret is the secret of WebClient. If empty, that client does not exist.
	WebSecret string
	// WebRedirects are the redirect URIs of WebClient, compared exactly. More can
	// be added with AllowRedirect.
	WebRedirects []string
	// IDTokenLifetime is exp − iat; five minutes if zero.
	IDTokenLifetime time.Duration
	// Algorithm signs ID tokens: RS256 (also if empty) or ES256, whose key is
	// quicker to make.
	Algorithm string
	// NoRefresh gives CLIClient no refresh tokens.
	NoRefresh bool
	// Host is the host of the issuer URL: 127.0.0.1 (also if empty) or localhost.
	// The provider listens on 127.0.0.1 in both cases.
	Host string
}

// Server is a running provider.
type Server struct {
	url   string // issuer, without a slash at the end
	host  string // the only accepted Host header
	store *store
	srv   *http.Server
	gone  chan struct{} // closed when the server's goroutine has ended
}

const (
	maxBodyBytes = 64 << 10
	headerTime   = 5 * time.Second
	closeTime    = 2 * time.Second
)

// Start listens on a free port and serves until Close. ctx covers only the
// start.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	st, err := newStore(cfg)
	if err != nil {
		return nil, err
	}
	switch cfg.Host {
	case "":
		cfg.Host = "127.0.0.1"
	case "127.0.0.1", "localhost":
	default:
		return nil, fmt.Errorf("identity provider: host %q is neither 127.0.0.1 nor localhost", cfg.Host)
	}
	var listen net.ListenConfig
	ln, err := listen.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	_, port, err := net.SplitHostPort(ln.Addr().String())
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s := &Server{host: net.JoinHostPort(cfg.Host, port), store: st, gone: make(chan struct{})}
	s.url = "http://" + s.host
	st.loginURL = s.url + loginPath + "?request="
	handler, err := s.handler(port)
	if err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	s.srv = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTime,
		ErrorLog:          log.New(io.Discard, "", 0), // a browser that hangs up is no news
	}
	go func() {
		defer close(s.gone)
		_ = s.srv.Serve(ln) // always ends with ErrServerClosed or a dead listener; clients see the latter
	}()
	return s, nil
}

// URL is the issuer identifier, without a slash at the end.
func (s *Server) URL() string { return s.url }

// Close stops the provider and waits until it is gone.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTime)
	defer cancel()
	err := s.srv.Shutdown(ctx)
	if err != nil { // somebody holds a connection open
		err = s.srv.Close()
	}
	<-s.gone
	return err
}

func (s *Server) handler(port string) (http.Handler, error) {
	cfg := &op.Config{
		CodeMethodS256:        true,
		GrantTypeRefreshToken: true,
		SupportedScopes:       []string{"openid", "profile", "email", "groups", "offline_access"},
		SupportedClaims: []string{
			"iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "amr", "at_hash", "c_hash",
			"name", "preferred_username", "email", "email_verified", "groups",
		},
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	provider, err := op.NewProvider(cfg, s.store, op.StaticIssuer(s.url),
		op.WithAllowInsecure(),                           // loopback only
		op.WithCORSOptions(nil),                          // the library's default lets every site read answers with cookies
		op.WithCrypto(op.NewAES256GCMCrypto(key, "lab")), // its default also accepts unauthenticated AES-CFB
	)
	if err != nil {
		return nil, fmt.Errorf("identity provider: %w", err)
	}
	back := op.AuthCallbackURL(provider)
	form := &loginForm{
		store:  s.store,
		origin: s.url,
		cookie: "lab_idp_" + port, // cookies do not tell ports apart
		next:   func(id string) string { return back(op.ContextWithIssuer(context.Background(), s.url), id) },
	}
	mux := http.NewServeMux()
	mux.Handle("/", provider)
	mux.HandleFunc("GET "+loginPath, form.show)
	mux.HandleFunc("POST "+loginPath, form.submit)
	mux.Handle("/authorize/callback", form.sameBrowser(provider))
	guarded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != s.host {
			http.Error(w, "this is not the host of the identity provider", http.StatusMisdirectedRequest)
			return
		}
		mux.ServeHTTP(w, r)
	})
	return http.MaxBytesHandler(guarded, maxBodyBytes), nil
}
