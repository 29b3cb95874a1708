package hostile

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
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/canon"
)

// KeyRing are the provider's keys and a stranger's.
type KeyRing struct {
	RSA   *rsa.PrivateKey
	EC    *ecdsa.PrivateKey
	Ed    ed25519.PrivateKey
	Other *rsa.PrivateKey // a stranger's
	Weak  *rsa.PrivateKey // of 1024 bits
}

// Keys are made once: RSA keys are slow.
var Keys = sync.OnceValue(func() (k KeyRing) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	k.RSA, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.Other, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.Weak, err = rsa.GenerateKey(rand.Reader, 1024)
	must(err)
	k.EC, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	_, k.Ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

// Forged is an ID token in the making. Its methods return changed copies.
type Forged struct {
	Header  map[string]any
	Claims  map[string]any
	payload string // stands instead of the claims if not empty
	sign    func(input []byte) []byte
}

// Forge returns a good ID token.
func (p *Provider) Forge() *Forged {
	now := p.Clock.Now().Unix()
	return &Forged{
		Header: map[string]any{"alg": "RS256", "kid": "rsa", "typ": "JWT"},
		Claims: map[string]any{
			"iss": p.URL, "sub": "u-1", "aud": ClientID, "exp": now + 300, "iat": now, "auth_time": now - 60,
			"nonce": Nonce, "groups": []string{"b", "a"}, "name": "Alice", "email": "a@corp.test", "email_verified": true,
		},
		sign: SignRSA(Keys().RSA),
	}
}

// With changes some claims; nil removes one.
func (f *Forged) With(claims map[string]any) *Forged {
	c := *f
	c.Claims = changed(f.Claims, claims)
	return &c
}

// Headed changes some header parameters; nil removes one.
func (f *Forged) Headed(header map[string]any) *Forged {
	c := *f
	c.Header = changed(f.Header, header)
	return &c
}

func changed(from, by map[string]any) map[string]any {
	out := maps.Clone(from)
	for k, v := range by {
		if v == nil {
			delete(out, k)
		} else {
			out[k] = v
		}
	}
	return out
}

// Signed signs in another way.
func (f *Forged) Signed(sign func(input []byte) []byte) *Forged {
	c := *f
	c.sign = sign
	return &c
}

// Raw has this payload, in which %s stands for the members of the good claims.
func (f *Forged) Raw(format string) *Forged {
	c := *f
	c.payload = strings.Replace(format, "%s", strings.Trim(string(MustJSON(f.Claims)), "{}"), 1)
	return &c
}

// String is the ID token.
func (f *Forged) String() string {
	payload := []byte(f.payload)
	if f.payload == "" {
		payload = MustJSON(f.Claims)
	}
	input := canon.B64(MustJSON(f.Header)) + "." + canon.B64(payload)
	return input + "." + canon.B64(f.sign([]byte(input)))
}

// MustJSON is v as JSON.
func MustJSON(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return b
}

// SignRSA signs with RS256.
func SignRSA(k *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPKCS1v15(nil, k, crypto.SHA256, sum[:])
		if err != nil {
			panic(err)
		}
		return sig
	}
}

// SignPSS signs with PS256.
func SignPSS(k *rsa.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte {
		sum := sha256.Sum256(input)
		sig, err := rsa.SignPSS(rand.Reader, k, crypto.SHA256, sum[:], &rsa.PSSOptions{SaltLength: 32})
		if err != nil {
			panic(err)
		}
		return sig
	}
}

// SignEC signs with ES256: r || s, each of the given length.
func SignEC(k *ecdsa.PrivateKey, swap bool, size int) func([]byte) []byte {
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

// SignEd signs with EdDSA.
func SignEd(k ed25519.PrivateKey) func([]byte) []byte {
	return func(input []byte) []byte { return ed25519.Sign(k, input) }
}

// SignHMAC signs with HS256.
func SignHMAC(key []byte) func([]byte) []byte {
	return func(input []byte) []byte {
		m := hmac.New(sha256.New, key)
		_, _ = m.Write(input)
		return m.Sum(nil)
	}
}

// Unsigned leaves the signature out.
func Unsigned([]byte) []byte { return nil }
