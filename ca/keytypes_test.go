package ca_test

import (
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// A key of each type of the profile gets a certificate that the lint passes and
// that stock ssh-keygen reads as one for that key.
func TestEachKeyTypeGetsACertificate(t *testing.T) {
	t.Parallel()
	for keyType, shown := range map[string]string{
		ssh.KeyAlgoED25519: "ED25519-CERT", ssh.KeyAlgoRSA: "RSA-CERT",
		ssh.KeyAlgoECDSA256: "ECDSA-CERT", ssh.KeyAlgoECDSA384: "ECDSA-CERT", ssh.KeyAlgoECDSA521: "ECDSA-CERT",
		ssh.KeyAlgoSKED25519: "ED25519-SK-CERT", ssh.KeyAlgoSKECDSA256: "ECDSA-SK-CERT",
	} {
		t.Run(keyType, func(t *testing.T) {
			t.Parallel()
			i := newIssuance(t)
			i.key = sshcerttest.Signer(t, keyType)
			cert := i.finished()
			if err := i.lint(cert); err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "key-cert.pub")
			if err := os.WriteFile(file, []byte(cert.Type()+" "+base64.StdEncoding.EncodeToString(cert.Marshal())+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", file).CombinedOutput()
			if err != nil {
				t.Fatalf("ssh-keygen -L: %v\n%s", err, out)
			}
			got, _ := readListing(string(out))
			if got["Type"] != cert.Type()+" user certificate" || got["Public key"] != shown+" "+ssh.FingerprintSHA256(i.key.PublicKey()) {
				t.Errorf("it is a %s for %s", got["Type"], got["Public key"])
			}
		})
	}
}

// A certificate over a weak key does not leave, although everything else about
// it is right and the ledger holds it.
func TestPromiseP02_LintRefusesWeakKeys(t *testing.T) {
	t.Parallel()
	for _, bits := range []int{2048, 3072} {
		i := newIssuance(t)
		weak := sshcerttest.RSA(t, bits)
		cert := i.bent(i.authority, func(c *ssh.Certificate) { c.Key = weak.PublicKey() })
		err := ca.Lint(cert.Marshal(), i.grant, weak.PublicKey(), i.authority.PublicKey(), ledger.Serial(i.log.Tree().Size-1), i.now, i.log.Policy())
		if refused := errors.Is(err, ca.ErrLint) && errors.Is(err, sshcert.ErrKeyPolicy); refused != (bits == 2048) {
			t.Errorf("RSA of %d bits: %v", bits, err)
		}
	}
}
