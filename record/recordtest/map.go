package recordtest

import (
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Key names a row of the fold.
type Key struct {
	Table record.Table
	ID    string
}

// IndexKey names one value by which a row is listed.
type IndexKey struct {
	Key
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

// Map is the state that leaves fold to, in memory: what an offline replay keeps.
// It is a record.View and a Ledger.
type Map struct {
	Clock   canon.Micros // what Now returns; a test moves it
	Rows    map[Key][]byte
	Index   map[IndexKey]string
	Entries []Entry

	w        *World
	next     int64
	last     canon.Micros // ledger time of the newest leaf
	versions map[canon.Digest]*contract.Version
}

// NewMap returns the state before leaf 0, at Start.
func (w *World) NewMap() *Map {
	return &Map{
		Clock: Start(), w: w, Rows: make(map[Key][]byte), Index: make(map[IndexKey]string),
		versions: make(map[canon.Digest]*contract.Version),
	}
}

// Row returns a row, as record.View says.
func (m *Map) Row(t record.Table, key string) ([]byte, error) {
	row, ok := m.Rows[Key{t, key}]
	if !ok {
		return nil, record.ErrNotFound
	}
	return row, nil
}

// Version returns a contract version that a leaf proposed.
func (m *Map) Version(d canon.Digest) (*contract.Version, error) {
	v, ok := m.versions[d]
	if !ok {
		return nil, fmt.Errorf("contract version %s: %w", d, record.ErrNotFound)
	}
	return v, nil
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
	_, err = record.Check(m, record.Event{Index: e.Index, LeafHash: hash, Previous: m.last, Facts: d.Facts, Person: d.Person, PersonCommitment: e.Leaf.Person})
	return err
}

// Replay folds a leaf that was opened elsewhere, from its texts alone: nil for
// the person part if there is none or it was erased. It checks that the texts
// are what the leaf commits to.
func (m *Map) Replay(leaf ledger.Leaf, factsSalt ledger.Salt, facts []byte, personSalt ledger.Salt, person []byte) error {
	if ledger.FactsCommitment(factsSalt, facts) != leaf.Facts {
		return fmt.Errorf("leaf %d: %w: the facts do not open it", m.next, record.ErrEvent)
	}
	f, err := record.ParseFacts(leaf.Kind, facts)
	if err != nil {
		return err
	}
	if f.Kind() != leaf.Kind || f.Reference() != leaf.Reference || f.InLineage() != leaf.Lineage {
		return fmt.Errorf("leaf %d: %w: the facts belong to another leaf", m.next, record.ErrEvent)
	}
	var part any
	if person != nil {
		if ledger.PersonCommitment(personSalt, person) != leaf.Person {
			return fmt.Errorf("leaf %d: %w: the person part does not open it", m.next, record.ErrEvent)
		}
		if part, err = record.ParsePerson(leaf.Kind, person); err != nil {
			return err
		}
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
	changes, err := record.Check(m, record.Event{Index: index, LeafHash: hash, Previous: m.last, Facts: f, Person: person, PersonCommitment: commitment})
	if err != nil {
		return nil, err
	}
	if propose, ok := f.(record.ContractPropose); ok {
		v, err := record.LoadVersion(propose)
		if err != nil {
			return nil, err
		}
		m.versions[v.Digest] = v
	}
	for _, c := range changes {
		key := Key{c.Table, c.Key}
		if _, there := m.Rows[key]; there && c.New {
			m.w.t.Fatalf("the fold allowed a second %s %s", c.Table, c.Key)
		}
		m.Rows[key] = c.Row
		for _, i := range c.Index {
			m.Index[IndexKey{key, i.Name}] = i.Value
		}
	}
	m.next++
	m.last = f.When()
	return changes, nil
}
