package ledgertest

import (
	"bytes"
	"crypto/sha256"
	"testing"

	"github.com/sallyport/sallyport/ledger"
)

// Cosigner returns a cosigner whose key is derived from its name: the same in
// each run, and nothing to trust.
func Cosigner(tb testing.TB, name string) *ledger.CosignerSigner {
	tb.Helper()
	seed := sha256.Sum256([]byte("sallyport.ledgertest.cosigner/v1\n" + name))
	private, _, err := ledger.NewCosignerKey(bytes.NewReader(seed[:]), name)
	if err != nil {
		tb.Fatal(err)
	}
	s, err := ledger.NewCosignerSigner(private)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
