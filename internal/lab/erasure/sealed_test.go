package erasure_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
)

// remember reads the person's key and sealed parts out of PostgreSQL, to be looked
// for in its tables' files.
func (s *story) remember() {
	s.t.Helper()
	if s.Postgres == nil {
		return // package authority looks into SQLite's files
	}
	must(s.t, s.Postgres.Exec(s.ctx, `CHECKPOINT`)) // so that the files have what the tables have
	db, err := s.Postgres.AdminOf(s.Database)
	must(s.t, err)
	defer func() { _ = db.Close() }() // only read
	rows, err := db.QueryContext(s.ctx, `SELECT secret FROM person_key WHERE person = $1 UNION ALL SELECT sealed FROM person_part WHERE person = $1`, s.id)
	must(s.t, err)
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	for rows.Next() {
		var b []byte
		must(s.t, rows.Scan(&b))
		s.sealed = append(s.sealed, b[:min(len(b), 32)]) // a long one may be cut or stored elsewhere
	}
	must(s.t, rows.Err())
	if len(s.sealed) < 5 || s.inTables() == 0 {
		s.t.Fatalf("%d keys and parts, of which the search finds %d", len(s.sealed), s.inTables())
	}
}

// checkForgotten: neither the key nor a sealed part is in the files of a table.
func (s *story) checkForgotten() {
	s.t.Helper()
	if s.Postgres == nil {
		return
	}
	must(s.t, s.Postgres.Exec(s.ctx, `CHECKPOINT`))
	if n := s.inTables(); n > 0 {
		s.t.Errorf("%d of the key and the sealed parts are still in the tables' files", n)
	}
}

// inTables counts what remember found that stands in the files of tables.
func (s *story) inTables() int {
	s.t.Helper()
	found := make(map[int]bool)
	must(s.t, filepath.WalkDir(s.Dir.Path("postgres"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(path, "/base/") {
			return err
		}
		text, err := os.ReadFile(path)
		for i, b := range s.sealed {
			if bytes.Contains(text, b) {
				found[i] = true
			}
		}
		return err
	}))
	return len(found)
}
