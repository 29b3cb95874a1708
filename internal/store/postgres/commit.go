package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/internal/store"
)

// channel is what processes on one database listen to.
const channel = "sallyport"

// errNotice says that the server acknowledged a commit with reservations, such as
// that it no longer waited for its standby.
var errNotice = errors.New("the server acknowledged the commit with a warning")

// Commit ends a transaction of Begin's. Each leaves its number in the row that
// this process has in the table writer, so that it can be found again.
func (e *Engine) Commit(tx *sql.Tx) error {
	ctx := context.Background()
	batch := e.batches.Add(1)
	var size int64
	if b := e.begun.Load(); b != nil {
		size = b.size
	}
	// Others are woken when the transaction commits, if it has appended leaves.
	_, err := tx.ExecContext(ctx, `WITH mark AS (INSERT INTO writer (id, batch, at_us) VALUES ($1, $2, $3)
		ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, at_us = excluded.at_us)
		SELECT pg_notify($4, size::text) FROM head WHERE id = 1 AND size <> $5`,
		string(e.id), batch, time.Now().UnixMicro(), channel, size)
	if err != nil {
		return err
	}
	err = e.commit(tx)
	if err == nil || certain(err) {
		return err
	}
	return &store.UnknownError{Err: err, Settle: func(ctx context.Context) (bool, error) { return e.settle(ctx, batch) }}
}

// commit commits and demands that the server says nothing but yes.
func (e *Engine) commit(tx *sql.Tx) error {
	before := e.notices.Load()
	err := tx.Commit()
	if err == nil && e.notices.Load() != before {
		err = errNotice
	}
	return err
}

// certain reports whether an error of a commit means that nothing stands: the
// server answered with an error and goes on, or with ROLLBACK.
func certain(err error) bool {
	answer, ok := errors.AsType[*pgconn.PgError](err)
	return errors.Is(err, pgx.ErrTxCommitRollback) || ok && answer.SeverityUnlocalized == "ERROR"
}

// settle looks for the transaction that left the number batch, in a transaction
// that writes and is acknowledged cleanly: then all that it saw is durable.
func (e *Engine) settle(ctx context.Context, batch int64) (stands bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, err
	}
	ctx = context.WithoutCancel(ctx) // each answer has its limit
	tx, err := e.Begin(ctx)
	if err != nil {
		return false, err
	}
	defer func() { _ = tx.Rollback() }() // a no-op after the commit
	err = tx.QueryRowContext(ctx, `SELECT count(*) = 1 FROM writer WHERE id = $1 AND batch = $2`, string(e.id), batch).Scan(&stands)
	if err != nil {
		return false, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO writer (id, batch, at_us) VALUES ($1, 0, $2) ON CONFLICT (id) DO UPDATE SET at_us = excluded.at_us`,
		string(e.id), time.Now().UnixMicro())
	if err != nil {
		return false, err
	}
	if err := e.commit(tx); err != nil {
		return false, fmt.Errorf("settling: %w", err)
	}
	return stands, nil
}
