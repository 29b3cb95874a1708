package authority

import (
	"context"
	"errors"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// Reading is what somebody is about to be shown of others by an auditor's office.
type Reading struct {
	How         string // record.ReadEntry, record.ReadList or record.ReadExport
	First, Last int64  // the leaves that were read or searched
	Query       canon.Digest
	// Shown says what is shown by the office of each contract, by lineage. One of
	// which nothing is shown was searched in vain.
	Shown map[canon.Digest]ShownParts
}

// ShownParts is what is shown of others by the office of one contract.
type ShownParts struct {
	Count  int64   // person parts
	Leaves []int64 // their leaves, in order; none for an export
}

// RecordReading records what a session's person reads, one leaf for each contract,
// and returns when that is durable: nothing is shown before. The fold refuses
// whoever does not hold the office.
func (a *Authority) RecordReading(ctx context.Context, s store.Session, r Reading) error {
	if len(r.Shown) == 0 {
		return nil
	}
	ids := make(map[canon.Digest]canon.ID, len(r.Shown))
	for lineage := range r.Shown {
		id, err := canon.NewID(a.rand)
		if err != nil {
			return err
		}
		ids[lineage] = id
	}
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		for lineage, shown := range r.Shown {
			version, err := record.InForce(tx, lineage, tx.Now())
			if err != nil {
				return err
			}
			f := record.PersonRead{
				At: tx.Now(), Read: ids[lineage], Lineage: lineage, Contract: version.Digest, Person: s.Person, Claims: s.Claims(),
				Assurance: record.AssuranceSession, How: r.How, First: r.First, Last: r.Last, Count: shown.Count, Leaves: shown.Leaves, Query: r.Query,
			}
			if _, err := tx.Append(store.Draft{Facts: f}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	a.settle(ctx)
	return nil
}

// AuditorOf returns the contract versions in force whose auditor a session's person
// is now. stale is why they are not the auditor of one that they would be with
// newer claims, nil if there is none.
func AuditorOf(r *store.Reader, s store.Session, now canon.Micros) (of []*contract.Version, stale, err error) {
	versions, err := InForce(r, now)
	if err != nil {
		return nil, nil, err
	}
	subject, err := Subject(r, s)
	if err != nil {
		return nil, nil, err
	}
	for _, v := range versions {
		if in, _ := v.Terms.Holds(subject, contract.Auditor); !in { // an error says that it is not known
			continue
		}
		switch err := record.Auditor(r, v, s.Person, s.Claims(), now); {
		case err == nil:
			of = append(of, v)
		case errors.Is(err, record.ErrClaimsOld), errors.Is(err, record.ErrOtherLogin), errors.Is(err, record.ErrLocked):
			stale = err
		default:
			return nil, nil, err
		}
	}
	return of, stale, nil
}
