package authority

import (
	"context"
	"fmt"
	"log/slog"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// Erased says what ErasePerson did.
type Erased struct {
	People []canon.ID // every account of the human, sorted
	Leaf   int64      // index of the leaf that says so
	At     canon.Micros
	Before bool // they were erased before: what was left was destroyed again
}

// ErasePerson destroys everything by which the ledger shows who a human was, and
// records that two people asked for it who sign contracts. The facts of what was
// done stay, under ids. It is done at once with the leaf; afterwards the database
// is written anew where deleted bytes could stand, which can be repeated.
func (a *Authority) ErasePerson(ctx context.Context, person canon.ID, document string, signatures []string) (Erased, error) {
	doc, err := record.ParseEraseDoc([]byte(document))
	if err != nil {
		return Erased{}, err
	}
	if len(signatures) == 0 {
		return Erased{}, fmt.Errorf("%w: nobody has signed", record.ErrSigners)
	}
	if !slices.Contains(doc.People, person) {
		return Erased{}, fmt.Errorf("person %s: %w: the document is about %s", person, ErrField, doc.People[0])
	}
	before, err := a.erasedBefore(ctx, person)
	if err == nil {
		before.People = doc.People
		return before, a.destroyAgain(ctx, true)
	}
	if !isNotFound(err) {
		return Erased{}, err
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return Erased{}, err
	}
	signatures = slices.Compact(slices.Sorted(slices.Values(signatures)))
	out := Erased{People: doc.People}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		leaf, err := tx.Append(store.Draft{Facts: record.PersonErase{
			At: tx.Now(), Erase: id, People: doc.People, Document: document, Signatures: signatures,
		}})
		out.Leaf, out.At = leaf.Index, tx.Now()
		return err
	})
	if err != nil {
		return Erased{}, err
	}
	a.settle(ctx)
	return out, a.clean(ctx)
}

func (a *Authority) erasedBefore(ctx context.Context, person canon.ID) (Erased, error) {
	out := Erased{Before: true}
	err := a.store.Read(ctx, func(r *store.Reader) error {
		row, err := record.Erased(r, person)
		if err != nil {
			return err
		}
		out.At = row.At
		out.Leaf, err = r.LeafIndex(row.Leaf)
		return err
	})
	return out, err
}

// destroyAgain does what the erase leaves in the database did once more: a backup
// brings back what was destroyed since. With clean the database is written anew
// even if there was nothing.
func (a *Authority) destroyAgain(ctx context.Context, clean bool) error {
	people, err := a.store.DestroyAgain(ctx)
	if err != nil {
		return fmt.Errorf("destroying again what was erased: %w", err)
	}
	if len(people) > 0 {
		a.logger.LogAttrs(ctx, slog.LevelWarn, "erased people were readable again, out of a backup; destroyed once more", slog.Int("people", len(people)))
	}
	if len(people) == 0 && !clean {
		return nil
	}
	return a.clean(ctx)
}

func (a *Authority) clean(ctx context.Context) error {
	if err := a.store.Clean(ctx); err != nil {
		return fmt.Errorf("it is destroyed, but deleted bytes may still stand in the database: %w; "+
			"run `sallyd person erase` for the person once more", err)
	}
	return nil
}
