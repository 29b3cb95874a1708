package softkey_test

import (
	"crypto/rand"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/catest"
	"github.com/sallyport/sallyport/ca/softkey"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "user-ca")
	if _, err := softkey.Create(path, "suite", rand.Reader); err != nil {
		t.Fatal(err)
	}
	catest.Exercise(t, func(t *testing.T) ca.Signer {
		s, err := softkey.Open(path, rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		return s
	})
}
