package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
)

// contents is what a folder holds; of SQLite's lock file only that it is there.
func contents(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), "-shm") {
			text = nil
		}
		fmt.Fprintf(&out, "%s %x\n", e.Name(), text)
	}
	return out.String()
}

func used(t *testing.T, query func(context.Context, string, ...any) *sql.Row) int {
	t.Helper()
	var n int
	if err := query(t.Context(), "SELECT count(*) FROM used").Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestOpenReadOnly looks at a database in each state that it may be in, sees all
// that was committed, and leaves every file as it was.
func TestOpenReadOnly(t *testing.T) {
	t.Parallel()
	for _, state := range []string{"closed", "closed, with an empty log", "open", "killed", "a copy without the index"} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			e, err := Open(t.Context(), filepath.Join(dir, "ledger.db"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = e.Close() }() // a second time after "closed"
			for i := range 3 {
				if _, err := e.writer.ExecContext(t.Context(), "INSERT INTO used (hash, expires_us) VALUES ($1, 5)", []byte{byte(i)}); err != nil {
					t.Fatal(err)
				}
			}
			at := dir
			switch state {
			case "closed", "closed, with an empty log":
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				if state != "closed" {
					if err := os.WriteFile(filepath.Join(dir, "ledger.db-wal"), nil, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			case "killed", "a copy without the index":
				at = t.TempDir()
				for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm"} {
					text, err := os.ReadFile(filepath.Join(dir, name))
					if err != nil {
						t.Fatal(err)
					}
					if strings.HasSuffix(name, "-shm") && state != "killed" {
						continue
					}
					if err := os.WriteFile(filepath.Join(at, name), text, 0o600); err != nil {
						t.Fatal(err)
					}
				}
			}
			before := contents(t, at)
			look, err := OpenReadOnly(t.Context(), filepath.Join(at, "ledger.db"))
			if err != nil {
				t.Fatal(err)
			}
			tx, err := look.Read(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if n := used(t, tx.QueryRowContext); n != 3 {
				t.Errorf("%d rows, want 3", n)
			}
			if _, err := tx.ExecContext(t.Context(), "DELETE FROM used"); err == nil {
				t.Error("it writes")
			}
			if err := tx.Rollback(); err != nil {
				t.Error(err)
			}
			if _, err := look.Begin(t.Context()); !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("Begin: %v", err)
			}
			if err := look.QuickCheck(t.Context()); err != nil {
				t.Error(err)
			}
			if look.Overtaken() {
				t.Error("nobody began to write, and it says so")
			}
			if err := look.Close(); err != nil {
				t.Error(err)
			}
			if after := contents(t, at); after != before {
				t.Errorf("the folder changed:\n%.600s\nwas\n%.600s", after, before)
			}
			if state == "open" { // who writes goes on
				if _, err := e.writer.ExecContext(t.Context(), "INSERT INTO used (hash, expires_us) VALUES ($1, 5)", []byte{9}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// TestOvertaken: a server that starts while a closed database is looked at is
// noticed.
func TestOvertaken(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	e, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	look, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if look.Overtaken() {
		t.Error("before the start")
	}
	if e, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if !look.Overtaken() {
		t.Error("the start was not noticed")
	}
	if err := errors.Join(look.Close(), e.Close()); err != nil {
		t.Error(err)
	}
}

// TestOvertakenByWhoCameAndWent: a verb that writes and ends while a closed database
// is looked at leaves no log behind, and is noticed all the same. Who only reads
// overtakes nobody.
func TestOvertakenByWhoCameAndWent(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	e, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	look, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	other, err := OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	if look.Overtaken() {
		t.Error("by somebody who only read")
	}
	if e, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	_, err = e.writer.ExecContext(t.Context(), "INSERT INTO used (hash, expires_us) VALUES ($1, 5)", []byte{1})
	if err := errors.Join(err, e.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("it left its log: %v", err)
	}
	if !look.Overtaken() {
		t.Error("who wrote and went was not noticed")
	}
	if err := look.Close(); err != nil {
		t.Error(err)
	}
}

// TestOpenReadOnlyRefuses: no database is made, none of another version read, and
// damage is named.
func TestOpenReadOnlyRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing there: %v", err)
	}
	if left := contents(t, dir); left != "" {
		t.Errorf("it made %s", left)
	}
	e, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	look := func(text []byte) error {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		e, err := OpenReadOnly(t.Context(), path)
		if err != nil {
			return err
		}
		return errors.Join(e.QuickCheck(t.Context()), e.Close())
	}
	if err := look(good); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if err := look([]byte(strings.Repeat("no database, just text\n", 100))); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("no database: %v", err)
	}
	if err := look(good[:len(good)-8192]); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("a cut database: %v", err)
	}
	if err := look(good); err != nil {
		t.Errorf("as it was: %v", err)
	}
	if e, err = Open(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if _, err := e.writer.ExecContext(t.Context(), "INSERT INTO schema_version (version, oldest) VALUES (99, 99)"); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenReadOnly(t.Context(), path); !errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), "schema 99") {
		t.Errorf("another schema: %v", err)
	}
}
