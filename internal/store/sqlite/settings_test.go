package sqlite

import (
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
)

// Every setting that durability and erasure rest on is read back; without it the
// engine does not start.
func TestSettingsAreReadBack(t *testing.T) {
	t.Parallel()
	const good = "?_journal_mode=WAL&_synchronous=FULL&_secure_delete=on&_txlock=immediate"
	for _, tt := range []struct {
		name, dsn string
		want      string // in the refusal; empty: it starts
	}{
		{"as we open it", good, ""},
		{"the driver's default", "?_journal_mode=WAL&_secure_delete=on", "synchronous=1"},
		{"synchronous off", strings.Replace(good, "FULL", "OFF", 1), "synchronous=0"},
		{"another journal", strings.Replace(good, "WAL", "DELETE", 1), "journal_mode=delete"},
		{"deleted rows stay on disk", strings.Replace(good, "secure_delete=on", "secure_delete=off", 1), "secure_delete=0"},
		{"no file at all", "?mode=memory&_synchronous=FULL&_secure_delete=on", "journal_mode=memory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			db, err := sql.Open("sqlite3", "file:"+filepath.Join(t.TempDir(), "ledger.db")+tt.dsn)
			if err != nil {
				t.Fatal(err)
			}
			db.SetMaxOpenConns(1)
			e := &Engine{writer: db, reader: db}
			err = e.checkSettings(t.Context())
			if tt.want == "" && err != nil || tt.want != "" && (!errors.Is(err, store.ErrSchema) || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("%v, want a refusal that says %q", err, tt.want)
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// Both pools are opened with the settings; the test reads them from the live
// connections.
func TestSettingsOfAnOpenEngine(t *testing.T) {
	t.Parallel()
	e, err := Open(t.Context(), filepath.Join(t.TempDir(), "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	for pragma, want := range map[string]string{"journal_mode": "wal", "synchronous": "2", "secure_delete": "1", "foreign_keys": "1", "busy_timeout": "10000"} {
		for name, db := range map[string]*sql.DB{"writer": e.writer, "reader": e.reader} {
			var have string
			if err := db.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&have); err != nil || have != want {
				t.Errorf("%s of the %s is %q, %v; want %s", pragma, name, have, err, want)
			}
		}
	}
	if n := e.writer.Stats().MaxOpenConnections; n != 1 {
		t.Errorf("%d writers, want 1", n)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}
