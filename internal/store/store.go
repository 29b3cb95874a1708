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
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
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
	return s.engine.MapError(fn(&Reader{ctx: ctx, db: dbtx, versions: s.versions}))
}

// Tx is a write in progress: a record.View that sees its own changes, and the
// only thing that can append leaves.
type Tx struct {
	Reader
	tree    ledger.Tree
	size    int64 // of the head when the transaction began
	now     canon.Micros
	last    canon.Micros // ledger time of the newest leaf
	rand    io.Reader
	stopped error // the first append that half happened: nothing of it may commit
}

func (s *Store) newTx(ctx context.Context, dbtx *sql.Tx) (*Tx, error) {
	tx := &Tx{Reader: Reader{ctx: ctx, db: dbtx, versions: s.versions}, rand: s.rand}
	head, err := tx.Head()
	if err != nil {
		return nil, err
	}
	tx.tree, tx.size = head.Tree, head.Tree.Size
	if tx.last, err = head.At, s.clock.check(s.now(), head, s.engine.Clock()); err != nil {
		return nil, err
	}
	tx.now = max(canon.At(s.now()), head.At)
	return tx, nil
}

// Next returns the index of the next leaf.
func (tx *Tx) Next() int64 { return tx.tree.Size }

// Now returns ledger time: the clock, but never before the newest leaf. It is
// the same for the whole transaction.
func (tx *Tx) Now() canon.Micros { return tx.now }

// Appended is a leaf that a transaction added.
type Appended struct {
	Index int64
	Hash  canon.Digest
	Leaf  ledger.Leaf
}

// Draft is what Append takes: the facts, and the person part with its salt if
// there is one. A zero PersonSalt is drawn; requests bring the one their maker
// drew and signed for.
type Draft struct {
	Facts      record.Facts
	Person     any
	PersonID   canon.ID // whom the person part is about
	PersonSalt ledger.Salt
}

// Append adds a leaf if the fold allows it, with its opening and the rows that
// it changes. The facts must carry tx.Now().
func (tx *Tx) Append(d Draft) (Appended, error) {
	if tx.stopped != nil {
		return Appended{}, tx.stopped
	}
	if d.Facts.When() != tx.now {
		return Appended{}, fmt.Errorf("%w: facts dated %d in a transaction of %d", record.ErrEvent, d.Facts.When(), tx.now)
	}
	opening, leaf, err := tx.open(d)
	if err != nil {
		return Appended{}, err
	}
	return tx.append(leaf, opening, d.Facts, d.Person)
}

// append adds a leaf with its opening, if the fold allows it.
func (tx *Tx) append(leaf ledger.Leaf, opening Opening, facts record.Facts, person any) (Appended, error) {
	hash, err := leaf.Hash()
	if err != nil {
		return Appended{}, err
	}
	a := Appended{Index: tx.Next(), Hash: canon.Digest(hash), Leaf: leaf}
	changes, err := record.Check(tx, record.Event{
		Index: a.Index, LeafHash: a.Hash, Previous: tx.last, Facts: facts, Person: person, PersonCommitment: leaf.Person,
	})
	if err != nil {
		return Appended{}, err
	}
	err = tx.store(a, facts.When(), opening, changes)
	if f, ok := facts.(record.PersonErase); err == nil && ok {
		err = tx.destroy(f.People) // no leaf says so without it
	}
	if err == nil {
		err = tx.mention(a.Index, facts)
	}
	if err != nil {
		tx.stopped = fmt.Errorf("appending leaf %d: %w", a.Index, err)
		return Appended{}, tx.stopped
	}
	return a, nil
}

// open draws the salts and returns the opening and the leaf that commits to it.
func (tx *Tx) open(d Draft) (Opening, ledger.Leaf, error) {
	facts, err := canon.Marshal(d.Facts)
	if err != nil {
		return Opening{}, ledger.Leaf{}, err
	}
	// What nobody could read back must not stand in the ledger for ever.
	if _, err := record.ParseFacts(d.Facts.Kind(), facts); err != nil {
		return Opening{}, ledger.Leaf{}, err
	}
	o := Opening{Facts: facts}
	if o.FactsSalt, err = ledger.NewSalt(tx.rand); err != nil {
		return Opening{}, ledger.Leaf{}, err
	}
	leaf := ledger.Leaf{
		Kind: d.Facts.Kind(), Lineage: d.Facts.InLineage(), Reference: d.Facts.Reference(),
		Facts: ledger.FactsCommitment(o.FactsSalt, facts),
	}
	if d.Person == nil {
		return o, leaf, nil
	}
	if d.PersonID == "" {
		return Opening{}, ledger.Leaf{}, fmt.Errorf("%w: a person part about nobody", record.ErrEvent)
	}
	if o.Person, err = canon.Marshal(d.Person); err != nil {
		return Opening{}, ledger.Leaf{}, err
	}
	if _, err := record.ParsePerson(d.Facts.Kind(), o.Person); err != nil {
		return Opening{}, ledger.Leaf{}, err
	}
	o.PersonID, o.PersonSalt = d.PersonID, d.PersonSalt
	if o.PersonSalt.IsZero() {
		if o.PersonSalt, err = ledger.NewSalt(tx.rand); err != nil {
			return Opening{}, ledger.Leaf{}, err
		}
	}
	leaf.Person = ledger.PersonCommitment(o.PersonSalt, o.Person)
	return o, leaf, nil
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
