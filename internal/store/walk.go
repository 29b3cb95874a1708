package store

import (
	"database/sql"
	"errors"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// EntriesFrom returns at most limit leaves from index on, oldest first.
func (r *Reader) EntriesFrom(from int64, limit int) ([]Entry, error) {
	return r.entries(entryColumns+`WHERE l.idx >= $1 ORDER BY l.idx LIMIT $2`, from, limit)
}

// LeafRow is a leaf with its opening as the database keeps them, for whoever
// checks the database: nothing of it is held to anything.
type LeafRow struct {
	Index int64
	Kind  string
	Text  []byte
	Hash  []byte
	At    canon.Micros
	// Opening has what there is of it. Facts are nil if the row is missing.
	Opening Opening
	// Sealed says that there is a person part, Unsealed why it does not open: the
	// part was changed, or its key is gone.
	Sealed   bool
	Unsealed error
}

// ErrNoKey says that a person part's key is gone.
var ErrNoKey = errors.New("the key of the person part is gone")

// LeafRows returns at most limit leaves from index on, oldest first.
func (r *Reader) LeafRows(from int64, limit int) ([]LeafRow, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT l.idx, l.kind, l.body, l.hash, l.at_us, o.facts_salt, o.facts, p.person, k.secret, p.sealed
		FROM leaf l LEFT JOIN opening o ON o.leaf = l.idx LEFT JOIN person_part p ON p.leaf = l.idx LEFT JOIN person_key k ON k.person = p.person
		WHERE l.idx >= $1 ORDER BY l.idx LIMIT $2`, from, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (LeafRow, error) {
		var l LeafRow
		var at int64
		var salt, key, sealed []byte
		var person sql.NullString
		if err := rows.Scan(&l.Index, &l.Kind, &l.Text, &l.Hash, &at, &salt, &l.Opening.Facts, &person, &key, &sealed); err != nil {
			return LeafRow{}, err
		}
		l.At = canon.Micros(at)
		copy(l.Opening.FactsSalt[:], salt) // of another length it opens nothing
		l.Opening.PersonID, l.Sealed = canon.ID(person.String), sealed != nil
		switch {
		case l.Sealed && key == nil:
			l.Unsealed = ErrNoKey
		case l.Sealed:
			l.Unsealed = l.Opening.unseal(l.Index, key, sealed)
		}
		return l, nil
	})
}

// NodeRow is a stored hash of the tree, at its place in tlog's order.
type NodeRow struct {
	Index int64
	Hash  []byte
}

// NodeRows returns at most limit stored hashes from index on, in order.
func (r *Reader) NodeRows(from int64, limit int) ([]NodeRow, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT idx, hash FROM node WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (n NodeRow, err error) { return n, rows.Scan(&n.Index, &n.Hash) })
}

// StateRow is a row of the fold with the leaf that wrote it last.
type StateRow struct {
	Key  record.Key
	Body []byte
	Leaf int64
}

// EachStateRow calls fn with every row of the fold, in no order that means
// anything. fn reads nothing.
func (r *Reader) EachStateRow(fn func(StateRow) error) error {
	rows, err := r.db.QueryContext(r.ctx, `SELECT tbl, id, body, leaf FROM state`)
	if err != nil {
		return err
	}
	return each(rows, fn, func(rows *sql.Rows) (s StateRow, err error) {
		return s, rows.Scan(&s.Key.Table, &s.Key.ID, &s.Body, &s.Leaf)
	})
}

// IndexRow is a value by which a row of the fold is listed, with the leaf that
// first listed it.
type IndexRow struct {
	Key   record.Key
	Name  string
	Value string
	Leaf  int64
}

// EachIndexRow calls fn with every value by which rows are listed. fn reads
// nothing.
func (r *Reader) EachIndexRow(fn func(IndexRow) error) error {
	rows, err := r.db.QueryContext(r.ctx, `SELECT tbl, id, name, val, leaf FROM state_index`)
	if err != nil {
		return err
	}
	return each(rows, fn, func(rows *sql.Rows) (s IndexRow, err error) {
		return s, rows.Scan(&s.Key.Table, &s.Key.ID, &s.Name, &s.Value, &s.Leaf)
	})
}

// CheckpointRow is a signed checkpoint.
type CheckpointRow struct {
	Size int64
	Root []byte
	Note []byte
}

// CheckpointRows returns the signed checkpoints over more than after leaves and at
// most upTo, smallest first.
func (r *Reader) CheckpointRows(after, upTo int64) ([]CheckpointRow, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT size, root, note FROM checkpoint WHERE size > $1 AND size <= $2 ORDER BY size`, after, upTo)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (c CheckpointRow, err error) { return c, rows.Scan(&c.Size, &c.Root, &c.Note) })
}

// CertificateRow is a signed certificate.
type CertificateRow struct {
	Serial  int64
	Request canon.ID
	KeyHash []byte
	Body    []byte
}

// CertificateRows returns the signed certificates with a serial over after and at
// most upTo, in order. A serial is a leaf's index plus one.
func (r *Reader) CertificateRows(after, upTo int64) ([]CertificateRow, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT serial, request, key_hash, body FROM certificate WHERE serial > $1 AND serial <= $2 ORDER BY serial`, after, upTo)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (c CertificateRow, err error) {
		return c, rows.Scan(&c.Serial, &c.Request, &c.KeyHash, &c.Body)
	})
}

func each[T any](rows *sql.Rows, fn func(T) error, scan func(*sql.Rows) (T, error)) error {
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return err
		}
		if err := fn(v); err != nil {
			return err
		}
	}
	return rows.Err()
}
