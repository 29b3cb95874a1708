package record_test

import (
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// The ledger takes certificates for keys of each type, and replays them.
func TestPromiseP02_EachKeyTypeIsRecorded(t *testing.T) {
	t.Parallel()
	i := newIssuing(t)
	for _, keyType := range sshcerttest.Types() {
		f, err := i.w.Issue(i.m, i.w.Alice, i.r, sshcerttest.Signer(t, keyType))
		if err != nil {
			t.Fatalf("%s: %v", keyType, err)
		}
		if _, err := i.m.Append(plain(f)); err != nil {
			t.Errorf("%s: %v", keyType, err)
		}
	}
	again := recordtest.New(t, t.Name()).NewMap()
	for _, e := range i.m.Entries {
		if err := again.Replay(e.Leaf, e.Salt, e.Facts, e.Draft.PersonSalt, e.Person); err != nil {
			t.Fatalf("replaying leaf %d: %v", e.Index, err)
		}
	}
}

// A key that the policy refuses, and a proof by a signature that does not count,
// are refused by the fold itself, whoever wrote the leaf.
func TestPromiseP02_TheFoldHoldsTheKeyPolicy(t *testing.T) {
	t.Parallel()
	i := newIssuing(t)
	alice := i.w.Alice
	for _, refused := range sshcerttest.RefusedKeys(t) {
		doc := i.w.IssueDoc(i.m, alice, i.r, i.key)
		doc.Key = canon.B64(refused.Wire)
		text, err := canon.Marshal(doc)
		if err != nil { // nothing, or more than any document holds
			continue
		}
		_, _, err = record.OpenIssue(string(text), i.w.Signature(alice.Device, sshcert.NamespaceDevice, string(text)), "", alice.Device.PublicKey())
		if !errors.Is(err, sshcert.ErrKeyPolicy) || !strings.Contains(err.Error(), refused.Says) {
			t.Errorf("%s: %v, want a refusal that says %q", refused.Name, err, refused.Says)
		}
	}
	rsa, token := sshcerttest.RSA(t, 3072), sshcerttest.NewToken(t, ssh.KeyAlgoSKED25519, "ssh:")
	for _, tt := range []struct {
		name string
		key  ssh.PublicKey
		sign func([]byte) (*ssh.Signature, error)
		says string // empty: it counts
	}{
		{"RSA with SHA-2", rsa.PublicKey(), func(data []byte) (*ssh.Signature, error) {
			return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSASHA256)
		}, ""},
		{"RSA with SHA-1", rsa.PublicKey(), func(data []byte) (*ssh.Signature, error) {
			return rsa.SignWithAlgorithm(rand.Reader, data, ssh.KeyAlgoRSA)
		}, "has to sign by rsa-sha2-512"},
		{"a touched security key", token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
			return token.SignFlags(rand.Reader, data, sshcerttest.Touched)
		}, ""},
		{"an untouched security key", token.PublicKey(), func(data []byte) (*ssh.Signature, error) {
			return token.SignFlags(rand.Reader, data, 0)
		}, "was not touched"},
	} {
		doc := i.w.IssueDoc(i.m, alice, i.r, i.key)
		doc.Key = recordtest.Wire(tt.key)
		text, err := canon.Marshal(doc)
		if err != nil {
			t.Fatal(err)
		}
		possession := sshcerttest.Armored(t, tt.key, sshcert.NamespacePossession, text, tt.sign)
		_, key, err := record.OpenIssue(string(text), i.w.Signature(alice.Device, sshcert.NamespaceDevice, string(text)), possession, alice.Device.PublicKey())
		switch {
		case tt.says == "" && (err != nil || string(key.Marshal()) != string(tt.key.Marshal())):
			t.Errorf("%s: %v", tt.name, err)
		case tt.says != "" && (!errors.Is(err, record.ErrDocument) || !strings.Contains(err.Error(), tt.says)):
			t.Errorf("%s: %v, want ErrDocument that says %q", tt.name, err, tt.says)
		}
	}
}
