package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/sallyport/sallyport/ledger"
)

// Schema is the number of the newest schema: the one that this program reads and
// writes.
const Schema = 4

// Types are a database's names for what columns hold.
type Types struct {
	Blob    string // bytes
	Integer string // 64 bits
	Text    string // UTF-8, ordered by its bytes
	// Sorted ends the definition of a table whose rows lie in the order of its key,
	// where the database can do that.
	Sorted string
}

// Step brings a schema from the one before to Version.
type Step struct {
	Version int
	// Oldest is the oldest schema whose programs still work on this one. The
	// release before must: processes are replaced one by one.
	Oldest     int
	Statements []string
	// Empty says that the step begins a ledger without leaves.
	Empty bool
}

// Steps returns all steps there are, oldest first. Only the names of the types
// differ between databases.
func Steps(t Types) []Step {
	return []Step{
		{Version: 1, Oldest: 1, Statements: schema1(t), Empty: true},
		// What a program of schema 1 appends is filled in by others.
		{Version: 2, Oldest: 1, Statements: []string{
			`CREATE TABLE mention (term ` + t.Integer + ` NOT NULL, leaf ` + t.Integer + ` NOT NULL, PRIMARY KEY (term, leaf))` + t.Sorted,
			`CREATE TABLE mentioned (id ` + t.Integer + ` PRIMARY KEY CHECK (id = 1), size ` + t.Integer + ` NOT NULL)`,
			`INSERT INTO mentioned (id, size) VALUES (1, 0)`,
		}},
		// How far each consumer of the ledger has come, and which process feeds it.
		{Version: 3, Oldest: 1, Statements: []string{
			`CREATE TABLE cursor (name ` + t.Text + ` PRIMARY KEY, next ` + t.Integer + ` NOT NULL, holder ` + t.Text + ` NOT NULL, until_us ` + t.Integer + ` NOT NULL)`,
		}},
		// What hosts say of themselves, and what they are given to trust.
		{Version: 4, Oldest: 1, Statements: []string{
			`CREATE TABLE heartbeat (host ` + t.Text + ` PRIMARY KEY, at_us ` + t.Integer + ` NOT NULL, body ` + t.Blob + ` NOT NULL)`,
			`CREATE TABLE bundle (lineage ` + t.Blob + ` NOT NULL, number ` + t.Integer + ` NOT NULL, body ` + t.Blob + ` NOT NULL, PRIMARY KEY (lineage, number))`,
			// Void certificates are listed by the leaf that voids them, for lists of revoked
			// ones.
			`INSERT INTO state_index (tbl, name, val, leaf, id) SELECT 'certificate', 'void', '', s.leaf, s.id FROM state s JOIN leaf l ON l.idx = s.leaf
				WHERE s.tbl = 'certificate' AND l.kind = 'certificate.void'`,
		}},
	}
}

func schema1(t Types) []string {
	blob, integer, text := t.Blob, t.Integer, t.Text
	return []string{
		// The log. head.tree is the size and right edge (ledger.Tree).
		`CREATE TABLE head (id ` + integer + ` PRIMARY KEY CHECK (id = 1), size ` + integer + ` NOT NULL, tree ` + blob + ` NOT NULL, at_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE leaf (idx ` + integer + ` PRIMARY KEY, kind ` + text + ` NOT NULL, body ` + blob + ` NOT NULL, hash ` + blob + ` NOT NULL UNIQUE, at_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE node (idx ` + integer + ` PRIMARY KEY, hash ` + blob + ` NOT NULL)`,
		`CREATE TABLE opening (leaf ` + integer + ` PRIMARY KEY, facts_salt ` + blob + ` NOT NULL, facts ` + blob + ` NOT NULL)`,
		`CREATE TABLE person_part (leaf ` + integer + ` PRIMARY KEY, person ` + text + ` NOT NULL, sealed ` + blob + ` NOT NULL)`,
		`CREATE TABLE person_key (person ` + text + ` PRIMARY KEY, secret ` + blob + ` NOT NULL)`,
		`CREATE INDEX person_part_person ON person_part (person)`,
		`CREATE TABLE checkpoint (size ` + integer + ` PRIMARY KEY, root ` + blob + ` NOT NULL, note ` + blob + ` NOT NULL)`,
		// The fold's rows, and the values by which they are listed.
		`CREATE TABLE state (tbl ` + text + ` NOT NULL, id ` + text + ` NOT NULL, body ` + blob + ` NOT NULL, leaf ` + integer + ` NOT NULL, PRIMARY KEY (tbl, id))`,
		`CREATE TABLE state_index (tbl ` + text + ` NOT NULL, name ` + text + ` NOT NULL, val ` + text + ` NOT NULL, leaf ` + integer + ` NOT NULL, id ` + text + ` NOT NULL, PRIMARY KEY (tbl, id, name))`,
		`CREATE INDEX state_index_list ON state_index (tbl, name, val, leaf)`,
		// Plain rows beside the ledger.
		`CREATE TABLE certificate (serial ` + integer + ` PRIMARY KEY, request ` + text + ` NOT NULL, key_hash ` + blob + ` NOT NULL, body ` + blob + ` NOT NULL)`,
		`CREATE INDEX certificate_request ON certificate (request, key_hash)`,
		`CREATE TABLE session (id_hash ` + blob + ` PRIMARY KEY, kind ` + text + ` NOT NULL, person ` + text + ` NOT NULL, body ` + blob + ` NOT NULL, seen_us ` + integer + ` NOT NULL, expires_us ` + integer + ` NOT NULL)`,
		`CREATE INDEX session_person ON session (person)`,
		`CREATE TABLE challenge (hash ` + blob + ` PRIMARY KEY, purpose ` + text + ` NOT NULL, expires_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE used (hash ` + blob + ` PRIMARY KEY, expires_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE login_flow (state_hash ` + blob + ` PRIMARY KEY, body ` + blob + ` NOT NULL, expires_us ` + integer + ` NOT NULL)`,
	}
}

