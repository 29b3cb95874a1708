package sshcerttest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/asn1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/big"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

// Passkey answers as a browser and its authenticator do (WebAuthn §6.3.3, §7.2).
type Passkey struct {
	RP      string // its relying party's id
	Origin  string // the website that asks
	Flags   byte
	Counter uint32
	// ClientData is what the browser says, if it is not what each of them says today;
	// %CHALLENGE% and %ORIGIN% are replaced.
	ClientData string
	Extensions string // CBOR behind the counter

	private *ecdsa.PrivateKey
}

// NewPasskey returns a passkey with a new key, touched and verified each time.
func NewPasskey(t testing.TB, rp, origin string) *Passkey {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &Passkey{RP: rp, Origin: origin, Flags: Touched | Verified, private: private}
}

// Public returns the key as a browser gives it at registration.
func (p *Passkey) Public() *ecdsa.PublicKey { return &p.private.PublicKey }

// PublicKey returns the key as OpenSSH has it.
func (p *Passkey) PublicKey(t testing.TB) ssh.PublicKey {
	t.Helper()
	point, err := p.private.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.ParsePublicKey(ssh.Marshal(struct{ Type, Curve, Point, Application string }{ssh.KeyAlgoSKECDSA256, "nistp256", string(point), p.RP}))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// Answer signs a challenge.
func (p *Passkey) Answer(t testing.TB, challenge []byte) (clientData, authenticatorData, signature []byte) {
	t.Helper()
	encoded := base64.RawURLEncoding.EncodeToString(challenge)
	clientData = fmt.Appendf(nil, `{"type":"webauthn.get","challenge":"%s","origin":"%s","crossOrigin":false}`, encoded, p.Origin)
	if p.ClientData != "" {
		clientData = []byte(strings.NewReplacer("%CHALLENGE%", encoded, "%ORIGIN%", p.Origin).Replace(p.ClientData))
	}
	rp := sha256.Sum256([]byte(p.RP))
	authenticatorData = binary.BigEndian.AppendUint32(append(rp[:], p.Flags), p.Counter)
	authenticatorData = append(authenticatorData, p.Extensions...)
	client := sha256.Sum256(clientData)
	digest := sha256.Sum256(append(authenticatorData[:len(authenticatorData):len(authenticatorData)], client[:]...))
	signature, err := ecdsa.SignASN1(rand.Reader, p.private, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return clientData, authenticatorData, signature
}

// Armored is an SSHSIG by the passkey over a message, whatever the passkey says:
// made without the product's own code, so that it can be wrong.
func (p *Passkey) Armored(t testing.TB, namespace string, message []byte) string {
	t.Helper()
	return Armored(t, p.PublicKey(t), namespace, message, func(data []byte) (*ssh.Signature, error) {
		return p.Wire(t, data), nil
	})
}

// Wire is OpenSSH's form (PROTOCOL.u2f) of what the passkey signs.
func (p *Passkey) Wire(t testing.TB, challenge []byte) *ssh.Signature {
	t.Helper()
	clientData, _, signature := p.Answer(t, challenge)
	var rs struct{ R, S *big.Int }
	if _, err := asn1.Unmarshal(signature, &rs); err != nil {
		t.Fatal(err)
	}
	return &ssh.Signature{
		Format: "webauthn-sk-ecdsa-sha2-nistp256@openssh.com", Blob: ssh.Marshal(rs),
		Rest: ssh.Marshal(struct {
			Flags                          byte
			Counter                        uint32
			Origin, ClientData, Extensions string
		}{p.Flags, p.Counter, p.Origin, string(clientData), p.Extensions}),
	}
}
