package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Opener {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return func(t *testing.T) store.Engine { return open(t, path) }
	})
}

func TestPromiseP11_OthersWrite(t *testing.T) {
	t.Parallel()
	storetest.ExerciseTogether(t, func(t *testing.T) storetest.Opener {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return func(t *testing.T) store.Engine { return open(t, path) }
	})
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	storetest.ExerciseMigrations(t, func(t *testing.T) storetest.Bare {
		path := filepath.Join(t.TempDir(), "ledger.db")
		return storetest.Bare{
			Connect: func(t *testing.T) (store.Migration, func() error) {
				e, err := sqlite.Connect(t.Context(), path)
				if err != nil {
					t.Fatal(err)
				}
				return e.Migration(), e.Close
			},
			Open: func(t *testing.T) (store.Engine, error) { return sqlite.Open(t.Context(), path) },
		}
	})
}

func open(t *testing.T, path string) *sqlite.Engine {
	t.Helper()
	e, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// opened is a store over an engine, with the ledger's first leaf.
func opened(t *testing.T, e *sqlite.Engine) (*store.Store, *recordtest.World) {
	t.Helper()
	w := recordtest.New(t, t.Name())
	s, err := store.New(store.Config{Engine: e, Now: func() time.Time { return recordtest.Start().Time() }, Rand: w.Rand()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Write(t.Context(), func(tx *store.Tx) error {
		w.Setup(storetest.Ledger{Tx: tx})
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return s, w
}

func size(t *testing.T, s *store.Store) int64 {
	t.Helper()
	var n int64
	if err := s.Read(t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		n = head.Tree.Size
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestFileIsPrivate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	e := open(t, path)
	s, _ := opened(t, e)
	for _, name := range []string{path, path + "-wal", path + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode := info.Mode().Perm(); mode != 0o600 {
			t.Errorf("%s has mode %o, want 600", filepath.Base(name), mode)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// A path is a path: nothing in it is read as an option of SQLite.
func TestPathsAreTakenAsTheyAre(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, name := range []string{"with space.db", "a?_synchronous=OFF", "a#b.db", "100%.db", "%41.db", "ünï.db"} {
		e := open(t, filepath.Join(dir, name))
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 6 {
		t.Errorf("%d files, %v", len(entries), err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	other := filepath.Join(dir, "other.db")
	e := open(t, other)
	tx, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = tx.ExecContext(t.Context(), `INSERT INTO schema_version (version, oldest) VALUES ($1, $1)`, store.Schema+1)
	if err := errors.Join(err, tx.Commit(), e.Close()); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(dir, "junk.db")
	if err := os.WriteFile(junk, []byte("this was never a database, and it is longer than a header of a hundred bytes, "+
		"so that nobody takes it for an empty one"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path string
		want       error
	}{
		{"schema of a later release", other, store.ErrSchema},
		{"no database", junk, store.ErrUnavailable},
		{"no folder", filepath.Join(dir, "missing", "ledger.db"), fs.ErrNotExist},
		{"a folder", dir, syscall.EISDIR},
	} {
		if _, err := sqlite.Open(t.Context(), tt.path); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	// What a refused start has touched is as it was.
	if _, err := sqlite.Open(t.Context(), other); !errors.Is(err, store.ErrSchema) {
		t.Errorf("a second start: %v", err)
	}
}

// A full disk refuses the write that does not fit and keeps all that was
// acknowledged; denying works again as soon as there is room.
func TestPromiseP14_FullDisk(t *testing.T) {
	t.Parallel()
	e := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	s, w := opened(t, e)
	before := size(t, s)
	limit(t, e, "1") // SQLite takes the size that the file has
	var failed int64 = -1
	for n := range int64(1000) {
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for i := range 10 {
				if err := join(tx, w, fmt.Sprintf("full-%d-%d.demo", n, i)); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			if !errors.Is(err, store.ErrUnavailable) {
				t.Errorf("a full disk: %v, want ErrUnavailable", err)
			}
			failed = n
			break
		}
	}
	if failed < 0 {
		t.Fatal("the disk never filled up")
	}
	if got, want := size(t, s), before+10*failed; got != want {
		t.Errorf("%d leaves after %d whole writes, want %d", got, failed, want)
	}
	if err := s.Read(t.Context(), func(r *store.Reader) error {
		_, err := record.Host(r, sshcert.Host(fmt.Sprintf("full-%d-0.demo", failed)))
		return err
	}); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("a host of the write that did not fit: %v", err)
	}
	// A caller who does not listen gets no half write either.
	err := s.Write(t.Context(), func(tx *store.Tx) error {
		for i := range 1000 {
			_ = join(tx, w, fmt.Sprintf("deaf-%d.demo", i))
		}
		return nil
	})
	if !errors.Is(err, store.ErrUnavailable) || size(t, s) != before+10*failed {
		t.Errorf("%d leaves, %v, want ErrUnavailable", size(t, s), err)
	}
	limit(t, e, "1073741823")
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return join(tx, w, "room.demo") }); err != nil {
		t.Errorf("with room again: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestPromiseP14_AMovedDatabase moves, deletes and replaces the file under a
// running store: nothing is acknowledged that nobody would find again.
func TestPromiseP14_AMovedDatabase(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	e := open(t, path)
	s, w := opened(t, e)
	before := size(t, s)
	refused := func(what string) {
		t.Helper()
		err := s.Write(t.Context(), func(tx *store.Tx) error { return join(tx, w, "lost.demo") })
		if !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "put it back") {
			t.Errorf("%s: %v, want ErrUnavailable", what, err)
		}
		if err := s.Read(t.Context(), func(*store.Reader) error { return nil }); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%s: read: %v, want ErrUnavailable", what, err)
		}
	}
	aside := path + ".aside"
	if err := os.Rename(path, aside); err != nil {
		t.Fatal(err)
	}
	refused("moved")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	refused("replaced")
	if err := os.Rename(aside, path); err != nil {
		t.Fatal(err)
	}
	if got := size(t, s); got != before {
		t.Errorf("put back: %d leaves, want %d", got, before)
	}
	if err := s.Write(t.Context(), func(tx *store.Tx) error { return join(tx, w, "back.demo") }); err != nil {
		t.Errorf("put back: %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refused("deleted")
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// limit bounds how many pages the file may have. The writer is one connection,
// so the bound stays until it is changed.
func limit(t *testing.T, e *sqlite.Engine, pages string) {
	t.Helper()
	tx, err := e.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var now int64
	if err := errors.Join(tx.QueryRowContext(t.Context(), "PRAGMA max_page_count = "+pages).Scan(&now), tx.Commit()); err != nil {
		t.Fatal(err)
	}
}

func join(tx *store.Tx, w *recordtest.World, name string) error {
	_, err := tx.Append(store.Draft{Facts: w.Join(storetest.Ledger{Tx: tx}, sshcert.Host(name), "demo")})
	return err
}

// What Write acknowledged is in the files at that moment: a copy of them, as a
// killed process leaves them, holds it.
func TestPromiseP11_AKilledProcessLosesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "ledger.db")
	e := open(t, path)
	s, w := opened(t, e)
	for n := range 3 {
		if err := s.Write(t.Context(), func(tx *store.Tx) error { return join(tx, w, fmt.Sprintf("web-%d0.demo", n)) }); err != nil {
			t.Fatal(err)
		}
		want := size(t, s)
		copied := filepath.Join(dir, fmt.Sprintf("copy-%d.db", n))
		for _, suffix := range []string{"", "-wal"} {
			text, err := os.ReadFile(path + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(copied+suffix, text, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		again, err := store.New(store.Config{Engine: open(t, copied), Now: time.Now, Rand: w.Rand()})
		if err != nil {
			t.Fatal(err)
		}
		if got := size(t, again); got != want {
			t.Errorf("%d leaves in the copy, %d were acknowledged", got, want)
		}
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// The read pool cannot write, whatever is asked of it.
func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	e := open(t, filepath.Join(t.TempDir(), "ledger.db"))
	tx, err := e.Read(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.ExecContext(t.Context(), `UPDATE head SET size = 7`); err == nil {
		t.Error("a reader moved the head")
	}
	if err := errors.Join(tx.Rollback(), e.Close()); err != nil {
		t.Error(err)
	}
}
