package record

import (
	"fmt"
	"net/url"

	"github.com/sallyport/sallyport/canon"
)

// maxWorkloadIssuer is the longest URL of a workload's issuer, in bytes.
const maxWorkloadIssuer = 255

// Workload says by whose identity token a host joins: who issues it, and for which
// subject, of which the ledger has a digest.
type Workload struct {
	Issuer  string       `json:"issuer"`
	Subject canon.Digest `json:"subject"` // WorkloadSubject
}

// IsZero reports whether w is nobody.
func (w Workload) IsZero() bool { return w == Workload{} }

// WorkloadSubject is what the ledger has of the subject of an issuer's identity token.
func WorkloadSubject(issuer, subject string) canon.Digest {
	of := canon.Sum("sallyport.issuer/v1", []byte(issuer)) // of fixed length, so that no two pairs read alike
	return canon.Sum("sallyport.workload/v1", of[:], []byte(subject))
}

// CheckWorkload refuses a workload whose issuer could be no issuer's URL, or that has
// no subject.
func CheckWorkload(w Workload) error {
	u, err := url.Parse(w.Issuer)
	if err != nil || len(w.Issuer) > maxWorkloadIssuer || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.String() != w.Issuer ||
		u.Scheme != "https" && (u.Scheme != "http" || !loopbackHost(u.Hostname())) {
		return fmt.Errorf("issuer %.100q: %w: the URL of an identity provider, https or http on a loopback address", w.Issuer, ErrEvent)
	}
	if w.Subject.IsZero() {
		return fmt.Errorf("workload: %w: it has no subject", ErrEvent)
	}
	return nil
}

// loopbackHost reports whether a host is this machine.
func loopbackHost(name string) bool {
	return name == "localhost" || name == "127.0.0.1" || name == "::1"
}

// checkProof demands that whoever takes an invitation has to show one thing: the
// secret, or the identity token of one workload.
func checkProof(secret canon.Digest, w Workload) error {
	switch {
	case secret.IsZero() == w.IsZero():
		return fmt.Errorf("%w: an invitation has either a secret, or names the workload that joins", ErrEvent)
	case w.IsZero():
		return nil
	}
	return CheckWorkload(w)
}
