package sshcert

import (
	"bytes"
	"crypto/ed25519"
	"encoding/binary"
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

// Reasons why a certificate is refused.
var (
	ErrCertificate  = errors.New("not a certificate we accept")
	ErrNotCanonical = errors.New("certificate is not in canonical form")
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
// certificate are one too many. Its subject key passes ParseSubjectKey.
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
	if _, err := ParseSubjectKey(cert.Key.Marshal()); err != nil {
		return nil, fmt.Errorf("%w: its subject key: %w", ErrCertificate, err)
	}
	if _, nested := cert.SignatureKey.(*ssh.Certificate); nested {
		return nil, fmt.Errorf("%w: its authority key is itself a certificate", ErrCertificate)
	}
	if !bytes.Equal(cert.Marshal(), wire) {
		return nil, ErrNotCanonical
	}
	return cert, nil
}

// ParseTBS reads what TBS returns: a certificate without proof and signature.
func ParseTBS(tbs []byte) (*ssh.Certificate, error) {
	// The ssh package reads signed certificates only.
	none := ssh.Marshal(ssh.Signature{Format: ssh.KeyAlgoED25519, Blob: make([]byte, ed25519.SignatureSize)})
	wire := binary.BigEndian.AppendUint32(bytes.Clone(tbs), uint32(len(none))) //nolint:gosec // about a hundred
	cert, err := ParseCertificate(append(wire, none...))
	if err != nil {
		return nil, err
	}
	cert.Signature = nil
	return cert, nil
}
