package store

// Schema is the number of the newest schema. Each step works with the previous
// release still running.
const Schema = 1

// DDL returns the statements that make schema 1. Only the names of the types
// differ between databases: blob holds bytes, integer 64 bits.
func DDL(blob, integer string) []string {
	return []string{
		// The log. head.tree is the size and right edge (ledger.Tree).
		`CREATE TABLE head (id ` + integer + ` PRIMARY KEY CHECK (id = 1), size ` + integer + ` NOT NULL, tree ` + blob + ` NOT NULL, at_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE leaf (idx ` + integer + ` PRIMARY KEY, kind TEXT NOT NULL, body ` + blob + ` NOT NULL, hash ` + blob + ` NOT NULL UNIQUE, at_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE node (idx ` + integer + ` PRIMARY KEY, hash ` + blob + ` NOT NULL)`,
		`CREATE TABLE opening (leaf ` + integer + ` PRIMARY KEY, facts_salt ` + blob + ` NOT NULL, facts ` + blob + ` NOT NULL)`,
		`CREATE TABLE person_part (leaf ` + integer + ` PRIMARY KEY, person TEXT NOT NULL, sealed ` + blob + ` NOT NULL)`,
		`CREATE TABLE person_key (person TEXT PRIMARY KEY, secret ` + blob + ` NOT NULL)`,
		`CREATE INDEX person_part_person ON person_part (person)`,
		`CREATE TABLE checkpoint (size ` + integer + ` PRIMARY KEY, root ` + blob + ` NOT NULL, note ` + blob + ` NOT NULL)`,
		// The fold's rows, and the values by which they are listed.
		`CREATE TABLE state (tbl TEXT NOT NULL, id TEXT NOT NULL, body ` + blob + ` NOT NULL, leaf ` + integer + ` NOT NULL, PRIMARY KEY (tbl, id))`,
		`CREATE TABLE state_index (tbl TEXT NOT NULL, name TEXT NOT NULL, val TEXT NOT NULL, leaf ` + integer + ` NOT NULL, id TEXT NOT NULL, PRIMARY KEY (tbl, id, name))`,
		`CREATE INDEX state_index_list ON state_index (tbl, name, val, leaf)`,
		// Plain rows beside the ledger.
		`CREATE TABLE certificate (serial ` + integer + ` PRIMARY KEY, request TEXT NOT NULL, key_hash ` + blob + ` NOT NULL, body ` + blob + ` NOT NULL)`,
		`CREATE INDEX certificate_request ON certificate (request, key_hash)`,
		`CREATE TABLE session (id_hash ` + blob + ` PRIMARY KEY, kind TEXT NOT NULL, person TEXT NOT NULL, body ` + blob + ` NOT NULL, seen_us ` + integer + ` NOT NULL, expires_us ` + integer + ` NOT NULL)`,
		`CREATE INDEX session_person ON session (person)`,
		`CREATE TABLE challenge (hash ` + blob + ` PRIMARY KEY, purpose TEXT NOT NULL, expires_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE used (hash ` + blob + ` PRIMARY KEY, expires_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE login_flow (state_hash ` + blob + ` PRIMARY KEY, body ` + blob + ` NOT NULL, expires_us ` + integer + ` NOT NULL)`,
		`CREATE TABLE schema_version (version ` + integer + ` PRIMARY KEY)`,
	}
}
