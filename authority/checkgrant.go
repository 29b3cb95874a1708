package authority

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// checkGrant holds every row that decides about a grant to the leaves that wrote
// it (docs/issuance.md, step 2): the request, the contract and its lineage, the
// hosts, the login and groups by which the person is judged. The leaves are
// opened, shown to be under a signed checkpoint and folded again by themselves,
// with everything that the fold asks of them, signatures and eligibility
// included; what they make must be what the tables say. A row that was edited
// behind the ledger's back issues nothing.
//
// A row that was proved is not proved again while it stays the same and no later
// leaf is about it. The write that follows reads through held, so that it sees no
// other.
func (a *Authority) checkGrant(ctx context.Context, s store.Session, id canon.ID) error {
	g, claims := gathering{}, s.Claims()
	var rows map[record.Key][]byte
	signed := a.signed().checkpoint.Size
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		if err := ownGrant(r, s, id); err != nil {
			return err
		}
		if rows, err = a.grantRows(r, id, claims); err != nil {
			return err
		}
		g, err = newGathering(r, rows, a.proven, signed)
		if err != nil || len(g.rows) == 0 {
			return err
		}
		return g.gather(claims)
	})
	switch {
	case errors.Is(err, ErrNotYours), errors.Is(err, record.ErrErased):
		return err
	case err != nil:
		return halted(ctx, id, err)
	}
	if len(g.rows) > 0 {
		head, err := a.cover(ctx, slices.Max(slices.Collect(maps.Keys(g.leaves))))
		if err != nil {
			return err
		}
		if err := a.store.Read(ctx, func(r *store.Reader) error { return a.refold(r, g, head) }); err != nil {
			return halted(ctx, id, err)
		}
	}
	// What lies behind the checkpoint may be lost with its server, and other leaves
	// come in its place.
	a.proven.addRows(rows, min(g.size, a.signed().checkpoint.Size))
	return nil
}

// ownGrant refuses a grant that is not the person's. Somebody else's is answered
// like one that there is none of.
func ownGrant(r *store.Reader, s store.Session, id canon.ID) error {
	q, err := record.Request(r, id)
	if isNotFound(err) || (err == nil && q.By != s.Person) {
		return ErrNotYours
	}
	if err != nil {
		return err
	}
	switch _, err := record.Erased(r, s.Person); {
	case err == nil:
		return fmt.Errorf("person %s: %w", s.Person, record.ErrErased)
	case !isNotFound(err):
		return err
	}
	return nil
}

// halted tells what is wrong with the ledger from what is wrong with the way to
// it.
func halted(ctx context.Context, id canon.ID, err error) error {
	if ctx.Err() != nil || errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: what the tables say about request %s is not what its leaves say (%w)", ErrHalted, id, err)
}

// grantRows returns the rows that decide about a grant at the ledger time that
// the next write has: another server's clock may be ahead of ours. That they
// refuse it is for the write to say.
func (a *Authority) grantRows(r *store.Reader, id canon.ID, claims record.Claims) (map[record.Key][]byte, error) {
	view := reading{r, make(map[record.Key][]byte)}
	if _, err := record.Request(view, id); err != nil {
		return nil, err
	}
	if _, err := record.Log(view); err != nil {
		return nil, err
	}
	head, err := r.Head()
	if err != nil {
		return nil, err
	}
	_, _, _ = record.GrantAt(view, id, claims, max(canon.At(a.now()), head.At))
	return view.rows, nil
}

// refold folds the gathered leaves and compares what they make with the rows.
func (a *Authority) refold(r *store.Reader, g gathering, head signedHead) error {
	v := newRefolded()
	for _, index := range slices.Sorted(maps.Keys(g.leaves)) {
		entry := g.leaves[index]
		if err := a.included(r, entry, head); err != nil {
			return err
		}
		if err := v.add(entry); err != nil {
			return err
		}
	}
	for k, body := range g.rows {
		if err := v.compare(k, body); err != nil {
			return err
		}
	}
	return nil
}

// included checks that a leaf is under head, once.
func (a *Authority) included(r *store.Reader, entry store.Entry, head signedHead) error {
	hash := tlog.RecordHash(entry.Text)
	if a.proven.hasLeaf(entry.Index, hash) {
		return nil
	}
	proof, err := ledger.Prove(entry.Index, head.checkpoint.Size, r, head.note, nil)
	if err != nil {
		return err
	}
	result, err := a.policy.VerifyProof(proof, hash)
	if err != nil {
		return err
	}
	if result.Index != entry.Index {
		return fmt.Errorf("leaf %d: %w: it is another leaf", entry.Index, record.ErrEvent)
	}
	a.proven.addLeaf(entry, hash)
	return nil
}
