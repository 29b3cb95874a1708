package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// fsckPage is how many leaves are in memory at once.
const fsckPage = 1000

// page is some leaves with what the database has beside them.
type page struct {
	rows         []store.LeafRow
	nodes        map[int64][]byte               // by their place in tlog's order
	certificates map[int64]store.CertificateRow // by the leaf's index
	checkpoints  map[int64]store.CheckpointRow  // by size
}

// leaves replays every leaf and compares what belongs to it. It returns the last.
func (f *fsck) leaves(ctx context.Context) (last store.LeafRow, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return last, err
		}
		p, err := f.page()
		if err != nil || len(p.rows) == 0 {
			return last, err
		}
		for i, o := range f.open(p) {
			row := p.rows[i]
			if row.Index != f.tree.Size {
				return last, fmt.Errorf("leaf %d is missing in the database, so nothing behind it can be compared; put a good copy back", f.tree.Size)
			}
			f.leaf(row, o)
			if err := f.replay.Add(o); err != nil {
				return last, fmt.Errorf("leaf %d: %w", row.Index, err)
			}
			if err := f.mention(o); err != nil {
				return last, fmt.Errorf("leaf %d: %w", row.Index, err)
			}
			if err := f.grow(p, o); err != nil {
				return last, err
			}
			f.certificate(p, o)
			last = row
		}
	}
}

// page reads the next leaves.
func (f *fsck) page() (p page, err error) {
	from := f.tree.Size
	if p.rows, err = f.r.LeafRows(from, fsckPage); err != nil || len(p.rows) == 0 {
		return p, err
	}
	upTo := p.rows[len(p.rows)-1].Index + 1
	first, behind := tlog.StoredHashIndex(0, from), tlog.StoredHashIndex(0, upTo)
	nodes, err := f.r.NodeRows(first, int(behind-first))
	if err != nil {
		return p, err
	}
	p.nodes = make(map[int64][]byte, len(nodes))
	for _, n := range nodes {
		p.nodes[n.Index] = n.Hash
	}
	certificates, err := f.r.CertificateRows(from, upTo)
	if err != nil {
		return p, err
	}
	p.certificates = make(map[int64]store.CertificateRow, len(certificates))
	for _, c := range certificates {
		p.certificates[c.Serial-1] = c
	}
	checkpoints, err := f.r.CheckpointRows(from, upTo)
	if err != nil {
		return p, err
	}
	p.checkpoints = make(map[int64]store.CheckpointRow, len(checkpoints))
	for _, c := range checkpoints {
		p.checkpoints[c.Size] = c
	}
	return p, nil
}

// open reads the leaves, several at a time.
func (f *fsck) open(p page) []audit.Opened {
	out := make([]audit.Opened, len(p.rows))
	const workers = 2
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := w; i < len(p.rows); i += workers {
				row := p.rows[i]
				e := audit.Entry{Index: row.Index, Text: row.Text, Opening: record.Opening{
					FactsSalt: row.Opening.FactsSalt, Facts: row.Opening.Facts, PersonSalt: row.Opening.PersonSalt, Person: row.Opening.Person,
				}}
				if c, ok := p.certificates[row.Index]; ok {
					e.Certificate = c.Body
				}
				out[i] = f.replay.Open(e)
			}
		})
	}
	wait.Wait()
	return out
}

// leaf compares a leaf's row with its text, and its opening with the leaf.
func (f *fsck) leaf(row store.LeafRow, o audit.Opened) {
	hash := o.Hash()
	switch {
	case o.Leaf().Kind == "":
		f.differ("leaf %d: %v", row.Index, o.Mismatch)
		return
	case row.Kind != string(o.Leaf().Kind):
		f.differ("leaf %d: it is listed as %s, its text says %s", row.Index, row.Kind, o.Leaf().Kind)
	case !bytes.Equal(row.Hash, hash[:]):
		f.differ("leaf %d: its stored hash is another text's", row.Index)
	}
	switch {
	case row.Opening.Facts == nil:
		f.differ("leaf %d: what it hides is gone", row.Index)
	case o.Mismatch != nil:
		f.differ("leaf %d: %v", row.Index, o.Mismatch)
	case o.Facts() != nil && o.Facts().When() != row.At:
		f.differ("leaf %d: it is listed at %d, its facts are dated %d", row.Index, row.At, o.Facts().When())
	}
	switch commits := !o.Leaf().Person.IsZero(); {
	case row.Unsealed != nil:
		f.closed = append(f.closed, closedPart{row.Index, o.Facts(), "does not open: " + row.Unsealed.Error()})
	case commits && !row.Sealed:
		f.closed = append(f.closed, closedPart{row.Index, o.Facts(), "is gone"})
	case !commits && row.Sealed:
		f.differ("leaf %d: it has a person part that it does not commit to", row.Index)
	}
}

