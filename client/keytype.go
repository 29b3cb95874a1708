package client

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
)

// keyType is a kind of key that is made fresh for a certificate.
type keyType struct {
	name   string
	format string // as it stands in the key
	bits   int    // RSA only
	draw   func(rand io.Reader) (crypto.Signer, error)
}

// keyTypes lists what --key-type takes; the first is the default.
var keyTypes = []keyType{
	{name: "ed25519", format: ssh.KeyAlgoED25519, draw: func(rand io.Reader) (crypto.Signer, error) {
		_, key, err := ed25519.GenerateKey(rand)
		return key, err
	}},
	{name: "ecdsa-p256", format: ssh.KeyAlgoECDSA256, draw: drawECDSA(elliptic.P256())},
	{name: "ecdsa-p384", format: ssh.KeyAlgoECDSA384, draw: drawECDSA(elliptic.P384())},
	{name: "ecdsa-p521", format: ssh.KeyAlgoECDSA521, draw: drawECDSA(elliptic.P521())},
	{name: "rsa-3072", format: ssh.KeyAlgoRSA, bits: 3072, draw: drawRSA(3072)},
	{name: "rsa-4096", format: ssh.KeyAlgoRSA, bits: 4096, draw: drawRSA(4096)},
}

func drawECDSA(curve elliptic.Curve) func(io.Reader) (crypto.Signer, error) {
	return func(rand io.Reader) (crypto.Signer, error) { return ecdsa.GenerateKey(curve, rand) }
}

func drawRSA(bits int) func(io.Reader) (crypto.Signer, error) {
	return func(rand io.Reader) (crypto.Signer, error) { return rsa.GenerateKey(rand, bits) }
}

// KeyTypes returns the names that SSHOptions.KeyType takes, the default first.
func KeyTypes() []string {
	names := make([]string, 0, len(keyTypes))
	for _, k := range keyTypes {
		names = append(names, k.name)
	}
	return names
}

func parseKeyType(name string) (keyType, error) {
	for _, k := range keyTypes {
		if k.name == name {
			return k, nil
		}
	}
	return keyType{}, Usagef("--key-type %q: one of %s; for a key in a security key or of your own use --identity", name, strings.Join(KeyTypes(), ", "))
}

// is reports whether a key is of this type.
func (k keyType) is(key ssh.PublicKey) bool {
	if key.Type() != k.format {
		return false
	}
	public, ok := key.(ssh.CryptoPublicKey)
	if !ok {
		return false
	}
	r, ok := public.CryptoPublicKey().(*rsa.PublicKey)
	return !ok || r.N.BitLen() == k.bits
}

// keyChoice is which key a certificate is to be for.
type keyChoice struct {
	fresh keyType
	named bool    // the person named the type
	own   *ownKey // instead of a fresh one
}

// choose reads what the person said about the key, before any network call.
func (o SSHOptions) choose() (keyChoice, error) {
	switch {
	case o.Identity != "" && o.KeyType != "":
		return keyChoice{}, Usagef("--identity and --key-type: one of the two; --key-type is for a key that sally makes")
	case o.Identity != "" && o.KeyFile:
		return keyChoice{}, Usagef("--identity and --key-file: one of the two; with --identity the key stays where it is")
	case o.Identity != "":
		own, err := readOwnKey(o.Identity)
		return keyChoice{own: &own}, err
	case o.KeyType != "":
		fresh, err := parseKeyType(o.KeyType)
		return keyChoice{fresh: fresh, named: true}, err
	}
	return keyChoice{fresh: keyTypes[0]}, nil
}

// allows reports whether a certificate for key is one that the person wants.
func (c keyChoice) allows(key ssh.PublicKey) bool {
	if c.own != nil {
		return sameKey(key, c.own.public)
	}
	return !c.named || c.fresh.is(key)
}

func (c keyChoice) subject(e Env) (subject, error) {
	if c.own != nil {
		return c.own.subject(e), nil
	}
	return e.freshKey(c.fresh)
}

// subject is the key that a certificate is to be made for.
type subject struct {
	public ssh.PublicKey
	// private is the key itself, nil for one that the person keeps.
	private crypto.Signer
	// prove signs a document in sshcert.NamespacePossession.
	prove func(ctx context.Context, document []byte) (string, error)
}

// freshKey draws a key that lives no longer than its certificate.
func (e Env) freshKey(k keyType) (subject, error) {
	private, err := k.draw(e.Rand)
	if err != nil {
		return subject{}, fmt.Errorf("making a key: %w", err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return subject{}, fmt.Errorf("making a key: %w", err)
	}
	return subject{public: signer.PublicKey(), private: private, prove: func(_ context.Context, document []byte) (string, error) {
		return sshcert.Sign(e.Rand, signer, sshcert.NamespacePossession, document)
	}}, nil
}
