// Package store owns the database: the ledger's leaves, hashes and openings, the
// rows that the fold keeps, and the plain rows beside it (sessions, challenges,
// signed certificates, checkpoints).
//
// There is one way to change state that decides about access: Write runs a
// function in one transaction that holds the ledger's head, and Tx.Append lets
// the fold in package record decide about each leaf. The queries are written
// once; an engine opens its database, locks the head and maps errors. Only
// package authority calls Write.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// Reasons why a database is refused or a write is not made.
var (
	// ErrUnavailable says that the database could not be read or written. What
	// was asked did not happen; trying again is safe.
	ErrUnavailable = errors.New("the database is not available")
	// ErrConflict says that somebody else wrote first. Trying again is safe.
	ErrConflict = errors.New("the ledger changed meanwhile")
	// ErrSchema says that the database is not one that this program works on.
	ErrSchema = errors.New("the database does not fit")
	// ErrUnsafe says that the database could lose what it has acknowledged. It is
	// an ErrUnavailable.
	ErrUnsafe error = unavailable("the database could lose what it has acknowledged")
)

// unavailable is an ErrUnavailable with a text of its own.
type unavailable string

func (u unavailable) Error() string { return string(u) }

// Is reports that it is an ErrUnavailable.
func (u unavailable) Is(target error) bool { return target == ErrUnavailable }

// Engine is one kind of database.
type Engine interface {
	// Begin starts the only writing transaction; no other commits before it ends,
	// not another process's either.
	Begin(ctx context.Context) (*sql.Tx, error)
	// Commit ends a transaction of Begin's. All of it is durable if it returns nil,
	// and nothing of it stands, now or later, if it returns an error, save an
	// *UnknownError.
	Commit(tx *sql.Tx) error
	// Clock returns what the database's own clock showed when Begin last returned,
	// zero if that is ours.
	Clock() time.Time
	// Read starts a transaction that sees one committed state throughout.
	Read(ctx context.Context) (*sql.Tx, error)
	// MapError turns the driver's errors into ErrUnavailable or ErrConflict
	// where they mean that, and leaves the others alone.
	MapError(err error) error
	// Close ends all connections.
	Close() error
}

// Config is what a Store needs.
type Config struct {
	Engine Engine
	Now    func() time.Time // the clock; ledger time never runs behind the newest leaf
	Rand   io.Reader        // a cryptographic source, for salts
	// Observe is told of each transaction of the writer, which waits for it.
	// Zero: nobody is.
	Observe func(Transaction)
	// Patience is how long callers wait for a database that does not say what
	// became of their write, beyond what the engine waits for the commit. Zero: 5 s.
	Patience time.Duration
}

// Transaction is what became of one transaction of the writer.
type Transaction struct {
	Writes int // functions that shared it
	Took   time.Duration
	Err    error // of the whole: none of them stands
}

// Store is an open database. It is safe for concurrent use.
type Store struct {
	engine   Engine
	now      func() time.Time
	rand     io.Reader
	observe  func(Transaction)
	versions *versions
	clock    clock
	growth   growth
	patience time.Duration
	known    *known // the writer's alone: rows as of the newest write that it knows to stand
	// acknowledged is the head as of the newest write that the database
	// acknowledged to this process; nil before the first.
	acknowledged atomic.Pointer[Head]
	unsettled    atomic.Bool // callers were told that their writes' outcome is unknown, and it still is

	waiting chan *job     // what Write waits in
	urgent  chan *job     // what WriteUrgent waits in; served first
	closing chan struct{} // closed by Close
	closed  chan struct{} // closed when the writer has ended
	deaf    chan struct{} // closed when nobody listens to other processes any more
	once    sync.Once
}

// New returns the Store over an engine whose schema is in place.
func New(c Config) (*Store, error) {
	if c.Engine == nil || c.Now == nil || c.Rand == nil {
		return nil, errors.New("store: engine, clock and randomness must be given")
	}
	if c.Observe == nil {
		c.Observe = func(Transaction) {}
	}
	if c.Patience <= 0 {
		c.Patience = 5 * time.Second
	}
	s := &Store{
		patience: c.Patience, engine: c.Engine, now: c.Now, rand: c.Rand, observe: c.Observe, versions: &versions{byDigest: make(map[canon.Digest]*contract.Version)},
		waiting: make(chan *job, maxWaiting), urgent: make(chan *job, maxUrgent),
		closing: make(chan struct{}), closed: make(chan struct{}), deaf: make(chan struct{}),
	}
	s.growth.next = make(chan struct{})
	go s.write()
	if l, ok := c.Engine.(Listener); ok {
		go s.listen(l)
	} else {
		close(s.deaf)
	}
	return s, nil
}

// Close finishes the batch that runs, turns away what still waits, and ends all
// connections.
func (s *Store) Close() error {
	s.once.Do(func() { close(s.closing) })
	<-s.closed
	<-s.deaf
	return s.engine.Close()
}

// Read runs fn over one committed state.
func (s *Store) Read(ctx context.Context, fn func(*Reader) error) error {
	dbtx, err := s.engine.Read(ctx)
	if err != nil {
		return s.engine.MapError(fmt.Errorf("beginning: %w", err))
	}
	defer func() { _ = dbtx.Rollback() }() // it only reads
	return s.engine.MapError(fn(newReader(ctx, dbtx, s.versions)))
}

// versions keeps parsed contract versions. They are named by the digest of
// their bytes, so what is kept is always right.
type versions struct {
	mu       sync.Mutex
	byDigest map[canon.Digest]*contract.Version
}

// maxVersions bounds what is kept; a server has a handful.
const maxVersions = 256

func (v *versions) get(d canon.Digest) *contract.Version {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.byDigest[d]
}

func (v *versions) put(version *contract.Version) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.byDigest) >= maxVersions {
		clear(v.byDigest)
	}
	v.byDigest[version.Digest] = version
}
