package oidc_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

func TestNew(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*oidc.Issuer)
		want   string // in the error; empty: accepted
	}{
		{"https", func(*oidc.Issuer) {}, ""},
		{"https with a path and a slash", func(i *oidc.Issuer) { i.URL = "https://id.corp.test/realms/x/" }, ""},
		{"loopback address", func(i *oidc.Issuer) { i.URL = "http://127.0.0.1:9998" }, ""},
		{"loopback IPv6", func(i *oidc.Issuer) { i.URL = "http://[::1]:9998" }, ""},
		{"localhost", func(i *oidc.Issuer) { i.URL = "http://localhost:9998/" }, ""},
		{"every algorithm", func(i *oidc.Issuer) {
			i.Algs = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
		}, ""},

		{"no name", func(i *oidc.Issuer) { i.ID = "" }, "without a name"},
		{"no url", func(i *oidc.Issuer) { i.URL = "" }, "absolute URL"},
		{"relative url", func(i *oidc.Issuer) { i.URL = "/realms/x" }, "absolute URL"},
		{"opaque url", func(i *oidc.Issuer) { i.URL = "mailto:x" }, "absolute URL"},
		{"http elsewhere", func(i *oidc.Issuer) { i.URL = "http://id.corp.test" }, "neither https nor"},
		{"http on a name that only looks local", func(i *oidc.Issuer) { i.URL = "http://localhost.evil.test" }, "neither https nor"},
		{"other scheme", func(i *oidc.Issuer) { i.URL = "ftp://id.corp.test" }, "neither https nor"},
		{"user in the url", func(i *oidc.Issuer) { i.URL = "https://u:p@id.corp.test" }, "user"},
		{"query", func(i *oidc.Issuer) { i.URL = "https://id.corp.test/?x=1" }, "query"},
		{"empty query", func(i *oidc.Issuer) { i.URL = "https://id.corp.test/?" }, "query"},
		{"fragment", func(i *oidc.Issuer) { i.URL = "https://id.corp.test/#x" }, "fragment"},
		{"empty fragment", func(i *oidc.Issuer) { i.URL = "https://id.corp.test/#" }, "fragment"},
		{"no client", func(i *oidc.Issuer) { i.ClientID = "" }, "client id"},
		{"no algorithm", func(i *oidc.Issuer) { i.Algs = nil }, "algs is empty"},
		{"none", func(i *oidc.Issuer) { i.Algs = []string{"RS256", "none"} }, `"none"`},
		{"symmetric", func(i *oidc.Issuer) { i.Algs = []string{"HS256"} }, `"HS256"`},
		{"algorithm in lower case", func(i *oidc.Issuer) { i.Algs = []string{"rs256"} }, `"rs256"`},
		{"algorithm twice", func(i *oidc.Issuer) { i.Algs = []string{"RS256", "RS256"} }, "twice"},
		{"claim name with a line break", func(i *oidc.Issuer) { i.GroupsClaim = "a\nb" }, "claim name"},
		{"subject claim too long", func(i *oidc.Issuer) { i.SubjectClaim = strings.Repeat("x", 129) }, "claim name"},
		{"two scopes in one", func(i *oidc.Issuer) { i.Scopes = []string{"email groups"} }, "scope"},
		{"empty scope", func(i *oidc.Issuer) { i.Scopes = []string{""} }, "scope"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := oidc.Issuer{ID: "corp", URL: "https://id.corp.test", ClientID: clientID, ClientSecret: secret, Algs: []string{"RS256"}}
			tt.change(&i)
			p, err := oidc.New(i, time.Now)
			if tt.want == "" {
				if err != nil || p == nil {
					t.Errorf("refused: %v", err)
				}
				return
			}
			if p != nil || !errors.Is(err, oidc.ErrConfig) || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("got %v, want ErrConfig with %q", err, tt.want)
			}
			if strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "u:p") {
				t.Errorf("repeats a secret: %v", err)
			}
		})
	}
	if _, err := oidc.New(oidc.Issuer{ID: "corp", URL: "https://id.corp.test", ClientID: clientID, Algs: []string{"RS256"}}, nil); !errors.Is(err, oidc.ErrConfig) {
		t.Errorf("without a clock: %v", err)
	}
}

// TestSecretsDoNotPrint covers what formatting and logging would otherwise show.
func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	hidden := []any{
		oidc.Issuer{ID: "corp", ClientSecret: secret},
		oidc.Pending{State: secret, Verifier: secret, Nonce: secret, RedirectURI: secret},
		oidc.Identity{Subject: "u-1", Raw: secret, Name: "Alice " + secret},
	}
	for _, v := range hidden {
		var b bytes.Buffer
		_, _ = fmt.Fprintf(&b, "%v %+v %#v %s %q", v, v, v, v, v)
		slog.New(slog.NewJSONHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "x", slog.Any("value", v))
		slog.New(slog.NewTextHandler(&b, nil)).LogAttrs(t.Context(), slog.LevelInfo, "x", slog.Any("value", v))
		if strings.Contains(b.String(), secret) {
			t.Errorf("%T prints its secret: %s", v, b.String())
		}
	}
}

// TestDeviceNonce reads the published vectors.
func TestDeviceNonce(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/device_nonce.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors []struct{ Name, RZ, Key, Nonce string }
	if err := json.Unmarshal(data, &vectors); err != nil {
		t.Fatal(err)
	}
	if len(vectors) != 3 {
		t.Fatalf("%d vectors", len(vectors))
	}
	for _, v := range vectors {
		rz, errRZ := canon.ParseB64(v.RZ)
		key, errKey := canon.ParseB64(v.Key)
		if err := errors.Join(errRZ, errKey); err != nil || len(rz) != 32 {
			t.Fatalf("%s: %d bytes, %v", v.Name, len(rz), err)
		}
		if got := oidc.DeviceNonce([32]byte(rz), key); got != v.Nonce {
			t.Errorf("%s: got %s, want %s", v.Name, got, v.Nonce)
		}
	}
}
