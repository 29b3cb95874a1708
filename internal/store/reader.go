package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Reader reads one committed state. It is a record.View and a tlog.HashReader.
// It lives as long as the function it was given to.
type Reader struct {
	ctx      context.Context //nolint:containedctx // lives for one transaction, which record.View's methods cannot be handed
	db       queries         // the ledger's tables
	beside   queries         // plain tables, and rows of the ledger's that no function changes meanwhile
	versions *versions
	tx       *Tx // nil unless it writes
}

// queries is what a *sql.Tx answers.
type queries interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

func newReader(ctx context.Context, dbtx *sql.Tx, v *versions) *Reader {
	return &Reader{ctx: ctx, db: dbtx, beside: dbtx, versions: v}
}

// lists is where to ask for the rows of a table that are listed under a value.
func (r *Reader) lists(t record.Table, name, value string) queries {
	if r.tx == nil || r.tx.own.overlaps(t, name, value) || r.tx.done.overlaps(t, name, value) {
		return r.db
	}
	return r.beside
}

var (
	_ record.View     = (*Reader)(nil)
	_ tlog.HashReader = (*Reader)(nil)
)

// Head is the committed end of the log.
type Head struct {
	Tree ledger.Tree
	At   canon.Micros // ledger time of the newest leaf
}

// Head returns the end of the log.
func (r *Reader) Head() (Head, error) {
	var size, at int64
	var text []byte
	err := r.beside.QueryRowContext(r.ctx, `SELECT size, tree, at_us FROM head WHERE id = 1`).Scan(&size, &text, &at)
	if err != nil {
		return Head{}, fmt.Errorf("reading the head: %w", err)
	}
	tree, err := ledger.ParseTree(text)
	if err != nil {
		return Head{}, err
	}
	if tree.Size != size {
		return Head{}, fmt.Errorf("%w: head row says %d and %d", ledger.ErrTree, size, tree.Size)
	}
	return Head{Tree: tree, At: canon.Micros(at)}, nil
}

// Row returns a row of the fold.
func (r *Reader) Row(t record.Table, key string) ([]byte, error) {
	var body []byte
	err := r.beside.QueryRowContext(r.ctx, `SELECT body FROM state WHERE tbl = $1 AND id = $2`, string(t), key).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, record.ErrNotFound
	}
	return body, err
}

// Version returns a contract version from the leaf that proposed it. It looks
// for the leaf each time: a version may have been parsed in a write that was
// undone.
func (r *Reader) Version(d canon.Digest) (*contract.Version, error) {
	leaf, err := r.First(record.TableContract, d.String())
	if err != nil {
		return nil, err
	}
	return r.version(d, leaf)
}

func (r *Reader) version(d canon.Digest, leaf int64) (*contract.Version, error) {
	if v := r.versions.get(d); v != nil {
		return v, nil
	}
	entry, err := r.Entry(leaf)
	if err != nil {
		return nil, err
	}
	facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
	if err != nil {
		return nil, err
	}
	propose, ok := facts.(record.ContractPropose)
	if !ok {
		return nil, fmt.Errorf("%w: leaf %d is no contract", record.ErrEvent, leaf)
	}
	v, err := record.LoadVersion(propose, r.Version)
	if err != nil {
		return nil, err
	}
	if v.Digest != d {
		return nil, fmt.Errorf("%w: leaf %d is contract version %s", record.ErrEvent, leaf, v.Digest)
	}
	r.versions.put(v)
	return v, nil
}

// Writer returns the index of the leaf that wrote a row of the fold last, or
// record.ErrNotFound. It is a plain column: whoever relies on it opens the leaf.
func (r *Reader) Writer(t record.Table, key string) (int64, error) {
	var leaf int64
	err := r.db.QueryRowContext(r.ctx, `SELECT leaf FROM state WHERE tbl = $1 AND id = $2`, string(t), key).Scan(&leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, record.ErrNotFound
	}
	return leaf, err
}

