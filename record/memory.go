package record

import (
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// ErrSecond says that the fold made a row a second time that it promises to make
// once: a fault of the fold, which a store's own uniqueness would refuse.
var ErrSecond = errors.New("the fold made a row twice")

// Key names a row of the fold.
type Key struct {
	Table Table
	ID    string
}

// Memory is the state that leaves fold to, kept in memory: what a replay of a
// whole ledger, or of some of its leaves, folds into. It is a View.
type Memory struct {
	// Rows has every row. It is to be read only.
	Rows map[Key][]byte

	versions map[canon.Digest]*contract.Version
	listed   map[listing][]string
	last     canon.Micros // ledger time of the newest leaf that was folded
	decoded  map[Key]decodedRow
}

// decodedRow is a row as it was read.
type decodedRow struct {
	text  []byte // that it was read from
	value any
}

// maxDecoded bounds how many rows are kept as they were read.
const maxDecoded = 1 << 14

var _ View = (*Memory)(nil)

// NewMemory returns the state before any leaf.
func NewMemory() *Memory {
	return &Memory{
		Rows: make(map[Key][]byte), versions: make(map[canon.Digest]*contract.Version), listed: make(map[listing][]string), decoded: make(map[Key]decodedRow),
	}
}

// listing is one value by which rows of a table are listed.
type listing struct {
	table Table
	Index
}

// looksUp are the lists that the fold asks for. A row never moves within them.
func looksUp(t Table, name string) bool {
	switch t {
	case TableRequest, TableDecision:
		return name == "by"
	case TableCertificate:
		return name == "person" || name == "grant"
	case TableLogin, TableIdentity:
		return name == "person"
	case TableLineage:
		return name == "all"
	case TableKey:
		return name == "purpose"
	case TableLog, TableContract, TableContractID, TableHost, TableInvitation, TableLabelling, TableAlias, TableRelease, TableHostCertificate,
		TableSession, TableRefusal, TablePerson, TableIssuer, TableDevice, TableSnapshot, TableExpiry, TableErased,
		TableRevocation, TableRevoked:
	}
	return false
}

// Keys returns the keys of the rows that are listed so.
func (m *Memory) Keys(t Table, i Index) ([]string, error) {
	if !looksUp(t, i.Name) {
		return nil, fmt.Errorf("%w: list %s of %s is not kept", ErrNotFound, i.Name, t)
	}
	return slices.Sorted(slices.Values(m.listed[listing{t, i}])), nil
}

// write takes the rows of a leaf.
func (m *Memory) write(changes []Change) {
	for _, c := range changes {
		key := Key{c.Table, c.Key}
		if c.Gone {
			delete(m.Rows, key)
			m.unlist(c)
			continue
		}
		_, there := m.Rows[key]
		m.Rows[key] = c.Row
		if !there {
			m.list(c)
		}
	}
}

// list puts a new row into its lists.
func (m *Memory) list(c Change) {
	for _, i := range c.Index {
		if l := (listing{c.Table, i}); looksUp(c.Table, i.Name) {
			m.listed[l] = append(m.listed[l], c.Key)
		}
	}
}

// unlist takes a row that is gone from its lists.
func (m *Memory) unlist(c Change) {
	for _, i := range c.Index {
		l := listing{c.Table, i}
		m.listed[l] = slices.DeleteFunc(m.listed[l], func(k string) bool { return k == c.Key })
		if len(m.listed[l]) == 0 {
			delete(m.listed, l)
		}
	}
}

// Row returns a row that the leaves made.
func (m *Memory) Row(t Table, key string) ([]byte, error) {
	row, ok := m.Rows[Key{t, key}]
	if !ok {
		return nil, ErrNotFound
	}
	return row, nil
}

// Version returns a contract version that a leaf proposed.
func (m *Memory) Version(d canon.Digest) (*contract.Version, error) {
	v, ok := m.versions[d]
	if !ok {
		return nil, fmt.Errorf("contract version %s: %w", d, ErrNotFound)
	}
	return v, nil
}

// decodedRow returns a row as it was read from the text that stands there now, nil
// if that was not read yet.
func (m *Memory) decodedRow(k Key) any {
	kept, ok := m.decoded[k]
	if now := m.Rows[k]; !ok || len(now) == 0 || len(now) != len(kept.text) || &now[0] != &kept.text[0] {
		return nil
	}
	return kept.value
}

func (m *Memory) keepDecoded(k Key, value any) {
	if len(m.decoded) >= maxDecoded {
		clear(m.decoded)
	}
	m.decoded[k] = decodedRow{m.Rows[k], value}
}

// Last returns the ledger time of the newest leaf that was folded, 0 before the
// first.
func (m *Memory) Last() canon.Micros { return m.last }

// Fold asks Check about an event after those that were folded so far, and writes
// the rows that it answers; they are returned. If it refuses, nothing changes.
// Check reads through v, which is m or a View over it. Previous is set here.
func (m *Memory) Fold(v View, e Event) ([]Change, error) {
	changes, version, err := m.check(v, e)
	if err != nil {
		return nil, err
	}
	m.apply(e, changes, version)
	return changes, nil
}

// Undo is what a fold changed: with it the state before can be had back.
type Undo struct {
	rows    []Change     // as they stood; a nil Row was not there
	version canon.Digest // that the leaf proposed
	last    canon.Micros
}

// FoldUndoable is Fold over m itself, and returns how to take it back.
func (m *Memory) FoldUndoable(e Event) (Undo, error) {
	changes, version, err := m.check(m, e)
	if err != nil {
		return Undo{}, err
	}
	u := Undo{last: m.last}
	for _, c := range changes {
		u.rows = append(u.rows, Change{Table: c.Table, Key: c.Key, Row: m.Rows[Key{c.Table, c.Key}], Index: c.Index})
	}
	if version != nil {
		u.version = version.Digest
	}
	m.apply(e, changes, version)
	return u, nil
}

// Undo takes the newest fold back that was not taken back yet.
func (m *Memory) Undo(u Undo) {
	for _, c := range slices.Backward(u.rows) {
		key := Key{c.Table, c.Key}
		_, there := m.Rows[key]
		switch {
		case c.Row == nil:
			delete(m.Rows, key)
			m.unlist(c)
			continue
		case !there:
			m.list(c)
		}
		m.Rows[key] = c.Row
	}
	delete(m.versions, u.version)
	m.last = u.last
}

// check asks Check about an event. version is what it proposes, if it is a
// proposal.
func (m *Memory) check(v View, e Event) (changes []Change, version *contract.Version, err error) {
	e.Previous = m.last
	if changes, err = Check(v, e); err != nil {
		return nil, nil, err
	}
	for _, c := range changes {
		if _, there := m.Rows[Key{c.Table, c.Key}]; there && c.New {
			return nil, nil, fmt.Errorf("%s %s: %w", c.Table, c.Key, ErrSecond)
		}
	}
	if propose, ok := e.Facts.(ContractPropose); ok {
		version, err = LoadVersion(propose, v.Version)
	}
	return changes, version, err
}

func (m *Memory) apply(e Event, changes []Change, version *contract.Version) {
	if version != nil {
		m.versions[version.Digest] = version
	}
	m.write(changes)
	m.last = e.Facts.When()
}
