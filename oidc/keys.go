package oidc

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	maxKeys    = 100  // of one provider
	minRSABits = 2048 // RFC 7518 §3.3
)

// keySet are the public signing keys of a provider.
type keySet []jose.JSONWebKey

// keyTimes: keys are asked for again after a quarter of an hour, so that a key
// the provider withdrew stops working, or when no known key verifies an ID
// token, at most once a minute. Through an outage the last good ones serve for
// six hours.
func keyTimes() fetchTimes {
	return fetchTimes{fresh: 15 * time.Minute, keep: 6 * time.Hour, again: time.Minute, retry: 5 * time.Second}
}

// Ready asks the identity provider for its metadata and its keys, for whoever
// wants to know whether somebody could log in now. Errors wrap ErrUnreachable or
// ErrMetadata.
func (p *Provider) Ready(ctx context.Context) error {
	_, err := p.fetchKeys(ctx)
	return err
}

func (p *Provider) fetchKeys(ctx context.Context) (keySet, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := p.getJSON(ctx, "the key set", m.KeysURL, &doc); err != nil {
		return nil, err
	}
	if len(doc.Keys) > maxKeys {
		return nil, fmt.Errorf("%w: the key set of issuer %q has %d keys, %d are allowed", ErrMetadata, p.issuer.ID, len(doc.Keys), maxKeys)
	}
	var keys keySet
	for _, raw := range doc.Keys {
		if k, ok := signingKey(raw); ok {
			keys = append(keys, k)
		}
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the key set of issuer %q has no public signing key", ErrMetadata, p.issuer.ID)
	}
	return keys, nil
}

// signingKey reads one entry of a key set. As RFC 7517 §5 asks, an entry that
// is not understood is passed over, not an error; so are secret keys and keys
// too weak to trust.
func signingKey(raw json.RawMessage) (jose.JSONWebKey, bool) {
	var k jose.JSONWebKey
	if err := json.Unmarshal(raw, &k); err != nil || !k.Valid() || !k.IsPublic() {
		return jose.JSONWebKey{}, false
	}
	if k.Use != "" && k.Use != "sig" {
		return jose.JSONWebKey{}, false
	}
	if r, ok := k.Key.(*rsa.PublicKey); ok && r.N.BitLen() < minRSABits {
		return jose.JSONWebKey{}, false
	}
	return k, true
}

// verify returns the payload of jws if one of the keys signed it. A key that
// names its algorithm is used for no other.
func (s keySet) verify(jws *jose.JSONWebSignature) ([]byte, bool) {
	h := jws.Signatures[0].Header
	for i := range s {
		k := &s[i]
		if h.KeyID != "" && k.KeyID != h.KeyID || k.Algorithm != "" && k.Algorithm != h.Algorithm {
			continue
		}
		if payload, err := jws.Verify(k); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// signatures is the gooidc.KeySet of one Verify call. It keeps what the
// library would flatten into text: the payload and our own error.
type signatures struct {
	provider *Provider
	payload  []byte
	err      error
}

// VerifySignature implements gooidc.KeySet.
func (s *signatures) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	algs := make([]jose.SignatureAlgorithm, len(s.provider.issuer.Algs))
	for i, a := range s.provider.issuer.Algs {
		algs[i] = jose.SignatureAlgorithm(a)
	}
	jws, err := jose.ParseSignedCompact(raw, algs)
	if err != nil || len(jws.Signatures) != 1 {
		s.err = fmt.Errorf("%w: it is not one compact JWS", ErrMalformed)
		return nil, s.err
	}
	tried := func(k keySet) bool {
		payload, ok := k.verify(jws)
		if ok {
			s.payload = payload
		}
		return ok
	}
	keys, err := s.provider.keys.get(ctx, tried)
	switch {
	case s.payload != nil:
	case err != nil:
		s.err = err
	case !tried(keys):
		s.err = fmt.Errorf("%w under any key of issuer %q; if it changed its keys just now, log in again in a minute", ErrSignature, s.provider.issuer.ID)
	}
	return s.payload, s.err
}
