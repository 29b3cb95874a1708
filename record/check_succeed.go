package record

import (
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// ledgerSucceed binds a ledger to the one in whose place it goes on: by checkpoints
// that the other log key has signed. It stands behind leaf 0, so that nobody reads
// anything of a ledger before that.
func (e Event) ledgerSucceed(v View, f LedgerSucceed) ([]Change, error) {
	if e.Index != 1 {
		return nil, fmt.Errorf("%w: %s is leaf 1, and only that", ErrEvent, ledger.LedgerSucceed)
	}
	own, err := Log(v)
	if err != nil {
		return nil, err
	}
	if f.Origin == own.Origin || f.LogKey == own.LogKey {
		return nil, fmt.Errorf("%w: a ledger does not succeed itself; it has an origin and a log key of its own", ErrEvent)
	}
	policy, err := ledger.NewPolicy(f.Origin, f.LogKey)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEvent, err)
	}
	newest, err := policy.OpenCheckpoint([]byte(f.Checkpoint))
	if err != nil {
		return nil, fmt.Errorf("%w: the checkpoint: %w", ErrEvent, err)
	}
	row := SuccessionRow{Origin: f.Origin, LogKey: f.LogKey, Size: newest.Size, Root: canon.Digest(newest.Root), Kept: newest.Size}
	if f.Kept != "" {
		kept, err := policy.OpenCheckpoint([]byte(f.Kept))
		if err != nil {
			return nil, fmt.Errorf("%w: the checkpoint that is kept: %w", ErrEvent, err)
		}
		if kept.Size >= newest.Size {
			return nil, fmt.Errorf("%w: %d leaves are kept of %d that were signed for", ErrEvent, kept.Size, newest.Size)
		}
		row.Kept = kept.Size
	}
	if row.Kept < 1 {
		return nil, fmt.Errorf("%w: nothing is kept of %s", ErrEvent, f.Origin)
	}
	return changes(fresh(put(TableLog, "succeeds", row)))
}
