package ca_test

import (
	"context"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

// badSigner answers for the authority's key with something else.
type badSigner struct {
	ca.Signer
	answer func(ctx context.Context, tbs []byte) (*ssh.Signature, error)
}

func (s badSigner) Sign(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
	return s.answer(ctx, tbs)
}

var errSealed = errors.New("sealed")

// A signer may answer anything; only its signature over exactly these bytes is
// taken.
func TestFinishRefusesWhatASignerMayAnswer(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	cert := i.unsigned()
	proof := i.record(cert)
	other := newAuthority(t)
	honest := i.authority.Sign
	for _, tt := range []struct {
		name   string
		answer func(ctx context.Context, tbs []byte) (*ssh.Signature, error)
		want   error
	}{
		{"an error", func(context.Context, []byte) (*ssh.Signature, error) { return nil, errSealed }, errSealed},
		{"nothing", func(context.Context, []byte) (*ssh.Signature, error) { return nil, nil }, ca.ErrSigner}, //nolint:nilnil // what a broken signer does
		{"a signature over other bytes", func(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
			return honest(ctx, append([]byte("x"), tbs...))
		}, ca.ErrSigner},
		{"a signature over the recorded bytes, without the proof", func(ctx context.Context, _ []byte) (*ssh.Signature, error) {
			return honest(ctx, sshcert.TBS(cert))
		}, ca.ErrSigner},
		{"a signature by another key", other.Sign, ca.ErrSigner},
		{"another format", func(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
			sig, err := honest(ctx, tbs)
			if err == nil {
				sig.Format = ssh.KeyAlgoRSASHA512
			}
			return sig, err
		}, ca.ErrSigner},
		{"no signature bytes", func(context.Context, []byte) (*ssh.Signature, error) {
			return &ssh.Signature{Format: ssh.KeyAlgoED25519}, nil
		}, ca.ErrSigner},
		{"a signature cut short", func(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
			sig, err := honest(ctx, tbs)
			if err == nil {
				sig.Blob = sig.Blob[:63]
			}
			return sig, err
		}, ca.ErrSigner},
	} {
		done, err := ca.Finish(t.Context(), badSigner{i.authority, tt.answer}, cert, proof, i.log.Policy())
		if !errors.Is(err, tt.want) || !errors.Is(err, ca.ErrSigner) || done != nil {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if cert.Signature != nil || len(cert.Extensions) != 2 {
		t.Error("Finish changed the recorded certificate")
	}
	if _, err := ca.Finish(t.Context(), i.authority, cert, proof, i.log.Policy()); err != nil {
		t.Errorf("the honest signer: %v", err)
	}
	// What a signature drags behind it, sshd would not read: it does not get past Lint.
	trailing := badSigner{i.authority, func(ctx context.Context, tbs []byte) (*ssh.Signature, error) {
		sig, err := honest(ctx, tbs)
		if err == nil {
			sig.Rest = []byte("x")
		}
		return sig, err
	}}
	done, err := ca.Finish(t.Context(), trailing, cert, proof, i.log.Policy())
	if err == nil {
		err = i.lint(done)
	}
	if !errors.Is(err, ca.ErrLint) {
		t.Errorf("a signature with something behind it: %v, want ErrLint", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ca.Finish(ended, i.authority, cert, proof, i.log.Policy()); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v, want context.Canceled", err)
	}
}

// Nothing is signed that the ledger does not hold: the signer is not even asked.
func TestPromiseP01_FinishSignsOnlyWhatTheLedgerHolds(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	foreign := i.unsigned()
	foreignProof := i.record(foreign)
	cert := i.unsigned()
	proof := i.record(cert)
	elsewhere := newIssuance(t) // the same origin and key, another tree
	elsewhere.grant, elsewhere.key, elsewhere.authority = i.grant, i.key, i.authority
	stranger, err := ledger.NewPolicy("other.example", newVKey(t, "other.example"))
	if err != nil {
		t.Fatal(err)
	}
	signed := *cert
	signed.Signature = &ssh.Signature{Format: ssh.KeyAlgoED25519}
	proved := i.changed(cert, func(c *ssh.Certificate) { c.Extensions[sshcert.ProofExtension] = string(proof) })
	proved.Signature = nil
	other := newAuthority(t)
	asked := false
	watch := badSigner{i.authority, func(context.Context, []byte) (*ssh.Signature, error) {
		asked = true
		return nil, errSealed
	}}
	bend := func(f func(*ssh.Certificate)) *ssh.Certificate {
		c := i.changed(cert, f)
		c.Signature = nil
		return c
	}
	for _, tt := range []struct {
		name   string
		cert   *ssh.Certificate
		proof  []byte
		policy *ledger.Policy
		signer ca.Signer
		want   error
	}{
		{"no proof", cert, nil, i.log.Policy(), watch, ca.ErrLint},
		{"junk as proof", cert, []byte("proof"), i.log.Policy(), watch, ledger.ErrProof},
		{"the proof of another certificate", cert, foreignProof, i.log.Policy(), watch, ledger.ErrNotIncluded},
		{"the proof of another ledger", cert, elsewhere.record(foreign), i.log.Policy(), watch, ledger.ErrNotIncluded},
		{"a ledger that is not ours", cert, proof, stranger, watch, ledger.ErrOrigin},
		{"no policy", cert, proof, nil, watch, ledger.ErrPolicy},
		{"signed before", &signed, proof, i.log.Policy(), watch, certproof.ErrEmbed},
		{"proved before", proved, proof, i.log.Policy(), watch, certproof.ErrEmbed},
		{"one principal more than recorded", bend(func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root@web-1.demo") }), proof, i.log.Policy(), watch, ledger.ErrNotIncluded},
		{"another nonce than recorded", bend(func(c *ssh.Certificate) { c.Nonce = make([]byte, 32) }), proof, i.log.Policy(), watch, ledger.ErrNotIncluded},
		{"recorded for another authority", cert, proof, i.log.Policy(), badSigner{other, watch.answer}, ca.ErrSigner},
	} {
		if _, err := ca.Finish(t.Context(), tt.signer, tt.cert, tt.proof, tt.policy); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if asked {
			t.Fatalf("%s: the signer was asked", tt.name)
		}
	}
}

func newVKey(t *testing.T, origin string) string {
	t.Helper()
	_, public, err := ledger.NewLogKey(zeros{}, origin)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) {
	clear(b)
	return len(b), nil
}
