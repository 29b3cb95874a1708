package sqlite_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// While somebody reads, what was deleted may stay in the write-ahead log: that is
// said. It waits for them as long as any write does.
func TestPromiseP13_CleaningIsNotClaimed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "ledger.db")
	engine, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = engine.Close() }) // it was used
	reader, err := engine.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if err := reader.QueryRowContext(t.Context(), `SELECT count(*) FROM head`).Scan(&n); err != nil {
		t.Fatal(err)
	}
	if err := engine.Clean(t.Context()); !errors.Is(err, store.ErrUnavailable) || !strings.Contains(err.Error(), "can't be emptied while somebody reads") {
		t.Errorf("while somebody reads: %v", err)
	}
	if err := reader.Rollback(); err != nil {
		t.Fatal(err)
	}
	if err := engine.Clean(t.Context()); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	if info, err := os.Stat(path + "-wal"); err != nil || info.Size() != 0 {
		t.Errorf("the write-ahead log: %v, %v", info, err)
	}
	readOnly, err := sqlite.OpenReadOnly(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := readOnly.Clean(t.Context()); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("opened for reading: %v", err)
	}
	if err := readOnly.Close(); err != nil {
		t.Error(err)
	}
}
