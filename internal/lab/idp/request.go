package idp

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/url"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
)

const (
	requestLife  = 10 * time.Minute // from /authorize to the code
	codeLife     = time.Minute
	maxRequests  = 1000
	maxPasswords = 10 // wrong ones per request
)

// request is one authorisation request on its way from /authorize to the ID
// token. It implements op.AuthRequest. Requests are handed out as copies, so
// that the library reads them without our lock.
type request struct {
	id       string
	asked    oidc.AuthRequest
	begun    time.Time
	tries    int               // wrong passwords
	browser  [sha256.Size]byte // digest of the browser's cookie, set when the person signed in
	subject  string            // empty until then
	signedIn time.Time
	code     [sha256.Size]byte // digest of the code, set when it was sent
	codeAt   time.Time
}

// checkAsked refuses what the library lets through although this provider
// should not: a login without PKCE S256, another host than 127.0.0.1 for the
// native client, and a login without a person.
func checkAsked(asked *oidc.AuthRequest) error {
	if asked.ClientID == CLIClient {
		u, err := url.Parse(asked.RedirectURI)
		if err != nil || u.Scheme != "http" || u.Hostname() != "127.0.0.1" || u.Path != "/callback" || u.RawQuery != "" {
			return oidc.ErrInvalidRequestRedirectURI().WithDescription("the redirect URI must be http://127.0.0.1:PORT/callback")
		}
	}
	if asked.CodeChallenge == "" || asked.CodeChallengeMethod != oidc.CodeChallengeMethodS256 {
		return oidc.ErrInvalidRequest().WithDescription("PKCE with S256 is required")
	}
	if slices.Contains(asked.Prompt, oidc.PromptNone) {
		return oidc.ErrLoginRequired().WithDescription("every login shows the form")
	}
	return nil
}

// over reports whether the request's time is up.
func (r *request) over(now time.Time) bool {
	if r.codeAt.IsZero() {
		return now.Sub(r.begun) > requestLife
	}
	return now.Sub(r.codeAt) > codeLife
}

// from reports whether the person signed in with the browser that has this
// cookie.
func (r *request) from(cookie string) bool {
	seen := sha256.Sum256([]byte(cookie))
	return r.subject != "" && subtle.ConstantTimeCompare(seen[:], r.browser[:]) == 1
}

// GetID implements op.AuthRequest.
func (r *request) GetID() string { return r.id }

// GetACR implements op.AuthRequest. A password has no agreed class.
func (r *request) GetACR() string { return "" }

// GetAMR implements op.AuthRequest, RFC 8176.
func (r *request) GetAMR() []string { return []string{"pwd"} }

// GetAudience implements op.AuthRequest.
func (r *request) GetAudience() []string { return []string{r.asked.ClientID} }

// GetAuthTime implements op.AuthRequest.
func (r *request) GetAuthTime() time.Time { return r.signedIn }

// GetClientID implements op.AuthRequest.
func (r *request) GetClientID() string { return r.asked.ClientID }

// GetCodeChallenge implements op.AuthRequest.
func (r *request) GetCodeChallenge() *oidc.CodeChallenge {
	return &oidc.CodeChallenge{Challenge: r.asked.CodeChallenge, Method: r.asked.CodeChallengeMethod}
}

// GetNonce implements op.AuthRequest.
func (r *request) GetNonce() string { return r.asked.Nonce }

// GetRedirectURI implements op.AuthRequest.
func (r *request) GetRedirectURI() string { return r.asked.RedirectURI }

// GetResponseType implements op.AuthRequest.
func (r *request) GetResponseType() oidc.ResponseType { return r.asked.ResponseType }

// GetResponseMode implements op.AuthRequest. The answer always comes as a query.
func (r *request) GetResponseMode() oidc.ResponseMode { return oidc.ResponseModeQuery }

// GetScopes implements op.AuthRequest.
func (r *request) GetScopes() []string { return r.asked.Scopes }

// GetState implements op.AuthRequest.
func (r *request) GetState() string { return r.asked.State }

// GetSubject implements op.AuthRequest.
func (r *request) GetSubject() string { return r.subject }

// Done implements op.AuthRequest.
func (r *request) Done() bool { return r.subject != "" }
