package ca

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

// Finish puts the ledger proof into the recorded certificate and has it signed
// (docs/issuance.md, steps 4 and 5). It signs only bytes whose proof verifies
// under policy, so nothing leaves that the ledger does not hold; and it verifies
// the signature, because a key service may answer with one of another key
// version. It does not use ssh.Certificate.SignCert, which draws a new nonce:
// the recorded bytes would no longer be those that are signed.
func Finish(ctx context.Context, s Signer, recorded *ssh.Certificate, proof []byte, policy *ledger.Policy) (*ssh.Certificate, error) {
	cert := *recorded
	if cert.CertType != ssh.UserCert {
		return nil, fmt.Errorf("%w: the user CA signs user certificates and nothing else", ErrLint)
	}
	if err := certproof.Embed(&cert, proof); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLint, err)
	}
	if _, err := certproof.Included(&cert, policy); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrLint, err)
	}
	if !bytes.Equal(cert.SignatureKey.Marshal(), s.PublicKey().Marshal()) {
		return nil, fmt.Errorf("%w: the certificate was recorded for another authority key", ErrSigner)
	}
	sig, err := signed(ctx, s, sshcert.SignedBytes(&cert))
	if err != nil {
		return nil, err
	}
	cert.Signature = sig
	return &cert, nil
}

// signed has bytes signed and verifies what comes back.
func signed(ctx context.Context, s Signer, tbs []byte) (*ssh.Signature, error) {
	sig, err := s.Sign(ctx, tbs)
	switch {
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrSigner):
		return nil, err // a key that is away is not one that signs badly
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrSigner, err)
	}
	if sig == nil {
		return nil, fmt.Errorf("%w: it answered without one", ErrSigner)
	}
	if err := s.PublicKey().Verify(tbs, sig); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSigner, err)
	}
	return sig, nil
}

// Lint reads the finished certificate's bytes as a stranger would and holds
// each field to the grant (docs/issuance.md, step 6). It shares no code with
// NewTemplate but the names' grammar and the key policy: what one gets wrong the
// other finds.
// issued is the ledger time of the certificate's leaf.
func Lint(wire []byte, g approval.Grant, key, authority ssh.PublicKey, serial uint64, issued time.Time, policy *ledger.Policy) error {
	cert, err := sshcert.ParseCertificate(wire)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	id, err := sshcert.ParseKeyID(cert.KeyId)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	wantID := sshcert.KeyID{Person: g.Person, Request: g.ID, Contract: g.Contract, End: time.Unix(g.End.Unix(), 0).UTC()}
	after, before := time.Unix(int64(cert.ValidAfter), 0), time.Unix(int64(cert.ValidBefore), 0) //nolint:gosec // compared below
	for _, check := range []struct {
		what string
		ok   bool
	}{
		{"it is not a user certificate", cert.CertType == ssh.UserCert},
		{"the serial is not the leaf's", cert.Serial == serial && serial != 0},
		{"the nonce is not 32 bytes", len(cert.Nonce) == NonceSize},
		{"the key is not the proved one", bytes.Equal(cert.Key.Marshal(), key.Marshal())},
		{"the authority is not the pinned one", bytes.Equal(cert.SignatureKey.Marshal(), authority.Marshal())},
		{"the key ID is not the grant's", id == wantID},
		{"the principals are not the grant's", principalsMatch(cert.ValidPrincipals, g)},
		{"the critical options are not the grant's", optionsMatch(cert.CriticalOptions, g.Options)},
		{"its key is of a type that the grant does not allow", len(g.Keys) == 0 || slices.Contains(g.Keys, cert.Key.Type())},
		{"its key does not verify its user", !g.Options.VerifyRequired || strings.HasPrefix(cert.Key.Type(), "sk-")},
		{"the extensions are not the grant's", extensionsMatch(cert.Extensions, g.Extensions)},
		{"it is valid before it was issued", !after.Before(issued.Add(-Backdate)) && !after.Before(g.Start.Truncate(time.Second))},
		{"it is not valid yet when issued", !after.After(issued)},
		{"it outlives the grant", !before.After(g.End)},
		{"it outlives the limit for one certificate", !before.After(issued.Add(g.TTL))},
		{"it ends before it begins", before.After(after)},
		{"the reserved field is not empty", len(cert.Reserved) == 0},
	} {
		if !check.ok {
			return fmt.Errorf("%w: %s", ErrLint, check.what)
		}
	}
	if _, err := certproof.Verify(cert, policy); err != nil {
		return fmt.Errorf("%w: %w", ErrLint, err)
	}
	return nil
}

// principalsMatch reports whether list is every granted login on every granted
// host, each once, and nothing else.
func principalsMatch(list []string, g approval.Grant) bool {
	if len(list) == 0 || len(list) != len(g.Logins)*len(g.Hosts) || !slices.IsSorted(list) {
		return false
	}
	seen := make(map[sshcert.Principal]bool, len(list))
	for _, s := range list {
		p, err := sshcert.ParsePrincipal(s)
		if err != nil || seen[p] || !slices.Contains(g.Logins, p.Login) || !slices.Contains(g.Hosts, p.Host) {
			return false
		}
		seen[p] = true
	}
	return true
}

// extensionsMatch reports whether the certificate carries exactly the granted
// extensions, all empty, and the proof.
func extensionsMatch(have map[string]string, want []string) bool {
	if len(have) != len(want)+1 || have[sshcert.ProofExtension] == "" {
		return false
	}
	for _, name := range want {
		if value, ok := have[name]; !ok || value != "" || !known(name) {
			return false
		}
	}
	return true
}
