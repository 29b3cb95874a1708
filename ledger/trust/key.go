package trust

import (
	"bytes"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Key is an SSH public key as formats of ours hold it: the wire form as base64url.
// It was read by [ParseKey] or made by [KeyOf]; the zero Key is none.
type Key string

// ParseKey reads a key and holds it to the policy for keys (docs/formats.md, "Key
// policy").
func ParseKey(s string) (Key, error) {
	wire, err := canon.ParseB64(s)
	if err != nil {
		return "", fmt.Errorf("%w: a key is the SSH wire form as base64url", ErrBundle)
	}
	if _, err := sshcert.ParseSubjectKey(wire); err != nil {
		return "", fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return Key(s), nil
}

// KeyOf returns a public key as a bundle holds it.
func KeyOf(public ssh.PublicKey) (Key, error) { return ParseKey(canon.B64(public.Marshal())) }

// UnmarshalText reads a key as ParseKey does.
func (k *Key) UnmarshalText(text []byte) error {
	v, err := ParseKey(string(text))
	if err != nil {
		return err
	}
	*k = v
	return nil
}

// Is reports whether a public key is this one.
func (k Key) Is(public ssh.PublicKey) bool {
	wire, err := canon.ParseB64(string(k))
	return err == nil && len(wire) > 0 && bytes.Equal(wire, public.Marshal())
}

// Public returns the key itself.
func (k Key) Public() (ssh.PublicKey, error) {
	wire, err := canon.ParseB64(string(k))
	if err != nil {
		return nil, fmt.Errorf("%w: a key is the SSH wire form as base64url", ErrBundle)
	}
	public, err := sshcert.ParseSubjectKey(wire)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	return public, nil
}
