// Package krl owns OpenSSH's key revocation list (PROTOCOL.krl): what sshd reads
// as RevokedKeys. It writes lists and reads them strictly, and imports nothing of
// ours, so that a host can rely on it alone.
//
// A list names certificates by their serial and the key that signed them, and
// keys by themselves or by fingerprint. What else the format knows, key ids,
// signatures inside the list and extensions, is neither written nor read: a list
// that holds it is refused, since to skip a revocation is to let somebody in.
package krl

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"
)

// ErrList is wrapped by every refusal to read or write a list.
var ErrList = errors.New("not a revocation list")

// Bounds of a list. A hundred thousand serials that lie nowhere together are 800
// kB; sshd reads the whole list at each login.
const (
	MaxBytes  = 16 << 20
	MaxRanges = 1 << 20
	// maxKey is the largest key in a list, in wire bytes.
	maxKey = 16 << 10
	// maxComment is the longest comment.
	maxComment = 1 << 10
)

// List is what a revocation list says.
type List struct {
	Number  uint64 // the list's own version; OpenSSH shows it and compares it with nothing
	MadeAt  uint64 // seconds since 1970
	Comment string
	Issued  []Issued // certificates, each authority once
	Keys    []ssh.PublicKey
	Hashes  [][sha256.Size]byte // SHA-256 fingerprints of keys
}

// Issued are the revoked certificates that one authority signed.
type Issued struct {
	CA      ssh.PublicKey
	Serials []Range
}

// Range is a run of serials, both ends included. Serial 0 stands for none, and
// OpenSSH revokes no certificate by it.
type Range struct{ First, Last uint64 }

// Serials returns single serials, in any order, as ranges.
func Serials(list ...uint64) []Range {
	out := make([]Range, len(list))
	for i, s := range list {
		out[i] = Range{s, s}
	}
	return normal(out)
}

// normal sorts ranges and joins those that touch.
func normal(list []Range) []Range {
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Range) int { return cmp.Compare(a.First, b.First) })
	out := list[:0]
	for _, r := range list {
		// The ranges before begin no later; Last+1 is 0 after the greatest serial.
		if n := len(out); n > 0 && (out[n-1].Last+1 >= r.First || out[n-1].Last+1 == 0) {
			out[n-1].Last = max(out[n-1].Last, r.Last)
			continue
		}
		out = append(out, r)
	}
	return slices.Clip(out)
}

// Revokes reports whether the list revokes a certificate: by its serial, its own
// key, or the key that signed it.
func (l *List) Revokes(c *ssh.Certificate) bool {
	if l.RevokesKey(c.Key) || l.RevokesKey(c.SignatureKey) {
		return true
	}
	wire := c.SignatureKey.Marshal()
	for _, i := range l.Issued {
		if c.Serial != 0 && bytes.Equal(i.CA.Marshal(), wire) && holds(i.Serials, c.Serial) {
			return true
		}
	}
	return false
}

// RevokesKey reports whether the list revokes a plain key.
func (l *List) RevokesKey(key ssh.PublicKey) bool {
	wire := key.Marshal()
	return slices.Contains(l.Hashes, sha256.Sum256(wire)) ||
		slices.ContainsFunc(l.Keys, func(k ssh.PublicKey) bool { return bytes.Equal(k.Marshal(), wire) })
}

// holds looks a serial up; ranges may overlap in a list that was not normalised.
func holds(list []Range, serial uint64) bool {
	return slices.ContainsFunc(list, func(r Range) bool { return r.First <= serial && serial <= r.Last })
}

// check holds a list to what OpenSSH reads as it is meant.
func (l *List) check() error {
	if len(l.Comment) > maxComment || bytes.ContainsFunc([]byte(l.Comment), func(c rune) bool { return c < ' ' || c > '~' }) {
		return fmt.Errorf("%w: a comment is at most %d printable ASCII characters", ErrList, maxComment)
	}
	ranges := 0
	for n, i := range l.Issued {
		if err := plain(i.CA); err != nil {
			return err
		}
		wire := i.CA.Marshal()
		if slices.ContainsFunc(l.Issued[:n], func(o Issued) bool { return bytes.Equal(o.CA.Marshal(), wire) }) {
			return fmt.Errorf("%w: an authority stands in it twice", ErrList)
		}
		for _, r := range i.Serials {
			if r.First == 0 || r.First > r.Last {
				return fmt.Errorf("%w: serials %d to %d", ErrList, r.First, r.Last)
			}
		}
		if ranges += len(i.Serials); ranges > MaxRanges {
			return fmt.Errorf("%w: more than %d ranges of serials", ErrList, MaxRanges)
		}
	}
	for _, k := range l.Keys {
		if err := plain(k); err != nil {
			return err
		}
	}
	return nil
}

func plain(key ssh.PublicKey) error {
	if key == nil {
		return fmt.Errorf("%w: a key is missing", ErrList)
	}
	if _, is := key.(*ssh.Certificate); is {
		return fmt.Errorf("%w: a certificate stands where a key belongs", ErrList)
	}
	return nil
}