// grow adds a leaf to the tree and compares the hashes that it completes, and what
// was signed for that size.
func (f *fsck) grow(p page, o audit.Opened) error {
	next, stored, err := f.tree.Append(o.Hash())
	if err != nil {
		return err
	}
	f.tree = next
	for _, n := range stored {
		f.counted.nodes++
		if !bytes.Equal(p.nodes[n.Index], n.Hash[:]) {
			f.differ("hash %d: it is missing, or not what leaf %d and those before it give", n.Index, o.Index)
		}
	}
	root, err := next.Root()
	if err != nil {
		return err
	}
	if f.mark.Size == next.Size && f.mark.Root != root {
		f.differ("mark: over %d leaves it has root %s, they have %s", next.Size, f.mark.Root, root)
	}
	if c, ok := p.checkpoints[next.Size]; ok {
		f.counted.checkpoints++
		signed, err := f.policy.OpenCheckpoint(c.Note)
		switch {
		case err != nil:
			f.differ("checkpoint %d: %v", c.Size, err)
		case signed.Size != c.Size || signed.Root != root || !bytes.Equal(c.Root, root[:]):
			f.differ("checkpoint %d: it is of %d leaves with root %s, they have %s", c.Size, signed.Size, signed.Root, root)
		}
	}
	return nil
}

// certificate compares the columns of a signed certificate; what is signed, the
// replay judges.
func (f *fsck) certificate(p page, o audit.Opened) {
	row, ok := p.certificates[o.Index]
	if !ok {
		return
	}
	f.counted.certificates++
	issue, isIssue := o.Facts().(record.CertificateIssue)
	if o.Leaf().Kind != ledger.CertificateIssue {
		f.differ("certificate %d: leaf %d is of kind %s", row.Serial, o.Index, o.Leaf().Kind)
		return
	}
	if isIssue && row.Request != issue.Grant {
		f.differ("certificate %d: it is listed under request %s, it was made for %s", row.Serial, row.Request, issue.Grant)
	}
	if cert := o.Signed(); cert != nil {
		if hash := canon.Digest(sha256.Sum256(cert.Key.Marshal())); !bytes.Equal(row.KeyHash, hash[:]) {
			f.differ("certificate %d: it is listed under another key", row.Serial)
		}
	}
}

// tables compares every row that the leaves fold to, and every list.
func (f *fsck) tables() error {
	state := f.replay.State()
	seen := make(map[record.Key]bool, len(state.Rows))
	err := f.r.EachStateRow(func(row store.StateRow) error {
		f.counted.rows++
		seen[row.Key] = true
		want, ok := state.Rows[row.Key]
		switch {
		case !ok:
			f.differ("row %s %s: no leaf makes it", row.Key.Table, row.Key.ID)
		case !bytes.Equal(want, row.Body):
			f.differ("row %s %s: it is not what the leaves fold to", row.Key.Table, row.Key.ID)
		case row.Leaf != f.folded.writer[row.Key]:
			f.differ("row %s %s: it names leaf %d, leaf %d wrote it", row.Key.Table, row.Key.ID, row.Leaf, f.folded.writer[row.Key])
		}
		return nil
	})
	f.missing(func(tell func(string)) {
		for key := range state.Rows {
			if !seen[key] {
				tell(fmt.Sprintf("row %s %s", key.Table, key.ID))
			}
		}
	})
	return errors.Join(err, f.lists(), f.index())
}

func (f *fsck) lists() error {
	seen := make(map[listKey]bool, len(f.folded.index))
	err := f.r.EachIndexRow(func(row store.IndexRow) error {
		f.counted.listed++
		key := listKey{row.Key, row.Name}
		seen[key] = true
		want, ok := f.folded.index[key]
		switch {
		case !ok:
			f.differ("list %s of %s %s: no leaf lists it", row.Name, row.Key.Table, row.Key.ID)
		case want != (listed{row.Value, row.Leaf}):
			f.differ("list %s of %s %s: it says %q from leaf %d, the leaves say %q from leaf %d", row.Name, row.Key.Table, row.Key.ID, row.Value, row.Leaf, want.value, want.leaf)
		}
		return nil
	})
	f.missing(func(tell func(string)) {
		for key := range f.folded.index {
			if !seen[key] {
				tell(fmt.Sprintf("list %s of %s %s", key.name, key.Table, key.ID))
			}
		}
	})
	return err
}

// missing notes what is not there, in order.
func (f *fsck) missing(each func(tell func(string))) {
	var list []string
	each(func(name string) { list = append(list, name) })
	slices.Sort(list)
	for _, name := range list {
		f.differ("%s: it is missing", name)
	}
}
