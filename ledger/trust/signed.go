package trust

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// Signature is the word of one root key for a bundle.
type Signature struct {
	Party     string `json:"party"`
	Name      string `json:"name"`
	Signature string `json:"signature"` // armored SSHSIG over the bundle's text
}

// Signed is a bundle with the signatures beside it, as a file holds both.
type Signed struct {
	Text       string      // of the bundle, byte for byte
	Bundle     Bundle      // what it says
	Signatures []Signature // in the order in which they stand
}

// envelope is the file.
type envelope struct {
	Bundle     string      `json:"bundle"`
	Signatures []Signature `json:"signatures,omitempty"`
}

// maxSignatures bounds what a file can hold: the roots of two bundles.
const maxSignatures = 2 * maxParties * maxRootKeys

// Parse reads a bundle with its signatures, strictly. It looks at no signature:
// [Next] does, and [First] needs none.
func Parse(file []byte) (Signed, error) {
	var e envelope
	if len(file) > MaxEnvelope {
		return Signed{}, fmt.Errorf("%w: %d bytes with its signatures, at most %d", ErrBundle, len(file), MaxEnvelope)
	}
	if err := canon.Unmarshal(file, &e); err != nil {
		return Signed{}, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	if again, err := canon.Marshal(e); err != nil || string(again) != string(file) {
		return Signed{}, fmt.Errorf("%w: it has no member bundle, or a signature lacks one", ErrBundle)
	}
	if len(e.Signatures) > maxSignatures {
		return Signed{}, fmt.Errorf("%w: %d signatures, at most %d", ErrBundle, len(e.Signatures), maxSignatures)
	}
	b, err := ParseBundle(e.Bundle)
	if err != nil {
		return Signed{}, err
	}
	return Signed{Text: e.Bundle, Bundle: b, Signatures: e.Signatures}, nil
}

// Marshal writes a bundle with its signatures, as [Parse] reads it.
func (s Signed) Marshal() ([]byte, error) {
	out, err := canon.Marshal(envelope{Bundle: s.Text, Signatures: s.Signatures})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBundle, err)
	}
	_, err = Parse(out)
	return out, err
}

// Digest is that of the bundle's text.
func (s Signed) Digest() canon.Digest { return Digest(s.Text) }

// First returns the bundle in a file if it is the one with that digest, which the
// host was told, and if it has not expired.
func First(file []byte, digest canon.Digest, now time.Time) (Signed, error) {
	s, err := Parse(file)
	switch {
	case err != nil:
		return Signed{}, err
	case s.Digest() != digest:
		return Signed{}, fmt.Errorf("%w: its digest is %s, the invitation names %s", ErrOther, s.Digest(), digest)
	case s.Bundle.Expired(now):
		return Signed{}, fmt.Errorf("%w: at %s", ErrExpired, s.Bundle.ExpiresAt.Time().Format(time.RFC3339))
	}
	return s, nil
}

// Next returns the bundle in a file if a host that pins current may take it:
//
//  1. it is a bundle in canonical form ([ErrBundle]);
//  2. of the same ledger and lineage ([ErrOther]);
//  3. numbered one more ([ErrNumber]), and not made before;
//  4. not expired ([ErrExpired]);
//  5. current names roots ([ErrNoRoots]);
//  6. each signature beside it is by a root that it names, in current or in the
//     new one, and verifies ([ErrSigner]);
//  7. for every party in current enough roots of current have signed, and for
//     every party in the new one enough of its own ([ErrUnsigned]). A key counts
//     once for its party, however often it signed.
//
// That current has expired is no hindrance: its roots stay what people pinned.
func Next(current Bundle, file []byte, now time.Time) (Signed, error) {
	s, err := follow(current, file)
	if err != nil {
		return Signed{}, err
	}
	if s.Bundle.Expired(now) {
		return Signed{}, fmt.Errorf("%w: at %s", ErrExpired, s.Bundle.ExpiresAt.Time().Format(time.RFC3339))
	}
	return s, nil
}

// Last follows several bundles, each the next of the one before, as a host does
// that was away. Only the last one must not have expired: those between are links
// of a chain, of which nothing is used but the roots.
func Last(current Bundle, files [][]byte, now time.Time) (Signed, error) {
	var s Signed
	for i, file := range files {
		var err error
		if i == len(files)-1 {
			return Next(current, file, now)
		}
		if s, err = follow(current, file); err != nil {
			return Signed{}, err
		}
		current = s.Bundle
	}
	return Signed{}, fmt.Errorf("%w: none was given", ErrBundle)
}

// follow is Next without the clock.
func follow(current Bundle, file []byte) (Signed, error) {
	s, err := Parse(file)
	if err != nil {
		return Signed{}, err
	}
	switch next := s.Bundle; {
	case next.Origin != current.Origin || next.Lineage != current.Lineage:
		return Signed{}, fmt.Errorf("%w: it is of %s and lineage %s, the host pins %s and %s", ErrOther, next.Origin, next.Lineage, current.Origin, current.Lineage)
	case next.Number != current.Number+1:
		return Signed{}, fmt.Errorf("%w: it has number %d, the host pins %d", ErrNumber, next.Number, current.Number)
	case next.MadeAt < current.MadeAt:
		return Signed{}, fmt.Errorf("%w: it was made before the one that the host pins", ErrNumber)
	case len(current.Roots) == 0:
		return Signed{}, ErrNoRoots
	}
	if err := s.checkSignatures(current.Roots); err != nil {
		return Signed{}, err
	}
	if err := s.enough(current.Roots, "the bundle before"); err != nil {
		return Signed{}, err
	}
	return s, s.enough(s.Bundle.Roots, "the bundle itself")
}

// checkSignatures demands that each signature is by a root that it names, of the
// bundle before or of this one, and verifies.
func (s Signed) checkSignatures(before []Root) error {
	for _, sig := range s.Signatures {
		if !s.by(before, sig) && !s.by(s.Bundle.Roots, sig) {
			return fmt.Errorf("%w: %.80q of party %.80q", ErrSigner, sig.Name, sig.Party)
		}
	}
	return nil
}

// by reports whether a signature is by the root that it names, among roots.
func (s Signed) by(roots []Root, sig Signature) bool {
	for _, r := range roots {
		for _, k := range r.Keys {
			if r.Party == sig.Party && k.Name == sig.Name {
				return Check(s.Text, k.Key, sig.Signature) == nil
			}
		}
	}
	return false
}

// enough demands that for each party enough of its roots have signed.
func (s Signed) enough(roots []Root, of string) error {
	for _, r := range roots {
		if n := len(s.SignedFor(r)); n < r.Need {
			return fmt.Errorf("%w: %d of the %d that party %s needs, by the roots in %s; they sign with `sally bundle sign`", ErrUnsigned, n, r.Need, r.Party, of)
		}
	}
	return nil
}

// SignedFor returns the names of the party's root keys that have signed, each once.
func (s Signed) SignedFor(r Root) []string {
	var names []string
	for _, k := range r.Keys {
		for _, sig := range s.Signatures {
			if sig.Party == r.Party && sig.Name == k.Name && Check(s.Text, k.Key, sig.Signature) == nil {
				names = append(names, k.Name)
				break
			}
		}
	}
	return names
}

// Check returns nil if an armored SSHSIG is by that key, over a bundle's text.
func Check(text string, key Key, armored string) error {
	public, err := key.Public()
	if err != nil {
		return err
	}
	return sshcert.Verify(public, Namespace, []byte(text), armored)
}
