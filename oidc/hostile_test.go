package oidc_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

const (
	clientID   = "sally-cli"
	goodNonce  = "the-nonce"
	secret     = "s3cret-of-the-client"
	secretCode = "c0de-of-the-login"
)

// testKeys are made once: RSA keys are slow.
var testKeys = sync.OnceValue(func() struct {
	rsa, other, weak *rsa.PrivateKey
	ec               *ecdsa.PrivateKey
	ed               ed25519.PrivateKey
} {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var k struct {
		rsa, other, weak *rsa.PrivateKey
		ec               *ecdsa.PrivateKey
		ed               ed25519.PrivateKey
	}
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.other, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.weak, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

// clock is a clock that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)} }

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// hostile is an identity provider that says whatever a test wants.
type hostile struct {
	*httptest.Server
	clock *clock

	mu       sync.Mutex
	metadata map[string]any
	keys     []any
	down     bool // metadata and keys answer 500
	token    http.HandlerFunc
	asked    map[string]int // requests by path
	posted   []http.Header
}

func newHostile(t *testing.T, tls bool) *hostile {
	t.Helper()
	h := &hostile{clock: newClock(), asked: map[string]int{}}
	if tls {
		h.Server = httptest.NewTLSServer(h)
	} else {
		h.Server = httptest.NewServer(h)
	}
	t.Cleanup(h.Close)
	h.metadata = map[string]any{
		"issuer": h.URL, "authorization_endpoint": h.URL + "/authorize", "token_endpoint": h.URL + "/token", "jwks_uri": h.URL + "/keys",
		"code_challenge_methods_supported": []string{"S256"}, "token_endpoint_auth_methods_supported": []string{"client_secret_basic"},
	}
	k := testKeys()
	h.keys = []any{
		jose.JSONWebKey{Key: k.rsa.Public(), KeyID: "rsa", Use: "sig"},
		jose.JSONWebKey{Key: k.ec.Public(), KeyID: "ec", Algorithm: "ES256"},
		jose.JSONWebKey{Key: k.ed.Public(), KeyID: "ed"},
	}
	return h
}

// set changes the provider under its lock.
func (h *hostile) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

func (h *hostile) count(path string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.asked[path]
}

func (h *hostile) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	h.asked[r.URL.Path]++
	down, token := h.down, h.token
	var answer []byte
	var err error
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		answer, err = json.Marshal(h.metadata)
	case "/keys":
		answer, err = json.Marshal(map[string]any{"keys": h.keys})
	case "/token":
		h.posted = append(h.posted, r.Header.Clone())
	}
	h.mu.Unlock()
	switch {
	case err != nil || down:
		http.Error(w, "<script>down</script>", http.StatusInternalServerError)
	case answer != nil:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	case r.URL.Path == "/token" && token != nil:
		token(w, r)
	default:
		http.NotFound(w, r)
	}
}

func (h *hostile) settings() oidc.Issuer {
	return oidc.Issuer{
		ID: "corp", URL: h.URL, ClientID: clientID, Algs: []string{"RS256", "PS256", "ES256", "EdDSA"},
		GroupsClaim: "groups", HTTP: h.Client(),
	}
}

func (h *hostile) provider(t *testing.T, change func(*oidc.Issuer)) *oidc.Provider {
	t.Helper()
	i := h.settings()
	if change != nil {
		change(&i)
	}
	p, err := oidc.New(i, h.clock.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// forged is an ID token in the making.
type forged struct {
	header  map[string]any
	claims  map[string]any
	payload string // stands instead of the claims if not empty
	sign    func(input []byte) []byte
}

func (h *hostile) forge() *forged {
	now := h.clock.Now().Unix()
	return &forged{
		header: map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JWT"},
		claims: map[string]any{
			"iss": h.URL, "sub": "u-1", "aud": clientID, "exp": now + 300, "iat": now, "auth_time": now - 60,
			"nonce": goodNonce, "groups": []string{"b", "a"}, "name": "Alice", "email": "a@corp.test", "email_verified": true,
		},
		sign: signRSA(testKeys().rsa),
	}
}

// with returns a copy with some claims changed; nil removes one.
func (f *forged) with(claims map[string]any) *forged {
	c := *f
	c.claims = maps.Clone(f.claims)
	for k, v := range claims {
		if v == nil {
			delete(c.claims, k)
		} else {
			c.claims[k] = v
		}
	}
	return &c
}

// headed returns a copy with some header parameters changed; nil removes one.
func (f *forged) headed(header map[string]any) *forged {
	c := *f
	c.header = maps.Clone(f.header)
	for k, v := range header {
		if v == nil {
			delete(c.header, k)
		} else {
			c.header[k] = v
		}
	}
	return &c
}

// signed returns a copy that is signed in another way.
func (f *forged) signed(sign func([]byte) []byte) *forged {
	c := *f
	c.sign = sign
	return &c
}

// raw returns a copy with this payload, in which %s stands for the members of
// the good claims.
func (f *forged) raw(format string) *forged {
	c := *f
	c.payload = strings.Replace(format, "%s", strings.Trim(string(mustJSON(f.claims)), "{}"), 1)
	return &c
}

func (f *forged) String() string {
	payload := []byte(f.payload)
	if f.payload == "" {
		payload = mustJSON(f.claims)
	}
	input := canon.B64(mustJSON(f.header)) + "." + canon.B64(payload)
	return input + "." + canon.B64(f.sign([]byte(input)))
}

func mustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

func signRSA(k *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return sig
	}
}

func signPSS(k *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			panic(err)
		}
		return sig
	}
}

// signEC returns r || s, each of the given length.
func signEC(k *ecdsa.PrivateKey, swap bool, size int) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		r, s, err := ecdsa.Sign(rand.Reader, k, sum[:])
		if err != nil {
			panic(err)
		}
		if swap {
			r, s = s, r
		}
		return slices.Concat(r.FillBytes(make([]byte, 32))[:size], s.FillBytes(make([]byte, 32))[:size])
	}
}

func signEd(k ed25519.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte { return ed25519.Sign(k, input) }
}

func signHMAC(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write(input)
		return m.Sum(nil)
	}
}

func unsigned([]byte) []byte { return nil }

// leaks reports what an error must never repeat.
func leaks(err error, token string) error {
	text := err.Error()
	parts := strings.Split(token, ".")
	for _, s := range append(parts, secret, secretCode, "<", ">") {
		if len(s) > 8 && strings.Contains(text, s) || len(s) == 1 && strings.Contains(text, s) {
			return fmt.Errorf("the error repeats %q: %s", s, text)
		}
	}
	return nil
}
