package oidc_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

// TestKeptKeys judges an ID token by keys that were written down, at its own time.
func TestKeptKeys(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	settings := p.Settings()
	settings.SubjectClaim = "sub"
	provider, err := oidc.New(settings, p.Clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	fetched, err := provider.FetchKeys(t.Context())
	if err != nil || len(fetched) != 3 {
		t.Fatalf("%d keys, %v", len(fetched), err)
	}
	kept := make([]oidc.Key, 0, len(fetched))
	for _, k := range fetched {
		again, err := oidc.ParseKey(k.String())
		if err != nil || again.String() != k.String() {
			t.Fatalf("key %s reads as %s, %v", k, again, err)
		}
		kept = append(kept, again)
	}
	at := p.Clock.Now()
	good := p.Forge()
	id, nonce, err := settings.VerifyKept(good.String(), kept, at)
	if err != nil || id.Subject != "u-1" || nonce != hostile.Nonce || !id.GroupsKnown || len(id.Groups) != 2 {
		t.Fatalf("%v (nonce %q), %v", id, nonce, err)
	}
	for _, tt := range []struct {
		name string
		raw  string
		keys []oidc.Key
		at   time.Time
		want error
	}{
		{"a stranger's signature", good.Signed(hostile.SignRSA(hostile.Keys().Other)).String(), kept, at, oidc.ErrSignature},
		{"no keys", good.String(), nil, at, oidc.ErrSignature},
		{"another client", good.With(map[string]any{"aud": "other"}).String(), kept, at, oidc.ErrAudience},
		{"another issuer", good.With(map[string]any{"iss": "https://other.example"}).String(), kept, at, oidc.ErrIssuer},
		{"an algorithm that is not in the terms", good.Headed(map[string]any{"alg": "none"}).String(), kept, at, oidc.ErrAlgorithm},
		{"judged an hour later", good.String(), kept, at.Add(time.Hour), oidc.ErrExpired},
		{"judged before it was made", good.String(), kept, at.Add(-time.Hour), oidc.ErrNotYet},
		{"no JWS", "x", kept, at, oidc.ErrMalformed},
		{"too long", strings.Repeat("x", oidc.MaxTokenBytes+1), kept, at, oidc.ErrTokenTooLarge},
	} {
		if _, _, err := settings.VerifyKept(tt.raw, tt.keys, tt.at); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	p.Set(func() { p.Down = true })
	if _, err := provider.FetchKeys(t.Context()); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("while it is away: %v, want ErrUnreachable", err)
	}
}

// TestParseKeyRefuses holds keys from a file to what is taken from a provider.
func TestParseKeyRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "{}", "null", `{"kty":"oct","k":"AAAA"}`, `{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, strings.Repeat(" ", 9000),
	} {
		if _, err := oidc.ParseKey(text); !errors.Is(err, oidc.ErrMetadata) {
			t.Errorf("%.40q: %v, want ErrMetadata", text, err)
		}
	}
}

func FuzzParseKey(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"kty":"OKP","crv":"Ed25519","kid":"ed","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`, `{"kty":"RSA","n":"AQAB","e":"AQAB"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		k, err := oidc.ParseKey(text)
		if err != nil {
			return
		}
		again, err := oidc.ParseKey(k.String())
		if err != nil || again.String() != k.String() {
			t.Errorf("%q reads as %q, %v", k, again, err)
		}
	})
}
