package certproof_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

func FuzzVerifyWire(f *testing.F) {
	cert, log := issue(f)
	policy, authority := log.Policy(), cert.SignatureKey.Marshal()
	f.Add(cert.Marshal())
	for _, r := range refusals(f) {
		f.Add(r.wire)
	}
	want, err := certproof.Verify(cert, policy)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, wire []byte) {
		got, result, err := certproof.VerifyWire(wire, policy)
		if err != nil {
			return
		}
		// Only one certificate was ever logged.
		if result != want || !bytes.Equal(got.Marshal(), wire) || !bytes.Equal(got.SignatureKey.Marshal(), authority) {
			t.Fatalf("forged: %+v", result)
		}
	})
}

// FuzzEmbeddedProof puts arbitrary text where the proof stands, in a
// certificate that the right authority signs.
func FuzzEmbeddedProof(f *testing.F) {
	cert, log := issue(f)
	policy, authority := log.Policy(), key(f, "authority")
	proof := cert.Extensions[sshcert.ProofExtension]
	f.Add(proof)
	f.Add(string(log.Prove(index-1, size, extra(f))))
	f.Add(string(log.Prove(index, size, nil)))
	f.Add(strings.Replace(proof, "index 4", "index 04", 1))
	want, err := certproof.Verify(cert, policy)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, err := certproof.Verify(sign(t, forced(cert, text), authority), policy)
		if err == nil && got != want {
			t.Fatalf("forged: %+v by %q", got, text)
		}
	})
}
