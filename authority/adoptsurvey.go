package authority

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// maxTold is how many missing things are named one by one.
const maxTold = 20

// survey looks at a copy before anything of it is written.
type survey struct {
	a          *Authority
	have       int64             // leaves of the database
	checkpoint ledger.Checkpoint // of the copy
	note       []byte            // with its signature

	tree    ledger.Tree
	local   []store.Stored      // the page of the database's leaves that was read last
	parts   int64               // index of the first leaf that is another one here; -1
	marked  tlog.Hash           // root of as many leaves as the mark is over
	seen    map[int64]tlog.Hash // roots after each batch of lost leaves, by size
	missing []string
	lacking int                  // how many are missing
	closed  []copied             // lost leaves without the person part that they commit to
	erased  map[canon.ID]bool    // people, by the copy
	gone    map[int64]bool       // of closed, those whose part was destroyed with somebody
	back    map[int64]bool       // leaves of the database whose signed certificate only the copy has
	alive   map[uint64]time.Time // certificates that may have been signed, and until when
}

// run reads the whole copy. Its errors say what to do.
func (s *survey) run(ctx context.Context, leaves func() iter.Seq2[CopyLeaf, error]) error {
	s.erased, s.gone = make(map[canon.ID]bool), make(map[int64]bool)
	s.parts, s.seen, s.back, s.alive = -1, make(map[int64]tlog.Hash), make(map[int64]bool), make(map[uint64]time.Time)
	mark := s.a.last.checkpoint
	if s.checkpoint.Size < mark.Size {
		return fmt.Errorf("%w: it ends with leaf %d, the ledger was signed up to leaf %d; find a newer one", ErrCopy, s.checkpoint.Size-1, mark.Size-1)
	}
	for l, err := range leaves() {
		if err == nil {
			err = ctx.Err()
		}
		if err == nil {
			err = s.leaf(ctx, l)
		}
		if err != nil {
			return err
		}
	}
	if err := s.forgotten(ctx, leaves()); err != nil {
		return err
	}
	root, err := s.tree.Root()
	switch {
	case err != nil:
		return err
	case s.tree.Size != s.checkpoint.Size || root != s.checkpoint.Root:
		return fmt.Errorf("%w: its %d leaves are not the %d that its checkpoint signs", ErrCopy, s.tree.Size, s.checkpoint.Size)
	case s.marked != mark.Root:
		return fmt.Errorf("%w: %s is over %d leaves with root %s, the copy's have root %s, and both are signed by this log key; "+
			"go on with neither (docs/recovery.md, \"Two ledgers\")", ledger.ErrForked, s.a.markName(), mark.Size, mark.Root, s.marked)
	}
	if err := s.pin(ctx); err != nil {
		return err
	}
	switch {
	case s.parts >= 0:
		return s.grown(ctx)
	case s.lacking > 0:
		return fmt.Errorf("%w: it does not show %s; ask for it where more is kept, such as another `sallyd ledger export` (docs/recovery.md)", ErrCopy, s.told())
	}
	return s.waits()
}

// pin moves the mark to what the copy shows to be signed, whatever becomes of this
// run: a backup is often put back with its own mark, and what was signed since must
// not be signed for again, with other leaves.
func (s *survey) pin(ctx context.Context) error {
	a := s.a
	if s.checkpoint.Size <= a.last.checkpoint.Size {
		return nil
	}
	if err := a.mark.Save(ctx, a.last.note, s.note); err != nil {
		return a.markFailed("written", err)
	}
	a.last, a.held = signedHead{checkpoint: s.checkpoint, note: s.note}, false
	return nil
}

