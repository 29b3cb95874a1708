package record

import (
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// contractWithdraw ends a version that is not signed by everybody. The party that
// signed first withdraws it; before that each can.
func (e Event) contractWithdraw(v View, f ContractWithdraw) ([]Change, error) {
	row, version, err := proposed(v, f.Contract, f.Lineage)
	if err != nil {
		return nil, err
	}
	act, err := version.VerifyAct(contract.ActWithdraw, []byte(f.Statement), []byte(f.Signature))
	if err != nil {
		return nil, err
	}
	switch {
	case row.InForceAt != 0:
		return nil, fmt.Errorf("contract %s version %d is signed, and binds: %w; it can be amended", row.ID, row.Version, ErrExists)
	case row.Withdrawn.At != 0:
		return nil, fmt.Errorf("the withdrawal of contract %s version %d: %w", row.ID, row.Version, ErrExists)
	case len(row.Signed) > 0 && row.Signed[0].Party != act.Party:
		return nil, fmt.Errorf("contract %s version %d was signed by the party %s first, and by that it is withdrawn: %w; whoever does not want it does not sign", row.ID, row.Version, row.Signed[0].Party, contract.ErrNotSignatory)
	}
	row.Withdrawn = WithdrawnRow{At: f.At, Leaf: e.LeafHash}
	return changes(put(TableContract, f.Contract.String(), row, Index{"all", ""}))
}

// contractCondition notes that a condition is met. If everybody has signed and it was
// the last one, the version comes into force.
func (e Event) contractCondition(v View, f ContractCondition) ([]Change, error) {
	row, version, err := proposed(v, f.Contract, f.Lineage)
	if err != nil {
		return nil, err
	}
	act, err := version.VerifyAct(contract.ActCondition, []byte(f.Statement), []byte(f.Signature))
	if err != nil {
		return nil, err
	}
	if f.Condition != act.Condition {
		return nil, fmt.Errorf("%w: the act is about the condition %s", ErrEvent, act.Condition)
	}
	if slices.ContainsFunc(row.Met, func(m MetRow) bool { return m.Condition == act.Condition }) {
		return nil, fmt.Errorf("the condition %s of contract %s version %d: %w", act.Condition, row.ID, row.Version, ErrExists)
	}
	if err := ProposalOver(v, row, f.At); err != nil {
		return nil, err
	}
	row.Met = append(slices.Clip(row.Met), MetRow{Condition: act.Condition, At: f.At, Leaf: e.LeafHash})
	return e.settle(v, version, row, f.At)
}

// TerminationEnd returns when the contract ends if somebody ends it at a moment, by the
// version in force then.
func TerminationEnd(version *contract.Version, cause bool, at canon.Micros) canon.Micros {
	if cause {
		return at
	}
	return canon.At(at.Time().Add(version.Terms.Law.Terminate.Notice))
}

// contractTerminate ends the contract as its terms say: after a notice, or at once for
// cause. Nothing takes it back; for cause it ends earlier than a notice had said.
func (e Event) contractTerminate(v View, f ContractTerminate) ([]Change, error) {
	version, err := underInForce(v, f.Lineage, f.Contract, f.At)
	if err != nil {
		return nil, err
	}
	act, err := version.VerifyAct(contract.ActTerminate, []byte(f.Statement), []byte(f.Signature))
	if err != nil {
		return nil, err
	}
	if want := TerminationEnd(version, act.Cause, f.At); f.EndsAt != want {
		return nil, fmt.Errorf("%w: the contract ends at %d, not %d", ErrEvent, want, f.EndsAt)
	}
	lineage, err := Lineage(v, f.Lineage)
	if err != nil {
		return nil, err
	}
	if lineage.Terminated.At != 0 && lineage.Terminated.EndsAt <= f.EndsAt {
		return nil, fmt.Errorf("the end of contract %s: %w", version.Terms.ID, ErrExists)
	}
	lineage.Terminated = TerminatedRow{At: f.At, EndsAt: f.EndsAt, Leaf: e.LeafHash}
	l, err := put(TableLineage, f.Lineage.String(), lineage, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	// Listed among what takes certificates away: those that would outlast the contract.
	mark, err := e.ends(f.Lineage, f.At)
	return []Change{l, mark}, err
}

// ends lists a leaf that changes or ends a contract among what takes certificates away.
// No id of a revocation reads like its key.
func (e Event) ends(lineage canon.Digest, at canon.Micros) (Change, error) {
	return fresh(put(TableRevocation, "end/"+e.LeafHash.String(), RevocationRow{At: at, Leaf: e.LeafHash, Lineage: lineage}, Index{"all", ""}))
}
