package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
)

// ErrHeld says that another process feeds this consumer.
var ErrHeld = errors.New("another process feeds this consumer")

// Cursor is how far a consumer of the ledger has come: a plain row, which decides
// nothing.
type Cursor struct {
	Name   string
	Next   int64        // the first leaf that it has not taken
	Holder canon.ID     // the process that feeds it
	Until  canon.Micros // when another one may take it over
}

// TakeCursor makes holder the process that feeds a consumer, until then, and
// returns where it stands: at leaf 0 the first time. It refuses with ErrHeld while
// another process is, unless that process is known to be gone.
func (tx *Tx) TakeCursor(name string, holder canon.ID, until canon.Micros, gone bool) (Cursor, error) {
	c, err := tx.cursor(name)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		c = Cursor{Name: name, Holder: holder, Until: until}
		return c, tx.exec(`INSERT INTO cursor (name, next, holder, until_us) VALUES ($1, $2, $3, $4)`, name, 0, string(holder), int64(until))
	case err != nil:
		return Cursor{}, err
	case c.Holder != holder && c.Until > tx.now && !gone:
		return Cursor{}, fmt.Errorf("%s: %w", name, ErrHeld)
	}
	c.Holder, c.Until = holder, until
	return c, tx.exec(`UPDATE cursor SET holder = $1, until_us = $2 WHERE name = $3`, string(holder), int64(until), name)
}

// MoveCursor notes that a consumer has taken the leaves up to next, by
// compare-and-swap: ErrHeld says that another process feeds it by now, or that it
// stands elsewhere than c says.
func (tx *Tx) MoveCursor(c Cursor, next int64, until canon.Micros) error {
	result, err := tx.change(`UPDATE cursor SET next = $1, until_us = $2 WHERE name = $3 AND holder = $4 AND next = $5`,
		next, int64(until), c.Name, string(c.Holder), c.Next)
	return takenOne(result, err, fmt.Errorf("%s: %w", c.Name, ErrHeld))
}

func (r *Reader) cursor(name string) (Cursor, error) {
	c := Cursor{Name: name}
	var holder string
	var until int64
	err := r.beside.QueryRowContext(r.ctx, `SELECT next, holder, until_us FROM cursor WHERE name = $1`, name).Scan(&c.Next, &holder, &until)
	c.Holder, c.Until = canon.ID(holder), canon.Micros(until)
	return c, err
}

// Cursors returns where all consumers stand, by name.
func (r *Reader) Cursors() ([]Cursor, error) {
	rows, err := r.beside.QueryContext(r.ctx, `SELECT name, next, holder, until_us FROM cursor ORDER BY name`)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (c Cursor, err error) {
		var holder string
		var until int64
		err = rows.Scan(&c.Name, &c.Next, &holder, &until)
		c.Holder, c.Until = canon.ID(holder), canon.Micros(until)
		return c, err
	})
}
