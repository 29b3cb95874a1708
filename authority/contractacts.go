package authority

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// ContractCall is what a signatory does about a contract beside signing a version.
type ContractCall struct {
	Contract  canon.Digest // of the version that the act names
	Act       contract.ActKind
	Statement []byte // a contract.Act
	Armored   []byte // its SSHSIG
}

// ActOnContract records that a version is withdrawn, that a condition of one is met,
// or that a contract ends, and returns how the version stands then. The same act a
// second time changes nothing. An end is never turned away.
func (a *Authority) ActOnContract(ctx context.Context, call ContractCall) (record.ContractRow, error) {
	write := a.store.Write
	if call.Act != contract.ActCondition {
		write = a.store.WriteUrgent
	}
	var row record.ContractRow
	err := write(ctx, func(tx *store.Tx) error {
		version, err := tx.Version(call.Contract)
		if isNotFound(err) {
			return fmt.Errorf("contract: %w: version %s is not in the ledger", ErrField, call.Contract)
		}
		if err != nil {
			return err
		}
		f, err := actFacts(tx.Now(), version, call)
		if err != nil {
			return err
		}
		if _, err := tx.Append(store.Draft{Facts: f}); err != nil && !errors.Is(err, record.ErrExists) {
			return err
		} else if err != nil && !done(tx, version, call.Act) {
			return err
		}
		row, err = record.Contract(tx, call.Contract)
		return err
	})
	if err != nil {
		return record.ContractRow{}, err
	}
	a.settle(ctx)
	return row, nil
}

// done reports whether an act that the ledger has already did what it says: a version
// that is in force is withdrawn by nobody.
func done(tx *store.Tx, version *contract.Version, act contract.ActKind) bool {
	row, err := record.Contract(tx, version.Digest)
	return err == nil && (act != contract.ActWithdraw || row.Withdrawn.At != 0)
}

func actFacts(now canon.Micros, version *contract.Version, call ContractCall) (record.Facts, error) {
	statement, signature := string(call.Statement), string(call.Armored)
	act, err := version.VerifyAct(call.Act, call.Statement, call.Armored)
	if err != nil {
		return nil, err
	}
	switch call.Act {
	case contract.ActWithdraw:
		return record.ContractWithdraw{At: now, Contract: version.Digest, Lineage: version.Lineage(), Statement: statement, Signature: signature}, nil
	case contract.ActCondition:
		return record.ContractCondition{At: now, Contract: version.Digest, Lineage: version.Lineage(), Condition: act.Condition, Statement: statement, Signature: signature}, nil
	case contract.ActTerminate:
		return record.ContractTerminate{
			At: now, Contract: version.Digest, Lineage: version.Lineage(), EndsAt: record.TerminationEnd(version, act.Cause, now), Statement: statement, Signature: signature,
		}, nil
	}
	return nil, fmt.Errorf("act: %w: %.20q", ErrField, call.Act)
}
