// Package postgres owns the PostgreSQL engine of the store, for where one machine
// is outgrown: any number of processes on one database, each commit on disk, and
// on a standby's, before it is acknowledged.
package postgres

import (
	"cmp"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

// Config says where the database is and what may be missing there.
type Config struct {
	// URL is postgres://USER@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?sslmode=…&sslrootcert=…].
	// Of several hosts the one that takes writes is used.
	URL string
	// Password returns the role's, for each connection anew; nil where the server
	// asks for none.
	Password func() (string, error)
	// AcceptAsynchronous says that the server may commit without a standby, or
	// before a standby has it: whoever sets it accepts that a failover loses what
	// was acknowledged.
	AcceptAsynchronous bool
	// Shared says that other processes write to the database too, and that all of
	// them share the mark. Without it a second one is refused.
	Shared bool

	limits limits
}

// limits are how long things may take; a zero one is the default.
type limits struct {
	connect   time.Duration // the way to one host
	answer    time.Duration // an answer of the server's
	lock      time.Duration // waiting for somebody else's lock
	statement time.Duration
	idle      time.Duration // inside a transaction, between statements
	look      time.Duration // until the ledger's size is looked at, where no notice comes
}

// The defaults. An answer may take longer than the server's own limits, so that
// it is the server that says what went wrong.
var defaults = limits{
	connect: 5 * time.Second, answer: 15 * time.Second, lock: 5 * time.Second, statement: 10 * time.Second, idle: 10 * time.Second, look: 5 * time.Second,
}

func (l limits) orDefaults() limits {
	return limits{
		connect: cmp.Or(l.connect, defaults.connect), answer: cmp.Or(l.answer, defaults.answer), lock: cmp.Or(l.lock, defaults.lock),
		statement: cmp.Or(l.statement, defaults.statement), idle: cmp.Or(l.idle, defaults.idle), look: cmp.Or(l.look, defaults.look),
	}
}

// Check refuses settings that can't be meant, without touching file or network.
// Errors wrap ErrConfig and begin with the setting's name.
func (c Config) Check() error {
	_, err := parseAddress(c.URL)
	return err
}

const (
	readers = 8
	// readerLife bounds how long a connection for reading is used.
	readerLife = 10 * time.Minute
)

// Engine is an open PostgreSQL database. One connection writes, others read.
type Engine struct {
	c        Config
	dsn      *pgx.ConnConfig
	id       canon.ID // of this process, in the table writer
	writer   *sql.DB
	reader   *sql.DB
	migrator *sql.DB
	notices  atomic.Int64 // that came on the writing connection
	begun    atomic.Pointer[begun]
	batches  atomic.Int64 // how many commits were tried

	mu   sync.Mutex
	seen server // guarded by mu; the newest timeline that was connected to
}

// begun is what Begin saw.
type begun struct {
	clock time.Time
	size  int64
}

var _ store.Engine = (*Engine)(nil)

// Open opens the database. It refuses a server that could lose what it has
// acknowledged, one that is too old, and a schema that this program does not work
// on.
func Open(ctx context.Context, c Config) (*Engine, error) {
	e, err := Connect(ctx, c)
	if err != nil {
		return nil, err
	}
	if err := e.checkSchema(ctx); err != nil {
		return nil, errors.Join(e.MapError(err), e.Close())
	}
	return e, nil
}

// Connect is Open for who brings the schema up: it does not look at it.
func Connect(ctx context.Context, c Config) (*Engine, error) {
	c.limits = c.limits.orDefaults()
	a, err := parseAddress(c.URL)
	if err != nil {
		return nil, err
	}
	e := &Engine{c: c}
	if e.dsn, err = a.config(); err != nil {
		return nil, err
	}
	if e.id, err = canon.NewID(rand.Reader); err != nil {
		return nil, err
	}
	e.writer = sql.OpenDB(connector{e, writing})
	e.writer.SetMaxOpenConns(1)
	e.reader = sql.OpenDB(connector{e, reading})
	e.reader.SetMaxOpenConns(readers)
	e.reader.SetMaxIdleConns(readers)
	e.reader.SetConnMaxLifetime(readerLife)
	e.migrator = sql.OpenDB(connector{e, migrating})
	e.migrator.SetMaxOpenConns(1)
	if err := e.reader.PingContext(ctx); err != nil {
		return nil, errors.Join(e.MapError(fmt.Errorf("opening the database: %w", err)), e.Close())
	}
	return e, nil
}

func (e *Engine) checkSchema(ctx context.Context) error {
	tx, err := e.Read(ctx)
	if err != nil {
		return err
	}
	level, err := e.Migration().Level(ctx, tx)
	if err := errors.Join(err, tx.Rollback()); err != nil {
		return err
	}
	return level.Check()
}

// Begin starts the writing transaction: it waits until nobody else's holds the
// head. Whatever was committed before is seen by it.
func (e *Engine) Begin(ctx context.Context) (*sql.Tx, error) {
	tx, err := e.writer.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	if _, none := errors.AsType[*refusals](err); !none && lost(err) && !pgconn.Timeout(err) { // an idle connection that ended; nothing has happened yet
		tx, err = e.writer.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelReadCommitted})
	}
	if err != nil {
		return nil, err
	}
	var b begun
	var d durability
	// The clock is read, and the settings are, once the lock is held.
	err = tx.QueryRowContext(ctx, `WITH locked AS MATERIALIZED (SELECT size FROM head WHERE id = 1 FOR UPDATE)
		SELECT size, clock_timestamp(), `+durabilityColumns+` FROM locked`).Scan(append([]any{&b.size, &b.clock}, d.into()...)...)
	if err == nil {
		err = d.check(e.c.AcceptAsynchronous)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("locking the head: %w", err), tx.Rollback())
	}
	e.begun.Store(&b)
	return tx, nil
}

// Clock returns the server's clock at the newest Begin.
func (e *Engine) Clock() time.Time {
	if b := e.begun.Load(); b != nil {
		return b.clock
	}
	return time.Time{}
}

// Read starts a reading transaction. It sees what was committed when it reads for
// the first time.
func (e *Engine) Read(ctx context.Context) (*sql.Tx, error) {
	return e.reader.BeginTx(ctx, &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true})
}

// Close ends all connections. That one had ended already is no error.
func (e *Engine) Close() error {
	var errs []error
	for _, db := range []*sql.DB{e.reader, e.writer, e.migrator} {
		if err := db.Close(); !lost(err) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
