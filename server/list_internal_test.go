package server

import (
	"path/filepath"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestListLooksAtLittle: a filter that few requests pass costs a bounded look. The
// answer says where to read on, and reading on finds what passes.
func TestListLooksAtLittle(t *testing.T) {
	t.Parallel()
	engine, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "sallyport.db"))
	if err != nil {
		t.Fatal(err)
	}
	w := recordtest.New(t, t.Name())
	now := recordtest.Start().Time()
	s, err := store.New(store.Config{Engine: engine, Now: recordtest.Start().Time, Rand: w.Rand()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	var all []canon.ID // newest first
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		l := storetest.Ledger{Tx: tx}
		w.Setup(l)
		for i := range 5 {
			ask := w.Ask(l, w.Alice)
			if i == 0 {
				ask.Doc.Hosts[0] = "web-2.demo"
			}
			if _, err := l.Append(w.Submit(l, w.Alice, ask)); err != nil {
				return err
			}
			all = append([]canon.ID{ask.Doc.Request}, all...)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	read := func(l listing) (ids []canon.ID, next int64) {
		t.Helper()
		err := s.Read(t.Context(), func(r *store.Reader) error {
			out, n, err := l.read(r, store.Session{Person: w.Alice.Person}, now)
			for _, q := range out {
				ids = append(ids, q.ID)
			}
			next = n
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return ids, next
	}
	page := listing{host: "web-2.demo", before: ledger.MaxSize, limit: 10, scan: 2}
	for _, want := range [][]canon.ID{nil, nil, all[4:]} {
		ids, next := read(page)
		if !slices.Equal(ids, want) || (next == 0) != (want != nil) {
			t.Fatalf("before %d: %v, then before %d", page.before, ids, next)
		}
		page.before = next
	}
	if ids, next := read(listing{before: ledger.MaxSize, limit: 10, scan: 5}); !slices.Equal(ids, all) || next == 0 {
		t.Errorf("as many as may be looked at: %v, then before %d", ids, next)
	} else if ids, next = read(listing{before: next, limit: 10, scan: 5}); len(ids) != 0 || next != 0 {
		t.Errorf("behind the end: %v, then before %d", ids, next)
	}
}
