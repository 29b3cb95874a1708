package oidc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

func verify(t *testing.T, p *oidc.Provider, token fmt.Stringer) error {
	t.Helper()
	_, err := p.Verify(t.Context(), token.String(), oidc.Expect{Nonce: goodNonce})
	return err
}

// TestUnknownKeysAreFetchedOnceAMinute floods a provider with key ids that do
// not exist (O10).
func TestUnknownKeysAreFetchedOnceAMinute(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	var wg sync.WaitGroup
	for i := range 20 {
		token := h.Forge().Headed(map[string]any{"kid": fmt.Sprint("junk", i)}).String()
		wg.Go(func() {
			if _, err := p.Verify(t.Context(), token, oidc.Expect{Nonce: goodNonce}); !errors.Is(err, oidc.ErrSignature) {
				t.Errorf("got %v", err)
			}
		})
	}
	wg.Wait()
	if n := h.Count("/keys"); n != 1 {
		t.Errorf("asked %d times in the first minute", n)
	}
	if err := verify(t, p, h.Forge()); err != nil {
		t.Errorf("a good ID token in between: %v", err)
	}
	for range 3 {
		h.Clock.Advance(time.Minute)
		for range 5 {
			if err := verify(t, p, h.Forge().Headed(map[string]any{"kid": "junk"})); !errors.Is(err, oidc.ErrSignature) {
				t.Errorf("got %v", err)
			}
		}
	}
	if n := h.Count("/keys"); n != 4 {
		t.Errorf("asked %d times in four minutes", n)
	}
	if n := h.Count("/.well-known/openid-configuration"); n != 1 {
		t.Errorf("asked for metadata %d times", n)
	}
}

// TestRotation replaces the provider's keys (O11).
func TestRotation(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Fatal(err)
	}
	h.Set(func() { h.Keys = []any{jose.JSONWebKey{Key: hostile.Keys().Other.Public(), KeyID: "next"}} })
	rotated := func() *hostile.Forged {
		return h.Forge().Headed(map[string]any{"kid": "next"}).Signed(hostile.SignRSA(hostile.Keys().Other))
	}
	if err := verify(t, p, rotated()); !errors.Is(err, oidc.ErrSignature) {
		t.Errorf("within the minute: %v", err)
	}
	h.Clock.Advance(time.Minute)
	if err := verify(t, p, rotated()); err != nil {
		t.Errorf("a minute later: %v", err)
	}
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrSignature) {
		t.Errorf("the withdrawn key still works: %v", err)
	}
}

// TestWithdrawnKeyStopsWorking: nothing but time brings the new key set.
func TestWithdrawnKeyStopsWorking(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Fatal(err)
	}
	h.Set(func() { h.Keys = h.Keys[1:] })
	h.Clock.Advance(14 * time.Minute)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Errorf("after 14 minutes: %v", err)
	}
	h.Clock.Advance(time.Minute)
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrSignature) {
		t.Errorf("after 15 minutes: %v", err)
	}
}

// TestOutage takes the provider down and brings it back.
func TestOutage(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	h.Set(func() { h.Down = true })
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrUnreachable) || strings.Contains(err.Error(), "script") {
		t.Errorf("down from the start: %v", err)
	}
	h.Set(func() { h.Down = false })
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("back, but asked again at once: %v", err)
	}
	h.Clock.Advance(5 * time.Second)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Errorf("five seconds later: %v", err)
	}

	h.Set(func() { h.Down = true })
	h.Clock.Advance(6 * time.Hour)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Errorf("the last good keys serve for six hours: %v", err)
	}
	h.Clock.Advance(time.Second)
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("and no longer: %v", err)
	}
}

