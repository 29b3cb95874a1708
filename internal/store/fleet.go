package store

import (
	"database/sql"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// Heartbeat is what a host last said of itself: a plain row, which decides nothing.
type Heartbeat struct {
	Host string
	At   canon.Micros // ledger time at which it came
	Body []byte       // canonical JSON, the caller's
}

// PutHeartbeat keeps what a host says in the place of what it said before.
func (tx *Tx) PutHeartbeat(host string, body []byte) error {
	return tx.exec(`INSERT INTO heartbeat (host, at_us, body) VALUES ($1, $2, $3) ON CONFLICT (host) DO UPDATE SET at_us = excluded.at_us, body = excluded.body`,
		host, int64(tx.now), body)
}

// Heartbeats returns what all hosts last said, by name.
func (r *Reader) Heartbeats() ([]Heartbeat, error) {
	rows, err := r.beside.QueryContext(r.ctx, `SELECT host, at_us, body FROM heartbeat ORDER BY host`)
	if err != nil {
		return nil, err
	}
	return scanAll(rows, func(rows *sql.Rows) (h Heartbeat, err error) {
		var host string
		var at int64
		err = rows.Scan(&host, &at, &h.Body)
		h.Host, h.At = host, canon.Micros(at)
		return h, err
	})
}

// PutBundle keeps a trust bundle of a lineage, byte for byte. One with that number
// must not be there.
func (tx *Tx) PutBundle(lineage canon.Digest, number int64, file []byte) error {
	result, err := tx.change(`INSERT INTO bundle (lineage, number, body) VALUES ($1, $2, $3) ON CONFLICT (lineage, number) DO NOTHING`, lineage[:], number, file)
	return takenOne(result, err, fmt.Errorf("trust bundle %d: %w", number, record.ErrExists))
}

// Bundle returns a trust bundle of a lineage; the newest if number is 0. It is
// record.ErrNotFound if there is none.
func (r *Reader) Bundle(lineage canon.Digest, number int64) ([]byte, error) {
	var file []byte
	err := r.beside.QueryRowContext(r.ctx, `SELECT body FROM bundle WHERE lineage = $1 AND (number = $2 OR $2 = 0) ORDER BY number DESC LIMIT 1`, lineage[:], number).Scan(&file)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("a trust bundle of lineage %s: %w", lineage, record.ErrNotFound)
	}
	return file, err
}

// Heartbeat returns what a host last said, or record.ErrNotFound.
func (r *Reader) Heartbeat(host string) (Heartbeat, error) {
	h := Heartbeat{Host: host}
	var at int64
	err := r.beside.QueryRowContext(r.ctx, `SELECT at_us, body FROM heartbeat WHERE host = $1`, host).Scan(&at, &h.Body)
	if errors.Is(err, sql.ErrNoRows) {
		err = fmt.Errorf("a heartbeat of host %s: %w", host, record.ErrNotFound)
	}
	h.At = canon.Micros(at)
	return h, err
}
