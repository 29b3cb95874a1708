package authority

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// checkGrant re-derives a granted request from its leaves, once per grant and
// process (docs/issuance.md, step 2): each leaf opens to what its facts say, is
// under a signed checkpoint, and the request that they fold to is the one in the
// tables. A row that was edited behind the ledger's back issues nothing. It
// returns the digest of the request that it checked: the write that follows
// holds the row that it reads to it.
func (a *Authority) checkGrant(ctx context.Context, id canon.ID) (canon.Digest, error) {
	var q approval.Request
	var leaves []int64
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		if q, err = record.Request(r, id); err != nil {
			return err
		}
		leaves, err = leavesOf(r, q)
		return err
	})
	if err != nil {
		return canon.Digest{}, err
	}
	shown, err := Shown(q)
	if err != nil {
		return canon.Digest{}, err
	}
	if _, done := a.checked.Load(shown); done {
		return shown, nil
	}
	head, err := a.cover(ctx, slices.Max(leaves))
	if err != nil {
		return canon.Digest{}, err
	}
	err = a.store.Read(ctx, func(r *store.Reader) error { return a.rederive(r, q, leaves, head) })
	if err != nil {
		return canon.Digest{}, fmt.Errorf("%w: request %s in the tables is not what its leaves say (%w)", ErrHalted, id, err)
	}
	a.checked.Store(shown, true)
	return shown, nil
}

// leavesOf returns the indexes of the leaves that a request is made of.
func leavesOf(r *store.Reader, q approval.Request) ([]int64, error) {
	hashes := []canon.Digest{q.Leaf}
	for _, d := range q.Decisions {
		hashes = append(hashes, d.Leaf)
	}
	out := make([]int64, 0, len(hashes))
	for _, h := range hashes {
		index, err := r.LeafIndex(h)
		if err != nil {
			return nil, err
		}
		out = append(out, index)
	}
	return out, nil
}

// rederive folds the leaves and compares the result with q.
func (a *Authority) rederive(r *store.Reader, q approval.Request, leaves []int64, head signedHead) error {
	var got approval.Request
	for i, index := range leaves {
		entry, err := r.Entry(index)
		if err != nil {
			return err
		}
		if err := a.included(r, entry, head); err != nil {
			return err
		}
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		if err != nil {
			return err
		}
		hash, err := entry.Leaf.Hash()
		if err != nil {
			return err
		}
		if got, err = refold(r, got, facts, canon.Digest(hash), i == 0); err != nil {
			return err
		}
	}
	want, err := canon.Marshal(q)
	if err != nil {
		return err
	}
	have, err := canon.Marshal(got)
	if err != nil {
		return err
	}
	if !bytes.Equal(want, have) {
		return fmt.Errorf("%w: the fold differs from the row", record.ErrEvent)
	}
	return nil
}

// included checks that a leaf opens to its facts and is under head.
func (a *Authority) included(r *store.Reader, entry store.Entry, head signedHead) error {
	if ledger.FactsCommitment(entry.Opening.FactsSalt, entry.Opening.Facts) != entry.Leaf.Facts {
		return fmt.Errorf("leaf %d: %w: its facts are not what it commits to", entry.Index, record.ErrEvent)
	}
	proof, err := ledger.Prove(entry.Index, head.checkpoint.Size, r, head.note, nil)
	if err != nil {
		return err
	}
	hash, err := entry.Leaf.Hash()
	if err != nil {
		return err
	}
	result, err := a.policy.VerifyProof(proof, hash)
	if err != nil {
		return err
	}
	if result.Index != entry.Index || hash != tlog.RecordHash(entry.Text) {
		return fmt.Errorf("leaf %d: %w: it is another leaf", entry.Index, record.ErrEvent)
	}
	return nil
}

// refold applies one leaf of a request to what the earlier ones made of it. Its
// people and groups were judged when the leaf was appended; here the facts alone
// are put together again.
func refold(r *store.Reader, q approval.Request, facts record.Facts, leaf canon.Digest, first bool) (approval.Request, error) {
	switch f := facts.(type) {
	case record.RequestSubmit:
		if !first {
			return q, fmt.Errorf("%w: a second request", record.ErrEvent)
		}
		return record.Resubmit(r, f, leaf)
	case record.RequestDecide:
		if first || f.Request != q.ID {
			return q, fmt.Errorf("%w: a decision on another request", record.ErrEvent)
		}
		q.Decisions = append(q.Decisions, record.DecisionOf(f, leaf))
		return q, nil
	default:
		return q, fmt.Errorf("%w: a %s leaf in a request", record.ErrEvent, facts.Kind())
	}
}

// sameGrant refuses a row that is not the one that checkGrant checked.
func sameGrant(tx *store.Tx, id canon.ID, checked canon.Digest) error {
	q, err := record.Request(tx, id)
	if err != nil {
		return err
	}
	shown, err := Shown(q)
	if err != nil {
		return err
	}
	if shown != checked {
		return fmt.Errorf("%w: request %s changed in the tables after it was checked", ErrHalted, id)
	}
	return nil
}
