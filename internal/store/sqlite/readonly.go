package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/store"
)

// OpenReadOnly opens an existing database for a look beside whoever serves from
// it, and changes nothing: no file is made, none gets another content but SQLite's
// own lock file. Begin refuses.
func OpenReadOnly(ctx context.Context, path string) (*Engine, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	how, err := quietly(path)
	if err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite3", fileName(path)+"?mode=ro&_query_only=1&_busy_timeout=10000"+how)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	db.SetMaxOpenConns(1)
	e := &Engine{reader: db}
	if how == unchanging {
		e.still = path
		if e.log, err = size(path + "-wal"); err != nil {
			return nil, errors.Join(err, db.Close())
		}
	}
	tx, err := e.Read(ctx)
	if err != nil {
		return nil, errors.Join(e.MapError(fmt.Errorf("opening the database: %w", err)), e.Close())
	}
	if err := errors.Join(e.checkSchema(ctx, tx), tx.Rollback()); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

// quietly returns the settings with which SQLite makes no file beside the
// database. In WAL mode a reader makes the log and its index where they are not:
//
//   - Without a log nobody has the database open and it is whole: it is read as a
//     file that does not change. Overtaken tells when that was not so.
//   - With log and index somebody has it open, or was killed: both are used.
//   - With a log alone, as in a copy of a killed server's files, the index is kept
//     in memory, which SQLite does for who locks out everybody else.
func quietly(path string) (string, error) {
	log, err := size(path + "-wal")
	if err != nil {
		return "", err
	}
	index, err := size(path + "-shm")
	switch {
	case err != nil:
		return "", err
	case log < 0 || log == 0 && index < 0:
		return unchanging, nil
	case index < 0:
		return "&vfs=unix-none&_locking_mode=EXCLUSIVE", nil
	default:
		return "", nil
	}
}

const unchanging = "&immutable=1"

// Overtaken reports whether somebody began to write to a database after
// OpenReadOnly had found that nobody did: what was read may be out of date, and is
// to be read again.
func (e *Engine) Overtaken() bool {
	if e.still == "" {
		return false
	}
	log, err := size(e.still + "-wal")
	return err != nil || log != e.log
}

// size returns a file's length, -1 if there is none.
func size(path string) (int64, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return -1, nil
	}
	if err != nil {
		return 0, fmt.Errorf("opening the database: %w", err)
	}
	return info.Size(), nil
}

// QuickCheck has SQLite look for damage: pages, records, the order of indexes. It
// reads the whole file.
func (e *Engine) QuickCheck(ctx context.Context) error {
	rows, err := e.reader.QueryContext(ctx, "PRAGMA quick_check(3)")
	if err != nil {
		return e.MapError(fmt.Errorf("looking for damage: %w", err))
	}
	defer rows.Close()
	var found []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			return e.MapError(fmt.Errorf("looking for damage: %w", err))
		}
		found = append(found, line)
	}
	if err := rows.Err(); err != nil {
		return e.MapError(fmt.Errorf("looking for damage: %w", err))
	}
	if len(found) != 1 || found[0] != "ok" {
		return fmt.Errorf("%w: SQLite finds damage: %s", store.ErrUnavailable, strings.Join(found, "; "))
	}
	return nil
}