// Level is how far a database's schema has been brought.
type Level struct {
	Version int // 0: the database is empty
	Oldest  int // the oldest schema whose programs work on it
}

// Check refuses a schema that this program does not work on. It works on a newer
// one if that says so.
func (l Level) Check() error {
	switch {
	case l.Version == 0:
		return fmt.Errorf("%w: it is empty; `sallyd init` makes a ledger", ErrSchema)
	case l.Version < Schema:
		return fmt.Errorf("%w: it has schema %d, this sallyd needs %d; run `sallyd migrate`", ErrSchema, l.Version, Schema)
	case l.Version > Schema && l.Oldest > Schema:
		return fmt.Errorf("%w: it has schema %d, which needs a sallyd of schema %d or newer; this one has %d, run a newer one",
			ErrSchema, l.Version, l.Oldest, Schema)
	}
	return nil
}

// Migration is a way to bring a database's schema up.
type Migration struct {
	Steps []Step
	Types Types
	// Begin starts a transaction beside which no other of this Migration's runs.
	Begin func(context.Context) (*sql.Tx, error)
	// Exists reports whether the database has a table.
	Exists func(ctx context.Context, tx *sql.Tx, table string) (bool, error)
}

// Level returns how far the schema is.
func (m Migration) Level(ctx context.Context, tx *sql.Tx) (Level, error) {
	there, err := m.Exists(ctx, tx, "schema_version")
	if err != nil || !there {
		return Level{}, err
	}
	var l Level
	err = tx.QueryRowContext(ctx, `SELECT version, oldest FROM schema_version ORDER BY version DESC LIMIT 1`).Scan(&l.Version, &l.Oldest)
	if err != nil {
		return Level{}, fmt.Errorf("reading the schema's version: %w", err)
	}
	return l, nil
}

// Run takes the steps that are missing, each in a transaction of its own, so that
// whatever ends it between two of them the next run goes on from there. Then it
// fills the index of mentions for the leaves that are there, page by page. Several
// may run at once: each step is taken once. It returns how far the schema was.
func (m Migration) Run(ctx context.Context) (from Level, err error) {
	for first := true; ; first = false {
		before, more, err := m.step(ctx)
		if first {
			from = before
		}
		if err != nil {
			return from, err
		}
		if !more {
			return from, m.fill(ctx)
		}
	}
}

// step takes the next step, if there is one.
func (m Migration) step(ctx context.Context) (before Level, more bool, err error) {
	tx, err := m.Begin(ctx)
	if err != nil {
		return Level{}, false, fmt.Errorf("bringing up the schema: %w", err)
	}
	defer func() { _ = tx.Rollback() }() // a no-op after the commit
	if before, err = m.Level(ctx, tx); err != nil {
		return Level{}, false, err
	}
	for _, s := range m.Steps {
		if s.Version <= before.Version {
			continue
		}
		if err := m.take(ctx, tx, s); err != nil {
			return before, false, fmt.Errorf("bringing the schema from %d to %d: %w", before.Version, s.Version, err)
		}
		return before, true, tx.Commit()
	}
	return before, false, nil
}

func (m Migration) take(ctx context.Context, tx *sql.Tx, s Step) error {
	statements := s.Statements
	if s.Empty {
		statements = append([]string{
			`CREATE TABLE schema_version (version ` + m.Types.Integer + ` PRIMARY KEY, oldest ` + m.Types.Integer + ` NOT NULL)`,
		}, statements...)
	}
	for _, statement := range statements {
		if _, err := tx.ExecContext(ctx, statement); err != nil {
			return err
		}
	}
	if s.Empty {
		empty, err := ledger.Tree{}.Marshal()
		if err != nil {
			return err
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO head (id, size, tree, at_us) VALUES (1, 0, $1, 0)`, empty); err != nil {
			return err
		}
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO schema_version (version, oldest) VALUES ($1, $2)`, s.Version, s.Oldest)
	return err
}
