package record

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// TargetType says what a revocation is of.
type TargetType string

// What can be revoked.
const (
	TargetCertificate TargetType = "certificate" // one, by its serial
	TargetGrant       TargetType = "grant"       // what a request gave
	TargetRequest     TargetType = "request"     // pending, or what it gave
	TargetPerson      TargetType = "person"      // all that somebody asked for until then
	TargetRole        TargetType = "role"        // all that was asked for in a role until then
	TargetHost        TargetType = "host"        // all that was asked for on a host until then
)

// Target is what a revocation is of: a type, and the one member that goes with it.
type Target struct {
	Type   TargetType   `json:"type"`
	Serial uint64       `json:"serial,omitempty"` // of a certificate
	ID     canon.ID     `json:"id,omitempty"`     // of a grant, a request or a person
	Role   string       `json:"role,omitempty"`
	Host   sshcert.Host `json:"host,omitempty"`
}

// MaxSerial is the greatest serial that a target names: canonical JSON has no
// greater number, and no ledger as many leaves.
const MaxSerial = 1<<53 - 1

// check refuses a target that names nothing, or two things.
func (t Target) check() error {
	var named Target
	switch t.Type {
	case TargetCertificate:
		named.Serial = t.Serial
	case TargetGrant, TargetRequest, TargetPerson:
		named.ID = t.ID
	case TargetRole:
		named.Role = t.Role
	case TargetHost:
		named.Host = t.Host
	default:
		return fmt.Errorf("%w: nothing called %q is revoked", ErrEvent, t.Type)
	}
	if named == (Target{}) {
		return fmt.Errorf("%w: it does not say which %s is revoked", ErrEvent, t.Type)
	}
	if named.Type = t.Type; named != t {
		return fmt.Errorf("%w: a revocation is of one thing", ErrEvent)
	}
	return nil
}

// Whole reports whether the target stands for all that was asked for by somebody,
// for a role or on a host.
func (t Target) Whole() bool {
	return t.Type == TargetPerson || t.Type == TargetRole || t.Type == TargetHost
}

// String names the target in words.
func (t Target) String() string {
	switch t.Type {
	case TargetCertificate:
		return "certificate " + strconv.FormatUint(t.Serial, 10)
	case TargetGrant, TargetRequest, TargetPerson:
		return string(t.Type) + " " + string(t.ID)
	case TargetRole:
		return "role " + t.Role
	case TargetHost:
		return "host " + string(t.Host)
	}
	return string(t.Type)
}

// key is the key of TableRevoked.
func (t Target) key(lineage canon.Digest) string {
	return lineage.String() + "/" + string(t.Type) + "/" + string(t.ID) + t.Role + string(t.Host)
}

// wholes are the targets that stand for more than a request and for it too.
func wholes(r approval.Request) []Target {
	out := []Target{{Type: TargetPerson, ID: r.By}, {Type: TargetRole, Role: r.Role}}
	for _, h := range r.Hosts {
		out = append(out, Target{Type: TargetHost, Host: h})
	}
	return out
}

// CertificateOver is how long after its end a certificate may still be taken, and a
// session go on, on a host whose clock is late.
const CertificateOver = time.Minute

// Ends is when a certificate of a request opens nothing any more, and nothing that it
// opened runs: sessions last until the grant's end, and no certificate outlives it.
func Ends(v View, c CertificateRow, r approval.Request) (canon.Micros, error) {
	version, err := v.Version(c.Contract) // a grant that was carried since had that end then
	if err != nil {
		return 0, err
	}
	r.Revoked, r.Cancelled, r.Ended = approval.Revocation{}, approval.Cancellation{}, approval.Ending{} // the end that it had
	grant, err := r.Grant(version.Terms)
	if err != nil {
		return 0, err
	}
	return max(c.Before, canon.At(grant.End)), nil
}

// Over reports whether a certificate that ends then is of no use on any host, revoked
// or not.
func Over(end, now canon.Micros) bool { return now.Time().Sub(end.Time()) >= CertificateOver }

// Changes reports whether a leaf may bring an amendment into force: then Covers asks
// for a request as Standing returns it.
func Changes(f Facts) bool {
	switch f.(type) {
	case ContractSign, ContractCondition:
		return true
	}
	return false
}

// Covers reports whether a leaf takes away a certificate that was recorded before
// it, under a request: a revocation, a lock, that it is void, the end of its contract,
// or the last signature or condition of an amendment that ends the grant. From then on
// every revocation list has the certificate's serial until it is over. An amendment
// that is in force on a later day takes away at once what would outlast that day; the
// next certificate ends by then.
func Covers(f Facts, c CertificateRow, r approval.Request) bool {
	switch f := f.(type) {
	case AccessRevoke:
		switch t := f.Target; t.Type {
		case TargetCertificate:
			return c.Serial == t.Serial
		case TargetGrant, TargetRequest:
			return c.Grant == t.ID
		case TargetPerson:
			return r.Lineage == f.Lineage && c.Person == t.ID
		case TargetRole:
			return r.Lineage == f.Lineage && r.Role == t.Role
		case TargetHost:
			return r.Lineage == f.Lineage && slices.Contains(r.Hosts, t.Host)
		}
	case ContractTerminate: // what would outlast the contract
		last := r.At
		if n := len(r.Decisions); n > 0 {
			last = r.Decisions[n-1].At
		}
		return r.Lineage == f.Lineage && (c.Before > f.EndsAt || last+canon.Micros(r.Seconds)*1e6 > f.EndsAt)
	case ContractSign:
		return r.Lineage == f.Lineage && r.Ended.By == f.Contract
	case ContractCondition:
		return r.Lineage == f.Lineage && r.Ended.By == f.Contract
	case PersonLock:
		return c.Person == f.Person
	case CertificateVoid:
		return c.Serial == f.Serial
	}
	return false
}
