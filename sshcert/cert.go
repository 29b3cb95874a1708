package sshcert

import (
	"bytes"
	"errors"
	"fmt"
	"maps"

	"golang.org/x/crypto/ssh"
)

// ProofExtension is the extension that carries a certificate's ledger proof. It
// is an extension, not a critical option: stock sshd refuses critical options
// that it does not know (PROTOCOL.certkeys).
const ProofExtension = "ledger-proof@sallyport"

// MaxCertificate is the largest certificate read, in wire bytes. sshd hands a
// certificate to a command as one argument of at most 128 KiB of base64.
const MaxCertificate = 98000

// Reasons why a certificate or key is refused.
var (
	ErrCertificate  = errors.New("not a certificate we accept")
	ErrNotCanonical = errors.New("certificate is not in canonical form")
	ErrKeyPolicy    = errors.New("key refused")
)

// TBS returns the bytes that the authority's signature covers, but for the
// proof extension: what the ledger records before anything is signed. The
// signature itself is ignored. c is not changed.
func TBS(c *ssh.Certificate) []byte {
	plain := *c
	plain.Extensions = maps.Clone(c.Extensions)
	delete(plain.Extensions, ProofExtension)
	return SignedBytes(&plain)
}

// SignedBytes returns the bytes that the signature in a certificate covers
// (PROTOCOL.certkeys: everything before the signature field).
func SignedBytes(c *ssh.Certificate) []byte {
	unsigned := *c
	unsigned.Signature = nil
	wire := unsigned.Marshal()
	return wire[:len(wire)-4] // the length of the absent signature
}

// ParseCertificate reads a certificate from its wire form. It refuses one that
// would be written differently by Marshal: OpenSSH tolerates unsorted and
// repeated options where other readers do not, and two readings of one
// certificate are one too many.
func ParseCertificate(wire []byte) (*ssh.Certificate, error) {
	if len(wire) > MaxCertificate {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrCertificate, len(wire), MaxCertificate)
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCertificate, err)
	}
	cert, ok := key.(*ssh.Certificate)
	if !ok {
		return nil, fmt.Errorf("%w: a plain %s key", ErrCertificate, key.Type())
	}
	if _, nested := cert.Key.(*ssh.Certificate); nested {
		return nil, fmt.Errorf("%w: its subject key is itself a certificate", ErrCertificate)
	}
	if _, nested := cert.SignatureKey.(*ssh.Certificate); nested {
		return nil, fmt.Errorf("%w: its authority key is itself a certificate", ErrCertificate)
	}
	if !bytes.Equal(cert.Marshal(), wire) {
		return nil, ErrNotCanonical
	}
	return cert, nil
}

// MaxSubjectKey is the largest subject key read, in wire bytes: an RSA key of
// 16384 bits fits.
const MaxSubjectKey = 4096

// ParseSubjectKey reads the public key that a certificate is to be made for and
// holds it to the key policy: ed25519 for now. Each refusal says in a sentence
// what would pass.
func ParseSubjectKey(wire []byte) (ssh.PublicKey, error) {
	if len(wire) > MaxSubjectKey {
		return nil, fmt.Errorf("%w: %d bytes is no public key we know; make one with ssh-keygen -t ed25519", ErrKeyPolicy, len(wire))
	}
	key, err := ssh.ParsePublicKey(wire)
	if err != nil {
		return nil, fmt.Errorf("%w: it cannot be read as an SSH public key; make one with ssh-keygen -t ed25519", ErrKeyPolicy)
	}
	if _, ok := key.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%w: it is a certificate, not a key; send the plain ed25519 public key", ErrKeyPolicy)
	}
	if key.Type() != ssh.KeyAlgoED25519 {
		return nil, fmt.Errorf("%w: %s keys are not accepted; make one with ssh-keygen -t ed25519", ErrKeyPolicy, key.Type())
	}
	if !bytes.Equal(key.Marshal(), wire) {
		return nil, fmt.Errorf("%w: it has bytes after its end; send the plain ed25519 public key", ErrKeyPolicy)
	}
	return key, nil
}
