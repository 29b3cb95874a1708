package record_test

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	w.Granted(m, 0)
	login, submit := m.Entries[6], m.Entries[12]
	honest := record.Opening{FactsSalt: login.Salt, Facts: login.Facts, PersonSalt: login.Draft.PersonSalt, Person: login.Person}
	facts, person, err := record.Open(login.Leaf, honest)
	if _, ok := facts.(record.PersonLogin); !ok || err != nil {
		t.Fatalf("Open = %T, %v", facts, err)
	}
	if _, ok := person.(record.LoginPerson); !ok {
		t.Fatalf("the person part is %T", person)
	}
	bend := func(f func(*record.Opening)) record.Opening {
		o := honest
		f(&o)
		return o
	}
	if _, person, err := record.Open(login.Leaf, bend(func(o *record.Opening) { o.Person, o.PersonSalt = nil, ledger.Salt{} })); err != nil || person != nil {
		t.Errorf("without person part: %v, %v", person, err)
	}
	other := submit.Draft.Facts
	commitTo := func(text []byte, reference string, lineage canon.Digest) ledger.Leaf {
		leaf := login.Leaf
		leaf.Facts, leaf.Reference, leaf.Lineage = ledger.FactsCommitment(honest.FactsSalt, text), reference, lineage
		return leaf
	}
	for _, tt := range []struct {
		name string
		leaf ledger.Leaf
		o    record.Opening
		want error
	}{
		{"another leaf's facts", login.Leaf, bend(func(o *record.Opening) { o.Facts = submit.Facts }), record.ErrOpening},
		{"another salt", login.Leaf, bend(func(o *record.Opening) { o.FactsSalt = submit.Salt }), record.ErrOpening},
		{"no facts", login.Leaf, record.Opening{}, record.ErrOpening},
		{"another person part", login.Leaf, bend(func(o *record.Opening) { o.Person = submit.Person }), record.ErrOpening},
		{"another person's salt", login.Leaf, bend(func(o *record.Opening) { o.PersonSalt = o.FactsSalt }), record.ErrOpening},
		{"facts of another kind", commitTo(submit.Facts, other.Reference(), other.InLineage()), bend(func(o *record.Opening) { o.Facts, o.Person = submit.Facts, nil }), record.ErrEvent},
		{"another reference", commitTo(login.Facts, string(w.ID()), canon.Digest{}), bend(func(o *record.Opening) { o.Person = nil }), record.ErrEvent},
		{"another lineage", commitTo(login.Facts, login.Leaf.Reference, w.Version.Lineage()), bend(func(o *record.Opening) { o.Person = nil }), record.ErrEvent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if f, _, err := record.Open(tt.leaf, tt.o); !errors.Is(err, tt.want) {
				t.Errorf("Open = %T, %v, want %v", f, err, tt.want)
			}
		})
	}
}

// A row that the fold promises to make once is not made twice, whatever Check
// has said.
func TestMemoryKeepsRowsOnce(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	join := record.Event{Index: m.Next(), Facts: w.Join(m, "web-1.demo", "prod")}
	size, last := len(m.Rows), m.Last()
	if _, err := m.Fold(blind{m}, join); !errors.Is(err, record.ErrSecond) {
		t.Errorf("a second host of one name: %v, want ErrSecond", err)
	}
	if len(m.Rows) != size || m.Last() != last {
		t.Error("a refused event changed the state")
	}
}

// blind is a View that sees no host.
type blind struct{ record.View }

func (v blind) Row(t record.Table, key string) ([]byte, error) {
	if t == record.TableHost {
		return nil, record.ErrNotFound
	}
	return v.View.Row(t, key)
}
