package record

import (
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// personRead holds a reading to somebody who held the auditor's office of the
// contract in force then, by claims as fresh as a decision needs. It changes
// nothing but that it stands there.
func (e Event) personRead(v View, f PersonRead) ([]Change, error) {
	if err := e.checkRead(f); err != nil {
		return nil, err
	}
	version, err := InForce(v, f.Lineage, f.At)
	if err != nil {
		return nil, err
	}
	if f.Contract != version.Digest {
		return nil, fmt.Errorf("it was read under contract version %s, in force is %s: %w", f.Contract, version.Digest, ErrNotInForce)
	}
	return nil, Auditor(v, version, f.Person, f.Claims, f.At)
}

// checkRead holds a reading to saying one thing in one way.
func (e Event) checkRead(f PersonRead) error {
	if f.Assurance != AssuranceSession {
		return fmt.Errorf("%w: assurance %q", ErrEvent, f.Assurance)
	}
	if f.First < 0 || f.Last < f.First || f.Last >= e.Index || f.Count < 0 || f.Count > f.Last-f.First+1 {
		return fmt.Errorf("%w: a reading is of %d leaves from %d to %d before it", ErrEvent, f.Count, f.First, f.Last)
	}
	switch f.How {
	case ReadExport:
		if len(f.Leaves) > 0 || !f.Query.IsZero() {
			return fmt.Errorf("%w: an export names no leaves and nothing that was looked for", ErrEvent)
		}
		return nil
	case ReadEntry:
		if f.First != f.Last || f.Count != 1 || !f.Query.IsZero() {
			return fmt.Errorf("%w: the reading of an entry is of one", ErrEvent)
		}
	case ReadList:
	default:
		return fmt.Errorf("%w: nothing is read by %q", ErrEvent, f.How)
	}
	if int64(len(f.Leaves)) != f.Count || len(f.Leaves) > MaxRead {
		return fmt.Errorf("%w: a reading of %d leaves names %d, at most %d", ErrEvent, f.Count, len(f.Leaves), MaxRead)
	}
	for i, leaf := range f.Leaves {
		if leaf < f.First || leaf > f.Last || (i > 0 && f.Leaves[i-1] >= leaf) {
			return fmt.Errorf("%w: a reading names its leaves in order, each once", ErrEvent)
		}
	}
	return nil
}

// Auditor returns nil if a person held the auditor's office of a contract version
// at now, by claims that are their newest and as fresh as a decision needs.
func Auditor(v View, version *contract.Version, id canon.ID, c Claims, now canon.Micros) error {
	if err := notLocked(v, id); err != nil {
		return err
	}
	if err := newest(v, id, c); err != nil {
		return err
	}
	subject, err := subjectOf(v, version.Terms, id, c, now, version.Terms.Ceilings.ClaimsMaxAge.Decide)
	if err != nil {
		return err
	}
	return version.Terms.CheckHolds(subject, contract.Auditor)
}
