package oidc

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Key is a public signing key of an identity provider, for those who keep the
// keys that they fetched: a party cosigner judges a login by them long after the
// provider has changed its own.
type Key struct{ jwk jose.JSONWebKey }

// maxKeyText bounds the text form of a key, in bytes; RSA of 16384 bits has 3000.
const maxKeyText = 8 << 10

// ParseKey reads what [Key.String] wrote. It refuses what [Provider.FetchKeys]
// would pass over, with ErrMetadata.
func ParseKey(text string) (Key, error) {
	if len(text) > maxKeyText {
		return Key{}, fmt.Errorf("%w: a key of %d bytes, at most %d are read", ErrMetadata, len(text), maxKeyText)
	}
	k, ok := signingKey(json.RawMessage(text))
	if !ok {
		return Key{}, fmt.Errorf("%w: not a public signing key", ErrMetadata)
	}
	return Key{k}, nil
}

// String returns the key as a JSON Web Key. Equal keys have equal texts.
func (k Key) String() string {
	// A certificate chain says nothing here, and may change where the key does not.
	text, err := json.Marshal(jose.JSONWebKey{Key: k.jwk.Key, KeyID: k.jwk.KeyID, Algorithm: k.jwk.Algorithm, Use: k.jwk.Use})
	if err != nil {
		return "" // ParseKey reads none of it
	}
	return string(text)
}

// FetchKeys asks the identity provider for its keys, now. Errors wrap
// ErrUnreachable or ErrMetadata.
func (p *Provider) FetchKeys(ctx context.Context) ([]Key, error) {
	set, err := p.fetchKeys(ctx)
	if err != nil {
		return nil, err
	}
	out := make([]Key, 0, len(set))
	for _, k := range set {
		if key := (Key{k}); len(key.String()) <= maxKeyText {
			out = append(out, key)
		}
	}
	return out, nil
}

// VerifyKept checks an ID token as Verify did at a time that has passed, by keys
// that were kept, and returns whom it names and its nonce, which is the caller's
// to open. Errors wrap the sentinels of Verify; only ErrSignature may be over
// with other keys.
func (i Issuer) VerifyKept(raw string, keys []Key, at time.Time) (Identity, string, error) {
	p := &Provider{issuer: i}
	if err := p.checkForm(raw); err != nil {
		return Identity{}, "", err
	}
	algs := make([]jose.SignatureAlgorithm, len(i.Algs))
	for n, a := range i.Algs {
		algs[n] = jose.SignatureAlgorithm(a)
	}
	jws, err := jose.ParseSignedCompact(raw, algs)
	if err != nil || len(jws.Signatures) != 1 {
		return Identity{}, "", fmt.Errorf("%w: it is not one compact JWS", ErrMalformed)
	}
	set := make(keySet, len(keys))
	for n, k := range keys {
		set[n] = k.jwk
	}
	payload, ok := set.verify(jws)
	if !ok {
		return Identity{}, "", fmt.Errorf("%w under any key of %s", ErrSignature, i.URL)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Identity{}, "", err
	}
	if err := i.checkParties(c); err != nil {
		return Identity{}, "", err
	}
	id := Identity{Issuer: i.URL, Client: i.ClientID, Raw: raw}
	if err := id.readTimes(c, Expect{}, at); err != nil {
		return Identity{}, "", err
	}
	nonce, _, err := c.text("nonce")
	if err != nil {
		return Identity{}, "", err
	}
	return id, nonce, i.describe(&id, c)
}
