package cosign

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// batch is what is kept of leaves that were shown, and the logins among them.
type batch struct {
	notes   []note
	entries []audit.Entry
	logins  []login
}

// keep notes what is kept of a leaf: nothing of a person part.
func (b *batch) keep(l *leaf, e audit.Entry) {
	n := note{Leaf: true, SeenAt: l.seenAt, Identity: l.identity}
	e.Opening.Person, e.Opening.PersonSalt, e.Certificate = nil, ledger.Salt{}, nil
	switch {
	case errors.Is(l.flaw, errUnjudged), l.facts == nil && l.flaw == nil:
		e.Opening = record.Opening{} // as if it was never shown
	case l.flaw != nil:
		n.Flaw = l.flaw.Error()
	}
	b.notes, b.entries = append(b.notes, n), append(b.entries, e)
}

// advance takes the leaves up to a checkpoint, once the tree of all of them has its
// root.
func (c *Cosigner) advance(ctx context.Context, older, newer ledger.Checkpoint) error {
	next := c.tree.Size
	for _, page := range c.pending {
		next += int64(len(page.Leaves))
	}
	if next > newer.Size {
		next, c.pending = c.tree.Size, nil // it was shown more than is signed for now
	}
	for next < newer.Size {
		page, err := c.config.Feed.Page(ctx, next, newer.Size)
		if err != nil {
			return fmt.Errorf("the leaves from %d on can't be had: %w", next, err)
		}
		c.pending, next = append(c.pending, page), next+int64(len(page.Leaves))
	}
	tree, leaves, err := grow(c.tree, c.pending, older, newer)
	if err != nil {
		c.pending = nil // it may show others the next time
		return err
	}
	if len(leaves) == 0 {
		return nil
	}
	now := canon.At(c.config.Now())
	var b batch
	for _, page := range c.pending {
		for _, e := range page.Leaves {
			c.take(e, leaves[e.Index-c.tree.Size], now, &b)
		}
	}
	for _, page := range c.pending {
		for _, e := range page.Named {
			c.takeLate(e, &b)
		}
	}
	c.pending = nil
	return c.settle(ctx, tree, now, b)
}

// grow appends leaves to a tree and holds it to both checkpoints.
func grow(tree ledger.Tree, pages []audit.FeedPage, older, newer ledger.Checkpoint) (ledger.Tree, []ledger.Leaf, error) {
	var leaves []ledger.Leaf
	check := func(at ledger.Checkpoint) error {
		if at.Size == 0 || tree.Size != at.Size {
			return nil
		}
		if root, err := tree.Root(); err != nil || root != at.Root {
			return fmt.Errorf("%w: the %d leaves do not have the root of its checkpoint", ErrLeaves, at.Size)
		}
		return nil
	}
	if err := errors.Join(check(older), check(newer)); err != nil {
		return tree, nil, err
	}
	for _, page := range pages {
		for _, e := range page.Leaves {
			parsed, err := ledger.ParseLeaf(e.Text)
			if err != nil {
				return tree, nil, fmt.Errorf("%w: leaf %d: %w", ErrLeaves, e.Index, err)
			}
			leaves = append(leaves, parsed)
			if tree, _, err = tree.Append(tlog.RecordHash(e.Text)); err != nil {
				return tree, nil, err
			}
			if err := errors.Join(check(older), check(newer)); err != nil {
				return tree, nil, err
			}
		}
	}
	return tree, leaves, nil
}

// settle folds what was taken, judges what can be judged, and keeps it. How far the
// ledger was seen stands even if a login can't be judged yet: it is asked for
// again.
func (c *Cosigner) settle(ctx context.Context, tree ledger.Tree, now canon.Micros, b batch) error {
	c.fold.run()
	undecided := c.judge(ctx, &b)
	if len(b.notes) == 0 && tree.Size == c.tree.Size {
		return undecided
	}
	end, err := tree.Marshal()
	if err != nil {
		return err
	}
	if err := c.journal.append(append(b.notes, note{SeenAt: now, Tree: string(end)}), b.entries); err != nil {
		// What is in memory and not kept would be signed for and forgotten.
		c.broken = fmt.Errorf("%w; it signs nothing until it is started again", err)
		return c.broken
	}
	c.tree = tree
	return undecided
}

