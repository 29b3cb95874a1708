package vault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
)

type secret = vaultapi.Secret

// names is what Vault takes as the name of a key, and as one step of a mount's
// path; it can't climb out of its path.
var names = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]{0,126}[A-Za-z0-9_])?$`)

var mounts = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?(/[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?)*$`)

// client asks Vault, with the token that a file holds.
type client struct {
	address   string
	caFile    string
	tokenFile string
	timeout   time.Duration // of one request
	logger    *slog.Logger
	wrap      func(http.RoundTripper) http.RoundTripper // between us and Vault, in tests

	what    string // that is asked for, in errors
	refused error  // an answer that does not pass by itself wraps it
	away    error  // one that may, and none at all, wrap this

	api   *vaultapi.Client
	idle  func()        // closes idle connections
	fresh chan struct{} // a new token was read from the file
}

// checkAddress refuses an address that can't be meant.
func checkAddress(address string) error {
	u, err := url.Parse(address)
	bad := err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != ""
	switch {
	case err == nil && u.User != nil: // not repeated: it may hold a password
		return fmt.Errorf("address: %w: it names a user; who may ask is said by the token", ErrConfig)
	case bad || (u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("address: %w: %q is not https://HOST[:PORT]", ErrConfig, address)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("address: %w: plain http would show the token; it is for loopback only", ErrConfig)
	}
	return nil
}

// checkMount refuses what is no path of a mount; example is one that is.
func checkMount(mount, example string) error {
	if mount != "" && !mounts.MatchString(mount) {
		return fmt.Errorf("mount: %w: %q is not the path of a mount, such as %s", ErrConfig, mount, example)
	}
	return nil
}

func checkTokenFile(path string) error {
	if path == "" {
		return fmt.Errorf("token_file: %w: name the file that holds the token", ErrConfig)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// connect makes the client. What VAULT_… variables say counts for nothing: the
// settings are the only source, and one of those variables turns TLS's checks
// off.
func (c *client) connect() error {
	roots, err := c.roots()
	if err != nil {
		return err
	}
	token, err := readToken(c.tokenFile)
	if err != nil {
		return err
	}
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		TLSHandshakeTimeout: c.timeout,
		ForceAttemptHTTP2:   true,
		MaxIdleConns:        4,
		IdleConnTimeout:     time.Minute,
	}
	c.idle = transport.CloseIdleConnections
	var trip http.RoundTripper = transport
	if c.wrap != nil {
		trip = c.wrap(transport)
	}
	// No retries of the client's own: the deadline is ours, and so is the
	// decision to try again.
	c.api, err = vaultapi.NewClient(&vaultapi.Config{Address: c.address, HttpClient: &http.Client{
		Transport:     trip,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}})
	if err != nil {
		return fmt.Errorf("address: %w: %w", ErrConfig, err)
	}
	c.api.ClearNamespace()
	c.api.SetToken(token)
	c.fresh = make(chan struct{}, 1)
	return nil
}

func (c *client) roots() (*x509.CertPool, error) {
	if c.caFile == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	text, err := os.ReadFile(c.caFile)
	if err != nil {
		return nil, fmt.Errorf("ca_file: %w: %w", ErrConfig, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("ca_file: %w: %s holds no certificate in PEM", ErrConfig, c.caFile)
	}
	return pool, nil
}

// call asks Vault, and once more if it refuses the token and the file holds
// another one by now.
func (c *client) call(ctx context.Context, ask func() (*secret, error)) (*secret, error) {
	used := c.api.Token()
	answer, err := ask()
	if status(err) == http.StatusForbidden {
		if err := c.reloadToken(used); err != nil {
			return nil, fmt.Errorf("%w: Vault refuses the token, or its policy does not allow this: %w", c.away, err)
		}
		answer, err = ask()
	}
	if err != nil {
		return nil, c.explain(ctx, err)
	}
	return answer, nil
}

// status is the HTTP status that an error of the client holds, 0 if none.
func status(err error) int {
	if answer, ok := errors.AsType[*vaultapi.ResponseError](err); ok {
		return answer.StatusCode
	}
	return 0
}

// explain turns the client's errors into sentences of our own: theirs may hold
// whatever Vault answered. Whatever may pass by itself wraps away.
func (c *client) explain(ctx context.Context, err error) error {
	switch code := status(err); {
	case code == 0:
		return fmt.Errorf("%w: %w", c.away, c.unreachable(ctx, err))
	case code == http.StatusForbidden:
		return fmt.Errorf("%w: Vault refuses the token that the file holds now, too; see that its policy allows this", c.away)
	case code == http.StatusTooManyRequests:
		return fmt.Errorf("%w: Vault limits how often it may be asked", c.away)
	case code == http.StatusServiceUnavailable:
		return fmt.Errorf("%w: Vault is sealed or on standby", c.away)
	case code >= http.StatusInternalServerError:
		return fmt.Errorf("%w: Vault answered %d", c.away, code)
	default:
		return fmt.Errorf("%w: Vault answered %d for %s; its audit device says why", c.refused, code, c.what)
	}
}

// unreachable says why no answer came. Addresses and certificates are no
// secrets; a URL's path and anything else stays out.
func (c *client) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("no answer in time from Vault at %s: %w", c.address, ctx.Err())
	}
	if cause, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("the TLS certificate of Vault at %s is not trusted: %w; check ca_file", c.address, cause.Err)
	}
	if cause, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("no answer from Vault at %s: %w", c.address, cause)
	}
	return fmt.Errorf("no usable answer from Vault at %s", c.address)
}
