package oidc_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

const redirectURI = "http://127.0.0.1:7/callback"

func TestStart(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	h.Metadata["authorization_endpoint"] = h.URL + "/authorize?tenant=x"
	p := h.Provider(t, func(i *oidc.Issuer) { i.Scopes, i.ClientSecret = []string{"groups", "openid"}, secret })
	drawn := make([]byte, 64)
	for i := range drawn {
		drawn[i] = byte(i)
	}
	authURL, pending, err := p.Start(t.Context(), redirectURI, goodNonce, bytes.NewReader(drawn))
	if err != nil {
		t.Fatal(err)
	}
	want := oidc.Pending{State: canon.B64(drawn[:32]), Verifier: canon.B64(drawn[32:]), RedirectURI: redirectURI, Nonce: goodNonce}
	if pending != want {
		t.Errorf("pending is not made of what was drawn: %+v", struct{ s, v, r, n string }{pending.State, pending.Verifier, pending.RedirectURI, pending.Nonce})
	}
	u, err := url.Parse(authURL)
	if err != nil || !strings.HasPrefix(authURL, h.URL+"/authorize?") {
		t.Fatalf("%s, %v", authURL, err)
	}
	challenge := sha256.Sum256([]byte(pending.Verifier))
	got := u.Query()
	for k, v := range map[string]string{
		"tenant": "x", "response_type": "code", "client_id": clientID, "redirect_uri": redirectURI, "scope": "openid groups",
		"state": pending.State, "nonce": goodNonce,
		"code_challenge": base64.RawURLEncoding.EncodeToString(challenge[:]), "code_challenge_method": "S256",
	} {
		if got.Get(k) != v {
			t.Errorf("%s is %q, want %q", k, got.Get(k), v)
		}
	}
	if len(got) != 9 || strings.Contains(authURL, secret) || strings.Contains(authURL, pending.Verifier) {
		t.Errorf("%s", authURL)
	}

	_, again, err := p.Start(t.Context(), redirectURI, goodNonce, nil)
	if err != nil || again.State == pending.State || len(again.State) != 43 || len(again.Verifier) != 43 {
		t.Errorf("another login: %d and %d characters, %v", len(again.State), len(again.Verifier), err)
	}
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	for _, tt := range []struct {
		name, redirect, nonce string
		rand                  io.Reader
	}{
		{"no nonce", redirectURI, "", nil},
		{"no redirect URI", "", goodNonce, nil},
		{"http elsewhere", "http://evil.test/callback", goodNonce, nil},
		{"fragment", redirectURI + "#x", goodNonce, nil},
		{"too long", redirectURI + strings.Repeat("x", 3000), goodNonce, nil},
		{"short randomness", redirectURI, goodNonce, strings.NewReader("short")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			authURL, pending, err := p.Start(t.Context(), tt.redirect, tt.nonce, tt.rand)
			if !errors.Is(err, oidc.ErrConfig) || authURL != "" || pending != (oidc.Pending{}) {
				t.Errorf("got %q, %v", authURL, err)
			}
		})
	}
}