// take puts a new leaf into the fold, if it counts, or among those that may come to
// be named.
func (c *Cosigner) take(e audit.Entry, parsed ledger.Leaf, seenAt canon.Micros, b *batch) {
	l := &leaf{index: e.Index, hash: canon.Digest(tlog.RecordHash(e.Text)), leaf: parsed, seenAt: seenAt}
	part := l.open(e.Opening)
	c.checkIdentity(l)
	switch {
	case c.concerns(e.Index, parsed), mayBeNamed(parsed) && l.opened(), part != nil:
		c.fold.put(l)
	case mayBeNamed(parsed):
		c.fold.waiting[l.hash] = waiting{e.Index, seenAt}
	default:
		return
	}
	b.keep(l, e)
	if part != nil {
		b.logins = append(b.logins, login{l, e, *part})
	}
}

// takeLate takes what is shown of a leaf that was seen before and not opened. Of
// any other it takes nothing.
func (c *Cosigner) takeLate(e audit.Entry, b *batch) {
	parsed, err := ledger.ParseLeaf(e.Text)
	if err != nil {
		return // no such leaf was taken
	}
	l := &leaf{index: e.Index, hash: canon.Digest(tlog.RecordHash(e.Text)), leaf: parsed}
	part := l.open(e.Opening)
	c.checkIdentity(l)
	unknown := errors.Is(l.flaw, errUnknown)
	if at, found := c.fold.find(e.Index); found {
		before := c.fold.leaves[at]
		if before.hash != l.hash || before.opened() || before.facts != nil && !l.opened() && part == nil || unknown && before.flaw != nil {
			return // it is another's, or brings nothing new
		}
		l.seenAt = before.seenAt
	} else if w, ok := c.fold.waiting[l.hash]; ok && w.index == e.Index {
		l.seenAt = w.seenAt
	} else {
		return
	}
	switch {
	case part != nil: // kept once it is judged
		b.logins = append(b.logins, login{l, e, *part})
	case l.facts == nil && l.flaw == nil, mayBeNamed(parsed) && !l.opened():
		return
	default:
		b.keep(l, e)
	}
	c.fold.put(l)
}

// restore takes a note of the journal.
func (c *Cosigner) restore(n note, e audit.Entry) error {
	switch {
	case n.V != "":
		return nil
	case n.Accept != "":
		index, err := parseIndex(n.Accept)
		c.accepted[index] = true
		return err
	case n.Tree != "":
		tree, err := ledger.ParseTree([]byte(n.Tree))
		c.tree = tree
		return err
	}
	parsed, err := ledger.ParseLeaf(e.Text)
	if err != nil {
		return err
	}
	l := &leaf{index: e.Index, hash: canon.Digest(tlog.RecordHash(e.Text)), leaf: parsed, seenAt: n.SeenAt, identity: n.Identity}
	if e.Opening.Facts != nil && parsed.Kind.Known() {
		// Whether facts are of their kind was judged when they came.
		l.facts, _, err = record.Open(parsed, e.Opening)
		if err != nil && n.Flaw == "" {
			return err
		}
	}
	switch n.Flaw {
	case "":
		c.checkIdentity(l)
	case errPart.Error():
		l.flaw = errPart
	default:
		l.flaw = errors.New(n.Flaw)
	}
	if !c.concerns(l.index, parsed) && l.facts == nil {
		c.fold.waiting[l.hash] = waiting{l.index, l.seenAt}
		return nil
	}
	c.fold.put(l)
	return nil
}
