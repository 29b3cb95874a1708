package store

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// Cleaner is an engine that can overwrite what was deleted.
type Cleaner interface {
	// Clean leaves as little as the database is able to of what was deleted before:
	// its documentation says what. No transaction is open meanwhile.
	Clean(ctx context.Context) error
}

// wordsTo selects the leaves of the decisions on a person's requests: what an
// approver wrote is about both.
const wordsTo = `SELECT s.leaf FROM state_index i JOIN state s ON s.tbl = 'decision' AND s.id >= i.id || '/' AND s.id < i.id || '0'
	WHERE i.tbl = 'request' AND i.name = 'by' AND i.val = `

// destroy takes away everything that shows who a person was: the key that opens
// what is about them, these parts themselves, what approvers wrote to them, their
// sessions, and the row that knows their account. The leaves and their facts stay.
func (tx *Tx) destroy(people []canon.ID) error {
	if err := tx.send(); err != nil {
		return err
	}
	for _, id := range people {
		accounts, err := tx.Keys(record.TableIdentity, record.Index{Name: "person", Value: string(id)})
		if err != nil {
			return err
		}
		for _, account := range accounts {
			if err := tx.remove(record.Key{Table: record.TableIdentity, ID: account}); err != nil {
				return err
			}
		}
		delete(tx.own.keys, id)
		delete(tx.done.keys, id)
		for _, query := range []string{
			`DELETE FROM person_part WHERE leaf IN (` + wordsTo + `$1)`,
			`DELETE FROM person_part WHERE person = $1`,
			`DELETE FROM person_key WHERE person = $1`,
			`DELETE FROM session WHERE person = $1`,
		} {
			if err := tx.exec(query, string(id)); err != nil {
				return fmt.Errorf("destroying what is readable about person %s: %w", id, err)
			}
		}
	}
	return nil
}

// Undestroyed returns the people who were erased and of whom something that shows
// who they were is there again: out of a backup.
func (r *Reader) Undestroyed() ([]canon.ID, error) {
	rows, err := r.db.QueryContext(r.ctx, `SELECT e.id FROM state_index e WHERE e.tbl = $1 AND e.name = 'all' AND e.val = '' AND (
		EXISTS (SELECT 1 FROM person_key k WHERE k.person = e.id) OR EXISTS (SELECT 1 FROM person_part p WHERE p.person = e.id)
		OR EXISTS (SELECT 1 FROM session n WHERE n.person = e.id)
		OR EXISTS (SELECT 1 FROM state_index d WHERE d.tbl = 'identity' AND d.name = 'person' AND d.val = e.id)
		OR EXISTS (SELECT 1 FROM person_part w WHERE w.leaf IN (`+wordsTo+`e.id))) ORDER BY e.id`, string(record.TableErased))
	if err != nil {
		return nil, err
	}
	return scanAll(rows, scanID)
}

// DestroyAgain does what the erase leaves in the database did once more. It
// returns whose data was there again.
func (s *Store) DestroyAgain(ctx context.Context) ([]canon.ID, error) {
	var people []canon.ID
	err := s.Read(ctx, func(r *Reader) (err error) {
		people, err = r.Undestroyed()
		return err
	})
	if err != nil || len(people) == 0 {
		return nil, err
	}
	return people, s.WriteUrgent(ctx, func(tx *Tx) (err error) {
		if people, err = tx.Undestroyed(); err != nil {
			return err
		}
		return tx.destroy(people)
	})
}

// Clean has the engine overwrite what was deleted, as far as it can.
func (s *Store) Clean(ctx context.Context) error {
	c, ok := s.engine.(Cleaner)
	if !ok {
		return nil
	}
	return s.engine.MapError(c.Clean(ctx))
}
