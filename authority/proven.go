package authority

import (
	"errors"
	"fmt"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// errUnproved says that a row is not the one that was held against its leaves.
var errUnproved = fmt.Errorf("%w: a row is not the one that was checked", store.ErrConflict)

func digestOf(body []byte) canon.Digest { return canon.Sum("sallyport.row/v1", body) }

// maxProven bounds how much is remembered of either kind; what was forgotten is
// proved again.
const maxProven = 1 << 16

// maxKept bounds how many leaves are kept whole, some 2 kB each.
const maxKept = 1 << 12

// provenRows remembers which rows were made again from their leaves, and which
// leaves were shown to be under a signed checkpoint: some of them whole, so that
// they need not be read again. It is safe for concurrent use.
type provenRows struct {
	mu     sync.Mutex
	rows   map[record.Key]provenRow
	leaves map[int64]tlog.Hash
	kept   map[int64]store.Entry    // of leaves, without their person parts
	places map[canon.Digest]int64   // of kept, by leaf hash
	links  []link                   // found in the ledger so far, to be proved with the rows
	hosts  map[sshcert.Host][]int64 // the leaves that change a host's row, found so far, in order
	linked int64                    // how far that is
	later  laterLeaves
}

// provenRow is the newest body that was proved of a row.
type provenRow struct {
	digest canon.Digest
	size   int64 // of the ledger at the time: later leaves may have changed the row
}

func newProvenRows() *provenRows {
	p := &provenRows{}
	p.forget()
	return p
}

// forget makes everything be proved again.
func (p *provenRows) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rows, p.leaves = make(map[record.Key]provenRow), make(map[int64]tlog.Hash)
	p.kept, p.places = make(map[int64]store.Entry), make(map[canon.Digest]int64)
	p.links, p.hosts, p.linked = nil, make(map[sshcert.Host][]int64), 0
	p.later.forget()
}

func (p *provenRows) hasRow(k record.Key, body []byte) bool {
	_, ok := p.asOf(k, body)
	return ok
}

// asOf returns the size of the ledger at which a row was proved.
func (p *provenRows) asOf(k record.Key, body []byte) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	have, ok := p.rows[k]
	return have.size, ok && have.digest == digestOf(body)
}

// addRows remembers rows as proved in a ledger of that size.
func (p *provenRows) addRows(rows map[record.Key][]byte, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.rows) > maxProven {
		clear(p.rows)
	}
	for k, body := range rows {
		p.rows[k] = provenRow{digestOf(body), size}
	}
}

func (p *provenRows) hasLeaf(index int64, hash tlog.Hash) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	have, ok := p.leaves[index]
	return ok && have == hash
}

func (p *provenRows) addLeaf(entry store.Entry, hash tlog.Hash) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.leaves) > maxProven {
		clear(p.leaves)
	}
	p.leaves[entry.Index] = hash
	if len(p.kept) >= maxKept {
		clear(p.kept)
		clear(p.places)
	}
	entry.Opening.Person, entry.Opening.PersonSalt = nil, ledger.Salt{} // they decide nothing here
	p.kept[entry.Index], p.places[canon.Digest(hash)] = entry, entry.Index
}

// leaf returns a leaf that was shown to be under a signed checkpoint, if it is
// kept.
func (p *provenRows) leaf(index int64) (store.Entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	entry, ok := p.kept[index]
	return entry, ok
}

// place returns the index of a leaf that is kept.
func (p *provenRows) place(hash canon.Digest) (int64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	index, ok := p.places[hash]
	return index, ok
}

// reading is a View that notes which rows are read.
type reading struct {
	record.View
	rows map[record.Key][]byte
}

// Row returns the row and notes it. That there is no revocation is noted as nil: it
// decides as well.
func (v reading) Row(t record.Table, key string) ([]byte, error) {
	body, err := v.View.Row(t, key)
	if err == nil || absent(t, err) {
		v.rows[record.Key{Table: t, ID: key}] = body
	}
	return body, err
}

// absent reports whether a row is not there of a table in which that gives.
func absent(t record.Table, err error) bool { return t == record.TableRevoked && isNotFound(err) }

// held is a View that shows only rows that were proved, with errUnproved for
// every other: a row that was edited behind the ledger, or changed since.
type held struct {
	record.View
	proven *provenRows
}

// Row returns the row if it was proved.
func (v held) Row(t record.Table, key string) ([]byte, error) {
	body, err := v.View.Row(t, key)
	if (err == nil || absent(t, err)) && !v.proven.hasRow(record.Key{Table: t, ID: key}, body) {
		return nil, errUnproved
	}
	return body, err
}

// refolded is the state that some leaves fold to by themselves, by the same fold
// that filled the tables.
type refolded struct{ *record.Memory }

func newRefolded() refolded { return refolded{record.NewMemory()} }

// add folds one leaf, which must come after those before it. It opens it against
// its commitment; that it is in the ledger is for the caller to show. Person
// parts decide nothing that is read here, and may have been erased.
func (v refolded) add(e store.Entry) error {
	facts, _, err := record.Open(e.Leaf, record.Opening{FactsSalt: e.Opening.FactsSalt, Facts: e.Opening.Facts})
	if err != nil {
		return fmt.Errorf("leaf %d: %w", e.Index, err)
	}
	_, err = v.Fold(v, record.Event{
		Index: e.Index, LeafHash: canon.Digest(tlog.RecordHash(e.Text)), Facts: facts, PersonCommitment: e.Leaf.Person,
	})
	if err != nil {
		return fmt.Errorf("leaf %d: %w", e.Index, err)
	}
	return nil
}

// compare holds a row of the tables to the one that the leaves made.
func (v refolded) compare(k record.Key, body []byte) error {
	made, ok := v.Rows[k]
	if !ok && body == nil && k.Table == record.TableRevoked {
		return nil
	}
	if !ok {
		return fmt.Errorf("%w: no leaf makes the row %s %s", record.ErrEvent, k.Table, k.ID)
	}
	same, err := sameRow(k.Table, body, made)
	if err != nil {
		return err
	}
	if !same {
		return fmt.Errorf("%w: the row %s %s is not what its leaves say", record.ErrEvent, k.Table, k.ID)
	}
	return nil
}

// sameRow compares two rows byte for byte. Of a person only the snapshots are
// compared: by when issuers last vouched, which takes every login to say, nobody
// is judged here.
func sameRow(t record.Table, a, b []byte) (bool, error) {
	if t != record.TablePerson {
		return string(a) == string(b), nil
	}
	var persons [2]record.PersonRow
	for i, body := range [][]byte{a, b} {
		if err := canon.Unmarshal(body, &persons[i]); err != nil {
			return false, errors.Join(record.ErrEvent, err)
		}
		persons[i].Vouched = nil
		var err error
		if body, err = canon.Marshal(persons[i]); err != nil {
			return false, err
		}
		if i == 0 {
			a = body
		} else {
			b = body
		}
	}
	return string(a) == string(b), nil
}
