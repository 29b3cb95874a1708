package record

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// acts is what somebody did, as far as erasing them depends on it.
type acts struct {
	v    View
	now  canon.Micros
	last map[canon.Digest]canon.Micros // by contract version: when it ended
	open []string                      // what still goes on, in words
	// inForce are the contracts in force.
	inForce []*contract.Version
}

func actsOf(v View, people []canon.ID, now canon.Micros) (*acts, error) {
	a := &acts{v: v, now: now, last: make(map[canon.Digest]canon.Micros)}
	lineages, err := v.Keys(TableLineage, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	for _, key := range lineages {
		lineage, err := canon.ParseDigest(key)
		if err != nil {
			return nil, err
		}
		version, err := InForce(v, lineage, now)
		switch {
		case errors.Is(err, ErrNotInForce):
			continue
		case err != nil:
			return nil, err
		}
		a.inForce = append(a.inForce, version)
	}
	for _, id := range people {
		for _, list := range []struct {
			table Table
			index string
			add   func(canon.ID, string) error
		}{
			{TableRequest, "by", a.asked}, {TableDecision, "by", a.decided}, {TableCertificate, "person", a.issued}, {TableLogin, "person", a.loggedIn},
		} {
			keys, err := v.Keys(list.table, Index{list.index, string(id)})
			if err != nil {
				return nil, err
			}
			for _, key := range keys {
				if err := list.add(id, key); err != nil {
					return nil, err
				}
			}
		}
	}
	return a, nil
}

func (a *acts) at(version canon.Digest, at canon.Micros) {
	a.last[version] = max(a.last[version], at)
}

// asked takes a request: it ends with its last decision, its cancellation or its
// grant.
func (a *acts) asked(_ canon.ID, key string) error {
	r, err := Request(a.v, canon.ID(key))
	if err != nil {
		return err
	}
	a.at(r.Contract, max(r.At, r.Cancelled.At))
	for _, d := range r.Decisions {
		a.at(r.Contract, d.At)
	}
	if r, err = Standing(a.v, r); err != nil {
		return err
	}
	switch r.Status(a.now.Time()).State {
	case approval.Pending:
		a.open = append(a.open, fmt.Sprintf("request %s is open", r.ID))
	case approval.Revoked:
		a.at(r.Contract, r.Revoked.At)
	case approval.Granted:
		version, err := a.v.Version(r.Contract)
		if err != nil {
			return err
		}
		grant, err := r.Grant(version.Terms)
		if err != nil {
			return err
		}
		a.at(r.Contract, canon.At(grant.End))
		if a.now.Time().Before(grant.End) {
			a.open = append(a.open, fmt.Sprintf("grant %s lasts until %s", r.ID, grant.End.Format(time.RFC3339)))
		}
	case approval.Denied, approval.Expired, approval.Cancelled, approval.Ended:
	}
	return nil
}

// decided takes a decision. While its request is open the person must be known:
// with another account the same human would count a second time.
func (a *acts) decided(by canon.ID, key string) error {
	id, _, _ := strings.Cut(key, "/")
	r, err := Request(a.v, canon.ID(id))
	if err != nil {
		return err
	}
	for _, d := range r.Decisions {
		if d.By == by {
			a.at(r.Contract, d.At)
		}
	}
	if r, err = Standing(a.v, r); err != nil {
		return err
	}
	if r.Status(a.now.Time()).State == approval.Pending {
		a.open = append(a.open, fmt.Sprintf("request %s, on which they decided, is open", r.ID))
	}
	return nil
}

func (a *acts) issued(_ canon.ID, key string) error {
	row, err := get[CertificateRow](a.v, TableCertificate, key)
	if err == nil {
		a.at(row.Contract, row.Before)
	}
	return err
}

// loggedIn takes a login: an act under every contract in force that names its
// client.
func (a *acts) loggedIn(_ canon.ID, key string) error {
	login, err := get[LoginRow](a.v, TableLogin, key)
	if err != nil {
		return err
	}
	for _, version := range a.inForce {
		if names(version.Terms, login) {
			a.at(version.Digest, login.ClaimsAt)
		}
	}
	return nil
}

// erasableFrom returns from when on every contract lets the person go, and the
// one that says so. It is zero if they never acted.
func (a *acts) erasableFrom() (from time.Time, by *contract.Version, err error) {
	for _, d := range slices.SortedFunc(maps.Keys(a.last), func(x, y canon.Digest) int { return strings.Compare(x.String(), y.String()) }) {
		version, err := a.v.Version(d)
		if err != nil {
			return time.Time{}, nil, err
		}
		if until := a.last[d].Time().Add(version.Terms.Retention.Period); until.After(from) {
			from, by = until, version
		}
	}
	return from, by, nil
}

// about returns the contracts in force under which somebody acted, whose
// signatories are asked; if there is none, every contract in force.
func (a *acts) about() ([]*contract.Version, error) {
	lineages := make(map[canon.Digest]bool)
	for d := range a.last {
		version, err := a.v.Version(d)
		if err != nil {
			return nil, err
		}
		lineages[version.Lineage()] = true
	}
	var out []*contract.Version
	for _, version := range a.inForce {
		if lineages[version.Lineage()] {
			out = append(out, version)
		}
	}
	if len(out) == 0 {
		return a.inForce, nil
	}
	return out, nil
}
