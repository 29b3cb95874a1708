package ledger

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// CheckConsistency returns nil if the tree that newer names begins with all
// leaves of the tree that older names, shown from the stored hashes in r. It
// refuses with [ErrRewound] a newer checkpoint that is smaller, with
// [ErrForked] one whose root the stored hashes do not reach from the older
// root, and with [ErrOrigin] two logs. Roots alone are never taken for
// granted: equal checkpoints too must be what r holds.
func CheckConsistency(older, newer Checkpoint, r tlog.HashReader) error {
	if err := checkOrder(older, newer); err != nil {
		return err
	}
	root, err := tlog.TreeHash(newer.Size, r)
	if err != nil {
		return fmt.Errorf("reading the tree of size %d: %w", newer.Size, err)
	}
	if root != newer.Root {
		return fmt.Errorf("%w: the stored hashes at size %d do not have the root that was signed", ErrForked, newer.Size)
	}
	if older.Size == 0 || older.Size == newer.Size {
		return nil
	}
	proof, err := tlog.ProveTree(newer.Size, older.Size, r)
	if err != nil {
		return fmt.Errorf("proving size %d from size %d: %w", newer.Size, older.Size, err)
	}
	if tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root) != nil {
		return fmt.Errorf("%w: the tree of %d leaves does not begin with the one of %d", ErrForked, newer.Size, older.Size)
	}
	return nil
}

// checkOrder refuses two checkpoints of which the newer can't follow from the
// older, whatever is shown: of two logs, smaller, or another root at one size.
func checkOrder(older, newer Checkpoint) error {
	for _, c := range []Checkpoint{older, newer} {
		if err := c.check(); err != nil {
			return err
		}
	}
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("checkpoints of %s and %s: %w", older.Origin, newer.Origin, ErrOrigin)
	case newer.Size < older.Size:
		return fmt.Errorf("%w: from %d leaves to %d", ErrRewound, older.Size, newer.Size)
	case newer.Size == older.Size && newer.Root != older.Root:
		return fmt.Errorf("%w: two roots at size %d", ErrForked, newer.Size)
	}
	return nil
}
