package record

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// FirstTimeAfter is how long a host stays known to somebody after the end of their
// last grant on it: then they are there for the first time again.
const FirstTimeAfter = 180 * 24 * time.Hour

// held is a grant that somebody has or had.
type held struct {
	request    approval.Request
	start, end time.Time // end: of the grant, or when it was revoked
}

// grantsOf returns what the accounts were granted under a lineage, of the requests
// that pass the filter.
func grantsOf(v View, lineage canon.Digest, accounts []canon.ID, filter func(approval.Request) bool) ([]held, error) {
	var out []held
	for _, id := range accounts {
		keys, err := v.Keys(TableRequest, Index{"by", string(id)})
		if err != nil {
			return nil, err
		}
		for _, key := range keys {
			r, err := Request(v, canon.ID(key))
			if err != nil {
				return nil, err
			}
			if r.Lineage != lineage || !filter(r) {
				continue
			}
			if r, err = Standing(v, r); err != nil {
				return nil, err
			}
			version, err := v.Version(r.Contract)
			if err != nil {
				return nil, err
			}
			grant, err := r.BeforeRevocation().Grant(version.Terms)
			if errors.Is(err, approval.ErrNotGranted) {
				continue
			}
			if err != nil {
				return nil, err
			}
			h := held{request: r, start: grant.Start, end: grant.End}
			if at := r.Revoked.At; at != 0 && at.Time().Before(h.end) {
				h.end = at.Time()
			}
			out = append(out, h)
		}
	}
	return out, nil
}

// exclusive refuses a grant from start to end to somebody who holds a role that
// excludes this one, or held it too short a time ago. A human's accounts count as
// one. Of two that got into each other's way, because two accounts became known to be
// one human's, the one that began first stands.
func exclusive(v View, terms *contract.Terms, r approval.Request, start, end time.Time) error {
	if !terms.Exclusive(r.Role) {
		return nil
	}
	accounts, err := Accounts(v, r.By)
	if err != nil {
		return err
	}
	others, err := grantsOf(v, r.Lineage, accounts, func(q approval.Request) bool {
		_, excluded := terms.Excludes(r.Role, q.Role)
		return excluded && q.ID != r.ID
	})
	if err != nil {
		return err
	}
	for _, o := range others {
		if o.start.After(start) || o.start.Equal(start) && o.request.ID > r.ID {
			continue
		}
		apart, _ := terms.Excludes(r.Role, o.request.Role)
		if free := o.end.Add(apart); start.Before(free) {
			return excludedBy(terms, r, o, free)
		}
	}
	return nil
}

func excludedBy(terms *contract.Terms, r approval.Request, o held, free time.Time) error {
	out := &contract.ClauseError{
		Field: "role", Limit: "one of the two at a time: ask again after " + free.UTC().Format(time.RFC3339),
		Err: fmt.Errorf("%s and %s are not held together, and request %s gave %s until %s: %w",
			r.Role, o.request.Role, o.request.ID, o.request.Role, o.end.UTC().Format(time.RFC3339), contract.ErrExclusive),
	}
	if role, ok := terms.Role(r.Role); ok {
		out.Clause = role.Clause
	}
	return out
}

// firstInTime refuses the first certificate of a grant when the contract's approval
// time is over: what was approved and not used in time is asked for again.
func firstInTime(v View, terms *contract.Terms, g approval.Grant, now canon.Micros) error {
	most := terms.Ceilings.ApprovalTTL
	until := g.Start.Add(most)
	if most == 0 || now.Time().Before(until) {
		return nil
	}
	keys, err := v.Keys(TableCertificate, Index{"grant", string(g.ID)})
	if err != nil {
		return err
	}
	for _, key := range keys {
		row, err := get[CertificateRow](v, TableCertificate, key)
		if err != nil {
			return err
		}
		if !row.Void {
			return nil
		}
	}
	return fmt.Errorf("it was approved at %s, and its first certificate had to be made within %s (ceilings.approval_ttl); ask again: %w",
		g.Start.UTC().Format(time.RFC3339), most, approval.ErrGrantOver)
}

// knownHosts answers whether a request is for a host on which its account was granted
// nothing within FirstTimeAfter. Other accounts of the same human don't count: what is
// known of them takes away and never gives.
func knownHosts(v View, terms *contract.Terms, doc RequestDoc, now canon.Micros) (contract.Answer, error) {
	role, ok := terms.Role(doc.Role)
	if !ok || !slices.ContainsFunc(role.Paths, func(p contract.Path) bool { return p.When != "" }) {
		return contract.NotKnown, nil // nobody asks
	}
	version, err := v.Version(doc.Contract)
	if err != nil {
		return contract.NotKnown, err
	}
	grants, err := grantsOf(v, version.Lineage(), []canon.ID{doc.Person}, func(q approval.Request) bool {
		return now.Time().Sub(q.At.Time()) < 2*FirstTimeAfter // a grant is shorter than that
	})
	if err != nil {
		return contract.NotKnown, err
	}
	known := make(map[sshcert.Host]bool)
	for _, g := range grants {
		if now.Time().Sub(g.end) < FirstTimeAfter {
			for _, h := range g.request.Hosts {
				known[h] = true
			}
		}
	}
	for _, h := range doc.Hosts {
		if !known[h] {
			return contract.Yes, nil
		}
	}
	return contract.No, nil
}
