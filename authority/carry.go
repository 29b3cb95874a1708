package authority

import (
	"context"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// carry puts a grant under the version of its contract that is in force now, in a
// write of its own, before a certificate is made under it. The fold refuses what that
// version would not have allowed: then the grant has ended. A crash behind it loses
// nothing: whether a grant has to be carried follows from the ledger, and the next call
// finds it carried.
func (a *Authority) carry(ctx context.Context, s store.Session, grant canon.ID) error {
	id, err := canon.NewID(a.rand)
	if err != nil {
		return err
	}
	return a.store.Write(ctx, func(tx *store.Tx) error {
		if err := ownGrant(&tx.Reader, s, grant); err != nil {
			return err
		}
		q, err := record.Request(tx, grant)
		if err != nil {
			return err
		}
		if q, err = record.Standing(tx, q); err != nil {
			return err
		}
		f, needed, err := record.CarryOf(tx, q, id, tx.Now())
		if err != nil || !needed {
			return err
		}
		_, err = tx.Append(store.Draft{Facts: f})
		return err
	})
}
