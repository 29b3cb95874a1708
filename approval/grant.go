package approval

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// Grant is what a settled request allows: the only input to issuing. It has the
// id of its request.
type Grant struct {
	ID         canon.ID
	Person     canon.ID
	Contract   canon.Digest
	Lineage    canon.Digest
	Logins     []sshcert.Login
	Hosts      []sshcert.Host
	Start      time.Time     // the last approval; nothing is issued before it
	End        time.Time     // nothing is valid after it
	TTL        time.Duration // how long one certificate lasts at most
	Extensions []string      // exactly these stand in a certificate, sorted
	Options    Options       // exactly these critical options, too
	Keys       []string      // SSH types that a certificate's key may have; none: all of the key policy
}

// Options are the critical options of a certificate: where and for what alone it may
// be used. The zero value is none of them.
type Options struct {
	SourceAddress  []netip.Prefix // none: from anywhere
	ForceCommand   string         // empty: any command
	VerifyRequired bool           // the FIDO key verifies its user at each login
}

// Grant returns what the request allows under the terms it was judged by, or
// ErrNotGranted. The clock starts at the last approval; the end is bounded by
// what was asked, by each decision, by the role and by the contract's ceiling.
func (r Request) Grant(terms *contract.Terms) (Grant, error) {
	status := r.Status(r.lastAt())
	if status.State == Revoked {
		return Grant{}, fmt.Errorf("%w at %s; ask again", ErrRevoked, status.At.Format(time.RFC3339))
	}
	if status.State != Granted {
		return Grant{}, fmt.Errorf("it is %s: %w", status.State, ErrNotGranted)
	}
	role, ok := terms.Role(r.Role)
	if !ok {
		return Grant{}, fmt.Errorf("the contract has no role %s: %w", r.Role, ErrNotGranted)
	}
	length := min(time.Duration(r.granted())*time.Second, role.Grant.Max, terms.Ceilings.Grant)
	g := Grant{
		ID: r.ID, Person: r.By, Contract: r.Contract, Lineage: r.Lineage,
		Logins: slices.Clone(r.Logins), Hosts: slices.Clone(r.Hosts),
		Start: status.At, End: status.At.Add(length),
		TTL: min(role.Cert.TTL, terms.Ceilings.CertTTL), Extensions: slices.Clone(role.Cert.Extensions),
		Options: Options{
			SourceAddress: slices.Clone(role.Cert.SourceAddress), ForceCommand: role.Cert.ForceCommand, VerifyRequired: role.Cert.VerifyRequired,
		},
		Keys: slices.Clone(role.Cert.Keys),
	}
	if end := r.Ended.At.Time(); r.Ended.At != 0 && end.Before(g.End) {
		g.End = end
	}
	slices.Sort(g.Extensions)
	return g, nil
}

// Active returns nil while certificates may be issued under the grant: from the
// last approval, its moment included, to the end, its moment excluded.
func (g Grant) Active(now time.Time) error {
	switch {
	case now.Before(g.Start):
		return fmt.Errorf("it starts at %s: %w", g.Start.Format(time.RFC3339), ErrNotGranted)
	case !now.Before(g.End):
		return fmt.Errorf("it ended at %s; ask again: %w", g.End.Format(time.RFC3339), ErrGrantOver)
	}
	return nil
}
