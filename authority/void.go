package authority

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// release refuses a certificate that is void or revoked, or that was recorded more
// than maxAge ago and would not be allowed now.
func release(tx *store.Tx, s store.Session, rec recorded) error {
	row, err := record.Certificate(tx, rec.facts.Serial)
	if err != nil {
		return err
	}
	if row.Void {
		return fmt.Errorf("%w; try again", ErrVoid)
	}
	if err := unrevoked(tx, row); err != nil {
		return err
	}
	if tx.Now().Time().Sub(rec.facts.At.Time()) <= maxAge {
		return nil
	}
	if _, _, err := record.GrantAt(tx, rec.grant.ID, s.Claims(), tx.Now()); err != nil {
		return err
	}
	if !tx.Now().Time().Add(ca.MinLife).Before(row.Before.Time()) {
		return fmt.Errorf("%w: it would be over at once; try again", ErrVoid)
	}
	return nil
}

// unrevoked refuses a certificate that was revoked, by itself or with what it belongs
// to, however long ago it was recorded.
func unrevoked(tx *store.Tx, row record.CertificateRow) error {
	q, err := record.Request(tx, row.Grant)
	if err != nil {
		return err
	}
	if q, err = record.Standing(tx, q); err != nil {
		return err
	}
	for _, by := range []approval.Revocation{row.Revoked, q.Revoked} {
		if by.At != 0 {
			return fmt.Errorf("%w at %s, while the certificate was being made; ask again", approval.ErrRevoked, by.At.Time().Format(time.RFC3339))
		}
	}
	return nil
}

// stillAllowed asks before the signature what release asks after it, in one
// write that voids the certificate if the answer is no (docs/issuance.md, step 5).
func (a *Authority) stillAllowed(ctx context.Context, s store.Session, rec recorded) error {
	if canon.At(a.now()).Time().Sub(rec.facts.At.Time()) <= maxAge {
		return nil
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return err
	}
	var refused error
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		if refused = release(tx, s, rec); refused == nil {
			return nil
		}
		return void(tx, id, rec.facts.Serial)
	})
	if err != nil {
		return err
	}
	if refused != nil {
		a.voided(ctx, 1)
	}
	return refused
}

// voided tells the operator of certificates that will never be signed.
func (a *Authority) voided(ctx context.Context, n int) {
	a.watch.Voided(n)
	a.logger.LogAttrs(ctx, slog.LevelWarn, "certificates voided", slog.Int("count", n))
}

// void appends the leaf that says a recorded certificate will never be signed.
// It does nothing if it is void already.
func void(tx *store.Tx, id canon.ID, serial uint64) error {
	row, err := record.Certificate(tx, serial)
	if err != nil || row.Void {
		return err
	}
	q, err := record.Request(tx, row.Grant)
	if err != nil {
		return err
	}
	_, err = tx.Append(store.Draft{Facts: record.CertificateVoid{
		At: tx.Now(), Void: id, Lineage: q.Lineage, Serial: serial, Leaf: row.Leaf,
	}})
	return err
}

// othersFinish is how long another process may be at a certificate that it has
// recorded, before nobody is.
const othersFinish = 30 * time.Second

// voidLeft voids what was recorded and never signed before the start, beside other
// processes later.
func (a *Authority) voidLeft(ctx context.Context, shared bool) error {
	if shared {
		return a.voidLater(ctx)
	}
	return a.voidUnsigned(ctx, math.MaxInt64)
}

// voidLater has Sweep void what was recorded before now and is still not signed
// once other processes have had their time: what is theirs is not told from what a
// process left that has ended.
func (a *Authority) voidLater(ctx context.Context) error {
	return a.store.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		a.unsigned.Store(&unsigned{below: head.Tree.Size, at: a.now().Add(othersFinish)})
		return err
	})
}

// unsigned are the certificates that voidLater leaves to Sweep.
type unsigned struct {
	below int64 // index of the first leaf that is not meant
	at    time.Time
}

// voidDue does what voidLater has put off, if it is time.
func (a *Authority) voidDue(ctx context.Context) error {
	u := a.unsigned.Load()
	if u == nil || a.now().Before(u.at) {
		return nil
	}
	if err := a.voidUnsigned(ctx, u.below); err != nil {
		return err
	}
	a.unsigned.CompareAndSwap(u, nil)
	return nil
}

// voidUnsigned voids the certificates that were recorded before a leaf and never
// signed, because the process ended in between, while they would still be valid.
// Their keys were lost with their clients' calls; nobody can have them.
func (a *Authority) voidUnsigned(ctx context.Context, below int64) error {
	voided := 0
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		voided = 0
		leaves, err := tx.Firsts(record.TableCertificate, "all", "", below, MaxList)
		if err != nil {
			return err
		}
		for _, leaf := range leaves {
			done, err := a.voidOne(tx, ledger.Serial(leaf))
			if err != nil {
				return err
			}
			if done {
				voided++
			}
		}
		return nil
	})
	if err == nil && voided > 0 {
		a.voided(ctx, voided)
		a.settle(ctx)
	}
	return err
}

// voidOne voids a certificate unless it is void, over or signed.
func (a *Authority) voidOne(tx *store.Tx, serial uint64) (done bool, err error) {
	row, err := record.Certificate(tx, serial)
	if err != nil || row.Void || row.Before <= tx.Now() {
		return false, err
	}
	if _, err := tx.SignedCertificate(serial); !isNotFound(err) {
		return false, err
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return false, err
	}
	return true, void(tx, id, serial)
}
