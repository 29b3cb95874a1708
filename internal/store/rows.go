package store

import (
	"fmt"
	"strings"
)

// table is a table to which the rows of a batch are added in few statements.
type table struct {
	columns    int
	statements [len(rowCounts)]string
}

// rowCounts are how many rows a statement has: few different ones, so that the
// database keeps them prepared.
var rowCounts = [...]int{64, 16, 4, 1}

// newTable returns the table with an INSERT up to its rows, and what follows them.
func newTable(insert string, columns int, conflict string) table {
	t := table{columns: columns}
	for i, n := range rowCounts {
		rows := make([]string, n)
		for row := range rows {
			marks := make([]string, columns)
			for column := range marks {
				marks[column] = fmt.Sprintf("$%d", row*columns+column+1)
			}
			rows[row] = "(" + strings.Join(marks, ", ") + ")"
		}
		t.statements[i] = insert + strings.Join(rows, ", ") + conflict
	}
	return t
}

// The tables of the log and of the fold. A row that must be new is inserted only,
// so that the primary key refuses a second one whatever the fold thought.
var (
	leafTable     = newTable(`INSERT INTO leaf (idx, kind, body, hash, at_us) VALUES `, 5, "")
	nodeTable     = newTable(`INSERT INTO node (idx, hash) VALUES `, 2, "")
	openingTable  = newTable(`INSERT INTO opening (leaf, facts_salt, facts) VALUES `, 3, "")
	keyTable      = newTable(`INSERT INTO person_key (person, secret) VALUES `, 2, "")
	partTable     = newTable(`INSERT INTO person_part (leaf, person, sealed) VALUES `, 3, "")
	newStateTable = newTable(`INSERT INTO state (tbl, id, body, leaf) VALUES `, 4, "")
	stateTable    = newTable(`INSERT INTO state (tbl, id, body, leaf) VALUES `, 4, ` ON CONFLICT (tbl, id) DO UPDATE SET body = excluded.body, leaf = excluded.leaf`)
	indexTable    = newTable(`INSERT INTO state_index (tbl, name, val, leaf, id) VALUES `, 5, ` ON CONFLICT (tbl, id, name) DO UPDATE SET val = excluded.val`)
	mentionTable  = newTable(`INSERT INTO mention (term, leaf) VALUES `, 2, ` ON CONFLICT (term, leaf) DO NOTHING`)
)

// insert adds rows, given column by column.
func (tx *Tx) insert(t table, args []any) error {
	for i, n := range rowCounts {
		for width := n * t.columns; len(args) >= width; args = args[width:] {
			if _, err := tx.beside.ExecContext(tx.ctx, t.statements[i], args[:width]...); err != nil {
				return err
			}
		}
	}
	return nil
}

// send writes what waits, since it is about to be asked for. What other functions
// of the batch appended waits again if this one fails.
func (tx *Tx) send() error {
	if tx.broken != nil || tx.done.none() && tx.own.none() {
		return tx.broken
	}
	if err := tx.save(); err != nil {
		return err
	}
	tx.undone.add(tx.done.unsentRows)
	if err := tx.write(tx.done); err != nil {
		return err
	}
	return tx.write(tx.own)
}

// save begins the savepoint to which a function is undone that fails.
func (tx *Tx) save() error {
	if tx.saved || tx.broken != nil {
		return tx.broken
	}
	_, err := tx.beside.ExecContext(tx.ctx, `SAVEPOINT job`)
	tx.saved, tx.broken = err == nil, err
	return err
}

// write writes what waits of p. If it cannot, nothing of the transaction stands.
func (tx *Tx) write(p *pending) error {
	u := p.unsentRows
	p.unsentRows = unsentRows{}
	var fresh, changed, index []any
	for _, k := range u.state {
		row := p.state[k]
		row.sent = true
		args := &changed
		if row.fresh {
			args = &fresh
		}
		*args = append(*args, string(k.Table), k.ID, row.body, row.leaf)
	}
	for _, k := range u.index {
		row := p.index[k]
		row.sent = true
		index = append(index, string(k.row.Table), k.name, row.value, row.leaf, k.row.ID)
	}
	for _, part := range []struct {
		table table
		args  []any
	}{
		{leafTable, u.leaves},
		{nodeTable, u.nodes},
		{openingTable, u.openings},
		{keyTable, u.keys},
		{partTable, u.parts},
		{newStateTable, fresh},
		{stateTable, changed},
		{indexTable, index},
		{mentionTable, u.mentions},
	} {
		if err := tx.insert(part.table, part.args); err != nil {
			tx.broken = err
			return err
		}
	}
	return nil
}

// undo takes back what the function that runs has done.
func (tx *Tx) undo() error {
	tx.own = newPending()
	if !tx.saved {
		return nil
	}
	for _, query := range []string{`ROLLBACK TO SAVEPOINT job`, `RELEASE SAVEPOINT job`} {
		if _, err := tx.beside.ExecContext(tx.ctx, query); err != nil {
			return err
		}
	}
	tx.done.wait(tx.undone)
	return nil
}

// keep adds what the function that runs has done to what will be committed.
func (tx *Tx) keep() error {
	tx.done.merge(tx.own)
	tx.own = newPending()
	if !tx.saved {
		return nil
	}
	_, err := tx.beside.ExecContext(tx.ctx, `RELEASE SAVEPOINT job`)
	return err
}
