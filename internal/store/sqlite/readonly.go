package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/sallyport/sallyport/internal/store"
)

// OpenReadOnly opens an existing database for a look beside whoever serves from
// it, and changes nothing: no file is made, none gets another content but SQLite's
// own lock file. Begin refuses.
func OpenReadOnly(ctx context.Context, path string) (*Engine, error) {
	then, err := look(path) // before it is decided how to read it
	if err != nil {
		return nil, err
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
		e.still, e.then = path, then
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
	now, err := look(e.still)
	return err != nil || !now.same(e.then)
}

// snapshot is what shows of a database's files that somebody has written to it. Who
// came and went leaves no log behind, but another file: SQLite moves into it what
// the log had.
type snapshot struct {
	file   os.FileInfo
	header [100]byte // the first of the file; zero if it is shorter
	log    int64     // length of the log, -1 if there is none
}

// look takes a snapshot of the files of the database at path.
func look(path string) (s snapshot, err error) {
	f, err := os.Open(path) //nolint:gosec // the operator names the file
	if err != nil {
		return s, fmt.Errorf("opening the database: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	if s.file, err = f.Stat(); err != nil {
		return s, fmt.Errorf("opening the database: %w", err)
	}
	if _, err := io.ReadFull(f, s.header[:]); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return s, fmt.Errorf("opening the database: %w", err)
	}
	s.log, err = size(path + "-wal")
	return s, err
}

func (s snapshot) same(as snapshot) bool {
	return os.SameFile(s.file, as.file) && s.file.Size() == as.file.Size() && s.file.ModTime().Equal(as.file.ModTime()) && s.header == as.header && s.log == as.log
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
