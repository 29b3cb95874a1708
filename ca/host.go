package ca

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	// HostLife is how long a host certificate is good unless something else is
	// said. A host renews it long before.
	HostLife = 7 * 24 * time.Hour
	// MinHostLife is the shortest that it may be good.
	MinHostLife = time.Hour
	// MaxHostLife is the longest.
	MaxHostLife = 30 * 24 * time.Hour
)

// HostTemplate says for which host a certificate is, by which its clients know it.
type HostTemplate struct {
	Host    sshcert.Host   // its first principal
	Aliases []sshcert.Host // the host's other names, sorted: the other principals
	Lineage canon.Digest
	Key     ssh.PublicKey // the host's own
	Issued  time.Time     // the ledger time of the leaf
	Life    time.Duration
}

// Certificate returns the unsigned host certificate: what sshcert.TBS turns into
// the bytes that the ledger records. It names that one host by its names and carries no option
// and no extension; its proof stays with the authority, for no client asks for one
// (docs/adr/0023). authority is the host CA's key.
func (t HostTemplate) Certificate(serial uint64, nonce []byte, authority ssh.PublicKey) (*ssh.Certificate, error) {
	if serial == 0 || len(nonce) != NonceSize {
		return nil, fmt.Errorf("%w: serial %d, nonce of %d bytes", ErrTemplate, serial, len(nonce))
	}
	if err := hostAuthority(authority); err != nil {
		return nil, err
	}
	if t.Life < MinHostLife || t.Life > MaxHostLife || t.Life%time.Second != 0 {
		return nil, fmt.Errorf("%w: a host certificate of %s; it is good for %s to %s", ErrTemplate, t.Life, MinHostLife, MaxHostLife)
	}
	for _, name := range t.names() {
		if _, err := sshcert.ParseHost(name); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrTemplate, err)
		}
	}
	key, err := sshcert.ParseSubjectKey(t.Key.Marshal())
	if err != nil {
		return nil, err
	}
	after := t.Issued.Add(time.Second - 1 - Backdate).Truncate(time.Second)
	before := t.Issued.Add(t.Life).Truncate(time.Second)
	return &ssh.Certificate{
		Nonce: slices.Clone(nonce), Key: key, Serial: serial, CertType: ssh.HostCert,
		KeyId: t.keyID(), ValidPrincipals: t.names(),
		ValidAfter: uint64(after.Unix()), ValidBefore: uint64(before.Unix()), //nolint:gosec // times of this century
		SignatureKey: authority,
	}, nil
}

// names are the principals: the host's name, and its other ones.
func (t HostTemplate) names() []string {
	out := []string{string(t.Host)}
	for _, a := range t.Aliases {
		out = append(out, string(a))
	}
	return out
}

// keyID names host and contract; it is not the form of a person's.
func (t HostTemplate) keyID() string { return "h=" + string(t.Host) + ";l=" + t.Lineage.String() }

// hostAuthority refuses keys that no host CA has: a certificate, and one that
// somebody would have to touch.
func hostAuthority(key ssh.PublicKey) error {
	if _, ok := key.(*ssh.Certificate); ok {
		return fmt.Errorf("%w: the host CA's key is a certificate", ErrTemplate)
	}
	if strings.HasPrefix(key.Type(), "sk-") {
		return fmt.Errorf("%w: the host CA's key is a %s, which somebody has to touch", ErrTemplate, key.Type())
	}
	return nil
}

// FinishHost has a recorded host certificate signed. leaf is what the ledger
// recorded of it and proof shows that leaf under a checkpoint that policy believes:
// so no host certificate is signed that the ledger does not hold (P01). The key is
// the host CA's and never signs anything but host certificates: a user certificate
// is refused here as a host certificate is in Finish.
func FinishHost(ctx context.Context, s Signer, recorded *ssh.Certificate, leaf ledger.Leaf, proof []byte, policy *ledger.Policy) (*ssh.Certificate, error) {
	cert := *recorded
	if err := hostRecorded(&cert, leaf, proof, policy); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLint, err)
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), s.PublicKey().Marshal()) {
		return nil, fmt.Errorf("%w: the certificate was recorded for another host CA", ErrSigner)
	}
	tbs := sshcert.SignedBytes(&cert)
	sig, err := signed(ctx, s, tbs)
	if err != nil {
		return nil, err
	}
	cert.Signature = sig
	return &cert, nil
}

// hostRecorded refuses a certificate that is not the recorded host certificate.
func hostRecorded(cert *ssh.Certificate, leaf ledger.Leaf, proof []byte, policy *ledger.Policy) error {
	if cert.CertType != ssh.HostCert {
		return errors.New("the host CA signs host certificates and nothing else")
	}
	if leaf.Kind != ledger.HostCertify || leaf.Reference != canon.Digest(sha256.Sum256(sshcert.SignedBytes(cert))).String() {
		return errors.New("the leaf is another certificate's")
	}
	hash, err := leaf.Hash()
	if err != nil {
		return err
	}
	proved, err := policy.VerifyProof(proof, hash)
	if err != nil {
		return err
	}
	if cert.Serial != ledger.Serial(proved.Index) {
		return fmt.Errorf("serial %d, the leaf at index %d gives %d", cert.Serial, proved.Index, ledger.Serial(proved.Index))
	}
	return nil
}

// LintHost reads the finished host certificate's bytes as a stranger would and
// holds each field to what was asked for.
func LintHost(wire []byte, t HostTemplate, authority ssh.PublicKey, serial uint64) error {
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	after, before := time.Unix(int64(cert.ValidAfter), 0), time.Unix(int64(cert.ValidBefore), 0) //nolint:gosec // compared below
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"it is not a host certificate", cert.CertType == ssh.HostCert},
		{"the serial is not the leaf's", cert.Serial == serial && serial != 0},
		{"the nonce is not 32 bytes", len(cert.Nonce) == NonceSize},
		{"the key is not the host's", bytes.Equal(cert.Key.Marshal(), t.Key.Marshal())},
		{"the authority is not the host CA", bytes.Equal(cert.SignatureKey.Marshal(), authority.Marshal())},
		{"the key ID is not the host's", cert.KeyId == "h="+string(t.Host)+";l="+t.Lineage.String()},
		{"it names not exactly this host", slices.Equal(cert.ValidPrincipals, t.names())},
		{"it has an option", len(cert.CriticalOptions) == 0 && len(cert.Extensions) == 0},
		{"it is valid before it was issued", !after.Before(t.Issued.Add(-Backdate)) && !after.After(t.Issued)},
		{"it is good for too long", !before.After(t.Issued.Add(t.Life)) && !before.After(t.Issued.Add(MaxHostLife))},
		{"it ends before it begins", before.After(after)},
		{"the reserved field is not empty", len(cert.Reserved) == 0},
	} {
		if !check.ok {
			return fmt.Errorf("%w: %s", ErrLint, check.what)
		}
	}
	if err := authority.Verify(sshcert.SignedBytes(cert), cert.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	return nil
}
