// Package canon owns the encodings that every format of Sallyport shares:
// canonical JSON, base64url, digests, ids and times.
//
// It is the bottom of the import table: it imports nothing of ours, touches no
// clock, disk or network, and takes randomness as an argument. What it accepts
// is exactly what it would write itself, so two different byte strings never
// mean the same thing. docs/formats.md describes each encoding so that it can
// be written again in another language.
package canon

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// ErrEncoding is wrapped by every error about a malformed id, digest or base64
// text.
var ErrEncoding = errors.New("malformed encoding")

// B64 encodes b as base64url without padding (RFC 4648 §5), the only base64 of
// our own formats.
func B64(b []byte) string {
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseB64 decodes what B64 writes. It refuses padding, line breaks and unused
// trailing bits, so each byte string has one text.
func ParseB64(s string) ([]byte, error) {
	b, err := strictBase64.DecodeString(s)
	if err != nil || strings.ContainsAny(s, "\r\n") { // encoding/base64 steps over line ends
		return nil, fmt.Errorf("%w: not unpadded base64url", ErrEncoding)
	}
	return b, nil
}

var strictBase64 = base64.RawURLEncoding.Strict()

// DigestSize is the length of a Digest in bytes.
const DigestSize = sha256.Size

// Digest is a SHA-256 value. The zero Digest stands for "none" where a format
// allows that; no input is known to have it.
type Digest [DigestSize]byte

// Sum returns SHA-256(domain || "\n" || parts...). The domain names the format
// and its version, so that bytes hashed for one purpose never count for another.
func Sum(domain string, parts ...[]byte) Digest {
	h := sha256.New()
	_, _ = io.WriteString(h, domain+"\n") // a hash never returns an error
	for _, p := range parts {
		_, _ = h.Write(p)
	}
	return Digest(h.Sum(nil))
}

// ParseDigest reads the 43-character base64url text of a digest.
func ParseDigest(s string) (Digest, error) {
	b, err := ParseB64(s)
	if err != nil || len(b) != DigestSize {
		return Digest{}, fmt.Errorf("%w: a digest is 43 base64url characters", ErrEncoding)
	}
	return Digest(b), nil
}

// String returns the digest as 43 base64url characters.
func (d Digest) String() string { return B64(d[:]) }

// IsZero reports whether d is the zero digest. encoding/json uses it for omitzero.
func (d Digest) IsZero() bool { return d == Digest{} }

// MarshalText writes the digest as String does.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads what MarshalText writes.
func (d *Digest) UnmarshalText(text []byte) error {
	v, err := ParseDigest(string(text))
	if err != nil {
		return err
	}
	*d = v
	return nil
}

// ID is a random identifier of a person, request or other thing: 128 bits as 26
// lower-case base32 characters (RFC 4648 §6 alphabet, a–z and 2–7, unpadded).
// It tells nothing about what it names.
type ID string

const (
	idBytes = 16
	idChars = 26
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// NewID draws an id from rand, which must be a cryptographic source.
func NewID(rand io.Reader) (ID, error) {
	var b [idBytes]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return "", fmt.Errorf("drawing an id: %w", err)
	}
	return ID(idEncoding.EncodeToString(b[:])), nil
}

// ParseID reads an id and refuses any text that NewID would not write.
func ParseID(s string) (ID, error) {
	if len(s) != idChars {
		return "", fmt.Errorf("%w: an id is 26 characters a-z and 2-7", ErrEncoding)
	}
	b, err := idEncoding.DecodeString(s)
	if err != nil || idEncoding.EncodeToString(b) != s {
		return "", fmt.Errorf("%w: an id is 26 characters a-z and 2-7", ErrEncoding)
	}
	return ID(s), nil
}

// UnmarshalText reads an id as ParseID does, so that JSON never yields a
// malformed one.
func (id *ID) UnmarshalText(text []byte) error {
	v, err := ParseID(string(text))
	if err != nil {
		return err
	}
	*id = v
	return nil
}

// Micros is a moment in microseconds since 1970-01-01T00:00:00Z, leap seconds
// not counted. Formats allow 0 to 2^53−1, that is until the year 2255.
type Micros int64

// At returns t in microseconds, rounded down.
func At(t time.Time) Micros { return Micros(t.UnixMicro()) }

// Time returns the moment in UTC.
func (m Micros) Time() time.Time { return time.UnixMicro(int64(m)).UTC() }
