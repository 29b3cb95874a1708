package store

import (
	"maps"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// What the functions of a batch append to the ledger's tables waits in memory and is
// written when the batch is committed, the rows of a table in few statements. Each
// function has a layer of its own: one that fails takes nothing back from the
// database, its layer is forgotten. A function that asks the database for something
// that waits has it written first, under its savepoint.
//
// Plain rows (sessions, challenges, certificates) are written as they come.

// pending is what waits to be written, and what was written in this transaction of
// the fold's rows: those are read from here.
type pending struct {
	state map[record.Key]*stateRow
	index map[indexKey]*indexRow
	keys  map[canon.ID][]byte // people's, drawn in this transaction
	// removed are rows that were taken away, and may be there again.
	removed []record.Key
	unsentRows
}

// unsentRows are the rows that the database has not been given.
type unsentRows struct {
	state    []record.Key // of these, in the order in which they first changed
	index    []indexKey
	leaves   []any // column by column, row after row
	nodes    []any
	openings []any
	parts    []any
	keys     []any
	mentions []any
}

func (u *unsentRows) none() bool {
	return len(u.state) == 0 && len(u.index) == 0 && len(u.leaves) == 0 && len(u.nodes) == 0 &&
		len(u.openings) == 0 && len(u.parts) == 0 && len(u.keys) == 0 && len(u.mentions) == 0
}

// add puts other's rows behind u's.
func (u *unsentRows) add(other unsentRows) {
	u.state = append(u.state, other.state...)
	u.index = append(u.index, other.index...)
	u.leaves = append(u.leaves, other.leaves...)
	u.nodes = append(u.nodes, other.nodes...)
	u.openings = append(u.openings, other.openings...)
	u.parts = append(u.parts, other.parts...)
	u.keys = append(u.keys, other.keys...)
	u.mentions = append(u.mentions, other.mentions...)
}

// stateRow is a row of the fold.
type stateRow struct {
	body  []byte
	leaf  int64
	fresh bool // the database must not have it yet
	sent  bool // the database has it as it is here
	gone  bool // it was taken away; then it is sent
}

// indexKey is a row's place under one name, indexRow what it is listed under there.
type indexKey struct {
	row  record.Key
	name string
}

type indexRow struct {
	value string
	leaf  int64 // that first listed it
	sent  bool
}

func newPending() *pending {
	return &pending{state: make(map[record.Key]*stateRow), index: make(map[indexKey]*indexRow), keys: make(map[canon.ID][]byte)}
}

// put changes a row of the fold.
func (p *pending) put(k record.Key, row stateRow) {
	have, ok := p.state[k]
	waits := ok && !have.sent
	if waits {
		row.fresh = have.fresh // it still has to be inserted, as what it is now
	} else {
		p.unsentRows.state = append(p.unsentRows.state, k)
	}
	p.state[k] = &row
}

// list lists a row under a name. It keeps the leaf that first listed it, so lists
// stay in the order in which things happened.
func (p *pending) list(k indexKey, row indexRow) {
	have, ok := p.index[k]
	if ok {
		row.leaf = have.leaf
	}
	if !ok || have.sent {
		p.unsentRows.index = append(p.unsentRows.index, k)
	}
	p.index[k] = &row
}

// merge takes over what a function appended that has ended well.
func (p *pending) merge(own *pending) {
	for _, k := range own.removed {
		maps.DeleteFunc(p.index, func(i indexKey, _ *indexRow) bool { return i.row == k })
	}
	p.removed = append(p.removed, own.removed...)
	u := own.unsentRows
	for _, k := range u.state {
		if have, ok := p.state[k]; ok && !have.sent { // it waits already
			own.state[k].fresh = have.fresh
			continue
		}
		p.unsentRows.state = append(p.unsentRows.state, k)
	}
	for _, k := range u.index {
		row := own.index[k]
		if have, ok := p.index[k]; ok {
			row.leaf = have.leaf
			if !have.sent {
				continue
			}
		}
		p.unsentRows.index = append(p.unsentRows.index, k)
	}
	maps.Copy(p.state, own.state)
	maps.Copy(p.index, own.index)
	maps.Copy(p.keys, own.keys)
	u.state, u.index = nil, nil
	p.unsentRows.add(u)
}

// wait has rows that were written wait again.
func (p *pending) wait(u unsentRows) {
	for _, k := range u.state {
		p.state[k].sent = false
	}
	for _, k := range u.index {
		p.index[k].sent = false
	}
	u.add(p.unsentRows)
	p.unsentRows = u
}

// overlaps reports whether a list of a table's rows would be another one if what
// waits were written.
func (p *pending) overlaps(t record.Table, name, value string) bool {
	for _, k := range p.unsentRows.state {
		if k.Table == t && !p.state[k].fresh {
			return true // it may be in the list, as it was before
		}
	}
	for _, k := range p.unsentRows.index {
		if k.row.Table == t && k.name == name && p.index[k].value == value {
			return true
		}
	}
	return false
}

// known are rows of the fold as of a head that this process has committed. The
// fold's rows change only with the head, so they hold while it is the same.
type known struct {
	head  Head
	rows  map[record.Key][]byte // nil: there is none
	first map[record.Key]int64  // the leaf that first listed a row
}

// maxKnown bounds either of them; what was forgotten is read again.
const maxKnown = 1 << 14

// at returns what is known as of a head: nothing, if that is another one.
func (n *known) at(head Head) *known {
	if n != nil && n.head.Tree.Size == head.Tree.Size && n.head.At == head.At && slices.Equal(n.head.Tree.Edge, head.Tree.Edge) {
		return n
	}
	return &known{head: head, rows: make(map[record.Key][]byte), first: make(map[record.Key]int64)}
}

// settled takes over what a committed transaction has written.
func (n *known) settled(head Head, done *pending) {
	n.head = head
	if len(n.rows)+len(done.state) > maxKnown {
		clear(n.rows)
	}
	if len(n.first)+len(done.index) > maxKnown {
		clear(n.first)
	}
	for k, row := range done.state {
		n.rows[k] = row.body // nil if it is gone
	}
	for _, k := range done.removed {
		delete(n.first, k)
	}
}