// leaf takes the next leaf of the copy.
func (s *survey) leaf(ctx context.Context, l CopyLeaf) error {
	if l.Index != s.tree.Size {
		return fmt.Errorf("%w: leaf %d where leaf %d belongs", ErrCopy, l.Index, s.tree.Size)
	}
	o, err := s.a.open(l)
	if err != nil {
		return fmt.Errorf("leaf %d: %w", l.Index, err)
	}
	if s.tree, _, err = s.tree.Append(o.hash); err != nil {
		return err
	}
	if s.tree.Size == s.a.last.checkpoint.Size {
		if s.marked, err = s.tree.Root(); err != nil {
			return err
		}
	}
	if erase, ok := o.facts.(record.PersonErase); ok {
		for _, id := range erase.People {
			s.erased[id] = true
		}
	}
	if l.Index < s.have {
		return s.shared(ctx, o)
	}
	if done := s.tree.Size - s.have; done%adoptBatch == 0 || s.tree.Size == s.checkpoint.Size {
		root, err := s.tree.Root()
		if err != nil {
			return err
		}
		s.seen[s.tree.Size] = root
	}
	if o.facts == nil {
		s.lacks(o, "facts")
	} else if !o.leaf.Person.IsZero() && l.Opening.Person == nil {
		s.closed = append(s.closed, o)
	}
	return s.unsigned(o)
}

// forgotten tells the person parts that were destroyed with somebody from those that
// the copy does not show. What an approver wrote is about who had asked, too.
func (s *survey) forgotten(ctx context.Context, leaves iter.Seq2[CopyLeaf, error]) error {
	if len(s.closed) == 0 {
		return nil
	}
	by := make(map[canon.ID]canon.ID) // who made a request of the decisions among them
	for _, o := range s.closed {
		if f, ok := o.facts.(record.RequestDecide); ok {
			by[f.Request] = ""
		}
	}
	for l, err := range leaves {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		leaf, err := ledger.ParseLeaf(l.Text)
		if err != nil || leaf.Kind != ledger.RequestSubmit || len(by) == 0 || l.Opening.Facts == nil {
			continue
		}
		facts, err := record.ParseFacts(leaf.Kind, l.Opening.Facts)
		if err != nil {
			return err
		}
		if _, asked := by[canon.ID(facts.Reference())]; asked {
			if by[canon.ID(facts.Reference())], err = record.SealedFor(facts); err != nil {
				return err
			}
		}
	}
	for _, o := range s.closed {
		about, err := record.SealedFor(o.facts)
		if err != nil {
			return err
		}
		people := []canon.ID{about}
		switch f := o.facts.(type) {
		case record.RequestDecide:
			people = append(people, by[f.Request])
		case record.PersonLink:
			people = f.People
		}
		if s.gone[o.Index] = slices.ContainsFunc(people, func(id canon.ID) bool { return s.erased[id] }); !s.gone[o.Index] {
			s.lacks(o, "person part")
		}
	}
	return nil
}

// shared compares a leaf with the one that the database has in its place.
func (s *survey) shared(ctx context.Context, o copied) error {
	if len(s.local) == 0 || s.local[len(s.local)-1].Index < o.Index {
		err := s.a.store.Read(ctx, func(r *store.Reader) (err error) {
			s.local, err = r.Stored(o.Index, rehashStep)
			return err
		})
		if err != nil {
			return err
		}
	}
	i := o.Index - s.local[0].Index // rehash has shown that none is missing
	if s.parts < 0 && tlog.Hash(s.local[i].Hash) != o.hash {
		s.parts = o.Index
	}
	if issue, ok := o.facts.(record.CertificateIssue); ok {
		err := s.a.store.Read(ctx, func(r *store.Reader) error {
			_, err := r.SignedCertificate(issue.Serial)
			return err
		})
		if !isNotFound(err) {
			return err // it has one, or cannot be read
		}
		s.back[o.Index] = o.cert != nil
	}
	return s.unsigned(o)
}

// unsigned notes a certificate that the copy has not signed. It may have been
// signed after the copy was made, so it must not be called void while it is valid.
func (s *survey) unsigned(o copied) error {
	switch f := o.facts.(type) {
	case record.CertificateIssue:
		if o.cert != nil {
			return nil
		}
		until, err := before(f)
		if err != nil {
			return fmt.Errorf("leaf %d: %w", o.Index, err)
		}
		if until.After(s.a.now()) {
			s.alive[f.Serial] = until
		}
	case record.CertificateVoid:
		delete(s.alive, f.Serial)
	}
	return nil
}

func (s *survey) lacks(o copied, what string) {
	s.lacking++
	if len(s.missing) < maxTold {
		s.missing = append(s.missing, fmt.Sprintf("the %s of leaf %d (%s)", what, o.Index, o.leaf.Kind))
	}
}

