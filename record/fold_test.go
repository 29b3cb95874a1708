package record_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestPromiseP12_LeavesFoldToTheTables tells random stories to a store and then
// replays its leaves from their openings alone, in half of them without the
// person parts: each row of the store's tables comes out, byte for byte, and no
// other.
func TestPromiseP12_LeavesFoldToTheTables(t *testing.T) {
	t.Parallel()
	b := beginning(t)
	told := make(map[string]int)
	rapid.Check(t, func(rt *rapid.T) { story(t, rt, b, told) })
	t.Logf("steps told: %v", told)
}

// begun is a database with what every story begins with, to be copied: a leaf
// of each kind.
type begun struct {
	w    *recordtest.World
	now  time.Time
	file []byte
}

func beginning(t *testing.T) begun {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ledger.db")
	engine, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	b := begun{w: recordtest.New(t, "story"), now: recordtest.Start().Time()}
	s, err := store.New(store.Config{Engine: engine, Now: func() time.Time { return b.now }, Rand: b.w.Rand()})
	if err != nil {
		t.Fatal(err)
	}
	// Somebody is erased at once: of them no person part is there to be folded.
	b.w.Version = b.w.Contract("acme", "retention: {clause: §1, period: 10s}\n")
	gone := b.w.User("gone", "leads")
	var silent, unwanted recordtest.Ask
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		l := storetest.Ledger{Tx: tx}
		b.w.Setup(l)
		if err := b.w.LogIn(l, gone); err != nil {
			return err
		}
		granted := b.w.Granted(l, 300)
		issue, err := b.w.Issue(l, b.w.Alice, granted, b.w.Key())
		if err != nil {
			return err
		}
		silent, unwanted = b.w.Ask(l, b.w.Alice), b.w.Ask(l, b.w.Alice)
		_, err = l.Append(recordtest.Draft{Facts: issue})
		_, err2 := l.Append(b.w.Submit(l, b.w.Alice, silent))
		_, err3 := l.Append(b.w.Submit(l, b.w.Alice, unwanted))
		row, err4 := record.Certificate(l, issue.Serial)
		if err := errors.Join(err, err2, err3, err4); err != nil {
			return err
		}
		if _, err := l.Append(recordtest.Draft{Facts: b.w.Cancel(l, b.w.Alice, b.w.Request(l, unwanted.Doc.Request))}); err != nil {
			return err
		}
		_, err = l.Append(recordtest.Draft{Facts: b.w.Void(l, row)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	b.now = b.now.Add(16 * time.Minute)
	err = s.Write(t.Context(), func(tx *store.Tx) error {
		l := storetest.Ledger{Tx: tx}
		_, err := l.Append(recordtest.Draft{Facts: b.w.Expire(l, b.w.Request(l, silent.Doc.Request))})
		_, err2 := l.Append(recordtest.Draft{Facts: b.w.Erase(l, b.w.Chris, b.w.Dana, gone)})
		err = errors.Join(err, err2)
		for _, u := range []*recordtest.User{b.w.Alice, b.w.Bob, b.w.Carol} {
			err = errors.Join(err, b.w.LogIn(l, u))
		}
		return err
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	if b.file, err = os.ReadFile(path); err != nil {
		t.Fatal(err)
	}
	return b
}

func story(t *testing.T, rt *rapid.T, b begun, told map[string]int) {
	dir, err := os.MkdirTemp(t.TempDir(), "")
	if err != nil {
		rt.Fatal(err)
	}
	path := filepath.Join(dir, "ledger.db")
	if err := os.WriteFile(path, b.file, 0o600); err != nil {
		rt.Fatal(err)
	}
	engine, err := sqlite.Open(t.Context(), path)
	if err != nil {
		rt.Fatal(err)
	}
	defer func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	}()
	now := b.now
	s, err := store.New(store.Config{Engine: engine, Now: func() time.Time { return now }, Rand: b.w.Rand()})
	if err != nil {
		rt.Fatal(err)
	}
	tale := b.w.NewStory(func(label string, n int) int {
		drawn := 0 // from coins, which fall evenly; numbers and samples prefer what is small
		for range bits.Len(uint(n)) + 2 {
			drawn *= 2
			if rapid.Bool().Draw(rt, label) {
				drawn++
			}
		}
		return drawn % n
	})
	for range tale.Pick("writes", 5) {
		now = now.Add(tale.Pause())
		steps := 1 + tale.Pick("steps", 10)
		// A refused step changes nothing, so the write goes on after it.
		err := s.Write(t.Context(), func(tx *store.Tx) error {
			for range steps {
				_ = tale.Step(storetest.Ledger{Tx: tx})
			}
			return nil
		})
		if err != nil {
			rt.Fatal(err)
		}
	}
	for step, n := range tale.Taken() {
		told[step] += n
	}
	rows, index := tables(t, rt, engine)
	erased := rapid.Bool().Draw(rt, "person parts erased")
	m := b.w.NewMap()
	replay(t, rt, s, m, erased)
	compare(rt, m, rows, index, erased)
}

// replay folds every leaf of s from its opening, without the person parts if
// they are erased.
func replay(t *testing.T, rt *rapid.T, s *store.Store, m *recordtest.Map, erased bool) {
	err := s.Read(t.Context(), func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		all, err := r.Entries(head.Tree.Size, 1000)
		if err != nil {
			return err
		}
		for _, e := range slices.Backward(all) {
			person := e.Opening.Person
			if erased {
				person = nil
			}
			if err := m.Replay(e.Leaf, e.Opening.FactsSalt, e.Opening.Facts, e.Opening.PersonSalt, person); err != nil {
				return fmt.Errorf("leaf %d, %s: %w", e.Index, e.Leaf.Kind, err)
			}
		}
		if m.Next() != head.Tree.Size {
			return fmt.Errorf("%d leaves replayed of %d", m.Next(), head.Tree.Size)
		}
		return nil
	})
	if err != nil {
		rt.Fatal(err)
	}
}

func compare(rt *rapid.T, m *recordtest.Map, rows map[record.Key][]byte, index map[recordtest.IndexKey]string, erased bool) {
	if erased { // who somebody was at the issuer is gone with the person parts, and nothing else
		rows, index = maps.Clone(rows), maps.Clone(index)
		maps.DeleteFunc(rows, func(k record.Key, _ []byte) bool { return k.Table == record.TableIdentity })
		maps.DeleteFunc(index, func(k recordtest.IndexKey, _ string) bool { return k.Table == record.TableIdentity })
	}
	for key, want := range rows {
		if got := m.Rows[key]; !bytes.Equal(got, want) {
			rt.Fatalf("%s %s: the table has\n%s\nthe leaves fold to\n%s", key.Table, key.ID, want, got)
		}
	}
	if len(m.Rows) != len(rows) || !maps.Equal(m.Index, index) {
		rt.Fatalf("%d rows and lists %v in the store, the leaves fold to %d and %v", len(rows), index, len(m.Rows), m.Index)
	}
}

// tables reads what the store keeps of the fold, past the store.
func tables(t *testing.T, rt *rapid.T, engine *sqlite.Engine) (map[record.Key][]byte, map[recordtest.IndexKey]string) {
	tx, err := engine.Read(t.Context())
	if err != nil {
		rt.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	rows := make(map[record.Key][]byte)
	list, err := tx.QueryContext(t.Context(), `SELECT tbl, id, body FROM state`)
	if err != nil {
		rt.Fatal(err)
	}
	for list.Next() {
		var k record.Key
		var body []byte
		if err := list.Scan(&k.Table, &k.ID, &body); err != nil {
			rt.Fatal(err)
		}
		rows[k] = body
	}
	index := make(map[recordtest.IndexKey]string)
	more, err := tx.QueryContext(t.Context(), `SELECT tbl, id, name, val FROM state_index`)
	if err != nil {
		rt.Fatal(err)
	}
	for more.Next() {
		var k recordtest.IndexKey
		var value string
		if err := more.Scan(&k.Table, &k.ID, &k.Name, &value); err != nil {
			rt.Fatal(err)
		}
		index[k] = value
	}
	if err := errors.Join(list.Err(), list.Close(), more.Err(), more.Close()); err != nil {
		rt.Fatal(err)
	}
	return rows, index
}
