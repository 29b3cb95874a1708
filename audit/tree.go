package audit

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// CheckTree reads a whole bundle and returns its first line and its last: it holds
// the tree to the checkpoint, the checkpoint to the log keys, and every opening to
// its leaf. It replays nothing, so it does not say that anything was allowed.
func CheckTree(ctx context.Context, r io.Reader, logKeys []string) (Head, End, error) {
	policy, err := PolicyOf(logKeys)
	if err != nil {
		return Head{}, End{}, err
	}
	l, err := openLines(r)
	if err != nil {
		return Head{}, End{}, err
	}
	if l.head.Origin != policy.Origin() {
		return Head{}, End{}, fmt.Errorf("line 1: it is of %s: %w", l.head.Origin, ErrOther)
	}
	var seen sum
	var tree ledger.Tree
	err = inOrder(ctx, l.batch, hashBatch, func(list []hashed) error {
		for _, h := range list {
			if h.err != nil {
				return fmt.Errorf("line %d: %w", lineOf(seen.Leaves), h.err)
			}
			if err := seen.add(h.Entry); err != nil {
				return err
			}
			if tree, _, err = tree.Append(h.hash); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return Head{}, End{}, err
	}
	if err := seen.check(l.end); err != nil {
		return Head{}, End{}, err
	}
	return l.head, l.end, checkSignedRoot(policy, l.end, tree)
}

// checkSignedRoot holds a tree to the checkpoint in the last line.
func checkSignedRoot(policy *ledger.Policy, end End, tree ledger.Tree) error {
	checkpoint, err := policy.OpenCheckpoint([]byte(end.Checkpoint))
	if err != nil {
		return fmt.Errorf("the last line: %w", err)
	}
	root, err := tree.Root()
	switch {
	case err != nil:
		return err
	case checkpoint.Size != tree.Size:
		return fmt.Errorf("%w: %d leaves, the checkpoint signs %d", ErrBundle, tree.Size, checkpoint.Size)
	case checkpoint.Root != root:
		return fmt.Errorf("%w: the %d leaves do not have the root that the checkpoint signs", ledger.ErrForked, checkpoint.Size)
	}
	return nil
}

// hashed is a line whose opening was held to its leaf.
type hashed struct {
	Entry
	hash tlog.Hash
	err  error
}

func hashBatch(lines [][]byte) []hashed {
	out := make([]hashed, len(lines))
	for i, line := range lines {
		out[i].Entry, out[i].err = parseLine(line)
		if out[i].err == nil {
			out[i].hash, out[i].err = hashEntry(out[i].Entry)
		}
	}
	return out
}

func hashEntry(e Entry) (tlog.Hash, error) {
	leaf, err := ledger.ParseLeaf(e.Text)
	if err != nil {
		return tlog.Hash{}, err
	}
	if o := e.Opening; o.Facts != nil && ledger.FactsCommitment(o.FactsSalt, o.Facts) != leaf.Facts {
		return tlog.Hash{}, fmt.Errorf("the facts: %w", record.ErrOpening)
	}
	if o := e.Opening; o.Person != nil && ledger.PersonCommitment(o.PersonSalt, o.Person) != leaf.Person {
		return tlog.Hash{}, fmt.Errorf("the person part: %w", record.ErrOpening)
	}
	return tlog.RecordHash(e.Text), nil
}
