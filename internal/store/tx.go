package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

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
	broken  error // why nothing of the whole transaction stands

	known  *known     // rows as of before the transaction
	done   *pending   // of the functions that have ended well
	own    *pending   // of the one that runs
	saved  bool       // it has its savepoint
	undone unsentRows // of done, what was written since then
}

func (s *Store) newTx(ctx context.Context, dbtx *sql.Tx) (*Tx, error) {
	tx := &Tx{Reader: *newReader(ctx, dbtx, s.versions), rand: s.rand, done: newPending(), own: newPending()}
	tx.db, tx.tx = sending{tx}, tx
	head, err := tx.Head()
	if err != nil {
		return nil, err
	}
	tx.known = s.known.at(head)
	s.known = nil // until this transaction stands
	tx.tree, tx.size = head.Tree, head.Tree.Size
	if tx.last, err = head.At, s.clock.check(s.now(), head, s.engine.Clock()); err != nil {
		return nil, err
	}
	tx.now = max(canon.At(s.now()), head.At)
	return tx, nil
}

// Row returns a row of the fold.
func (tx *Tx) Row(t record.Table, key string) ([]byte, error) {
	k := record.Key{Table: t, ID: key}
	if row := tx.waiting(k); row != nil {
		if row.gone {
			return nil, record.ErrNotFound
		}
		return row.body, nil
	}
	body, ok := tx.known.rows[k]
	switch {
	case ok && body == nil:
		return nil, record.ErrNotFound
	case ok:
		return body, nil
	}
	body, err := tx.Reader.Row(t, key)
	if err == nil || errors.Is(err, record.ErrNotFound) {
		tx.known.rows[k] = body
	}
	return body, err
}

// First returns the index of the leaf that first wrote a row of the fold, or an
// error that wraps record.ErrNotFound. It is there for tables whose rows are all
// listed.
func (tx *Tx) First(t record.Table, key string) (int64, error) {
	k := record.Key{Table: t, ID: key}
	if tx.waiting(k) != nil {
		return tx.Reader.First(t, key)
	}
	if leaf, ok := tx.known.first[k]; ok {
		return leaf, nil
	}
	leaf, err := tx.first(tx.beside, t, key)
	if err == nil {
		tx.known.first[k] = leaf
	}
	return leaf, err
}

// Version returns a contract version that a leaf proposed.
func (tx *Tx) Version(d canon.Digest) (*contract.Version, error) {
	leaf, err := tx.First(record.TableContract, d.String())
	if err != nil {
		return nil, err
	}
	return tx.version(d, leaf)
}

// sending is the database as a function of a batch sees the ledger's tables: what
// waits is written before anything is asked.
type sending struct{ tx *Tx }

func (s sending) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := s.tx.send(); err != nil {
		return nil, err
	}
	if err := s.tx.save(); err != nil {
		return nil, err
	}
	return s.tx.beside.ExecContext(ctx, query, args...)
}

func (s sending) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := s.tx.send(); err != nil {
		return nil, err
	}
	return s.tx.beside.QueryContext(ctx, query, args...)
}

func (s sending) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	_ = s.tx.send() // if it fails nothing of the transaction stands, whatever is answered here
	return s.tx.beside.QueryRowContext(ctx, query, args...)
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