// First returns the index of the leaf that first wrote a row of the fold, or an
// error that wraps record.ErrNotFound. It is there for tables whose rows are all
// listed.
func (r *Reader) First(t record.Table, key string) (int64, error) { return r.first(r.db, t, key) }

func (r *Reader) first(db queries, t record.Table, key string) (int64, error) {
	var leaf int64
	err := db.QueryRowContext(r.ctx, `SELECT leaf FROM state_index WHERE tbl = $1 AND id = $2 AND name = $3`, string(t), key, "all").Scan(&leaf)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("%s %s: %w", t, key, record.ErrNotFound)
	}
	return leaf, err
}

// Firsts returns the indexes of the leaves below before that first wrote the rows
// whose index name has the value, newest first, at most limit of them.
func (r *Reader) Firsts(t record.Table, name, value string, before int64, limit int) ([]int64, error) {
	rows, err := r.lists(t, name, value).QueryContext(r.ctx, `SELECT leaf FROM state_index WHERE tbl = $1 AND name = $2 AND val = $3 AND leaf < $4 ORDER BY leaf DESC LIMIT $5`,
		string(t), name, value, before, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (leaf int64, err error) { return leaf, rows.Scan(&leaf) })
}

// Keys returns the keys of the rows whose index has the value, sorted.
func (r *Reader) Keys(t record.Table, i record.Index) ([]string, error) {
	rows, err := r.lists(t, i.Name, i.Value).QueryContext(r.ctx, `SELECT id FROM state_index WHERE tbl = $1 AND name = $2 AND val = $3 ORDER BY id`, string(t), i.Name, i.Value)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (id string, err error) { return id, rows.Scan(&id) })
}

func scanID(rows *sql.Rows) (id canon.ID, err error) {
	var text string
	err = rows.Scan(&text)
	return canon.ID(text), err
}

// List returns the rows of a table whose index name has the value, newest
// first, at most limit of them.
func (r *Reader) List(t record.Table, name, value string, limit int) ([][]byte, error) {
	rows, err := r.lists(t, name, value).QueryContext(r.ctx, `SELECT s.body FROM state_index i JOIN state s ON s.tbl = i.tbl AND s.id = i.id
		WHERE i.tbl = $1 AND i.name = $2 AND i.val = $3 ORDER BY i.leaf DESC, i.id LIMIT $4`, string(t), name, value, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanBody)
}

// Listed is a row of a list and the leaf that first listed it, by which the list
// is ordered. A row keeps it, so it is a place to read on from.
type Listed struct {
	Leaf int64
	Body []byte
}

// Before is List for one page: of the rows that leaves below before first listed.
// A leaf lists at most one row of a table that is read in pages.
func (r *Reader) Before(t record.Table, name, value string, before int64, limit int) ([]Listed, error) {
	rows, err := r.lists(t, name, value).QueryContext(r.ctx, `SELECT i.leaf, s.body FROM state_index i JOIN state s ON s.tbl = i.tbl AND s.id = i.id
		WHERE i.tbl = $1 AND i.name = $2 AND i.val = $3 AND i.leaf < $4 ORDER BY i.leaf DESC, i.id LIMIT $5`, string(t), name, value, before, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (l Listed, err error) { return l, rows.Scan(&l.Leaf, &l.Body) })
}

// Oldest is List with the oldest first.
func (r *Reader) Oldest(t record.Table, name, value string, limit int) ([][]byte, error) {
	rows, err := r.lists(t, name, value).QueryContext(r.ctx, `SELECT s.body FROM state_index i JOIN state s ON s.tbl = i.tbl AND s.id = i.id
		WHERE i.tbl = $1 AND i.name = $2 AND i.val = $3 ORDER BY i.leaf, i.id LIMIT $4`, string(t), name, value, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanBody)
}

func scanBody(rows *sql.Rows) ([]byte, error) {
	var body []byte
	err := rows.Scan(&body)
	return body, err
}

