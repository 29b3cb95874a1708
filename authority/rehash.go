package authority

import (
	"context"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

const (
	// maxRehash is how many leaves are hashed again at a start: about a second's
	// work. Older ones were hashed at earlier starts, and are when they are proved.
	maxRehash = 100_000
	// rehashStep is how many of them are in memory at once.
	rehashStep = 1000
)

// rehash builds the tree again from the texts of the newest leaves, at most that
// many, and returns how many there were. It compares every hash on the way with the stored one, and the root with
// the head's. Signing compares stored hashes with what was signed; that the texts
// are still those which were hashed, only this shows.
func rehash(ctx context.Context, s *store.Store, most int64) (hashed int64, err error) {
	err = s.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		hashed = min(most, head.Tree.Size)
		tree, err := ledger.TreeFrom(head.Tree.Size-hashed, r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrHalted, err)
		}
		for tree.Size < head.Tree.Size {
			if err := ctx.Err(); err != nil {
				return err
			}
			if tree, err = rehashSome(r, tree, head.Tree.Size); err != nil {
				return err
			}
		}
		have, err := tree.Root()
		if err != nil {
			return err
		}
		want, err := head.Tree.Root()
		if err != nil {
			return err
		}
		if have != want {
			return fmt.Errorf("%w: the %d leaves in the database do not have the root that its head names; put a good copy of the database back", ErrHalted, tree.Size)
		}
		return nil
	})
	return hashed, err
}

// rehashSome appends the next leaves to tree.
func rehashSome(r *store.Reader, tree ledger.Tree, size int64) (ledger.Tree, error) {
	leaves, err := r.Stored(tree.Size, rehashStep)
	if err != nil {
		return tree, err
	}
	var nodes []ledger.StoredHash
	var owners []int64 // the leaf that completed each of the nodes
	for _, l := range leaves {
		if l.Index != tree.Size || l.Index >= size {
			break
		}
		hash := tlog.RecordHash(l.Text)
		leaf, err := ledger.ParseLeaf(l.Text)
		if err != nil || string(leaf.Kind) != l.Kind || tlog.Hash(l.Hash) != hash {
			return tree, damaged(l.Index)
		}
		var stored []ledger.StoredHash
		if tree, stored, err = tree.Append(hash); err != nil {
			return tree, err
		}
		for _, n := range stored {
			nodes, owners = append(nodes, n), append(owners, l.Index)
		}
	}
	if len(nodes) == 0 {
		return tree, fmt.Errorf("%w: leaf %d is missing in the database; put a good copy of it back", ErrHalted, tree.Size)
	}
	indexes := make([]int64, len(nodes))
	for i, n := range nodes {
		indexes[i] = n.Index
	}
	have, err := r.ReadHashes(indexes)
	if err != nil {
		return tree, fmt.Errorf("%w: leaves %d to %d: %w", ErrHalted, owners[0], tree.Size-1, err)
	}
	for i, n := range nodes {
		if have[i] != n.Hash {
			return tree, damaged(owners[i])
		}
	}
	return tree, nil
}

func damaged(index int64) error {
	return fmt.Errorf("%w: leaf %d in the database is not the one that was recorded there; put a good copy of the database back", ErrHalted, index)
}
