package trust_test

import (
	"crypto/ed25519"
	"crypto/sha256"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

const origin = "ledger.example/trust"

var now = time.Unix(1795000000, 0).UTC()

// example derives the bytes that would be drawn at random.
func example(what string) []byte {
	sum := sha256.Sum256([]byte("sallyport test vector: " + what))
	return sum[:]
}

func signer(t testing.TB, what string) ssh.Signer {
	t.Helper()
	s, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(example(what)))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func key(t testing.TB, what string) trust.Key {
	t.Helper()
	k, err := trust.KeyOf(signer(t, what).PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func root(t testing.TB, party string, need int, names ...string) trust.Root {
	t.Helper()
	r := trust.Root{Party: party, Need: need}
	for _, n := range names {
		name, _, _ := strings.Cut(n, "/") // "ada/2" is another key under the name ada
		r.Keys = append(r.Keys, trust.NamedKey{Name: name, Key: key(t, party+" root "+n)})
	}
	return r
}

// bundle is one with everything in it.
func bundle(t testing.TB) trust.Bundle {
	t.Helper()
	return trust.Bundle{
		V: trust.Version, Origin: origin, Lineage: canon.Digest(example("lineage")), Contract: canon.Digest(example("contract")), Number: 1,
		MadeAt: canon.At(now.Add(-time.Hour)), ExpiresAt: canon.At(now.Add(90 * 24 * time.Hour)),
		LogKeys:   []string{ledgertest.New(t, origin, "log").PublicKey(), ledgertest.New(t, origin, "next log").PublicKey()},
		UserCAs:   []trust.Key{key(t, "user CA")},
		HostCAs:   []trust.Key{key(t, "host CA")},
		KRLKeys:   []trust.Key{key(t, "krl")},
		Cosigners: []string{ledgertest.Cosigner(t, "cosigner.acme.example").PublicKey()},
		Witnesses: &trust.Witnesses{Need: 2, Keys: []string{
			ledgertest.Cosigner(t, "w1.example").PublicKey(), ledgertest.Cosigner(t, "w2.example").PublicKey(), ledgertest.Cosigner(t, "w3.example").PublicKey(),
		}},
		Roots: []trust.Root{root(t, "acme", 2, "ada", "ben", "cleo"), root(t, "bank", 1, "dora")},
	}
}

// following is the bundle after b.
func following(b trust.Bundle, change func(*trust.Bundle)) trust.Bundle {
	b.Number++
	b.MadeAt += 1000000
	if change != nil {
		change(&b)
	}
	return b
}

func text(t testing.TB, b trust.Bundle) string {
	t.Helper()
	s, err := trust.Make(b)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// by is a root that signs: PARTY/NAME or PARTY/NAME/2.
func by(t testing.TB, text, who string) trust.Signature {
	t.Helper()
	return inNamespace(t, trust.Namespace, text, who)
}

func inNamespace(t testing.TB, namespace, text, who string) trust.Signature {
	t.Helper()
	party, name, _ := strings.Cut(who, "/")
	armored, err := sshcert.Sign(nil, signer(t, party+" root "+name), namespace, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	name, _, _ = strings.Cut(name, "/")
	return trust.Signature{Party: party, Name: name, Signature: armored}
}

// file is a bundle with the signatures of those roots.
func file(t testing.TB, b trust.Bundle, who ...string) []byte {
	t.Helper()
	s := trust.Signed{Text: text(t, b)}
	for _, w := range who {
		s.Signatures = append(s.Signatures, by(t, s.Text, w))
	}
	out, err := s.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// everybody are enough roots of bundle.
var everybody = []string{"acme/ada", "acme/cleo", "bank/dora"}
