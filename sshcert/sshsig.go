package sshcert

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/hiddeco/sshsig"
	"golang.org/x/crypto/ssh"
)

// Namespaces of the SSHSIG signatures in Sallyport (openssh PROTOCOL.sshsig): a
// signature made for one purpose never counts for another.
const (
	NamespaceContract   = "sallyport-contract"   // a party's signature over a contract version
	NamespaceDevice     = "sallyport-device"     // a request or issue call by the device key
	NamespacePossession = "sallyport-possession" // an issue call by the certificate's own key
	NamespaceErase      = "sallyport-erase"      // a signatory's word that a person be erased
	NamespaceHost       = "sallyport-host"       // a host's call, by its host key
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

// SignedBy returns the key that an armored SSHSIG says it was made by. Nothing is
// verified: whoever wants to know gives the key to Verify.
func SignedBy(armored string) (ssh.PublicKey, error) {
	sig, ok := unarmor(armored)
	if len(armored) > maxArmored || !ok {
		return nil, fmt.Errorf("%w: it is no SSHSIG file", ErrSignature)
	}
	return sig.PublicKey, nil
}

// Verify checks an armored SSHSIG over message in namespace against pub. It
// returns nil only if the signature was made by exactly pub for exactly this
// namespace, by an algorithm that counts: RSA with SHA-2, a FIDO key that was
// touched. A certificate never verifies: the authority could otherwise make its
// own signatories. Nor does a passkey: VerifyFlags takes it.
func Verify(pub ssh.PublicKey, namespace string, message []byte, armored string) error {
	sig, err := addressed(pub, namespace, armored)
	if err != nil {
		return err
	}
	return verifyPlain(pub, namespace, message, sig)
}

// Flags say how a FIDO key made a signature; none is set for other keys.
type Flags struct {
	Touched  bool // somebody touched it (user presence)
	Verified bool // it made sure who, by PIN or fingerprint (user verification)
	Passkey  bool // in a browser, for an origin under the key's application
}

// VerifyFlags is Verify for who wants to know how a FIDO key was used, too. It
// takes passkeys: signatures of the form
// webauthn-sk-ecdsa-sha2-nistp256@openssh.com (openssh PROTOCOL.u2f), whose
// challenge is what an SSHSIG signs, for an origin under the relying party that
// the key has as its application.
func VerifyFlags(pub ssh.PublicKey, namespace string, message []byte, armored string) (Flags, error) {
	sig, err := addressed(pub, namespace, armored)
	if err != nil {
		return Flags{}, err
	}
	if sig.Signature.Format == algorithmWebAuthn {
		return verifyPasskey(pub, sig.Signature, signedData(namespace, sig.HashAlgorithm, message))
	}
	if err := verifyPlain(pub, namespace, message, sig); err != nil || !IsSecurityKey(pub) {
		return Flags{}, err
	}
	flags := sig.Signature.Rest[0] // checkAlgorithm saw to it that it is there
	return Flags{Touched: flags&touched != 0, Verified: flags&verified != 0}, nil
}

// addressed reads an armored SSHSIG that says it is by pub for namespace. Nothing
// is verified.
func addressed(pub ssh.PublicKey, namespace, armored string) (*sshsig.Signature, error) {
	if _, ok := pub.(*ssh.Certificate); ok {
		return nil, fmt.Errorf("%w: the key to check against is a certificate", ErrSignature)
	}
	if len(armored) > maxArmored {
		return nil, fmt.Errorf("%w: over %d bytes", ErrSignature, maxArmored)
	}
	sig, ok := unarmor(armored)
	if !ok {
		return nil, fmt.Errorf("%w: it is no SSHSIG file", ErrSignature)
	}
	if sig.Namespace != namespace {
		return nil, fmt.Errorf("%w: it was made in namespace %.80q, not %q", ErrSignature, sig.Namespace, namespace)
	}
	if !bytes.Equal(sig.PublicKey.Marshal(), pub.Marshal()) {
		return nil, fmt.Errorf("%w: it was made by another key (%s)", ErrSignature, ssh.FingerprintSHA256(sig.PublicKey))
	}
	return sig, nil
}

func verifyPlain(pub ssh.PublicKey, namespace string, message []byte, sig *sshsig.Signature) error {
	if err := checkAlgorithm(pub, sig.Signature); err != nil {
		return err
	}
	if err := sshsig.Verify(bytes.NewReader(message), sig, pub, sig.HashAlgorithm, namespace); err != nil {
		return fmt.Errorf("%w: it was made over other bytes", ErrSignature)
	}
	return nil
}

// signedData is what an SSHSIG's key signs (PROTOCOL.sshsig).
func signedData(namespace string, hash sshsig.HashAlgorithm, message []byte) []byte {
	h := hash.Hash()
	h.Write(message)
	return ssh.Marshal(sshsigData{
		Magic: [6]byte([]byte(magic)), Namespace: namespace, Hash: string(hash), Digest: string(h.Sum(nil)),
	})
}

const magic = "SSHSIG"

// sshsigData is the form of signedData.
type sshsigData struct {
	Magic                             [6]byte
	Namespace, Reserved, Hash, Digest string
}

// unarmor reads the wire form (PROTOCOL.sshsig) out of its armor. It is stricter
// than sshsig.Unarmor, which passes over reserved data and what stands around the
// armor, and leaves it to checkAlgorithm to say what is wrong with a signature.
func unarmor(armored string) (*sshsig.Signature, bool) {
	const begin = "-----BEGIN "
	if !strings.HasPrefix(armored, begin+sshsig.PEMType+"-----\n") || strings.Count(armored, begin) != 1 { // pem.Decode passes over a broken block
		return nil, false
	}
	block, behind := pem.Decode([]byte(armored))
	if block == nil || len(block.Headers) != 0 || len(bytes.TrimSpace(behind)) != 0 {
		return nil, false
	}
	var w struct {
		Magic                                         [6]byte
		Version                                       uint32
		PublicKey, Namespace, Reserved, Hash, Content []byte
	}
	if err := ssh.Unmarshal(block.Bytes, &w); err != nil || string(w.Magic[:]) != magic || w.Version != 1 || len(w.Reserved) != 0 {
		return nil, false
	}
	key, err := ssh.ParsePublicKey(w.PublicKey)
	if err != nil {
		return nil, false
	}
	content := new(ssh.Signature)
	hash := sshsig.HashAlgorithm(w.Hash)
	if ssh.Unmarshal(w.Content, content) != nil || hash.Supported() != nil {
		return nil, false
	}
	return &sshsig.Signature{Version: w.Version, PublicKey: key, Namespace: string(w.Namespace), HashAlgorithm: hash, Signature: content}, true
}

// Flags of a FIDO signature (U2F raw message formats §5.4; PROTOCOL.u2f; WebAuthn
// §6.1).
const (
	touched      = 0x01 // somebody touched the key
	verified     = 0x04 // it verified who, by PIN or fingerprint
	hasKey       = 0x40 // a key stands behind the flags: registrations only
	hasExtension = 0x80 // extensions stand behind the flags
)

// checkAlgorithm refuses signatures that a key of this type does not make here.
func checkAlgorithm(key ssh.PublicKey, sig *ssh.Signature) error {
	switch key.Type() {
	case ssh.KeyAlgoRSA:
		if sig.Format != ssh.KeyAlgoRSASHA512 && sig.Format != ssh.KeyAlgoRSASHA256 {
			return fmt.Errorf("%w: it was made by %.60q; an RSA key has to sign by rsa-sha2-512 or rsa-sha2-256, as ssh-keygen -Y sign does", ErrSignature, sig.Format)
		}
	case ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		if sig.Format != key.Type() {
			return fmt.Errorf("%w: it was made by %.60q, not by %s as its key is", ErrSignature, sig.Format, key.Type())
		}
	default:
		return fmt.Errorf("%w: %.60q keys do not sign here", ErrSignature, key.Type())
	}
	if !IsSecurityKey(key) {
		if len(sig.Rest) != 0 {
			return fmt.Errorf("%w: there are bytes behind its end", ErrSignature)
		}
		return nil
	}
	const flagsAndCounter = 1 + 4
	switch {
	case len(sig.Rest) != flagsAndCounter:
		return fmt.Errorf("%w: it has no flags and counter of a security key", ErrSignature)
	case sig.Rest[0]&touched == 0:
		return fmt.Errorf("%w: the security key was not touched for it; touch it when it blinks, and use a key that was not made with no-touch-required", ErrSignature)
	}
	return nil
}

// IsSecurityKey reports whether a key lies in a FIDO token.
func IsSecurityKey(key ssh.PublicKey) bool {
	return key.Type() == ssh.KeyAlgoSKED25519 || key.Type() == ssh.KeyAlgoSKECDSA256
}
