package store

import (
	"database/sql"
	"errors"
	"fmt"
	"maps"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Opening is what a leaf's commitments hide.
type Opening struct {
	FactsSalt  ledger.Salt
	Facts      []byte // canonical JSON
	PersonID   canon.ID
	PersonSalt ledger.Salt
	Person     []byte // canonical JSON; nil where there is none or it was erased
}

// store adds a leaf of that time which the fold allowed, its hashes, its opening
// and the rows it changes.
func (tx *Tx) store(a Appended, at canon.Micros, o Opening, changes []record.Change) error {
	body, err := a.Leaf.Marshal()
	if err != nil {
		return err
	}
	next, nodes, err := tx.tree.Append([32]byte(a.Hash))
	if err != nil {
		return err
	}
	own := &tx.own.unsentRows
	own.leaves = append(own.leaves, a.Index, string(a.Leaf.Kind), body, a.Hash[:], int64(at))
	for _, n := range nodes {
		own.nodes = append(own.nodes, n.Index, n.Hash[:])
	}
	own.openings = append(own.openings, a.Index, o.FactsSalt[:], o.Facts)
	if o.Person != nil {
		sealed, err := tx.seal(a.Index, o)
		if err != nil {
			return err
		}
		own.parts = append(own.parts, a.Index, string(o.PersonID), sealed)
	}
	for _, c := range changes {
		if err := tx.apply(a.Index, c); err != nil {
			return fmt.Errorf("%s %s: %w", c.Table, c.Key, err)
		}
	}
	tx.tree, tx.last = next, at
	return nil
}

// apply changes one row of the fold, or takes it away. One that must be new is
// refused if this transaction has it, whatever the fold thought; the database
// refuses it if it has it.
func (tx *Tx) apply(leaf int64, c record.Change) error {
	k := record.Key{Table: c.Table, ID: c.Key}
	if c.Gone {
		return tx.remove(k)
	}
	if row := tx.waiting(k); row != nil && c.New && !row.gone {
		return fmt.Errorf("%w: it is there already", ErrConflict)
	}
	tx.own.put(k, stateRow{body: c.Row, leaf: leaf, fresh: c.New})
	for _, i := range c.Index {
		tx.own.list(indexKey{k, i.Name}, indexRow{value: i.Value, leaf: leaf})
	}
	return nil
}

// remove takes a row of the fold away, with its lists.
func (tx *Tx) remove(k record.Key) error {
	if err := tx.send(); err != nil {
		return err
	}
	for _, query := range []string{`DELETE FROM state WHERE tbl = $1 AND id = $2`, `DELETE FROM state_index WHERE tbl = $1 AND id = $2`} {
		if err := tx.exec(query, string(k.Table), k.ID); err != nil {
			return err
		}
	}
	tx.own.state[k] = &stateRow{gone: true, sent: true}
	maps.DeleteFunc(tx.own.index, func(i indexKey, _ *indexRow) bool { return i.row == k })
	tx.own.removed = append(tx.own.removed, k)
	return nil
}

// waiting returns a row of the fold that this transaction has changed, or nil.
func (tx *Tx) waiting(k record.Key) *stateRow {
	if row, ok := tx.own.state[k]; ok {
		return row
	}
	return tx.done.state[k]
}

// finish moves the head, by compare-and-swap on the size it had when the
// transaction began.
func (tx *Tx) finish() error {
	switch {
	case tx.stopped != nil:
		return tx.stopped
	case tx.tree.Size == tx.size:
		return nil
	}
	if err := tx.write(tx.done); err != nil {
		return err
	}
	tree, err := tx.tree.Marshal()
	if err != nil {
		return err
	}
	result, err := tx.beside.ExecContext(tx.ctx, `UPDATE head SET size = $1, tree = $2, at_us = $3 WHERE id = 1 AND size = $4`,
		tx.tree.Size, tree, int64(tx.last), tx.size)
	if err != nil {
		return err
	}
	n, err := result.RowsAffected()
	if err != nil {
		return err
	}
	if n != 1 {
		return ErrConflict
	}
	return tx.mentioned()
}

// Touch writes the head as it is, for whoever wants to see that writing works.
func (tx *Tx) Touch() error { return tx.exec(`UPDATE head SET id = 1 WHERE id = 1`) }

// exec changes plain rows.
func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.change(query, args...)
	return err
}

// change is exec for who asks how many rows there were.
func (tx *Tx) change(query string, args ...any) (sql.Result, error) {
	if err := tx.save(); err != nil {
		return nil, err
	}
	return tx.beside.ExecContext(tx.ctx, query, args...)
}

// PutCheckpoint keeps a signed checkpoint.
func (tx *Tx) PutCheckpoint(c ledger.Checkpoint, note []byte) error {
	return tx.exec(`INSERT INTO checkpoint (size, root, note) VALUES ($1, $2, $3) ON CONFLICT (size) DO NOTHING`, c.Size, c.Root[:], note)
}

// PutCosigned keeps a checkpoint with its cosignatures in place of the one that
// only the log has signed.
func (tx *Tx) PutCosigned(c ledger.Checkpoint, note []byte) error {
	return tx.exec(`INSERT INTO checkpoint (size, root, note) VALUES ($1, $2, $3)
		ON CONFLICT (size) DO UPDATE SET note = excluded.note WHERE checkpoint.root = excluded.root`, c.Size, c.Root[:], note)
}

// PutCertificate keeps a signed certificate. keyHash is the SHA-256 of the
// subject key's wire form.
func (tx *Tx) PutCertificate(serial uint64, grant canon.ID, keyHash canon.Digest, wire []byte) error {
	if serial == 0 {
		return errors.New("store: certificate without serial")
	}
	return tx.exec(`INSERT INTO certificate (serial, request, key_hash, body) VALUES ($1, $2, $3, $4) ON CONFLICT (serial) DO NOTHING`,
		int64(serial), string(grant), keyHash[:], wire) //nolint:gosec // a serial is a leaf index plus one
}
