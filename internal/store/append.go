package store

import (
	"errors"
	"fmt"

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

// store writes a leaf of that time which the fold allowed, its hashes, its opening
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
	if err := tx.exec(`INSERT INTO leaf (idx, kind, body, hash, at_us) VALUES ($1, $2, $3, $4, $5)`,
		a.Index, string(a.Leaf.Kind), body, a.Hash[:], int64(at)); err != nil {
		return err
	}
	for _, n := range nodes {
		if err := tx.exec(`INSERT INTO node (idx, hash) VALUES ($1, $2)`, n.Index, n.Hash[:]); err != nil {
			return err
		}
	}
	if err := tx.exec(`INSERT INTO opening (leaf, facts_salt, facts) VALUES ($1, $2, $3)`, a.Index, o.FactsSalt[:], o.Facts); err != nil {
		return err
	}
	if o.Person != nil {
		sealed, err := tx.seal(a.Index, o)
		if err != nil {
			return err
		}
		if err := tx.exec(`INSERT INTO person_part (leaf, person, sealed) VALUES ($1, $2, $3)`, a.Index, string(o.PersonID), sealed); err != nil {
			return err
		}
	}
	for _, c := range changes {
		if err := tx.apply(a.Index, c); err != nil {
			return fmt.Errorf("%s %s: %w", c.Table, c.Key, err)
		}
	}
	tx.tree, tx.last = next, at
	return nil
}

// apply writes one row of the fold, or takes it away. A row that must be new is inserted only, so
// that the primary key refuses a second one whatever the fold thought.
func (tx *Tx) apply(leaf int64, c record.Change) error {
	if c.Gone {
		for _, query := range []string{`DELETE FROM state WHERE tbl = $1 AND id = $2`, `DELETE FROM state_index WHERE tbl = $1 AND id = $2`} {
			if err := tx.exec(query, string(c.Table), c.Key); err != nil {
				return err
			}
		}
		return nil
	}
	query := `INSERT INTO state (tbl, id, body, leaf) VALUES ($1, $2, $3, $4)`
	if !c.New {
		query += ` ON CONFLICT (tbl, id) DO UPDATE SET body = excluded.body, leaf = excluded.leaf`
	}
	if err := tx.exec(query, string(c.Table), c.Key, c.Row, leaf); err != nil {
		return err
	}
	for _, i := range c.Index {
		// A row keeps the leaf that first listed it under a name, so lists stay
		// in the order in which things happened.
		if err := tx.exec(`INSERT INTO state_index (tbl, name, val, leaf, id) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (tbl, id, name) DO UPDATE SET val = excluded.val`,
			string(c.Table), i.Name, i.Value, leaf, c.Key); err != nil {
			return err
		}
	}
	return nil
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
	tree, err := tx.tree.Marshal()
	if err != nil {
		return err
	}
	result, err := tx.db.ExecContext(tx.ctx, `UPDATE head SET size = $1, tree = $2, at_us = $3 WHERE id = 1 AND size = $4`,
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

func (tx *Tx) exec(query string, args ...any) error {
	_, err := tx.db.ExecContext(tx.ctx, query, args...)
	return err
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