func (s *survey) told() string {
	text := strings.Join(s.missing, ", ")
	if more := s.lacking - len(s.missing); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// waits refuses while a certificate without a signed one could be somebody's.
func (s *survey) waits() error {
	if len(s.alive) == 0 {
		return nil
	}
	var last time.Time
	for _, until := range s.alive {
		if until.After(last) {
			last = until
		}
	}
	return fmt.Errorf("%w yet: it has no signed one of the certificates %v, which may have been signed after it was made; they are over at %s, so run this again then",
		ErrCopy, slices.Sorted(maps.Keys(s.alive)), last.UTC().Format(time.RFC3339))
}

// grown says what the database has in the place of what it lost.
func (s *survey) grown(ctx context.Context) error {
	kinds := make(map[string]int)
	var serials []uint64
	err := s.a.store.Read(ctx, func(r *store.Reader) error {
		for at := s.parts; at < s.have; {
			page, err := r.Stored(at, rehashStep)
			if err != nil || len(page) == 0 {
				return errors.Join(err, ctx.Err())
			}
			for _, l := range page {
				if kinds[l.Kind]++; l.Kind == string(ledger.CertificateIssue) && len(serials) < maxTold {
					serials = append(serials, ledger.Serial(l.Index))
				}
			}
			at = page[len(page)-1].Index + 1
		}
		return nil
	})
	if err != nil {
		return err
	}
	var list []string
	for _, kind := range slices.Sorted(maps.Keys(kinds)) {
		list = append(list, fmt.Sprintf("%d %s", kinds[kind], kind))
	}
	text := strings.Join(list, ", ")
	if len(serials) > 0 {
		text += fmt.Sprintf("; certificates %v", serials)
	}
	return fmt.Errorf("%w: leaf %d here is another one than in the copy; this database has grown %d leaves of its own behind the backup (%s), which nobody can join to the others; "+
		"set it aside, restore the backup once more, and run this before anything else does (docs/recovery.md, \"A backup that grew\")",
		ledger.ErrForked, s.parts, s.have-s.parts, text)
}

// write gives the database what it lost, batch by batch.
func (s *survey) write(ctx context.Context, leaves iter.Seq2[CopyLeaf, error]) (certificates int, err error) {
	var batch []copied
	s.tree = ledger.Tree{}
	for l, err := range leaves {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return certificates, err
		}
		if s.tree, _, err = s.tree.Append(tlog.RecordHash(l.Text)); err != nil {
			return certificates, err
		}
		if l.Index >= s.have || s.back[l.Index] {
			o, err := s.a.open(l)
			if err != nil {
				return certificates, fmt.Errorf("leaf %d: %w", l.Index, err)
			}
			batch = append(batch, o)
		}
		if len(batch) < adoptBatch && s.tree.Size != s.checkpoint.Size && (s.tree.Size-s.have)%adoptBatch != 0 {
			continue
		}
		n, err := s.writeBatch(ctx, batch)
		if certificates += n; err != nil {
			return certificates, err
		}
		batch = batch[:0]
	}
	return certificates, nil
}

// writeBatch writes some leaves, and certificates of leaves that are there. They
// are those that run has seen.
func (s *survey) writeBatch(ctx context.Context, batch []copied) (certificates int, err error) {
	if len(batch) == 0 {
		return 0, nil
	}
	if done := s.tree.Size - s.have; done > 0 {
		root, err := s.tree.Root()
		if err != nil {
			return 0, err
		}
		if s.seen[s.tree.Size] != root {
			return 0, fmt.Errorf("%w: it changed while it was read", ErrCopy)
		}
	}
	err = s.a.store.Write(ctx, func(tx *store.Tx) error {
		certificates = 0
		for _, o := range batch {
			if o.Index >= s.have {
				if tx.Next() != o.Index {
					return fmt.Errorf("leaf %d where leaf %d belongs: %w", o.Index, tx.Next(), store.ErrConflict)
				}
				if _, err := tx.Adopt(o.leaf, o.Opening, s.gone[o.Index]); err != nil {
					return fmt.Errorf("leaf %d (%s): %w", o.Index, o.leaf.Kind, err)
				}
			}
			n, err := o.keepCertificate(tx)
			if err != nil {
				return err
			}
			certificates += n
		}
		return nil
	})
	return certificates, err
}
