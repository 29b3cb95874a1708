package postgres

import (
	"context"
	"database/sql"
	"errors"

	"github.com/sallyport/sallyport/internal/store"
)

// migrationKey is the advisory lock of whoever brings the schema up.
const migrationKey int64 = lockKey<<8 | 'm'

// Migration brings the schema up, on a connection of its own that Close ends. A
// statement may take as long as it takes, but waits no longer than others for what
// running processes hold.
func (e *Engine) Migration() store.Migration {
	types := store.Types{Blob: "BYTEA", Integer: "BIGINT", Text: `TEXT COLLATE "C"`}
	steps := store.Steps(types)
	// One row for each process that writes: the number of its newest commit.
	steps[0].Statements = append(steps[0].Statements, `CREATE TABLE writer (id TEXT PRIMARY KEY, batch BIGINT NOT NULL, at_us BIGINT NOT NULL)`)
	return store.Migration{
		Steps: steps, Types: types, Begin: e.beginMigration,
		Exists: func(ctx context.Context, tx *sql.Tx, table string) (there bool, err error) {
			err = tx.QueryRowContext(ctx, `SELECT to_regclass($1) IS NOT NULL`, table).Scan(&there)
			return there, err
		},
	}
}

// beginMigration waits for other migrations, however long they take.
func (e *Engine) beginMigration(ctx context.Context) (*sql.Tx, error) {
	tx, err := e.migrator.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if err != nil {
		return nil, err
	}
	_, err = tx.ExecContext(ctx, `SET LOCAL lock_timeout = 0`)
	if err == nil {
		_, err = tx.ExecContext(ctx, `SELECT pg_advisory_xact_lock($1)`, migrationKey)
	}
	if err == nil {
		_, err = tx.ExecContext(ctx, `SET LOCAL lock_timeout = '5s'`)
	}
	if err != nil {
		return nil, errors.Join(err, tx.Rollback())
	}
	return tx, nil
}
