package oidc

import (
	"context"
	crand "crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/sallyport/sallyport/canon"
)

const (
	secretBytes  = 32      // of state and PKCE verifier
	maxCodeBytes = 8 << 10 // of an authorisation code
	maxURLBytes  = 2 << 10 // of a redirect URI
)

// DeviceNonce returns the nonce that commits a login to a device key:
// base64url(SHA-256("sallyport.device/v1\n" || rz || key)), where rz is 32
// random bytes that stay secret until the session is opened and key is the
// device key in SSH wire form (RFC 4253 §6.6). With it the provider's
// signature over the ID token ties the person to the key.
func DeviceNonce(rz [32]byte, sshWirePublicKey []byte) string {
	return canon.Sum("sallyport.device/v1", rz[:], sshWirePublicKey).String()
}

// Pending is a login that was started and not yet answered. The caller keeps it
// where only the browser or process that started the login can bring it back,
// uses it once and forgets it.
type Pending struct {
	State       string // comes back in the answer
	Verifier    string // PKCE code verifier, RFC 7636; secret
	RedirectURI string // where the answer goes
	Nonce       string // for Verify
}

// String hides every field.
func (Pending) String() string { return "pending login [redacted]" }

// GoString is String, so that %#v does not print secrets either.
func (p Pending) GoString() string { return p.String() }

// LogValue hides every field.
func (p Pending) LogValue() slog.Value { return slog.StringValue(p.String()) }

// Start begins a code flow with PKCE (RFC 9700 §2.1.1) and returns the URL to
// open in the person's browser. The redirect URI must be https, or http on a
// loopback host. rand nil means crypto/rand.
func (p *Provider) Start(ctx context.Context, redirectURI, nonce string, rand io.Reader) (authURL string, pending Pending, err error) {
	if nonce == "" {
		return "", Pending{}, fmt.Errorf("%w: a login needs a nonce", ErrConfig)
	}
	u, err := url.Parse(redirectURI)
	if err != nil || len(redirectURI) > maxURLBytes || strings.Contains(redirectURI, "#") || !secureURL(u, true) {
		return "", Pending{}, fmt.Errorf("%w: the redirect URI is neither https nor http on a loopback host", ErrConfig)
	}
	if rand == nil {
		rand = crand.Reader
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return "", Pending{}, err
	}
	var drawn [2 * secretBytes]byte
	if _, err := io.ReadFull(rand, drawn[:]); err != nil {
		return "", Pending{}, fmt.Errorf("%w: drawing random bytes: %w", ErrConfig, err)
	}
	pending = Pending{
		State:       canon.B64(drawn[:secretBytes]),
		Verifier:    canon.B64(drawn[secretBytes:]),
		RedirectURI: redirectURI,
		Nonce:       nonce,
	}
	authURL = p.oauth(m, redirectURI).AuthCodeURL(pending.State,
		gooidc.Nonce(nonce), oauth2.S256ChallengeOption(pending.Verifier))
	return authURL, pending, nil
}

func (p *Provider) oauth(m metadata, redirectURI string) *oauth2.Config {
	style, _ := p.authStyle(m) // m was checked to have one
	return &oauth2.Config{
		ClientID:     p.issuer.ClientID,
		ClientSecret: p.issuer.ClientSecret,
		Endpoint:     oauth2.Endpoint{AuthURL: m.AuthURL, TokenURL: m.TokenURL, AuthStyle: style},
		RedirectURL:  redirectURI,
		Scopes:       p.scopes(m),
	}
}

// scopes are what a login asks for.
func (p *Provider) scopes(m metadata) []string {
	const offline = "offline_access"
	if !p.issuer.Offline || !slices.Contains(m.Scopes, offline) || slices.Contains(p.issuer.Scopes, offline) {
		return p.issuer.Scopes
	}
	return append(slices.Clip(p.issuer.Scopes), offline)
}

// Exchange checks the answer that came to the redirect URI and exchanges its
// code for an ID token, which is not verified yet: give it to Verify. An answer
// is good for one call, whatever that returns.
func (p *Provider) Exchange(ctx context.Context, pending Pending, answer url.Values) (rawIDToken string, err error) {
	got, err := p.Redeem(ctx, pending, answer)
	return got.ID, err
}

// Redeem is Exchange for a login that also wants a refresh token.
func (p *Provider) Redeem(ctx context.Context, pending Pending, answer url.Values) (Tokens, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return Tokens{}, err
	}
	code, err := p.checkAnswer(m, pending, answer)
	if err != nil {
		return Tokens{}, err
	}
	ctx = gooidc.ClientContext(ctx, p.client)
	got, err := p.oauth(m, pending.RedirectURI).Exchange(ctx, code, oauth2.VerifierOption(pending.Verifier))
	if err != nil {
		return Tokens{}, p.exchangeError(err)
	}
	return p.tokens(got)
}

// checkAnswer returns the code of a good answer. State comes first: until it
// matches, nothing in the answer is known to be about this login.
func (p *Provider) checkAnswer(m metadata, pending Pending, answer url.Values) (code string, err error) {
	for _, name := range []string{"state", "code", "iss", "error"} {
		if len(answer[name]) > 1 {
			return "", fmt.Errorf("%w: it has %s more than once", ErrAnswer, name)
		}
	}
	state := answer.Get("state")
	if pending.State == "" || pending.Verifier == "" || subtle.ConstantTimeCompare([]byte(state), []byte(pending.State)) != 1 {
		return "", fmt.Errorf("%w: its state is missing or another; start the login again", ErrState)
	}
	// RFC 9207: an answer that another provider was tricked into sending names
	// that provider.
	if iss := answer.Get("iss"); answer.Has("iss") && iss != p.issuer.URL || !answer.Has("iss") && m.SendsIssuer {
		return "", fmt.Errorf("%w: the answer's iss is missing or not issuer %q", ErrIssuer, p.issuer.ID)
	}
	if answer.Has("error") {
		return "", fmt.Errorf("%w: %s; start the login again", ErrDenied, errorCode(answer.Get("error")))
	}
	code = answer.Get("code")
	if code == "" || len(code) > maxCodeBytes {
		return "", fmt.Errorf("%w: its code is missing or longer than %d bytes", ErrAnswer, maxCodeBytes)
	}
	return code, nil
}

// exchangeError says why the token endpoint gave nothing.
func (p *Provider) exchangeError(err error) error {
	if r, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return fmt.Errorf("%w: issuer %q answered with status %d and %s; start the login again", ErrExchange, p.issuer.ID, statusOf(r), errorCode(r.ErrorCode))
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return p.unreachable("the token endpoint", err)
	}
	// What is left are answers that the library can't read; its text may quote them.
	return fmt.Errorf("%w: issuer %q answered with something that is not what OAuth 2.0 defines", ErrExchange, p.issuer.ID)
}

// errorCode repeats an error code of RFC 6749 or OpenID Connect Core §3.1.2.6
// and nothing else: the rest of an error answer is free text from outside.
func errorCode(code string) string {
	switch code {
	case "access_denied", "account_selection_required", "consent_required", "interaction_required", "invalid_client",
		"invalid_grant", "invalid_request", "invalid_request_object", "invalid_request_uri", "invalid_scope",
		"login_required", "registration_not_supported", "request_not_supported", "request_uri_not_supported",
		"server_error", "temporarily_unavailable", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type":
		return code
	default:
		return "an error that OAuth 2.0 does not name"
	}
}
