// Package hostile owns the lab's identity provider that says whatever a test
// wants: metadata, keys, ID tokens and answers that are each wrong in one way.
//
// It is for tests of package oidc and of those who use it. Unlike idp and panva
// it is no provider that somebody could run; its clock stands still until a test
// moves it.
package hostile

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/oidc"
)

// What a forged ID token has unless a test changes it.
const (
	ClientID = "sally-cli"
	Nonce    = "the-nonce"
)

// Clock is a clock that tests set.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands.
func NewClock(now time.Time) *Clock { return &Clock{now: now} }

// Now returns what the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Provider is an identity provider that says whatever a test wants. What tests
// change while it is asked they change inside Set.
type Provider struct {
	*httptest.Server
	Clock *Clock

	Metadata map[string]any
	Keys     []any            // of the key set
	Down     bool             // metadata and keys answer 500
	Token    http.HandlerFunc // the token endpoint; nil: there is none
	Other    http.HandlerFunc // what is at all other paths; nil: nothing

	mu    sync.Mutex
	asked map[string]int // requests by path
}

// New starts a provider with good metadata and keys that ends with the test.
func New(t testing.TB, tls bool) *Provider {
	t.Helper()
	p := &Provider{Clock: NewClock(time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)), asked: map[string]int{}}
	if tls {
		p.Server = httptest.NewTLSServer(p)
	} else {
		p.Server = httptest.NewServer(p)
	}
	t.Cleanup(p.Close)
	p.Metadata = map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	}
	k := Keys()
	p.Keys = []any{
		jose.JSONWebKey{Key: k.RSA.Public(), KeyID: "rsa", Use: "sig"},
		jose.JSONWebKey{Key: k.EC.Public(), KeyID: "ec", Algorithm: "ES256"},
		jose.JSONWebKey{Key: k.Ed.Public(), KeyID: "ed"},
	}
	return p
}

// Set changes the provider under its lock.
func (p *Provider) Set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

// Count returns how often a path was asked for.
func (p *Provider) Count(path string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.asked[path]
}

// ServeHTTP answers as the test says.
func (p *Provider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked[r.URL.Path]++
	down, token, other := p.Down, p.Token, p.Other
	var answer []byte
	var err error
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer, err = json.Marshal(p.Metadata)
	case "/keys":
		answer, err = json.Marshal(map[string]any{"keys": p.Keys})
	}
	p.mu.Unlock()
	switch {
	case err != nil || down:
		http.Error(w, "<script>down</script>", http.StatusInternalServerError)
	case answer != nil:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	case r.URL.Path == "/token" && token != nil:
		token(w, r)
	case r.URL.Path != "/token" && other != nil:
		other(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Settings are those of a client that trusts this provider.
func (p *Provider) Settings() oidc.Issuer {
	return oidc.Issuer{
		ID: "corp", URL: p.URL, ClientID: ClientID, Algs: []string{"RS256", "PS256", "ES256", "EdDSA"},
		GroupsClaim: "groups", HTTP: p.Client(),
	}
}

// Provider returns a client that trusts this provider, with some settings changed.
func (p *Provider) Provider(t testing.TB, change func(*oidc.Issuer)) *oidc.Provider {
	t.Helper()
	i := p.Settings()
	if change != nil {
		change(&i)
	}
	out, err := oidc.New(i, p.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// AnswerToken answers as a token endpoint does, with an ID token and, unless it
// is empty, a refresh token.
func AnswerToken(w http.ResponseWriter, idToken, refresh string) {
	answer := map[string]any{"access_token": "a", "token_type": "Bearer", "expires_in": 60, "id_token": idToken}
	if refresh != "" {
		answer["refresh_token"] = refresh
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(MustJSON(answer))
}
