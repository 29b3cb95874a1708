package record_test

import (
	"bytes"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestUndo takes folds back, one after the other, down to the state before any
// leaf, and folds them again to the same rows.
func TestUndo(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, "undo")
	m := w.NewMap()
	w.Setup(m)
	issue, err := w.Issue(m, w.Alice, w.Granted(m, 300), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Append(recordtest.Draft{Facts: issue}); err != nil {
		t.Fatal(err)
	}
	m.Clock += canon.Micros((800 * 24 * time.Hour).Microseconds())
	if _, err := m.Append(recordtest.Draft{Facts: w.Erase(m, w.Chris, w.Dana, w.Alice)}); err != nil {
		t.Fatal(err)
	}
	fold := record.NewMemory()
	var undos []record.Undo
	var before []map[record.Key][]byte
	var listed [][]string
	lists := func(m *record.Memory) []string { return lists(t, m, w.Alice.Person, w.Bob.Person) }
	for _, e := range m.Entries {
		listed = append(listed, lists(fold))
		before = append(before, maps.Clone(fold.Rows))
		u, err := fold.FoldUndoable(event(t, e))
		if err != nil {
			t.Fatal(err)
		}
		undos = append(undos, u)
	}
	same := func(a, b map[record.Key][]byte) bool { return maps.EqualFunc(a, b, bytes.Equal) }
	if !same(fold.Rows, m.Rows) {
		t.Fatal("undoable folds make other rows")
	}
	for i := range slices.Backward(undos) {
		fold.Undo(undos[i])
		if !same(fold.Rows, before[i]) {
			t.Fatalf("the rows before leaf %d don't come back", i)
		}
		if got := lists(fold); !slices.Equal(got, listed[i]) {
			t.Fatalf("before leaf %d %v were listed, now %v", i, listed[i], got)
		}
	}
	if _, err := fold.Version(w.Version.Digest); !errors.Is(err, record.ErrNotFound) || fold.Last() != 0 {
		t.Errorf("the state before any leaf has a contract (%v) or a time (%d)", err, fold.Last())
	}
	for _, e := range m.Entries {
		if _, err := fold.FoldUndoable(event(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	if !same(fold.Rows, m.Rows) {
		t.Error("folded again, there are other rows")
	}
	plain := record.NewMemory()
	for _, e := range m.Entries {
		if _, err := plain.Fold(plain, event(t, e)); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := lists(fold), lists(plain); !slices.Equal(got, want) || len(want) < 7 {
		t.Errorf("folded again, %v are listed, want %v", got, want)
	}
}

// lists returns what stands in the lists of rows about people, and of lineages.
func lists(t *testing.T, m *record.Memory, people ...canon.ID) []string {
	t.Helper()
	var out []string
	add := func(table record.Table, i record.Index) {
		keys, err := m.Keys(table, i)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range keys {
			out = append(out, string(table)+" "+i.Value+" "+key)
		}
	}
	add(record.TableLineage, record.Index{Name: "all"})
	for _, id := range people {
		for _, table := range []record.Table{record.TableLogin, record.TableIdentity, record.TableCertificate} {
			add(table, record.Index{Name: "person", Value: string(id)})
		}
		for _, table := range []record.Table{record.TableRequest, record.TableDecision} {
			add(table, record.Index{Name: "by", Value: string(id)})
		}
	}
	return out
}

func event(t *testing.T, e recordtest.Entry) record.Event {
	t.Helper()
	hash, err := e.Leaf.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return record.Event{Index: e.Index, LeafHash: canon.Digest(hash), Facts: e.Draft.Facts, Person: e.Draft.Person, PersonCommitment: e.Leaf.Person}
}

// TestPromiseP03_KnownIdentity holds an account to one person by its key alone, as
// its subject would.
func TestPromiseP03_KnownIdentity(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, "known identity")
	m := w.NewMap()
	w.Setup(m)
	fold := func(u *recordtest.User, subject string) (byKey, bySubject error) {
		m.Clock += 1e6
		login := w.Login(m, u)
		part, ok := login.Person.(record.LoginPerson)
		if !ok {
			t.Fatal("no person part")
		}
		part.Subject = subject
		known := login
		known.Person = record.KnownIdentity(record.IdentityKey(recordtest.Issuer, subject))
		login.Person = part
		check := func(person any) error {
			_, err := record.Check(m, record.Event{Index: m.Next(), Previous: m.Last(), Facts: login.Facts, Person: person})
			return err
		}
		return check(known.Person), check(login.Person)
	}
	mallory := w.User("mallory", "leads")
	for _, tt := range []struct {
		name    string
		user    *recordtest.User
		subject string
		ok      bool
	}{
		{"her own", w.Alice, w.Alice.Subject, true},
		{"somebody new", mallory, mallory.Subject, true},
		{"Alice as a second person", mallory, w.Alice.Subject, false},
		{"Alice by another account", w.Alice, "sub-other", false},
	} {
		byKey, bySubject := fold(tt.user, tt.subject)
		if (byKey == nil) != tt.ok || (bySubject == nil) != tt.ok {
			t.Errorf("%s: by its key %v, by its subject %v; allowed: %t", tt.name, byKey, bySubject, tt.ok)
		}
	}
}

// TestNamed sets every digest in facts of every kind by its own name and demands
// that those which name a leaf, and no others, are returned.
func TestNamed(t *testing.T) {
	t.Parallel()
	noLeaf := []string{"Contract", "Lineage", "Secret", "Bundle", "Was", "Call", "To"} // of a contract version, or of something else
	for _, facts := range []record.Facts{
		record.LedgerOpen{},
		record.PersonErase{},
		record.ContractPropose{},
		record.ContractSign{},
		record.KeyAdd{},
		record.HostJoin{},
		record.HostInvite{},
		record.HostCertify{},
		record.HostLabel{},
		record.HostRetire{},
		record.HostRelease{},
		record.LoginOpen{},
		record.LoginClose{},
		record.LoginRefuse{},
		record.LoginOffline{},
		record.PersonLogin{},
		record.PersonSnapshot{},
		record.PersonLink{},
		record.RequestSubmit{},
		record.RequestDecide{},
		record.RequestExpire{},
		record.RequestCancel{},
		record.AccessRevoke{},
		record.PersonLock{},
		record.PersonUnlock{},
		record.CertificateIssue{},
		record.CertificateVoid{},
	} {
		var want []canon.Digest
		var set func(v reflect.Value)
		set = func(v reflect.Value) {
			for i := range v.NumField() {
				switch f := v.Field(i); {
				case f.Type() == reflect.TypeFor[canon.Digest]() && !slices.Contains(noLeaf, v.Type().Field(i).Name):
					d := canon.Digest{byte(len(want) + 1)}
					f.Set(reflect.ValueOf(d))
					want = append(want, d)
				case f.Type() == reflect.TypeFor[record.Claims](), f.Type() == reflect.TypeFor[record.Actor]():
					set(f)
				}
			}
		}
		v := reflect.New(reflect.TypeOf(facts)).Elem()
		set(v)
		full, ok := v.Interface().(record.Facts)
		if !ok {
			t.Fatalf("%T is no facts", facts)
		}
		got := record.Named(full)
		slices.SortFunc(got, func(a, b canon.Digest) int { return bytes.Compare(a[:], b[:]) })
		if !slices.Equal(got, want) {
			t.Errorf("%T names %d leaves, its fields %d", facts, len(got), len(want))
		}
		if got := record.Named(facts); len(got) != 0 {
			t.Errorf("empty %T names %v", facts, got)
		}
	}
}