// Entry is a leaf with its opening.
type Entry struct {
	Index   int64
	At      canon.Micros
	Leaf    ledger.Leaf
	Text    []byte // the leaf's bytes
	Opening Opening
}

const entryColumns = `SELECT l.idx, l.at_us, l.body, o.facts_salt, o.facts, p.person, k.secret, p.sealed
	FROM leaf l LEFT JOIN opening o ON o.leaf = l.idx LEFT JOIN person_part p ON p.leaf = l.idx LEFT JOIN person_key k ON k.person = p.person `

// Entry returns the leaf at index, or record.ErrNotFound.
func (r *Reader) Entry(index int64) (Entry, error) {
	list, err := r.entries(entryColumns+`WHERE l.idx = $1`, index)
	if err != nil {
		return Entry{}, err
	}
	if len(list) == 0 {
		return Entry{}, fmt.Errorf("leaf %d: %w", index, record.ErrNotFound)
	}
	return list[0], nil
}

// Entries returns at most limit leaves below index before, newest first.
func (r *Reader) Entries(before int64, limit int) ([]Entry, error) {
	return r.entries(entryColumns+`WHERE l.idx < $1 ORDER BY l.idx DESC LIMIT $2`, before, limit)
}

// Since returns the leaves of the kinds from index on, oldest first. It reads the
// log from there to its end: keep from near that.
func (r *Reader) Since(from int64, kinds ...ledger.Kind) ([]Entry, error) {
	return r.SincePage(from, math.MaxInt64, kinds...)
}

// SincePage returns at most limit of the leaves that Since returns.
func (r *Reader) SincePage(from, limit int64, kinds ...ledger.Kind) ([]Entry, error) {
	args := []any{from}
	marks := make([]string, len(kinds))
	for i, k := range kinds {
		args = append(args, string(k))
		marks[i] = fmt.Sprintf("$%d", i+2)
	}
	args = append(args, limit)
	return r.entries(fmt.Sprintf(`%sWHERE l.idx >= $1 AND l.kind IN (%s) ORDER BY l.idx LIMIT $%d`, entryColumns, strings.Join(marks, ", "), len(args)), args...)
}

// Stored is a leaf as the database keeps it, unread.
type Stored struct {
	Index int64
	Kind  string
	Text  []byte
	Hash  canon.Digest
}

