package contract_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"math/big"
	"testing"

	"golang.org/x/crypto/ssh"
)

// keyLine makes a public key line of a kind. Those that nobody signs with are
// only shaped like keys.
func keyLine(t testing.TB, kind string) string {
	t.Helper()
	wire := keyWire(t, kind)
	var name struct {
		Name string
		Rest []byte `ssh:"rest"`
	}
	if err := ssh.Unmarshal(wire, &name); err != nil {
		t.Fatal(err)
	}
	return name.Name + " " + base64.StdEncoding.EncodeToString(wire)
}

func keyWire(t testing.TB, kind string) []byte {
	t.Helper()
	plain := newPerson(t)
	ed := plain.PublicKey().Marshal()
	switch kind {
	case "ed25519":
		return ed
	case "long":
		return append(ed, 0)
	case "ecdsa384":
		return ecdsaWire(t, elliptic.P384())
	case "ecdsa521":
		return ecdsaWire(t, elliptic.P521())
	case "rsa2048":
		return rsaWire(t, 2048)
	case "rsa3071":
		return rsaWire(t, 3071)
	case "rsa3072":
		return rsaWire(t, 3072)
	case "rsa3072 padded":
		var w struct {
			Name string
			E, N []byte
		}
		if err := ssh.Unmarshal(rsaWire(t, 3072), &w); err != nil {
			t.Fatal(err)
		}
		w.N = append([]byte{0}, w.N...)
		return ssh.Marshal(w)
	case "sk-ed25519":
		return newSecurityKey(t, 1).PublicKey().Marshal()
	case "sk-ecdsa":
		private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return ssh.Marshal(struct {
			Name, Curve string
			Point       []byte
			Application string
		}{ssh.KeyAlgoSKECDSA256, "nistp256", point, "ssh:"})
	case "dsa":
		p := new(big.Int).SetBit(big.NewInt(1), 1023, 1)
		q := new(big.Int).SetBit(big.NewInt(1), 159, 1)
		return ssh.Marshal(struct {
			Name       string
			P, Q, G, Y *big.Int
		}{"ssh-dss", p, q, big.NewInt(2), big.NewInt(3)})
	case "certificate":
		return newCertificate(t, plain).Marshal()
	}
	t.Fatalf("no kind of key %q", kind)
	return nil
}

func ecdsaWire(t testing.TB, curve elliptic.Curve) []byte {
	t.Helper()
	private, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(&private.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key.Marshal()
}

// rsaWire makes the public half of an RSA key without a private one: fast, and
// its length is exact.
func rsaWire(t testing.TB, bits int) []byte {
	t.Helper()
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), uint(bits-1)))
	if err != nil {
		t.Fatal(err)
	}
	n.SetBit(n, bits-1, 1).SetBit(n, 0, 1)
	return ssh.Marshal(struct {
		Name string
		E, N *big.Int
	}{ssh.KeyAlgoRSA, big.NewInt(65537), n})
}

// newCertificate is a certificate for a person's key, signed by that key.
func newCertificate(t testing.TB, p person) *ssh.Certificate {
	t.Helper()
	cert := &ssh.Certificate{Key: p.PublicKey(), CertType: ssh.UserCert, ValidBefore: ssh.CertTimeInfinity, ValidPrincipals: []string{"ops"}}
	if err := cert.SignCert(rand.Reader, p); err != nil {
		t.Fatal(err)
	}
	return cert
}

// securityKey signs as a FIDO key does (OpenSSH PROTOCOL.u2f), with the flags it
// is told to claim: 1 touched, 4 PIN.
type securityKey struct {
	private ed25519.PrivateKey
	public  ssh.PublicKey
	flags   byte
}

func newSecurityKey(t testing.TB, flags byte) securityKey {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct {
		Name        string
		Key         []byte
		Application string
	}{ssh.KeyAlgoSKED25519, public, "ssh:"}))
	if err != nil {
		t.Fatal(err)
	}
	return securityKey{private: private, public: key, flags: flags}
}

func (k securityKey) PublicKey() ssh.PublicKey { return k.public }

func (k securityKey) Sign(_ io.Reader, data []byte) (*ssh.Signature, error) {
	application, message := sha256.Sum256([]byte("ssh:")), sha256.Sum256(data)
	counter := []byte{0, 0, 0, 7}
	signed := append(application[:], k.flags)
	signed = append(signed, counter...)
	signed = append(signed, message[:]...)
	return &ssh.Signature{
		Format: ssh.KeyAlgoSKED25519,
		Blob:   ed25519.Sign(k.private, signed),
		Rest:   append([]byte{k.flags}, counter...),
	}, nil
}
