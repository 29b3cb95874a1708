// Package ca owns the way from a grant to a finished, linted certificate: the
// template with every limit checked, the bytes that the ledger records, the
// signature, and the lint that reads the finished certificate as a stranger.
//
// A Signer holds the authority's private key; its homes are subpackages. The
// order of the steps is that of docs/issuance.md: this package never signs what
// has not been handed a ledger proof.
package ca

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/sshcert"
)

// Reasons why a certificate is not made or not released.
var (
	ErrTemplate = errors.New("no certificate can be made under this grant")
	ErrSigner   = errors.New("the authority key gave no usable signature")
	ErrLint     = errors.New("the finished certificate is not what was granted")
	// ErrUnavailable says that the authority key can't be reached for now. The
	// grant stays as it is; trying again is safe.
	ErrUnavailable = errors.New("the authority key can't be reached")
)

const (
	// Backdate is how far ValidAfter may lie before the moment of issue, for
	// hosts whose clock lags. It never reaches back before the grant.
	Backdate = 60 * time.Second
	// MinLife is the shortest time a certificate is issued for.
	MinLife = 5 * time.Second
	// MaxLife bounds every certificate, whatever a contract says.
	MaxLife = 24 * time.Hour
	// NonceSize is the length of the random bytes that a certificate starts with.
	NonceSize = 32
	// Probe is what a Signer is given to see that it signs: no certificate begins
	// like it.
	Probe = "sallyport.probe/v1\n"
)

// Signer is a home of the authority's private key.
type Signer interface {
	// PublicKey returns the one key that Sign signs with. It stays the same for
	// the life of the Signer and is never a certificate.
	PublicKey() ssh.PublicKey
	// Sign returns a signature over exactly tbs, made by that key, or an error.
	// The error wraps ErrUnavailable if the key can't be reached for now. It
	// gives up when ctx ends, with an error that wraps ctx's. Signing the same
	// bytes again is harmless.
	Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error)
}

// Template is a certificate's content without serial and nonce. Only
// NewTemplate makes one, so none exists that no grant covers.
type Template struct {
	key        ssh.PublicKey
	keyID      sshcert.KeyID
	principals []string
	after      time.Time // whole seconds
	before     time.Time // whole seconds
	critical   map[string]string
	extensions []string
}

// NewTemplate returns what a certificate for key says that is issued at now
// under g (docs/issuance.md, step 2). Times are whole seconds: ValidAfter is now
// less Backdate, rounded up, but not before the grant's first second; ValidBefore
// is the grant's TTL from now but not after the grant's end, rounded down. It
// refuses a grant that is not active, has less than MinLife left, or has no
// principals, and a key of a type that the grant does not allow (sshcert.ErrKeyPolicy).
func NewTemplate(g approval.Grant, key ssh.PublicKey, now time.Time) (Template, error) {
	if err := g.Active(now); err != nil {
		return Template{}, err
	}
	key, err := sshcert.ParseSubjectKey(key.Marshal())
	if err != nil {
		return Template{}, err
	}
	if err := checkKeyType(g, key); err != nil {
		return Template{}, err
	}
	critical, err := criticalOptions(g.Options)
	if err != nil {
		return Template{}, err
	}
	principals, err := sshcert.Principals(g.Logins, g.Hosts)
	if err != nil {
		return Template{}, fmt.Errorf("%w: %w", ErrTemplate, err)
	}
	if g.TTL <= 0 || g.TTL > MaxLife {
		return Template{}, fmt.Errorf("%w: a certificate of %s", ErrTemplate, g.TTL)
	}
	after := later(now.Add(time.Second-1-Backdate).Truncate(time.Second), g.Start.Truncate(time.Second))
	before := earlier(now.Add(g.TTL), g.End).Truncate(time.Second)
	if before.Sub(now) < MinLife {
		return Template{}, fmt.Errorf("only %s are left of it; ask again: %w", before.Sub(now).Round(time.Second), approval.ErrGrantOver)
	}
	for _, name := range g.Extensions {
		if !known(name) {
			return Template{}, fmt.Errorf("%w: extension %q", ErrTemplate, name)
		}
	}
	return Template{
		key:        key,
		keyID:      sshcert.KeyID{Person: g.Person, Request: g.ID, Contract: g.Contract, End: g.End.Truncate(time.Second)},
		principals: principals, after: after, before: before, critical: critical, extensions: g.Extensions,
	}, nil
}

// Certificate returns the unsigned certificate without its proof: what
// sshcert.TBS turns into the bytes that the ledger records (step 3). The serial
// is leaf index + 1, the nonce 32 random bytes, authority the key that will sign.
func (t Template) Certificate(serial uint64, nonce []byte, authority ssh.PublicKey) (*ssh.Certificate, error) {
	if serial == 0 || len(nonce) != NonceSize {
		return nil, fmt.Errorf("%w: serial %d, nonce of %d bytes", ErrTemplate, serial, len(nonce))
	}
	if _, ok := authority.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%w: the authority key is a certificate", ErrTemplate)
	}
	extensions := make(map[string]string, len(t.extensions)+1)
	for _, name := range t.extensions {
		extensions[name] = ""
	}
	return &ssh.Certificate{
		Nonce: slices.Clone(nonce), Key: t.key, Serial: serial, CertType: ssh.UserCert,
		KeyId: t.keyID.String(), ValidPrincipals: slices.Clone(t.principals),
		ValidAfter: uint64(t.after.Unix()), ValidBefore: uint64(t.before.Unix()), //nolint:gosec // times of this century
		Permissions:  ssh.Permissions{CriticalOptions: maps.Clone(t.critical), Extensions: extensions},
		SignatureKey: authority,
	}, nil
}

// known tells which extensions a certificate of ours may carry beside the proof
// (PROTOCOL.certkeys).
func known(extension string) bool {
	switch extension {
	case "permit-pty", "permit-port-forwarding", "permit-agent-forwarding", "permit-X11-forwarding", "permit-user-rc":
		return true
	}
	return false
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
