package session_test

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// keyID is that of a grant which ends then.
func keyID(end time.Time) string {
	return sshcert.KeyID{
		Person: canon.ID(strings.Repeat("a", 26)), Request: canon.ID(strings.Repeat("e", 26)),
		Contract: canon.Sum("sallyport.test/v1"), End: end,
	}.String()
}

// certify returns a certificate with a key ID.
func certify(t *testing.T, ca ssh.Signer, serial uint64, id string) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: sshcerttest.Signer(t, ssh.KeyAlgoED25519).PublicKey(), Serial: serial, CertType: ssh.UserCert, KeyId: id,
		ValidPrincipals: []string{"ops@web-1.example"}, ValidAfter: 1, ValidBefore: 1 << 40,
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return c
}

// authInfo is what sshd tells PAM.
func authInfo(keys ...ssh.PublicKey) string {
	var b strings.Builder
	for _, k := range keys {
		b.WriteString("publickey " + k.Type() + " " + base64.StdEncoding.EncodeToString(k.Marshal()) + "\n")
	}
	return b.String()
}
