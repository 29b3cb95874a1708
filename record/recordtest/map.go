package recordtest

import (
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// IndexKey names one value by which a row is listed.
type IndexKey struct {
	record.Key
	Name string
}

// Entry is a leaf with its opening.
type Entry struct {
	Index   int64
	Leaf    ledger.Leaf
	Salt    ledger.Salt
	Facts   []byte // canonical JSON
	Draft   Draft  // PersonSalt as used
	Person  []byte // canonical JSON, nil for none
	Changes []record.Change
}

// Map is the state that leaves fold to, with the leaves. It is a record.View and a
// Ledger.
type Map struct {
	*record.Memory
	Clock   canon.Micros // what Now returns; a test moves it
	Index   map[IndexKey]string
	Entries []Entry

	w    *World
	next int64
}

// NewMap returns the state before leaf 0, at Start.
func (w *World) NewMap() *Map {
	return &Map{Memory: record.NewMemory(), Clock: Start(), w: w, Index: make(map[IndexKey]string)}
}

// Next returns the index of the next leaf.
func (m *Map) Next() int64 { return m.next }

// Now returns Clock.
func (m *Map) Now() canon.Micros { return m.Clock }

// Append adds a leaf if the fold allows it.
func (m *Map) Append(d Draft) (canon.Digest, error) {
	e, hash, err := m.open(d)
	if err != nil {
		return canon.Digest{}, err
	}
	if e.Changes, err = m.fold(e.Index, hash, d.Facts, d.Person, e.Leaf.Person); err != nil {
		return canon.Digest{}, err
	}
	m.Entries = append(m.Entries, e)
	return hash, nil
}

// Check says what Append would, and changes nothing.
func (m *Map) Check(d Draft) error {
	e, hash, err := m.open(d)
	if err != nil {
		return err
	}
	_, err = record.Check(m, record.Event{Index: e.Index, LeafHash: hash, Previous: m.Last(), Facts: d.Facts, Person: d.Person, PersonCommitment: e.Leaf.Person})
	return err
}

// Replay folds a leaf that was opened elsewhere, from its texts alone: nil for
// the person part if there is none or it was erased. It checks that the texts
// are what the leaf commits to.
func (m *Map) Replay(leaf ledger.Leaf, factsSalt ledger.Salt, facts []byte, personSalt ledger.Salt, person []byte) error {
	f, part, err := record.Open(leaf, record.Opening{FactsSalt: factsSalt, Facts: facts, PersonSalt: personSalt, Person: person})
	if err != nil {
		return fmt.Errorf("leaf %d: %w", m.next, err)
	}
	hash, err := leaf.Hash()
	if err != nil {
		return err
	}
	_, err = m.fold(m.next, canon.Digest(hash), f, part, leaf.Person)
	return err
}

// open makes the leaf of a draft, as a store does.
func (m *Map) open(d Draft) (Entry, canon.Digest, error) {
	e := Entry{Index: m.next, Salt: m.w.Salt(), Draft: d}
	var err error
	if e.Facts, err = canon.Marshal(d.Facts); err != nil {
		return Entry{}, canon.Digest{}, err
	}
	e.Leaf = ledger.Leaf{
		Kind: d.Facts.Kind(), Lineage: d.Facts.InLineage(), Reference: d.Facts.Reference(), Facts: ledger.FactsCommitment(e.Salt, e.Facts),
	}
	if d.Person != nil {
		if e.Person, err = canon.Marshal(d.Person); err != nil {
			return Entry{}, canon.Digest{}, err
		}
		if e.Draft.PersonSalt.IsZero() {
			e.Draft.PersonSalt = m.w.Salt()
		}
		e.Leaf.Person = ledger.PersonCommitment(e.Draft.PersonSalt, e.Person)
	}
	hash, err := e.Leaf.Hash()
	return e, canon.Digest(hash), err
}

// fold asks record.Check and applies what it says. A second row where the fold
// promises a new one is a fault of the fold, so the test fails: the store's own
// uniqueness is a net, not a rule.
func (m *Map) fold(index int64, hash canon.Digest, f record.Facts, person any, commitment canon.Digest) ([]record.Change, error) {
	changes, err := m.Fold(m, record.Event{Index: index, LeafHash: hash, Facts: f, Person: person, PersonCommitment: commitment})
	switch {
	case errors.Is(err, record.ErrSecond):
		m.w.t.Fatalf("leaf %d: %v", index, err)
	case err != nil:
		return nil, err
	}
	for _, c := range changes {
		for _, i := range c.Index {
			if c.Gone {
				delete(m.Index, IndexKey{record.Key{Table: c.Table, ID: c.Key}, i.Name})
				continue
			}
			m.Index[IndexKey{record.Key{Table: c.Table, ID: c.Key}, i.Name}] = i.Value
		}
	}
	m.next++
	return changes, nil
}
