// Package liar owns the operator who cheats: somebody with the database and the log
// key of a sallyd who appends leaves that no rule allows, with all that belongs to
// them, as sallyd itself would have written them.
package liar

import (
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"strconv"

	_ "github.com/mattn/go-sqlite3" // the database of the one who cheats
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Draft is a leaf that is made up.
type Draft struct {
	Facts    record.Facts
	Person   any      // the person part; nil for none
	PersonID canon.ID // whom it is about
}

// Database is the ledger of a sallyd that does not run.
type Database struct {
	db *sql.DB
}

// Open opens the SQLite database in a file.
func Open(file string) (*Database, error) {
	db, err := sql.Open("sqlite3", file)
	return &Database{db}, err
}

// Close closes it.
func (d *Database) Close() error { return d.db.Close() }

// Facts returns the facts of the newest leaf of a kind, and its hash and time.
func (d *Database) Facts(ctx context.Context, kind ledger.Kind) (facts record.Facts, leaf canon.Digest, err error) {
	var text, hash []byte
	err = d.db.QueryRowContext(ctx, `SELECT o.facts, l.hash FROM leaf l JOIN opening o ON o.leaf = l.idx WHERE l.kind = $1 ORDER BY l.idx DESC LIMIT 1`, string(kind)).Scan(&text, &hash)
	if err != nil {
		return nil, leaf, fmt.Errorf("the newest %s: %w", kind, err)
	}
	copy(leaf[:], hash)
	facts, err = record.ParseFacts(kind, text)
	return facts, leaf, err
}

// Next returns the index of the next leaf.
func (d *Database) Next(ctx context.Context) (index int64, err error) {
	err = d.db.QueryRowContext(ctx, `SELECT size FROM head WHERE id = 1`).Scan(&index)
	return index, err
}

// Append appends a leaf and asks nobody. It returns its index and hash.
func (d *Database) Append(ctx context.Context, draft Draft) (index int64, hash canon.Digest, err error) {
	tx, err := d.db.BeginTx(ctx, nil)
	if err != nil {
		return 0, hash, err
	}
	index, hash, err = forge(ctx, tx, draft)
	if err != nil {
		return 0, hash, errors.Join(err, tx.Rollback())
	}
	return index, hash, tx.Commit()
}

func forge(ctx context.Context, tx *sql.Tx, draft Draft) (index int64, hash canon.Digest, err error) {
	var text []byte
	if err := tx.QueryRowContext(ctx, `SELECT tree FROM head WHERE id = 1`).Scan(&text); err != nil {
		return 0, hash, err
	}
	tree, err := ledger.ParseTree(text)
	if err != nil {
		return 0, hash, err
	}
	index = tree.Size
	facts, err := canon.Marshal(draft.Facts)
	if err != nil {
		return 0, hash, err
	}
	salt, err := ledger.NewSalt(rand.Reader)
	if err != nil {
		return 0, hash, err
	}
	leaf := ledger.Leaf{
		Kind: draft.Facts.Kind(), Lineage: draft.Facts.InLineage(), Reference: draft.Facts.Reference(), Facts: ledger.FactsCommitment(salt, facts),
	}
	do := func(query string, args ...any) {
		if err == nil {
			_, err = tx.ExecContext(ctx, query, args...)
		}
	}
	if draft.Person != nil {
		if leaf.Person, err = seal(ctx, tx, index, draft); err != nil {
			return 0, hash, err
		}
	}
	body, err := leaf.Marshal()
	if err != nil {
		return 0, hash, err
	}
	hash = canon.Digest(tlog.RecordHash(body))
	next, nodes, err := tree.Append(tlog.Hash(hash))
	if err != nil {
		return 0, hash, err
	}
	if text, err = next.Marshal(); err != nil {
		return 0, hash, err
	}
	at := int64(draft.Facts.When())
	do(`INSERT INTO leaf (idx, kind, body, hash, at_us) VALUES ($1, $2, $3, $4, $5)`, index, string(leaf.Kind), body, hash[:], at)
	do(`INSERT INTO opening (leaf, facts_salt, facts) VALUES ($1, $2, $3)`, index, salt[:], facts)
	for _, n := range nodes {
		do(`INSERT INTO node (idx, hash) VALUES ($1, $2)`, n.Index, n.Hash[:])
	}
	do(`UPDATE head SET size = $1, tree = $2, at_us = $3 WHERE id = 1`, next.Size, text, at)
	return index, hash, err
}

// seal stores a person part as package store does, under a key of its person that
// is drawn anew.
func seal(ctx context.Context, tx *sql.Tx, index int64, draft Draft) (commitment canon.Digest, err error) {
	part, err := canon.Marshal(draft.Person)
	if err != nil {
		return commitment, err
	}
	salt, err := ledger.NewSalt(rand.Reader)
	if err != nil {
		return commitment, err
	}
	key, nonce := make([]byte, chacha20poly1305.KeySize), make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := rand.Read(key); err != nil {
		return commitment, err
	}
	if _, err := rand.Read(nonce); err != nil {
		return commitment, err
	}
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return commitment, err
	}
	sealed := aead.Seal(nonce, nonce, append(salt[:], part...), sealedFor(index, draft.PersonID))
	if _, err := tx.ExecContext(ctx, `INSERT INTO person_key (person, secret) VALUES ($1, $2)`, string(draft.PersonID), key); err != nil {
		return commitment, err
	}
	_, err = tx.ExecContext(ctx, `INSERT INTO person_part (leaf, person, sealed) VALUES ($1, $2, $3)`, index, string(draft.PersonID), sealed)
	return ledger.PersonCommitment(salt, part), err
}

func sealedFor(leaf int64, person canon.ID) []byte {
	return []byte("sallyport.sealed/v1\n" + strconv.FormatInt(leaf, 10) + "\n" + string(person) + "\n")
}
