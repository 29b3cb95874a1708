package sshcerttest

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"io"
	"math/big"
	"sync/atomic"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Flags of a FIDO signature (PROTOCOL.u2f).
const (
	Touched  = 0x01
	Verified = 0x04 // by PIN or fingerprint
)

// Token signs as a FIDO key does (OpenSSH PROTOCOL.u2f).
type Token struct {
	public      ssh.PublicKey
	application string
	counter     atomic.Uint32
	ec          *ecdsa.PrivateKey // or
	ed          ed25519.PrivateKey
}

// NewToken returns a token with a new key of a FIDO type for an application.
func NewToken(t testing.TB, keyType, application string) *Token {
	t.Helper()
	k := &Token{application: application}
	var wire []byte
	switch keyType {
	case ssh.KeyAlgoSKED25519:
		public, private, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		k.ed = private
		wire = SKEd25519(public, application)
	case ssh.KeyAlgoSKECDSA256:
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		k.ec = private
		wire = ssh.Marshal(struct{ Type, Curve, Point, Application string }{keyType, "nistp256", string(point), application})
	default:
		t.Fatalf("no token holds a %s key", keyType)
	}
	var err error
	if k.public, err = ssh.ParsePublicKey(wire); err != nil {
		t.Fatal(err)
	}
	return k
}

// SKEd25519 is the wire form of a FIDO key over an ed25519 point.
func SKEd25519(point []byte, application string) []byte {
	return ssh.Marshal(struct{ Type, Point, Application string }{ssh.KeyAlgoSKED25519, string(point), application})
}

// PublicKey returns the token's key.
func (k *Token) PublicKey() ssh.PublicKey { return k.public }

// Sign signs after a touch.
func (k *Token) Sign(random io.Reader, data []byte) (*ssh.Signature, error) {
	return k.SignFlags(random, data, Touched)
}

// SignFlags signs with any flags: 0 is a token that nobody touched.
func (k *Token) SignFlags(random io.Reader, data []byte, flags byte) (*ssh.Signature, error) {
	app, message := sha256.Sum256([]byte(k.application)), sha256.Sum256(data)
	rest := binary.BigEndian.AppendUint32([]byte{flags}, k.counter.Add(1))
	signed := append(append(app[:], rest...), message[:]...)
	if k.ed != nil {
		return &ssh.Signature{Format: k.public.Type(), Blob: ed25519.Sign(k.ed, signed), Rest: rest}, nil
	}
	digest := sha256.Sum256(signed)
	r, s, err := ecdsa.Sign(random, k.ec, digest[:])
	if err != nil {
		return nil, err
	}
	return &ssh.Signature{Format: k.public.Type(), Blob: ssh.Marshal(struct{ R, S *big.Int }{r, s}), Rest: rest}, nil
}
