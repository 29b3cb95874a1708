// Package sshcerttest owns keys for tests: one of each type that the key policy
// lets through, tokens that sign as FIDO keys do, keys that the policy refuses,
// and signatures that no tool would make.
package sshcerttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"encoding/pem"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Types are the types that a subject key may have.
func Types() []string {
	return []string{
		ssh.KeyAlgoED25519, ssh.KeyAlgoECDSA256, ssh.KeyAlgoECDSA384, ssh.KeyAlgoECDSA521, ssh.KeyAlgoRSA,
		ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256,
	}
}

// Signer returns a new key of one of Types: RSA has 3072 bits, a FIDO key is
// touched for each signature.
func Signer(t testing.TB, keyType string) ssh.Signer {
	t.Helper()
	switch keyType {
	case ssh.KeyAlgoED25519:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return signer(t, private, err)
	case ssh.KeyAlgoECDSA256:
		return ec(t, elliptic.P256())
	case ssh.KeyAlgoECDSA384:
		return ec(t, elliptic.P384())
	case ssh.KeyAlgoECDSA521:
		return ec(t, elliptic.P521())
	case ssh.KeyAlgoRSA:
		return RSA(t, 3072)
	case ssh.KeyAlgoSKED25519, ssh.KeyAlgoSKECDSA256:
		return NewToken(t, keyType, "ssh:")
	}
	t.Fatalf("no key type %q", keyType)
	return nil
}

func ec(t testing.TB, curve elliptic.Curve) ssh.Signer {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	return signer(t, private, err)
}

func signer(t testing.TB, private any, err error) ssh.Signer {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	s, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	rsaKeys = make(map[int]*rsa.PrivateKey)
	rsaMu   sync.Mutex
)

// RSA returns an RSA key of that many bits; one for all tests of a process, since
// drawing one takes its time.
func RSA(t testing.TB, bits int) ssh.AlgorithmSigner {
	t.Helper()
	rsaMu.Lock()
	defer rsaMu.Unlock()
	if rsaKeys[bits] == nil {
		private, err := rsa.GenerateKey(rand.Reader, bits)
		if err != nil {
			t.Fatal(err)
		}
		rsaKeys[bits] = private
	}
	s, ok := signer(t, rsaKeys[bits], nil).(ssh.AlgorithmSigner)
	if !ok {
		t.Fatal("an RSA signer without a choice of algorithms")
	}
	return s
}

// Armored returns an SSHSIG (PROTOCOL.sshsig, sha512) whose signature is whatever
// sign makes of the bytes that are to be signed.
func Armored(t testing.TB, public ssh.PublicKey, namespace string, message []byte, sign func(data []byte) (*ssh.Signature, error)) string {
	t.Helper()
	data := append([]byte("SSHSIG"), ssh.Marshal(struct{ Namespace, Reserved, Algorithm, Hash string }{namespace, "", "sha512", SHA512(message)})...)
	sig, err := sign(data)
	if err != nil {
		t.Fatal(err)
	}
	return Envelope(Blob{
		Magic: [6]byte([]byte("SSHSIG")), Version: 1, PublicKey: string(public.Marshal()), Namespace: namespace, Hash: "sha512", Signature: string(ssh.Marshal(sig)),
	})
}

// SHA512 is the hash of a message as an SSHSIG holds it.
func SHA512(message []byte) string {
	sum := sha512.Sum512(message)
	return string(sum[:])
}

// Blob is the wire form of an SSHSIG.
type Blob struct {
	Magic                                           [6]byte
	Version                                         uint32
	PublicKey, Namespace, Reserved, Hash, Signature string
}

// Envelope armors a blob, whatever it holds.
func Envelope(b Blob) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "SSH SIGNATURE", Bytes: ssh.Marshal(b)}))
}