// Stored returns at most limit leaves from index on, oldest first.
func (r *Reader) Stored(from int64, limit int) ([]Stored, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT idx, kind, body, hash FROM leaf WHERE idx >= $1 ORDER BY idx LIMIT $2`, from, limit)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (Stored, error) {
		var s Stored
		var hash []byte
		if err := rows.Scan(&s.Index, &s.Kind, &s.Text, &hash); err != nil {
			return Stored{}, err
		}
		copy(s.Hash[:], hash) // of another length it is no leaf's hash
		return s, nil
	})
}

// LeafIndex returns the index of the leaf with a hash, or record.ErrNotFound.
func (r *Reader) LeafIndex(hash canon.Digest) (int64, error) {
	var index int64
	err := r.db.QueryRowContext(r.ctx, `SELECT idx FROM leaf WHERE hash = $1`, hash[:]).Scan(&index)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, fmt.Errorf("leaf %s: %w", hash, record.ErrNotFound)
	}
	return index, err
}

func (r *Reader) entries(query string, args ...any) ([]Entry, error) {
	rows, err := r.db.QueryContext(r.ctx, query, args...)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanEntry)
}

func scanEntry(rows *sql.Rows) (Entry, error) {
	var e Entry
	var at int64
	var factsSalt, key, sealed []byte
	var person sql.NullString
	if err := rows.Scan(&e.Index, &at, &e.Text, &factsSalt, &e.Opening.Facts, &person, &key, &sealed); err != nil {
		return Entry{}, err
	}
	e.At = canon.Micros(at)
	leaf, err := ledger.ParseLeaf(e.Text)
	if err != nil {
		return Entry{}, fmt.Errorf("leaf %d: %w", e.Index, err)
	}
	e.Leaf = leaf
	if len(factsSalt) != len(e.Opening.FactsSalt) {
		return Entry{}, fmt.Errorf("leaf %d: %w: %d bytes", e.Index, ledger.ErrSalt, len(factsSalt))
	}
	e.Opening.FactsSalt = ledger.Salt(factsSalt)
	e.Opening.PersonID = canon.ID(person.String)
	return e, e.Opening.unseal(e.Index, key, sealed)
}

// ReadHashes returns stored tree hashes, for proofs (tlog.HashReader).
func (r *Reader) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	if len(indexes) == 0 {
		return nil, nil
	}
	args := make([]any, len(indexes))
	marks := make([]string, len(indexes))
	place := make(map[int64][]int, len(indexes))
	for i, x := range indexes {
		args[i], marks[i] = x, fmt.Sprintf("$%d", i+1)
		place[x] = append(place[x], i)
	}
	rows, err := r.db.QueryContext(r.ctx, `SELECT idx, hash FROM node WHERE idx IN (`+strings.Join(marks, ", ")+`)`, args...)
	if err != nil {
		return nil, err
	}
	type node struct {
		index int64
		hash  tlog.Hash
	}
	nodes, err := scanAll(rows, func(rows *sql.Rows) (node, error) {
		var n node
		var hash []byte
		if err := rows.Scan(&n.index, &hash); err != nil {
			return node{}, err
		}
		if len(hash) != tlog.HashSize {
			return node{}, fmt.Errorf("%w: node %d has %d bytes", ledger.ErrTree, n.index, len(hash))
		}
		n.hash = tlog.Hash(hash)
		return n, nil
	})
	if err != nil {
		return nil, err
	}
	out := make([]tlog.Hash, len(indexes))
	found := 0
	for _, n := range nodes {
		for _, i := range place[n.index] {
			out[i] = n.hash
			found++
		}
	}
	if found != len(indexes) {
		return nil, fmt.Errorf("%w: %d of %d hashes are missing", ledger.ErrTree, len(indexes)-found, len(indexes))
	}
	return out, nil
}

// Checkpoint returns the newest signed checkpoint, or record.ErrNotFound before
// the first.
func (r *Reader) Checkpoint() (size int64, root tlog.Hash, note []byte, err error) {
	var hash []byte
	err = r.beside.QueryRowContext(r.ctx, `SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1`).Scan(&size, &hash, &note)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, tlog.Hash{}, nil, fmt.Errorf("checkpoint: %w", record.ErrNotFound)
	case err != nil:
		return 0, tlog.Hash{}, nil, err
	case len(hash) != tlog.HashSize:
		return 0, tlog.Hash{}, nil, fmt.Errorf("%w: root of %d bytes", ledger.ErrTree, len(hash))
	}
	return size, tlog.Hash(hash), note, nil
}

// SignedCertificate returns the certificate with a serial, or record.ErrNotFound
// if it was never signed.
func (r *Reader) SignedCertificate(serial uint64) ([]byte, error) {
	var body []byte
	err := r.beside.QueryRowContext(r.ctx, `SELECT body FROM certificate WHERE serial = $1`, int64(serial)).Scan(&body) //nolint:gosec // a serial is a leaf index plus one
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("certificate %d: %w", serial, record.ErrNotFound)
	}
	return body, err
}

// NewestCertificate returns the newest signed certificate of a grant and key, or
// record.ErrNotFound.
func (r *Reader) NewestCertificate(grant canon.ID, keyHash canon.Digest) ([]byte, error) {
	var body []byte
	err := r.beside.QueryRowContext(r.ctx, `SELECT body FROM certificate WHERE request = $1 AND key_hash = $2 ORDER BY serial DESC LIMIT 1`,
		string(grant), keyHash[:]).Scan(&body)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("certificate of grant %s: %w", grant, record.ErrNotFound)
	}
	return body, err
}

func scanAll[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	var out []T
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}
