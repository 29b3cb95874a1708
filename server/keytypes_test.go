package server_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// TestKeyTypes has a certificate made for a key of each type, and a login bound
// to a key of each type, of which only ed25519 passes.
func TestKeyTypes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	bob.press(page, q.ID, "Approve", nil)
	certificates := "/v1/grants/" + string(q.ID) + "/certificates"
	for _, keyType := range sshcerttest.Types() {
		key := sshcerttest.Signer(t, keyType)
		answer := into[api.Certificate](t, alice.call(certificates, alice.issueBody(q, key)), 200)
		name, text, _ := strings.Cut(strings.TrimSpace(answer.Certificate), " ")
		wire, err := base64.StdEncoding.DecodeString(text)
		must(t, err)
		cert, err := sshcert.ParseCertificate(wire)
		if err != nil || cert.Type() != name || string(cert.Key.Marshal()) != string(key.PublicKey().Marshal()) {
			t.Errorf("%s: a %s, %v", keyType, name, err)
		}
		if keyType == ssh.KeyAlgoED25519 {
			continue
		}
		w.unchanged(func() {
			(&cli{w: w}).call("/v1/sessions", api.SessionRequest{
				Issuer: "acme/lab", IDToken: "x", RZ: canon.B64(make([]byte, 32)), DeviceKey: canon.B64(key.PublicKey().Marshal()), Document: "{}", Signature: "x",
			}).wantProblem(t, 422, "key-refused", keyType+" keys are not accepted; a device key is ed25519, as sally login makes it")
		})
	}
}

// TestPossessionSignatures posts proofs of possession that do not count: nothing
// is recorded, and the sentence says what to do.
func TestPossessionSignatures(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	bob.press(page, q.ID, "Approve", nil)
	rsa := sshcerttest.RSA(t, 3072)
	ed, ec := sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:"), sshcerttest.NewToken(t, ssh.KeyAlgoSKECDSA256, "ssh:")
	untouched := func(token *sshcerttest.Token) func([]byte) (*ssh.Signature, error) {
		return func(data []byte) (*ssh.Signature, error) { return token.SignFlags(rand.Reader, data, 0) }
	}
	for _, tt := range []struct {
		name string
		key  ssh.Signer
		sign func([]byte) (*ssh.Signature, error)
		says string
	}{
		{"SHA-1", rsa, func(data []byte) (*ssh.Signature, error) {
			return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSA)
		}, `made by "ssh-rsa"; an RSA key has to sign by rsa-sha2-512 or rsa-sha2-256`},
		{"ed25519 token, untouched", ed, untouched(ed), "the security key was not touched for it"},
		{"ECDSA token, untouched", ec, untouched(ec), "the security key was not touched for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := alice.issueBody(q, tt.key)
			body.PossessionSignature = sshcerttest.Armored(t, tt.key.PublicKey(), sshcert.NamespacePossession, []byte(body.Document), tt.sign)
			w.unchanged(func() {
				alice.call("/v1/grants/"+string(q.ID)+"/certificates", body).wantProblem(t, 422, "field-refused", tt.says)
			})
		})
	}
}
