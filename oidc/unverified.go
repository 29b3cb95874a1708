package oidc

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// ReadUnverified returns what an ID token says, by the same reading of its claims
// as Verify, and its nonce, empty if it has none. It checks no signature, no time
// and no nonce: whoever has only this has nobody's word. It is for auditors, who
// hold what was recorded of a login to its ID token, long after it was valid. Of
// the issuer it needs the URL, the client and the names of the claims.
func (i Issuer) ReadUnverified(raw string) (Identity, string, error) {
	if len(raw) > MaxTokenBytes {
		return Identity{}, "", fmt.Errorf("%w: %d bytes, at most %d are accepted", ErrTokenTooLarge, len(raw), MaxTokenBytes)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return Identity{}, "", fmt.Errorf("%w: it is not one compact JWS", ErrMalformed)
	}
	payload, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return Identity{}, "", fmt.Errorf("%w: it is not unpadded base64url", ErrMalformed)
	}
	c, err := parseClaims(payload)
	if err != nil {
		return Identity{}, "", err
	}
	if err := i.checkParties(c); err != nil {
		return Identity{}, "", err
	}
	id := Identity{Issuer: i.URL, Client: i.ClientID, Raw: raw}
	if id.IssuedAt, _, err = c.seconds("iat"); err != nil {
		return Identity{}, "", err
	}
	if id.AuthTime, _, err = c.seconds("auth_time"); err != nil {
		return Identity{}, "", err
	}
	nonce, _, err := c.text("nonce")
	if err != nil {
		return Identity{}, "", err
	}
	if err := i.describe(&id, c); err != nil {
		return Identity{}, "", err
	}
	return id, nonce, nil
}
