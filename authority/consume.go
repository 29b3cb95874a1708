package authority

import (
	"context"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

// cursorLease is how long a process that feeds a consumer may be silent before
// another one takes over.
const cursorLease = 30 * time.Second

// TakeCursor makes this process, which calls itself holder, the one that feeds a
// consumer of the ledger, and returns where it stands. Where no other process can
// be, the one before is gone, however it ended.
func (a *Authority) TakeCursor(ctx context.Context, name string, holder canon.ID) (c store.Cursor, err error) {
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		c, err = tx.TakeCursor(name, holder, leased(tx), !a.shared)
		return err
	})
	return c, err
}

// MoveCursor notes that a consumer has taken the leaves up to next, for good.
func (a *Authority) MoveCursor(ctx context.Context, c store.Cursor, next int64) (store.Cursor, error) {
	var until canon.Micros
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		until = leased(tx)
		return tx.MoveCursor(c, next, until)
	})
	if err != nil {
		return c, err
	}
	c.Next, c.Until = next, until
	return c, nil
}

func leased(tx *store.Tx) canon.Micros { return canon.At(tx.Now().Time().Add(cursorLease)) }