// TestExchangeRefusesAnswers brings answers from which no code may be taken
// (O34–O36, O40).
func TestExchangeRefusesAnswers(t *testing.T) {
	t.Parallel()
	pending := oidc.Pending{State: "the-state", Verifier: "the-verifier", RedirectURI: redirectURI, Nonce: goodNonce}
	for _, tt := range []struct {
		name    string
		answer  string
		pending oidc.Pending
		want    error
	}{
		{"no state", "code=" + secretCode, pending, oidc.ErrState},
		{"empty state", "state=&code=" + secretCode, pending, oidc.ErrState},
		{"foreign state", "state=the-statf&code=" + secretCode, pending, oidc.ErrState},
		{"longer state", "state=the-state1&code=" + secretCode, pending, oidc.ErrState},
		{"nothing pending, no state", "code=" + secretCode, oidc.Pending{}, oidc.ErrState},
		{"nothing pending, empty state", "state=&code=" + secretCode, oidc.Pending{}, oidc.ErrState},
		{"no state pending, empty state", "state=&code=" + secretCode, oidc.Pending{Verifier: "the-verifier"}, oidc.ErrState},
		{"no verifier", "state=the-state&code=" + secretCode, oidc.Pending{State: "the-state"}, oidc.ErrState},
		{"error with a foreign state", "state=x&error=access_denied", pending, oidc.ErrState},
		{"two states", "state=the-state&state=x&code=" + secretCode, pending, oidc.ErrAnswer},
		{"two codes", "state=the-state&code=x&code=" + secretCode, pending, oidc.ErrAnswer},
		{"two issuers", "state=the-state&iss=x&iss=y&code=" + secretCode, pending, oidc.ErrAnswer},
		{"other issuer", "state=the-state&iss=https%3A%2F%2Fevil.test&code=" + secretCode, pending, oidc.ErrIssuer},
		{"empty issuer", "state=the-state&iss=&code=" + secretCode, pending, oidc.ErrIssuer},
		{"no code", "state=the-state", pending, oidc.ErrAnswer},
		{"empty code", "state=the-state&code=", pending, oidc.ErrAnswer},
		{"huge code", "state=the-state&code=" + strings.Repeat("x", 9000), pending, oidc.ErrAnswer},
		{"denied", "state=the-state&error=access_denied&code=" + secretCode, pending, oidc.ErrDenied},
		{"error with HTML", "state=the-state&error=%3Cscript%3E&error_description=%3Cb%3Eevil", pending, oidc.ErrDenied},
		{"empty error", "state=the-state&error=&code=" + secretCode, pending, oidc.ErrDenied},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			h.Token = func(w http.ResponseWriter, _ *http.Request) { answerToken(w, h.Forge().String()) }
			answer, err := url.ParseQuery(tt.answer)
			if err != nil {
				t.Fatal(err)
			}
			raw, err := h.Provider(t, nil).Exchange(t.Context(), tt.pending, answer)
			if !errors.Is(err, tt.want) || raw != "" {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err := leaks(err, "the-state.the-verifier"); err != nil || strings.Contains(err2text(err), "evil") {
				t.Error(err)
			}
			if n := h.Count("/token"); n != 0 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

func err2text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// TestIssuerInAnswer: a provider that promises iss (RFC 9207) must send it.
func TestIssuerInAnswer(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	h.Metadata["authorization_response_iss_parameter_supported"] = true
	h.Token = func(w http.ResponseWriter, _ *http.Request) { answerToken(w, h.Forge().String()) }
	p := h.Provider(t, nil)
	pending := oidc.Pending{State: "s", Verifier: "v", RedirectURI: redirectURI}
	if _, err := p.Exchange(t.Context(), pending, url.Values{"state": {"s"}, "code": {"c"}}); !errors.Is(err, oidc.ErrIssuer) {
		t.Errorf("without iss: %v", err)
	}
	if _, err := p.Exchange(t.Context(), pending, url.Values{"state": {"s"}, "code": {"c"}, "iss": {h.URL}}); err != nil {
		t.Errorf("with iss: %v", err)
	}
}

// TestExchangeRefusesTokenAnswers lets the token endpoint misbehave.
func TestExchangeRefusesTokenAnswers(t *testing.T) {
	t.Parallel()
	write := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", kind)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		want   error
		says   string
	}{
		{"invalid_grant", write(400, "application/json", `{"error":"invalid_grant","error_description":"<b>`+secretCode+`"}`), oidc.ErrExchange, "invalid_grant"},
		{"error that nobody knows", write(400, "application/json", `{"error":"<script>"}`), oidc.ErrExchange, "does not name"},
		{"HTML", write(500, "text/html", "<h1>"+secretCode+"</h1>"), oidc.ErrExchange, "status 500"},
		{"HTML with status 200", write(200, "text/html", "<h1>"+secretCode+"</h1>"), oidc.ErrExchange, "not what OAuth 2.0 defines"},
		{"error with status 200", write(200, "application/json", `{"error":"invalid_grant"}`), oidc.ErrExchange, "invalid_grant"},
		{"no ID token", write(200, "application/json", `{"access_token":"a","token_type":"Bearer"}`), oidc.ErrExchange, "openid"},
		{"ID token a number", write(200, "application/json", `{"access_token":"a","token_type":"Bearer","id_token":7}`), oidc.ErrExchange, "openid"},
		{"huge ID token", func(w http.ResponseWriter, _ *http.Request) {
			answerToken(w, strings.Repeat("x", oidc.MaxTokenBytes+1))
		}, oidc.ErrTokenTooLarge, "at most"},
		{"2 MiB", func(w http.ResponseWriter, _ *http.Request) { answerToken(w, strings.Repeat("x", 2<<20)) }, oidc.ErrExchange, ""},
		{"redirect that keeps the body", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/token", http.StatusTemporaryRedirect)
		}, oidc.ErrMetadata, "redirects"},
		{"redirect inside the host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/token", http.StatusTemporaryRedirect)
		}, oidc.ErrMetadata, "redirects"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, oidc.ErrUnreachable, "try again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			h.Token = tt.answer
			p := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = secret })
			pending := oidc.Pending{State: "the-state", Verifier: "the-verifier", RedirectURI: redirectURI}
			raw, err := p.Exchange(t.Context(), pending, url.Values{"state": {"the-state"}, "code": {secretCode}})
			if !errors.Is(err, tt.want) || raw != "" || !strings.Contains(err2text(err), tt.says) {
				t.Fatalf("got %v, want %v with %q", err, tt.want, tt.says)
			}
			if err := leaks(err, "the-state.the-verifier"); err != nil {
				t.Error(err)
			}
			if n := h.Count("/token"); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

// TestClientAuthentication checks how the client names itself.
func TestClientAuthentication(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, secret string
		methods      any
		basic        bool
	}{
		{"public", "", []string{"none"}, false},
		{"basic", secret, []string{"client_secret_post", "client_secret_basic"}, true},
		{"not listed", secret, jsonNull{}, true},
		{"post", secret, []string{"client_secret_post"}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			h.Metadata["token_endpoint_auth_methods_supported"] = tt.methods
			var form url.Values
			var user, password string
			h.Token = func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				h.Set(func() {
					form = r.PostForm
					user, password, _ = r.BasicAuth()
				})
				answerToken(w, h.Forge().String())
			}
			p := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = tt.secret })
			pending := oidc.Pending{State: "s", Verifier: "the-verifier", RedirectURI: redirectURI}
			if _, err := p.Exchange(t.Context(), pending, url.Values{"state": {"s"}, "code": {secretCode}}); err != nil {
				t.Fatal(err)
			}
			h.Set(func() {
				if form.Get("code") != secretCode || form.Get("code_verifier") != "the-verifier" || form.Get("redirect_uri") != redirectURI || form.Get("grant_type") != "authorization_code" {
					t.Errorf("sent %v", form)
				}
				if tt.basic && (user != clientID || password != secret || form.Has("client_secret")) {
					t.Errorf("basic: user %q, form %v", user, form)
				}
				if !tt.basic && (user != "" || form.Get("client_id") != clientID || form.Get("client_secret") != tt.secret) {
					t.Errorf("form: user %q, form %v", user, form)
				}
			})
		})
	}
}
