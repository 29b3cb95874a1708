package killloop_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"time"

	_ "github.com/mattn/go-sqlite3" // the driver, for looking past the store

	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/record/recordtest"
)

// database is where a loop's ledger lies.
type database struct {
	// open opens it as sallyd does.
	open func(context.Context) (store.Engine, error)
	// look opens it past the store, without changing it.
	look func(context.Context) (*sql.DB, error)
	// sound is a query that answers "ok" if the database finds nothing wrong with
	// itself.
	sound string
}

// databaseOf is the database of a site.
func databaseOf(s *site.Site) database {
	if s.Postgres != nil {
		return database{
			open: func(ctx context.Context) (store.Engine, error) {
				return postgres.Open(ctx, postgres.Config{
					URL: s.Postgres.URL(s.Database), AcceptAsynchronous: true,
					Password: func() (string, error) { return s.Postgres.Password(), nil },
				})
			},
			look:  func(context.Context) (*sql.DB, error) { return s.Postgres.AdminOf(s.Database) },
			sound: `SELECT 'ok'`, // its server was not killed
		}
	}
	path := filepath.Join(s.ServerDir(), "ledger.db")
	return database{
		open: func(ctx context.Context) (store.Engine, error) { return sqlite.Open(ctx, path) },
		// A reader moves nothing out of the log that the next start has to recover.
		look: func(context.Context) (*sql.DB, error) {
			return sql.Open("sqlite3", "file:"+(&url.URL{Path: path}).EscapedPath()+"?mode=ro")
		},
		sound: `PRAGMA integrity_check`,
	}
}

// with runs fn over the database, past the store.
func (d database) with(ctx context.Context, fn func(*sql.DB) error) error {
	db, err := d.look(ctx)
	if err != nil {
		return err
	}
	db.SetMaxOpenConns(1)
	if err := db.PingContext(ctx); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(fn(db), db.Close())
}

// checkMark looks at the folder that the kill left. What anybody was shown, and
// what the database holds as signed, the mark file has reached before; and
// nothing was signed that is not committed.
func (b *book) checkMark(ctx context.Context, dir string, d database) {
	b.t.Helper()
	mark, err := b.policy.OpenCheckpoint(readFile(b.t, dir, "mark"))
	must(b.t, err)
	var head, signed int64
	err = d.with(ctx, func(db *sql.DB) error {
		return db.QueryRowContext(ctx, `SELECT h.size, max(c.size) FROM head h, checkpoint c GROUP BY h.size`).Scan(&head, &signed)
	})
	must(b.t, err)
	switch {
	case mark.Size < b.newest:
		b.t.Errorf("somebody was shown a checkpoint of %d leaves, the mark is at %d", b.newest, mark.Size)
	case mark.Size < signed:
		b.t.Errorf("the database holds a signed checkpoint of %d leaves, the mark is at %d", signed, mark.Size)
	case head < mark.Size:
		b.t.Errorf("the mark is at %d leaves, committed are %d", mark.Size, head)
	}
}

// compareDatabase reads the whole database past the server: it is sound, it holds
// leaf for leaf what clients read, its tables are what the leaves fold to, and
// every certificate that a client holds is stored as it was answered.
func (b *book) compareDatabase(ctx context.Context, d database) {
	b.t.Helper()
	engine, err := d.open(ctx)
	must(b.t, err)
	s, err := store.New(store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader})
	must(b.t, err)
	defer func() { must(b.t, s.Close()) }()
	m := recordtest.New(b.t, "killloop").NewMap()
	must(b.t, s.Read(ctx, func(r *store.Reader) error {
		if err := b.compareLeaves(r, m); err != nil {
			return err
		}
		for key, row := range m.Rows {
			have, err := r.Row(key.Table, key.ID)
			if err != nil {
				return err
			}
			if !bytes.Equal(have, row) {
				return fmt.Errorf("%s %s: the table has %s, the leaves fold to %s", key.Table, key.ID, have, row)
			}
		}
		for serial, h := range b.copy.held {
			wire, err := r.SignedCertificate(serial)
			if err != nil {
				return err
			}
			if !bytes.Equal(wire, h.wire) {
				return fmt.Errorf("certificate %d is not stored as it was answered", serial)
			}
		}
		return nil
	}))
	must(b.t, d.with(ctx, func(db *sql.DB) error {
		var verdict string
		var rows int
		err := errors.Join(
			db.QueryRowContext(ctx, d.sound).Scan(&verdict),
			db.QueryRowContext(ctx, `SELECT count(*) FROM state`).Scan(&rows))
		if err == nil && (verdict != "ok" || rows != len(m.Rows)) {
			err = fmt.Errorf("integrity check: %s; %d rows, the leaves fold to %d", verdict, rows, len(m.Rows))
		}
		return err
	}))
}

// compareLeaves holds each leaf to the copy and folds it.
func (b *book) compareLeaves(r *store.Reader, m *recordtest.Map) error {
	head, err := r.Head()
	if err != nil {
		return err
	}
	if !slices.Equal(head.Tree.Edge, b.copy.tree.Edge) || head.Tree.Size != b.copy.tree.Size {
		return fmt.Errorf("the head is at %d leaves, clients read %d", head.Tree.Size, b.copy.tree.Size)
	}
	for i, text := range b.copy.leaves {
		e, err := r.Entry(int64(i))
		if err != nil {
			return err
		}
		if !bytes.Equal(e.Text, text) {
			return fmt.Errorf("leaf %d is not the one that clients read", i)
		}
		if err := m.Replay(e.Leaf, e.Opening.FactsSalt, e.Opening.Facts, e.Opening.PersonSalt, e.Opening.Person); err != nil {
			return fmt.Errorf("leaf %d, %s: %w", i, e.Leaf.Kind, err)
		}
	}
	return nil
}
