package server

import (
	"crypto/ed25519"
	"errors"
	"maps"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// maxIssued bounds how many certificates a request's page lists.
const maxIssued = 20

// certificateView is what a certificate under a request says, key and serial
// aside.
type certificateView struct {
	Principals []string
	KeyID      string
	After      canon.Micros // if it were issued now
	Before     canon.Micros
	GrantEnd   canon.Micros
	Life       int64    // seconds of one certificate at most
	Extensions []string // the ledger proof among them
	Options    []string // critical options, with their values
	CA         string   // fingerprint of the key that signs
}

// noKey is a key to make the template of a certificate with that is never signed.
var noKey = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))[ed25519.SeedSize:]

// noFIDOKey is noKey as a FIDO key, over which any certificate can be.
func noFIDOKey() (ssh.PublicKey, error) {
	return ssh.ParsePublicKey(ssh.Marshal(struct {
		Name, Point, Application string
	}{ssh.KeyAlgoSKED25519, string(noKey), "ssh:"}))
}

// criticalOptions lists options as ssh-keygen -L does, sorted.
func criticalOptions(options map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(options)) {
		if value := options[name]; value != "" {
			name += " " + value
		}
		out = append(out, name)
	}
	return out
}

// foresee returns what the first certificate would say if everybody who is still
// asked approved now; for a granted request, what was made possible then. It asks
// the code that makes certificates.
func (s *Server) foresee(r *store.Reader, q approval.Request, terms *contract.Terms, now time.Time) (certificateView, error) {
	for q.Status(now).State == approval.Pending {
		q.Decisions = append(slices.Clip(q.Decisions), approval.Decision{Verdict: approval.Approve, At: canon.At(now)})
	}
	q = q.BeforeRevocation()
	grant, err := q.Grant(terms)
	switch {
	case errors.Is(err, approval.ErrNotGranted): // denied or expired: nothing will be signed
		return certificateView{}, nil
	case err != nil:
		return certificateView{}, err
	case grant.Active(now) != nil:
		now = grant.Start
	}
	key, err := noFIDOKey()
	if err != nil {
		return certificateView{}, err
	}
	grant.Keys = nil // the real key's type is looked at when there is one
	authorityKey, err := authority.UserCA(r)
	if err != nil {
		return certificateView{}, err
	}
	template, err := ca.NewTemplate(grant, key, now)
	if errors.Is(err, approval.ErrGrantOver) { // its last seconds: no certificate is worth making
		template, err = ca.NewTemplate(grant, key, grant.Start)
	}
	if err != nil {
		return certificateView{}, err
	}
	cert, err := template.Certificate(1, make([]byte, ca.NonceSize), authorityKey)
	if err != nil {
		return certificateView{}, err
	}
	return certificateView{
		Principals: cert.ValidPrincipals, KeyID: cert.KeyId, After: seconds(cert.ValidAfter), Before: seconds(cert.ValidBefore),
		GrantEnd: canon.At(grant.End), Life: int64(grant.TTL / time.Second),
		Extensions: append(slices.Sorted(maps.Keys(cert.Extensions)), sshcert.ProofExtension),
		Options:    criticalOptions(cert.CriticalOptions), CA: ssh.FingerprintSHA256(authorityKey),
	}, nil
}

// issuedView is a recorded certificate.
type issuedView struct {
	Serial uint64
	Index  int64  // of its ledger entry
	State  string // certSigned, …
	At     canon.Micros
	After  canon.Micros // only if it was signed
	Before canon.Micros
}

// What became of a recorded certificate.
const (
	certSigned   = "signed"
	certRecorded = "recorded" // and not signed, so far
	certVoid     = "void"
	certRevoked  = "revoked" // by itself
)

// issuedUnder returns the certificates that were recorded under a grant, newest
// first.
func issuedUnder(r *store.Reader, id canon.ID) ([]issuedView, error) {
	rows, err := r.List(record.TableCertificate, "grant", string(id), maxIssued)
	if err != nil {
		return nil, err
	}
	var out []issuedView
	for _, body := range rows {
		var row record.CertificateRow
		if err := canon.Unmarshal(body, &row); err != nil {
			return nil, err
		}
		one := issuedView{Serial: row.Serial, Index: int64(row.Serial) - 1, State: certRecorded, Before: row.Before} //nolint:gosec // a serial is a leaf index plus one
		entry, err := r.Entry(one.Index)
		if err != nil {
			return nil, err
		}
		one.At = entry.At
		switch wire, err := r.SignedCertificate(row.Serial); {
		case row.Void:
			one.State = certVoid
		case errors.Is(err, record.ErrNotFound):
		case err != nil:
			return nil, err
		default:
			cert, err := sshcert.ParseCertificate(wire)
			if err != nil {
				return nil, err
			}
			one.State, one.After = certSigned, seconds(cert.ValidAfter)
		}
		if row.Revoked.At != 0 {
			one.State, one.At = certRevoked, row.Revoked.At
		}
		out = append(out, one)
	}
	return out, nil
}
