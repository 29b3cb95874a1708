package authority

import (
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// Each type of the profile gets a certificate, and the same one at a repeat; a
// key that the policy refuses leaves no leaf.
func TestPromiseP02_EachKeyTypeIsIssued(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	for _, keyType := range sshcerttest.Types() {
		key := sshcerttest.Signer(t, keyType)
		first, err := alice.issue(grant, key)
		if err != nil {
			t.Fatalf("%s: %v", keyType, err)
		}
		again, err := alice.issue(grant, key)
		if err != nil || string(again.Certificate.Marshal()) != string(first.Certificate.Marshal()) {
			t.Errorf("%s, once more: another certificate, %v", keyType, err)
		}
		if string(first.Certificate.Key.Marshal()) != string(key.PublicKey().Marshal()) {
			t.Errorf("%s: a certificate for another key", keyType)
		}
	}
	size := w.size()
	for name, key := range map[string]ssh.Signer{
		"a short RSA key": sshcerttest.RSA(t, 2048), "a website's key": sshcerttest.NewToken(t, ssh.KeyAlgoSKECDSA256, "https://acme.example"),
	} {
		if _, err := alice.issue(grant, key); !errors.Is(err, sshcert.ErrKeyPolicy) {
			t.Errorf("%s: %v, want ErrKeyPolicy", name, err)
		}
	}
	if w.size() != size {
		t.Errorf("refused keys left %d leaves", w.size()-size)
	}
}
