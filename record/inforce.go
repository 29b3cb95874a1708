package record

import (
	"fmt"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// signed returns the version of a lineage that was signed last and all that it
// amends, newest first, each with its row. It returns ErrNotInForce if none is signed.
func signed(v View, lineage canon.Digest) (LineageRow, []signedVersion, error) {
	row, err := Lineage(v, lineage)
	if err != nil {
		return LineageRow{}, nil, fmt.Errorf("contract lineage %s: %w", lineage, err)
	}
	if row.Current.IsZero() {
		return LineageRow{}, nil, fmt.Errorf("contract lineage %s: %w", lineage, ErrNotInForce)
	}
	var out []signedVersion
	for d := row.Current; !d.IsZero(); {
		state, err := Contract(v, d)
		if err != nil {
			return LineageRow{}, nil, err
		}
		out, d = append(out, signedVersion{state, v}), state.Parent
	}
	return row, out, nil
}

// signedVersion is a version that is signed, in force or not yet, or no more.
type signedVersion struct {
	ContractRow
	v View
}

func (s signedVersion) version() (*contract.Version, error) { return s.v.Version(s.Contract) }

// InForce returns the version of a lineage that is in force at now, or a
// refusal that says why none is. Which one it is follows from the leaves and now: a
// version that is signed comes into force by time alone, and so does the contract's
// end.
func InForce(v View, lineage canon.Digest, now canon.Micros) (*contract.Version, error) {
	row, chain, err := signed(v, lineage)
	if err != nil {
		return nil, err
	}
	if end := row.Terminated; end.At != 0 && now >= end.EndsAt {
		return nil, fmt.Errorf("contract %s was terminated and ended at %s: %w", chain[0].ID, end.EndsAt.Time().Format(time.RFC3339), ErrNotInForce)
	}
	for _, s := range chain {
		if s.InForceAt != 0 && now >= s.InForceAt {
			return s.version()
		}
	}
	first := chain[len(chain)-1]
	return nil, fmt.Errorf("contract %s version %d: %w", first.ID, first.Version, ErrNotInForce)
}

// Newest returns the version of a lineage by which it is judged who takes something
// away: the one in force at now, or the one that was in force last, or version 1 if
// none was. It returns ErrNotInForce if none is signed.
func Newest(v View, lineage canon.Digest, now canon.Micros) (*contract.Version, error) {
	_, chain, err := signed(v, lineage)
	if err != nil {
		return nil, err
	}
	for _, s := range chain {
		if s.InForceAt != 0 && now >= s.InForceAt {
			return s.version()
		}
	}
	return chain[len(chain)-1].version()
}

// ProposalOver returns why a version that is not signed by everybody can't come into
// force any more at now, nil while it can.
func ProposalOver(v View, row ContractRow, now canon.Micros) error {
	if row.InForceAt != 0 {
		return nil
	}
	version, err := v.Version(row.Contract)
	if err != nil {
		return err
	}
	lineage, err := Lineage(v, row.Lineage)
	if err != nil {
		return err
	}
	within := version.Terms.Effect.SignWithin
	switch {
	case row.Withdrawn.At != 0:
		return fmt.Errorf("contract %s version %d: %w: it was withdrawn at %s; make another amendment", row.ID, row.Version, ErrProposalOver, row.Withdrawn.At.Time().Format(time.RFC3339))
	case row.SignedAt == 0 && within != 0 && !now.Time().Before(row.ProposedAt.Time().Add(within)):
		return fmt.Errorf("contract %s version %d: %w: it was to be signed until %s, within %s; propose it anew", row.ID, row.Version, ErrProposalOver,
			row.ProposedAt.Time().Add(within).Format(time.RFC3339), contract.FormatDuration(within))
	case lineage.Terminated.At != 0 && now >= lineage.Terminated.EndsAt:
		return fmt.Errorf("contract %s version %d: %w: the contract ended at %s", row.ID, row.Version, ErrProposalOver, lineage.Terminated.EndsAt.Time().Format(time.RFC3339))
	case row.Version > 1 && lineage.Current != row.Parent:
		return superseded(v, row, lineage)
	}
	return nil
}

// superseded is the refusal of an amendment of a version that is not the newest.
func superseded(v View, row ContractRow, lineage LineageRow) error {
	newest, err := Contract(v, lineage.Current)
	if err != nil {
		return err
	}
	return fmt.Errorf("contract %s version %d amends version %s: %w; the newest that is signed is version %d, %s: rebase the amendment onto it and have it signed anew",
		row.ID, row.Version, row.Parent, ErrSuperseded, newest.Version, newest.Contract)
}
