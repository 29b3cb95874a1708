package authority

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// release refuses a certificate that is void, or that was recorded more than
// maxAge ago and would not be allowed now.
func release(tx *store.Tx, s store.Session, rec recorded) error {
	row, err := record.Certificate(tx, rec.facts.Serial)
	if err != nil {
		return err
	}
	if row.Void {
		return fmt.Errorf("%w; try again", ErrVoid)
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

// voidUnsigned voids the certificates that were recorded and never signed,
// because the process ended in between, while they would still be valid. Their
// keys were lost with their clients' calls; nobody can have them.
func (a *Authority) voidUnsigned(ctx context.Context) error {
	voided := 0
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		voided = 0
		rows, err := tx.List(record.TableCertificate, "all", "", MaxList)
		if err != nil {
			return err
		}
		for _, body := range rows {
			var row record.CertificateRow
			if err := canon.Unmarshal(body, &row); err != nil {
				return err
			}
			if row.Void || row.Before <= tx.Now() {
				continue
			}
			if _, err := tx.SignedCertificate(row.Serial); !isNotFound(err) {
				if err != nil {
					return err
				}
				continue
			}
			id, err := canon.NewID(a.rand)
			if err != nil {
				return err
			}
			if err := void(tx, id, row.Serial); err != nil {
				return err
			}
			voided++
		}
		return nil
	})
	if err == nil && voided > 0 {
		a.voided(ctx, voided)
		a.settle(ctx)
	}
	return err
}
