package ledger

import (
	"fmt"
	"io"

	"github.com/sallyport/sallyport/canon"
)

// The domains of the two commitments. They differ, so that a person part can
// never be opened as facts.
const (
	factsDomain  = "sallyport.facts/v1"
	personDomain = "sallyport.person/v1"
)

// Salt makes a commitment hide what it commits to: without its 32 random bytes
// nobody can test a guess. Each commitment has a salt of its own; erasing the
// person part means erasing its salt. It is no secret key, but keep it out of
// logs: whoever holds it can test guesses.
type Salt [32]byte

// NewSalt draws a salt from rand, which must be a cryptographic source.
func NewSalt(rand io.Reader) (Salt, error) {
	var s Salt
	if _, err := io.ReadFull(rand, s[:]); err != nil {
		return Salt{}, fmt.Errorf("drawing a salt: %w", err)
	}
	if s.IsZero() {
		return Salt{}, fmt.Errorf("drawing a salt: %w: the random source returned zeros", ErrSalt)
	}
	return s, nil
}

// ParseSalt reads a salt from its text: 43 characters of unpadded base64url.
// It refuses the zero salt, which is one that nobody drew.
func ParseSalt(text string) (Salt, error) {
	b, err := canon.ParseB64(text)
	if err != nil || len(b) != len(Salt{}) {
		return Salt{}, fmt.Errorf("%w: a salt is 43 base64url characters", ErrSalt)
	}
	s := Salt(b)
	if s.IsZero() {
		return Salt{}, fmt.Errorf("%w: it is zero", ErrSalt)
	}
	return s, nil
}

// IsZero reports whether s is the zero salt, which stands for "no salt".
// encoding/json uses it for omitzero.
func (s Salt) IsZero() bool { return s == Salt{} }

// String returns the salt as 43 characters of unpadded base64url.
func (s Salt) String() string { return canon.B64(s[:]) }

// MarshalText writes the salt as String does; it refuses the zero salt.
func (s Salt) MarshalText() ([]byte, error) {
	if s.IsZero() {
		return nil, fmt.Errorf("%w: it is zero", ErrSalt)
	}
	return []byte(s.String()), nil
}

// UnmarshalText reads a salt as [ParseSalt] does.
func (s *Salt) UnmarshalText(text []byte) error {
	v, err := ParseSalt(string(text))
	if err != nil {
		return err
	}
	*s = v
	return nil
}

// FactsCommitment returns SHA-256("sallyport.facts/v1\n" || s || canonicalJSON),
// line 5 of a leaf. canonicalJSON is taken as it is: [canon.Check] is for the
// caller, whoever opens the commitment.
func FactsCommitment(s Salt, canonicalJSON []byte) canon.Digest {
	return canon.Sum(factsDomain, s[:], canonicalJSON)
}

// PersonCommitment returns SHA-256("sallyport.person/v1\n" || s || canonicalJSON),
// line 6 of a leaf. Its salt is not the facts' salt.
func PersonCommitment(s Salt, canonicalJSON []byte) canon.Digest {
	return canon.Sum(personDomain, s[:], canonicalJSON)
}
