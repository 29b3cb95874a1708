// Package sqlite owns the SQLite engine of the store: one file, WAL, every
// commit synced to disk before it is acknowledged.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/mattn/go-sqlite3"

	"github.com/sallyport/sallyport/internal/store"
)

// Engine is an open SQLite database. Writes go through one connection, which
// serialises them; reads through a pool of others.
type Engine struct {
	writer *sql.DB // nil if it was opened for reading only
	reader *sql.DB
	path   string
	file   os.FileInfo // what was at path when it was opened; nil if that does not matter
	still  string      // path of a database that is read as a file that does not change
	then   snapshot    // how its files were then
}

var _ store.Engine = (*Engine)(nil)

const readers = 8

// statements is how many prepared statements each connection keeps.
const statements = "128"

// minVersion is the first SQLite whose WAL reset cannot corrupt the file.
const minVersion = 3052000

// Open opens the database at path and makes it if it is not there. It refuses one
// whose schema this program does not work on.
func Open(ctx context.Context, path string) (*Engine, error) {
	e, err := Connect(ctx, path)
	if err != nil {
		return nil, err
	}
	if err := e.prepare(ctx); err != nil {
		return nil, errors.Join(e.MapError(err), e.Close())
	}
	return e, nil
}

// Connect is Open for who brings the schema up: it does not look at it. It reads
// back every setting that durability rests on and refuses to run without: with
// the driver's default (synchronous=NORMAL) a power cut lost acknowledged commits.
func Connect(ctx context.Context, path string) (*Engine, error) {
	if _, n, _ := sqlite3.Version(); n < minVersion {
		return nil, fmt.Errorf("SQLite %d is too old, %d is needed: %w", n, minVersion, store.ErrSchema)
	}
	if err := private(path); err != nil {
		return nil, err
	}
	e := &Engine{path: path}
	var err error
	if e.file, err = os.Stat(path); err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	if e.writer, err = open(path, "immediate", ""); err != nil {
		return nil, err
	}
	e.writer.SetMaxOpenConns(1)
	if err := e.checkSettings(ctx); err != nil {
		return nil, errors.Join(err, e.writer.Close())
	}
	if e.reader, err = open(path, "deferred", "&_query_only=1"); err != nil {
		return nil, errors.Join(err, e.writer.Close())
	}
	e.reader.SetMaxOpenConns(readers)
	e.reader.SetMaxIdleConns(readers) // to open one costs more than most reads
	return e, nil
}

// private makes the database file, readable by its owner alone, before SQLite
// does with the process's umask.
func private(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the file
	if err != nil {
		return fmt.Errorf("opening the database: %w", err)
	}
	return f.Close()
}

func open(path, lock, more string) (*sql.DB, error) {
	dsn := fileName(path) +
		"?_journal_mode=WAL&_synchronous=FULL&_secure_delete=on&_foreign_keys=on&_busy_timeout=10000&_stmt_cache_size=" + statements + "&_txlock=" + lock + more
	db, err := sql.Open("sqlite3", dsn)
	if err != nil {
		return nil, fmt.Errorf("opening the database: %w", err)
	}
	return db, nil
}

// fileName is the path as SQLite's file: address.
func fileName(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }

// checkSettings reads the settings back.
func (e *Engine) checkSettings(ctx context.Context) error {
	for _, p := range []struct{ pragma, want string }{
		{"journal_mode", "wal"},
		{"synchronous", "2"}, // FULL
		{"secure_delete", "1"},
	} {
		var have string
		if err := e.writer.QueryRowContext(ctx, "PRAGMA "+p.pragma).Scan(&have); err != nil {
			return e.MapError(fmt.Errorf("reading back %s: %w", p.pragma, err))
		}
		if have != p.want {
			return fmt.Errorf("SQLite runs with %s=%s, not %s: %w", p.pragma, have, p.want, store.ErrSchema)
		}
	}
	return nil
}

// prepare makes the schema in a new file, and refuses one that this program does
// not work on.
func (e *Engine) prepare(ctx context.Context) error {
	m := e.Migration()
	tx, err := m.Begin(ctx)
	if err != nil {
		return err
	}
	level, err := m.Level(ctx, tx)
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return err
	}
	if level.Version == 0 {
		_, err := m.Run(ctx)
		return err
	}
	return level.Check()
}

// checkSchema refuses a schema that this program does not work on.
func (e *Engine) checkSchema(ctx context.Context, tx *sql.Tx) error {
	level, err := e.Migration().Level(ctx, tx)
	if err != nil {
		return e.MapError(err)
	}
	return level.Check()
}

// Migration brings the schema up.
func (e *Engine) Migration() store.Migration {
	types := store.Types{Blob: "BLOB", Integer: "INTEGER", Text: "TEXT", Sorted: " WITHOUT ROWID"}
	return store.Migration{
		Steps: store.Steps(types), Types: types, Begin: e.Begin,
		Exists: func(ctx context.Context, tx *sql.Tx, table string) (there bool, err error) {
			err = tx.QueryRowContext(ctx, `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1`, table).Scan(&there)
			return there, err
		},
	}
}

// Begin starts the writing transaction (BEGIN IMMEDIATE).
func (e *Engine) Begin(ctx context.Context) (*sql.Tx, error) {
	if e.writer == nil {
		return nil, fmt.Errorf("%w: it was opened for reading only", store.ErrUnavailable)
	}
	if err := e.inPlace(); err != nil {
		return nil, err
	}
	return e.writer.BeginTx(ctx, nil)
}

// Commit ends the writing transaction.
func (e *Engine) Commit(tx *sql.Tx) error { return tx.Commit() }

// Clock is zero: the clock is this machine's.
func (e *Engine) Clock() time.Time { return time.Time{} }

// Read starts a reading transaction.
func (e *Engine) Read(ctx context.Context) (*sql.Tx, error) {
	if err := e.inPlace(); err != nil {
		return nil, err
	}
	return e.reader.BeginTx(ctx, nil)
}

// inPlace refuses to work on a file that was moved, deleted or replaced. SQLite
// would go on writing to the one that it has open, where nobody finds it again,
// and new connections would read the other one.
func (e *Engine) inPlace() error {
	if e.file == nil {
		return nil
	}
	info, err := os.Stat(e.path)
	if err != nil || !os.SameFile(info, e.file) {
		return fmt.Errorf("%w: the database file is not where it was opened; put it back", store.ErrUnavailable)
	}
	return nil
}

// MapError turns a busy, full or failing disk into ErrUnavailable and a broken
// uniqueness rule into ErrConflict.
func (e *Engine) MapError(err error) error {
	driver, ok := errors.AsType[sqlite3.Error](err)
	switch {
	case err == nil || !ok:
		return err
	case driver.Code == sqlite3.ErrConstraint:
		return fmt.Errorf("%w: %w", store.ErrConflict, err)
	default:
		return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
	}
}

// Close ends all connections.
func (e *Engine) Close() error {
	err := e.reader.Close()
	if e.writer != nil {
		err = errors.Join(err, e.writer.Close())
	}
	return err
}
