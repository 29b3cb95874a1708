package sshcert

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespaces of the SSHSIG signatures in Sallyport (openssh PROTOCOL.sshsig): a
// signature made for one purpose never counts for another.
const (
	NamespaceContract   = "sallyport-contract"   // a party's signature over a contract version
	NamespaceDevice     = "sallyport-device"     // a request or issue call by the device key
	NamespacePossession = "sallyport-possession" // an issue call by the certificate's own key
)

// ErrSignature is wrapped by every refusal of a signature.
var ErrSignature = errors.New("signature does not verify")

const maxArmored = 16 << 10

// Sign returns an armored SSHSIG by signer over message in namespace, as
// ssh-keygen -Y sign would write it. rand is the source of randomness for keys
// that need one.
func Sign(rand io.Reader, signer ssh.Signer, namespace string, message []byte) (string, error) {
	sig, err := sshsig.SignWithRand(bytes.NewReader(message), rand, signer, sshsig.HashSHA512, namespace)
	if err != nil {
		return "", fmt.Errorf("signing in namespace %s: %w", namespace, err)
	}
	return string(sshsig.Armor(sig)), nil
}

// Verify checks an armored SSHSIG over message in namespace against pub. It
// returns nil only if the signature was made by exactly pub for exactly this
// namespace. A certificate never verifies: the authority could otherwise make
// its own signatories.
func Verify(pub ssh.PublicKey, namespace string, message []byte, armored string) error {
	if _, ok := pub.(*ssh.Certificate); ok {
		return fmt.Errorf("%w: the key to check against is a certificate", ErrSignature)
	}
	if len(armored) > maxArmored {
		return fmt.Errorf("%w: over %d bytes", ErrSignature, maxArmored)
	}
	sig, err := sshsig.Unarmor([]byte(armored))
	if err != nil {
		return fmt.Errorf("%w: it is no SSHSIG file", ErrSignature)
	}
	if sig.Namespace != namespace {
		return fmt.Errorf("%w: it was made in namespace %q, not %q", ErrSignature, sig.Namespace, namespace)
	}
	if !bytes.Equal(sig.PublicKey.Marshal(), pub.Marshal()) {
		return fmt.Errorf("%w: it was made by another key (%s)", ErrSignature, ssh.FingerprintSHA256(sig.PublicKey))
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, pub, sig.HashAlgorithm, namespace); err != nil {
		return fmt.Errorf("%w: it was made over other bytes", ErrSignature)
	}
	return nil
}
