// Package oidc owns the way from an OpenID Connect ID token to a verified
// identity, and the login flows that bring the ID token.
//
// A Provider speaks to one issuer as one client. It trusts nothing that the ID
// token says before its signature verifies under a key that the issuer
// publishes, with an algorithm that the contract names; after that every claim
// that decides is checked here, also those that the underlying library leaves
// to its caller (nonce, iat, lifetime, azp, auth_time, duplicate keys).
//
// Groups that can't be told are unknown, which is never the same as none.
package oidc

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Bounds on what an issuer may send. They are part of what a party cosigner
// checks again, so they are constants and not settings.
const (
	MaxTokenBytes   = 16 << 10        // raw ID token
	MaxSkew         = 5 * time.Minute // distance of iat from now, and of nbf and auth_time into the future
	MaxLifetime     = 24 * time.Hour  // exp − iat
	MaxSubjectBytes = 255             // OpenID Connect Core §2
	MaxGroups       = 1000            // entries of the groups claim
	MaxGroupBytes   = 256             // one entry of it
)

// Issuer says how to speak to one identity provider as one client. URL, Algs,
// SubjectClaim and GroupsClaim come from the contract in force; ClientSecret
// and HTTP come from the server's own settings.
type Issuer struct {
	// ID is the issuer's name in the contract. It stands in errors.
	ID string
	// URL is the issuer identifier, compared byte for byte (a trailing slash
	// counts): https, or http on a loopback host.
	URL string
	// ClientID is the client that ID tokens must be issued for.
	ClientID string
	// ClientSecret is empty for a public client.
	ClientSecret string
	// Algs are the accepted signature algorithms: RS, PS or ES with 256, 384 or
	// 512, or EdDSA. At least one.
	Algs []string
	// SubjectClaim names the claim that identifies the person; "sub" if empty.
	// Where no claim has that exact name, "a.b" is the member b of the claim a.
	SubjectClaim string
	// SeveralClients says that the contract names another client than ClientID
	// too. Then sub must not differ from client to client.
	SeveralClients bool
	// GroupsClaim names the claim with the groups, in the same way; if empty,
	// groups are unknown.
	GroupsClaim string
	// Scopes are asked for besides "openid"; profile and email if nil.
	Scopes []string
	// Offline also asks for a refresh token (scope offline_access, OpenID Connect
	// Core §11), if the provider's metadata lists that scope: an unknown scope
	// would end the login at some providers.
	Offline bool
	// Fetched is told of each time that a document was asked for: "metadata" or
	// "keys", and the error. Nil: nobody is.
	Fetched func(document string, err error)
	// HTTP gives the transport (its trust roots and proxy). Its other settings
	// are not used. Nil means http.DefaultTransport.
	HTTP *http.Client
}

// String names the issuer without its secret.
func (i Issuer) String() string {
	return fmt.Sprintf("issuer %s (%s, client %s)", i.ID, i.URL, i.ClientID)
}

// GoString is String, so that %#v does not print the secret either.
func (i Issuer) GoString() string { return i.String() }

// LogValue logs what String says.
func (i Issuer) LogValue() slog.Value { return slog.StringValue(i.String()) }

// Provider verifies ID tokens of one issuer for one client and runs login
// flows with it. Metadata and keys are fetched when first needed, kept, and
// asked for again at bounded intervals. It is safe for concurrent use and owns
// no goroutine.
type Provider struct {
	issuer Issuer
	now    func() time.Time
	client *http.Client
	meta   *fetched[metadata]
	keys   *fetched[keySet]
}

// New checks the settings and returns a Provider; it does not use the network.
// The error wraps ErrConfig and names the setting.
func New(i Issuer, now func() time.Time) (*Provider, error) {
	if err := i.check(); err != nil {
		return nil, err
	}
	if now == nil {
		return nil, fmt.Errorf("%w: issuer %q has no clock", ErrConfig, i.ID)
	}
	i.Algs = slices.Clone(i.Algs)
	if i.SubjectClaim == "" {
		i.SubjectClaim = "sub"
	}
	if i.Scopes == nil {
		i.Scopes = []string{"profile", "email"}
	}
	i.Scopes = append([]string{"openid"}, slices.DeleteFunc(slices.Clone(i.Scopes), func(s string) bool { return s == "openid" })...)

	p := &Provider{issuer: i, now: now, client: newClient(i.HTTP)}
	p.meta = newFetched(now, metadataTimes(), told(i.Fetched, "metadata", p.fetchMetadata))
	p.keys = newFetched(now, keyTimes(), told(i.Fetched, "keys", p.fetchKeys))
	return p, nil
}

func (i Issuer) check() error {
	if i.ID == "" {
		return fmt.Errorf("%w: an issuer without a name", ErrConfig)
	}
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: issuer %q: %s", ErrConfig, i.ID, fmt.Sprintf(format, args...))
	}
	u, err := url.Parse(i.URL)
	switch {
	case err != nil || u.Opaque != "" || u.Host == "":
		return bad("url %q is not an absolute URL", i.URL)
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(i.URL, "#"):
		return bad("url has a user, a query or a fragment")
	case !secureURL(u, true):
		return bad("url %q is neither https nor http on a loopback host", i.URL)
	case i.ClientID == "":
		return bad("client id is missing")
	case len(i.Algs) == 0:
		return bad("algs is empty: name at least one of %s", strings.Join(algorithms(), ", "))
	}
	for n, a := range i.Algs {
		if !slices.Contains(algorithms(), a) {
			return bad("algs has %q, which is none of %s", a, strings.Join(algorithms(), ", "))
		}
		if slices.Contains(i.Algs[:n], a) {
			return bad("algs has %q twice", a)
		}
	}
	for _, c := range []string{i.SubjectClaim, i.GroupsClaim} {
		if !clean(c, 128) {
			return bad("claim name %q is not clean text of at most 128 bytes", c)
		}
	}
	for _, s := range i.Scopes {
		if s == "" || strings.ContainsFunc(s, notScope) {
			return bad("scope %q is empty or has characters that RFC 6749 forbids", s)
		}
	}
	return nil
}

// algorithms are the asymmetric signature algorithms of RFC 7518 §3.1 and RFC
// 8037. "none" and the symmetric ones are never among them.
func algorithms() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// notScope reports the characters outside of a scope-token, RFC 6749 §3.3.
func notScope(r rune) bool {
	return r <= ' ' || r == '"' || r == '\\' || r > '~'
}

// secureURL reports whether u is https, or http on a loopback host where that
// is allowed. There the traffic does not leave the machine.
func secureURL(u *url.URL, loopback bool) bool {
	if u.Host == "" || u.User != nil {
		return false
	}
	switch u.Scheme {
	case "https":
		return true
	case "http":
		h := u.Hostname()
		return loopback && (h == "localhost" || net.ParseIP(h).IsLoopback())
	default:
		return false
	}
}
