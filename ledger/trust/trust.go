// Package trust owns the trust bundle: what a host pins, and by which rules it
// takes another one.
//
// A [Bundle] names the keys that a host believes: the ledger's, the authorities',
// those that sign revocation lists, the cosigners, and the roots of the parties.
// The first one is taken by its [Digest] alone, which the host was told by people.
// Each later one has to be signed by the roots in the one before ([Next], the
// root rules of The Update Framework §5.3), so a server that was taken over can't
// give hosts other keys. With its keys a host also believes what is signed about a
// revocation list ([KRL]).
//
// It is pure. docs/formats.md ("Trust bundle") describes the format for other
// implementations, and testdata holds the vectors.
package trust

import (
	"errors"

	"github.com/sallyport/sallyport/canon"
)

// Version is what a bundle's text says that it is, and the domain of its digest.
const Version = "sallyport.bundle/v1"

// Namespace is that of the SSHSIG signatures of a bundle: with stock OpenSSH,
// ssh-keygen -Y sign -n sallyport-bundle.
const Namespace = "sallyport-bundle"

// MaxText is the largest text of a bundle, MaxEnvelope the largest file that holds
// one with its signatures, in bytes.
const (
	MaxText     = 128 << 10
	MaxEnvelope = 512 << 10
)

// Limits of a bundle's lists.
const (
	maxLogKeys  = 2 // an old one and a new one
	maxKeys     = 4 // of each kind of authority: CA keys, keys of revocation lists
	maxParties  = 16
	maxRootKeys = 16 // of a party
)

// Reasons why a bundle is refused.
var (
	// ErrBundle says that a text is no bundle in canonical form.
	ErrBundle = errors.New("not a trust bundle")
	// ErrOther says that a bundle is of another ledger or contract.
	ErrOther = errors.New("the trust bundle is of another ledger or contract")
	// ErrNumber says that a bundle is not the one after the one at hand.
	ErrNumber = errors.New("the trust bundle is not the next one")
	// ErrExpired says that a bundle's time is over.
	ErrExpired = errors.New("the trust bundle has expired")
	// ErrNoRoots says that a bundle names no roots, so that nobody can sign another.
	ErrNoRoots = errors.New("the trust bundle names no roots, so there is none after it; let the host join again")
	// ErrUnsigned says that too few of a party's roots have signed a bundle.
	ErrUnsigned = errors.New("too few roots have signed the trust bundle")
	// ErrSigner says that a signature beside a bundle is not one of a root.
	ErrSigner = errors.New("not a root's signature of this trust bundle")
)

// Digest returns SHA-256("sallyport.bundle/v1\n" || text): by what the first bundle
// of a host is known.
func Digest(text string) canon.Digest { return canon.Sum(Version, []byte(text)) }
