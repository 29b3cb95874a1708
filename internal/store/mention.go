package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// The index of mentions finds leaves by what they are about (record.Mentions). It
// decides nothing and is derived from the facts alone: a row for each mention of a
// leaf, in the write that appends the leaf. What a search takes from it is held to
// the facts by whoever asked.
//
// Up to which leaf the index is whole stands beside it. A program of schema 1
// appends leaves and knows no index; the next write of this one, or the migration,
// goes over them, and until then a search looks at each of them.

// maxGap is how many leaves without mentions one write goes over beside its own.
const maxGap = 200

// mention adds the mentions of a leaf that is appended to the index.
func (tx *Tx) mention(leaf int64, facts record.Facts) error {
	list, err := record.Mentions(tx, facts)
	if err != nil {
		return fmt.Errorf("what leaf %d is about: %w", leaf, err)
	}
	for _, m := range list {
		tx.own.mentions = append(tx.own.mentions, m.Term(), leaf)
	}
	return nil
}

// mentionLate adds the mentions of a leaf that is there to the index.
func (r *Reader) mentionLate(leaf int64, facts record.Facts) error {
	list, err := record.Mentions(r, facts)
	if err != nil {
		return fmt.Errorf("what leaf %d is about: %w", leaf, err)
	}
	marks, args := make([]string, len(list)), make([]any, 0, 2*len(list))
	for i, m := range list {
		marks[i] = fmt.Sprintf("($%d, $%d)", 2*i+1, 2*i+2)
		args = append(args, m.Term(), leaf)
	}
	_, err = r.db.ExecContext(r.ctx, `INSERT INTO mention (term, leaf) VALUES `+strings.Join(marks, ", ")+` ON CONFLICT (term, leaf) DO NOTHING`, args...)
	return err
}

// mentioned says that the index has the transaction's own leaves. Where others
// before them are missing, it goes over some of them first.
func (tx *Tx) mentioned() error {
	result, err := tx.beside.ExecContext(tx.ctx, `UPDATE mentioned SET size = $1 WHERE id = 1 AND size = $2`, tx.tree.Size, tx.size)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 1 {
		return err
	}
	_, err = tx.fillMentions(tx.size, maxGap, tx.tree.Size)
	return err
}

// fillMentions goes over at most limit leaves below size that the index lacks. With
// nothing left to do the index is whole up to then. It returns how far the index is.
func (r *Reader) fillMentions(size int64, limit int, then int64) (int64, error) {
	// The lock on the row keeps two that fill apart.
	if _, err := r.db.ExecContext(r.ctx, `UPDATE mentioned SET size = size WHERE id = 1`); err != nil {
		return 0, err
	}
	from, err := r.Mentioned()
	if err != nil || from > size {
		return from, err
	}
	rows, err := r.db.QueryContext(r.ctx, `SELECT l.idx, l.kind, o.facts FROM leaf l JOIN opening o ON o.leaf = l.idx
		WHERE l.idx >= $1 AND l.idx < $2 ORDER BY l.idx LIMIT $3`, from, size, limit)
	if err != nil {
		return 0, err
	}
	type leaf struct {
		index int64
		facts record.Facts
	}
	list, err := scanAll(rows, func(rows *sql.Rows) (l leaf, err error) {
		var kind string
		var text []byte
		if err := rows.Scan(&l.index, &kind, &text); err != nil {
			return leaf{}, err
		}
		l.facts, err = record.ParseFacts(ledger.Kind(kind), text)
		return l, err
	})
	if err != nil {
		return 0, err
	}
	for _, l := range list {
		if err := r.mentionLate(l.index, l.facts); err != nil {
			return 0, err
		}
	}
	to := then
	if len(list) == limit {
		to = list[len(list)-1].index + 1
	}
	_, err = r.db.ExecContext(r.ctx, `UPDATE mentioned SET size = $1 WHERE id = 1`, to)
	return to, err
}

// Mentioned returns up to which leaf the index of mentions is whole.
func (r *Reader) Mentioned() (size int64, err error) {
	err = r.db.QueryRowContext(r.ctx, `SELECT size FROM mentioned WHERE id = 1`).Scan(&size)
	return size, err
}

// fillPage is how many leaves a migration goes over in one transaction.
const fillPage = 2000

// fill makes the index whole for the leaves that are there.
func (m Migration) fill(ctx context.Context) error {
	for {
		more, err := m.fillSome(ctx)
		if err != nil || !more {
			return err
		}
	}
}

func (m Migration) fillSome(ctx context.Context) (more bool, err error) {
	tx, err := m.Begin(ctx)
	if err != nil {
		return false, fmt.Errorf("filling the index of mentions: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op after the commit
	there, err := m.Exists(ctx, tx, "mentioned")
	if err != nil || !there {
		return false, err
	}
	r := newReader(ctx, tx, nil)
	// The rows that a mention is read from are committed with their leaf, so the
	// leaves are counted before any row is read.
	head, err := r.Head()
	if err != nil {
		return false, err
	}
	before, err := r.Mentioned()
	if err != nil || before >= head.Tree.Size {
		return false, err
	}
	after, err := r.fillMentions(head.Tree.Size, fillPage, head.Tree.Size)
	if err != nil {
		return false, fmt.Errorf("filling the index of mentions: %w", err)
	}
	return after < head.Tree.Size, tx.Commit()
}
