package storetest

import (
	"bytes"
	"database/sql"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// erased are the tables that an erasure deletes from, with their columns.
var erased = map[string]string{
	"person_key": "person, secret", "person_part": "leaf, person, sealed", "session": "id_hash, kind, person, body, seen_us, expires_us",
	"state": "tbl, id, body, leaf", "state_index": "tbl, name, val, leaf, id",
}

// testErase erases Alice: what shows who she was is gone with the leaf that says
// so, or nothing is; of others everything stays but what was written to her; and
// out of a backup it goes once more.
func testErase(t *testing.T, f *fixture) {
	f.setup()
	alice, bob := f.w.Alice.Person, f.w.Bob.Person
	account := record.IdentityKey(recordtest.Issuer, f.w.Alice.Subject)
	f.mustWrite(func(l Ledger) error {
		ask := f.w.Ask(l, f.w.Alice)
		if _, err := l.Append(f.w.Submit(l, f.w.Alice, ask)); err != nil {
			return err
		}
		deny := f.w.Decide(l, f.w.Bob, f.w.Request(l, ask.Doc.Request), approval.Deny, 0)
		deny.Person, deny.PersonID = record.DecidePerson{Words: "not today, Alice"}, bob
		_, err := l.Append(deny)
		return errors.Join(err, l.PutSession(canon.Sum("a"), sessionOf(alice, f)), l.PutSession(canon.Sum("b"), sessionOf(bob, f)))
	})
	before := f.copy()
	f.pass(366 * 24 * time.Hour)
	backup, size := f.snapshot(), f.head().Tree.Size
	err := f.write(func(l Ledger) error {
		if err := l.facts(f.w.Erase(l, f.w.Chris, f.w.Dana, f.w.Alice)); err != nil {
			return err
		}
		return errStop
	})
	wants(t, "a write that stopped", err, errStop)
	if got := f.snapshot(); !same(got, backup) || f.head().Tree.Size != size {
		t.Error("a write that stopped destroyed something")
	}
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Erase(l, f.w.Chris, f.w.Dana, f.w.Alice)) })
	f.checkErased(before, account)
	if err := f.s.Clean(t.Context()); err != nil {
		t.Errorf("cleaning: %v", err)
	}
	f.checkErased(before, account)
	if again, err := f.s.DestroyAgain(t.Context()); err != nil || len(again) != 0 {
		t.Errorf("it is done, and still %v are to be destroyed, %v", again, err)
	}
	// A backup brings it back, the erase leaf with what follows it comes from elsewhere.
	f.putBack(backup)
	again, err := f.s.DestroyAgain(t.Context())
	if err != nil || !slices.Equal(again, []canon.ID{alice}) {
		t.Errorf("destroyed again: %v, %v", again, err)
	}
	f.checkErased(before, account)
}

var errStop = errors.New("stop")

func sessionOf(id canon.ID, f *fixture) store.Session {
	return store.Session{Kind: store.Web, Person: id, Issuer: recordtest.Issuer, Client: "pages", Login: canon.Sum("login"), Snapshot: canon.Sum("snapshot"), ClaimsAt: 1, ExpiresAt: canon.At(f.clock()) + 1e15}
}

// copy returns the openings as they are, by index.
func (f *fixture) copy() map[int64]store.Opening {
	f.t.Helper()
	out := make(map[int64]store.Opening)
	for _, e := range f.entries() {
		out[e.Index] = e.Opening
	}
	return out
}

// checkErased holds the database to having nothing of Alice's, and everything of
// others'.
func (f *fixture) checkErased(before map[int64]store.Opening, account string) {
	f.t.Helper()
	alice := f.w.Alice.Person
	f.mustRead(func(r *store.Reader) error {
		_, err := r.PersonPart(alice, ledger.PersonLogin)
		wants(f.t, "her name", err, record.ErrNotFound)
		_, err = r.Row(record.TableIdentity, account)
		wants(f.t, "her account", err, record.ErrNotFound)
		_, _, err = r.Session(canon.Sum("a"), store.Web, canon.At(recordtest.Start().Time()))
		wants(f.t, "her session", err, store.ErrNoSession)
		if _, _, err = r.Session(canon.Sum("b"), store.Web, canon.At(recordtest.Start().Time())); err != nil {
			f.t.Errorf("his session: %v", err)
		}
		_, err = record.Erased(r, alice)
		return err
	})
	gone := 0
	for _, e := range f.entries() {
		was, ok := before[e.Index]
		if !ok {
			continue
		}
		if !bytes.Equal(e.Opening.Facts, was.Facts) || e.Opening.FactsSalt != was.FactsSalt {
			f.t.Errorf("leaf %d: its facts are others", e.Index)
		}
		hers := was.PersonID == alice || e.Leaf.Kind == ledger.RequestDecide
		if hers && (e.Opening.Person != nil || !e.Opening.PersonSalt.IsZero()) || !hers && !bytes.Equal(e.Opening.Person, was.Person) {
			f.t.Errorf("leaf %d, %s: its person part is %q, it was %q", e.Index, e.Leaf.Kind, e.Opening.Person, was.Person)
		}
		if hers && was.Person != nil {
			gone++
		}
	}
	if gone != 3 {
		f.t.Errorf("%d person parts are gone: her login, her reason and what was written to her", gone)
	}
}

// table is what stands in a table.
type table [][]any

// snapshot copies the tables that an erasure deletes from.
func (f *fixture) snapshot() map[string]table {
	f.t.Helper()
	tx, err := f.engine.Read(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	out := make(map[string]table)
	for name, columns := range erased {
		if out[name], err = f.rows(tx, name, columns); err != nil {
			f.t.Fatal(err)
		}
	}
	return out
}

// rows reads a whole table.
func (f *fixture) rows(tx *sql.Tx, name, columns string) (table, error) {
	rows, err := tx.QueryContext(f.t.Context(), `SELECT `+columns+` FROM `+name+` ORDER BY `+columns) //nolint:gosec // of the list above
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	names, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var out table
	for rows.Next() {
		row, into := make([]any, len(names)), make([]any, len(names))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

func same(a, b map[string]table) bool {
	return slices.EqualFunc(flat(a), flat(b), func(x, y any) bool {
		if b, ok := x.([]byte); ok {
			c, ok := y.([]byte)
			return ok && bytes.Equal(b, c)
		}
		return x == y
	})
}

func flat(tables map[string]table) []any {
	var out []any
	for _, name := range []string{"person_key", "person_part", "session", "state", "state_index"} {
		for _, row := range tables[name] {
			out = append(out, row...)
		}
	}
	return out
}

// putBack adds the rows of a backup that are not there.
func (f *fixture) putBack(tables map[string]table) {
	f.t.Helper()
	tx, err := f.engine.Begin(f.t.Context())
	if err != nil {
		f.t.Fatal(err)
	}
	for name, columns := range erased {
		for _, row := range tables[name] {
			marks := "$1"
			for i := range row[1:] {
				marks += ", $" + string(rune('2'+i))
			}
			insert := `INSERT INTO ` + name + ` (` + columns + `) VALUES (` + marks + `) ON CONFLICT DO NOTHING` //nolint:gosec // of the list above
			if _, err := tx.ExecContext(f.t.Context(), insert, row...); err != nil {
				f.t.Fatal(err)
			}
		}
	}
	if err := f.engine.Commit(tx); err != nil {
		f.t.Fatal(err)
	}
}