// TestClockSetBack: keys that seem to come from the future are neither fresh
// nor a reason to wait.
func TestClockSetBack(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	if err := verify(t, p, h.Forge()); err != nil {
		t.Fatal(err)
	}
	h.Set(func() { h.Keys = h.Keys[1:] })
	h.Clock.Advance(-24 * time.Hour)
	if err := verify(t, p, h.Forge()); !errors.Is(err, oidc.ErrSignature) {
		t.Errorf("the withdrawn key: %v", err)
	}
	if n := h.Count("/keys"); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// TestKeySets serves key sets from which nothing may be used.
func TestKeySets(t *testing.T) {
	t.Parallel()
	k := hostile.Keys()
	pair := jose.JSONWebKey{Key: k.RSA, KeyID: "rsa"}
	for _, tt := range []struct {
		name string
		keys []any
		want error
	}{
		{"none", nil, oidc.ErrMetadata},
		{"secret key", []any{jose.JSONWebKey{Key: []byte(secret), KeyID: "rsa"}}, oidc.ErrMetadata},
		{"private key", []any{pair}, oidc.ErrMetadata},
		{"for encryption", []any{jose.JSONWebKey{Key: k.RSA.Public(), KeyID: "rsa", Use: "enc"}}, oidc.ErrMetadata},
		{"1024 bits", []any{jose.JSONWebKey{Key: k.Weak.Public(), KeyID: "rsa"}}, oidc.ErrMetadata},
		{"junk", []any{"x", 7, map[string]any{"kty": "RSA"}}, oidc.ErrMetadata},
		{"101 keys", repeat(jose.JSONWebKey{Key: k.RSA.Public(), KeyID: "rsa"}, 101), oidc.ErrMetadata},
		{"for another algorithm", []any{jose.JSONWebKey{Key: k.RSA.Public(), KeyID: "rsa", Algorithm: "PS256"}}, oidc.ErrSignature},
		{"good among junk", []any{"x", map[string]any{"kty": "OKP", "crv": "Ed448", "x": "AA"}, jose.JSONWebKey{Key: k.RSA.Public(), KeyID: "rsa"}}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			h.Keys = tt.keys
			if err := verify(t, h.Provider(t, nil), h.Forge()); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

func repeat(v any, n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = v
	}
	return list
}

// TestMetadata serves metadata that must not be followed (O37–O39).
func TestMetadata(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		tls   bool
		key   string
		value any
		want  error
	}{
		{"good", false, "issuer", nil, nil},
		{"good with TLS", true, "issuer", nil, nil},
		{"other issuer", false, "issuer", "https://evil.test", oidc.ErrMetadata},
		{"issuer with a slash", false, "issuer", "/", oidc.ErrMetadata},
		{"no token endpoint", false, "token_endpoint", "", oidc.ErrMetadata},
		{"http beside https", true, "jwks_uri", "http://127.0.0.1:1/keys", oidc.ErrMetadata},
		{"http elsewhere", false, "token_endpoint", "http://evil.test/token", oidc.ErrMetadata},
		{"script as endpoint", false, "authorization_endpoint", "javascript:alert(1)", oidc.ErrMetadata},
		{"password in an endpoint", false, "jwks_uri", "https://u:p@evil.test/keys", oidc.ErrMetadata},
		{"PKCE plain only", false, "code_challenge_methods_supported", []string{"plain"}, oidc.ErrMetadata},
		{"PKCE empty", false, "code_challenge_methods_supported", []string{}, oidc.ErrMetadata},
		{"PKCE not listed", false, "code_challenge_methods_supported", jsonNull{}, nil},
		{"only private_key_jwt", false, "token_endpoint_auth_methods_supported", []string{"private_key_jwt"}, oidc.ErrMetadata},
		{"wrong type", false, "jwks_uri", 7, oidc.ErrMetadata},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, tt.tls)
			if s, ok := tt.value.(string); ok && s == "/" {
				tt.value = h.URL + "/"
			}
			if tt.value != nil {
				h.Metadata[tt.key] = tt.value
			}
			p := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = secret })
			_, _, err := p.Start(t.Context(), "http://127.0.0.1:7/callback", goodNonce, nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if err := leaks(err, ""); err != nil || strings.Contains(fmt.Sprint(err), "evil") {
					t.Error(err)
				}
			}
		})
	}
}

// TestRedirectsAndSizes answers the metadata request in ways that must not be
// followed or read to the end (O38).
func TestRedirectsAndSizes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		serve func(h *hostile.Provider, w http.ResponseWriter, r *http.Request)
		want  error
	}{
		{"redirect to another host", func(_ *hostile.Provider, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/x", http.StatusFound)
		}, oidc.ErrMetadata},
		{"redirect to another port", func(_ *hostile.Provider, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://127.0.0.1:1/x", http.StatusFound)
		}, oidc.ErrMetadata},
		{"redirect in a circle", func(_ *hostile.Provider, w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}, oidc.ErrMetadata},
		{"redirect inside the host", func(h *hostile.Provider, w http.ResponseWriter, r *http.Request) {
			if !strings.HasSuffix(r.URL.Path, "/moved") {
				http.Redirect(w, r, "/moved", http.StatusFound)
				return
			}
			_, _ = w.Write(hostile.MustJSON(h.Metadata))
		}, nil},
		{"10 MiB", func(_ *hostile.Provider, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.Copy(w, io.LimitReader(spaces{}, 10<<20))
		}, oidc.ErrMetadata},
		{"HTML", func(_ *hostile.Provider, w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "<script>alert(1)</script>")
		}, oidc.ErrMetadata},
		{"hangs up", func(*hostile.Provider, http.ResponseWriter, *http.Request) {
			panic(http.ErrAbortHandler)
		}, oidc.ErrUnreachable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false) // only for its metadata
			front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { tt.serve(h, w, r) }))
			t.Cleanup(front.Close)
			h.Metadata["issuer"] = front.URL
			p := h.Provider(t, func(i *oidc.Issuer) { i.URL = front.URL })
			_, _, err := p.Start(t.Context(), "http://127.0.0.1:7/callback", goodNonce, nil)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if err := leaks(err, ""); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

type spaces struct{}

func (spaces) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = ' '
	}
	return len(p), nil
}

// silent is a transport whose other side never answers.
type silent struct{}

func (silent) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// TestSilence: a provider that never answers costs ten seconds, also when the
// first caller goes away, and callers that wait behind it can leave.
func TestSilence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		i := oidc.Issuer{ID: "corp", URL: "https://id.corp.test", ClientID: clientID, Algs: []string{"RS256"}, HTTP: &http.Client{Transport: silent{}}}
		p, err := oidc.New(i, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		start := func(ctx context.Context) error {
			_, _, err := p.Start(ctx, "http://127.0.0.1:7/callback", goodNonce, nil)
			return err
		}
		begun := time.Now()
		gone, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := start(gone); !errors.Is(err, oidc.ErrUnreachable) {
				t.Errorf("first: %v", err)
			}
			if d := time.Since(begun); d != 10*time.Second {
				t.Errorf("first took %s", d)
			}
		})
		synctest.Wait()
		cancel()
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := start(ctx); !errors.Is(err, oidc.ErrUnreachable) || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("second: %v", err)
			}
			if d := time.Since(begun); d != time.Second {
				t.Errorf("second took %s", d)
			}
		})
		wg.Wait()
	})
}
