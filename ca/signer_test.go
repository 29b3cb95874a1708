package ca_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/catest"
	"github.com/sallyport/sallyport/ca/softkey"
)

// failing is a Signer that gives an error.
type failing struct {
	ca.Signer
	err error
}

// Sign fails.
func (f failing) Sign(context.Context, []byte) (*ssh.Signature, error) { return nil, f.err }

// TestFinishTellsAwayFromBad: a key that can't be reached for now is not one that
// signs badly, and the sentence says what is wrong once.
func TestFinishTellsAwayFromBad(t *testing.T) {
	t.Parallel()
	key, err := softkey.Create(t.TempDir()+"/user-ca", "", bytes.NewReader(bytes.Repeat([]byte{7}, 64)))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name      string
		err       error
		want, not error
	}{
		{"an error", errors.New("disk full"), ca.ErrSigner, ca.ErrUnavailable},
		{"useless", fmt.Errorf("%w: of another version", ca.ErrSigner), ca.ErrSigner, ca.ErrUnavailable},
		{"away", fmt.Errorf("%w: sealed", ca.ErrUnavailable), ca.ErrUnavailable, ca.ErrSigner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := catest.Record(t, key.PublicKey())
			cert, err := ca.Finish(t.Context(), failing{key, tt.err}, d.Certificate, d.Proof, d.Policy)
			if cert != nil || !errors.Is(err, tt.want) || errors.Is(err, tt.not) || strings.Count(fmt.Sprint(err), tt.want.Error()) != 1 {
				t.Errorf("%v, certificate %t; want %v and not %v", err, cert != nil, tt.want, tt.not)
			}
		})
	}
}
