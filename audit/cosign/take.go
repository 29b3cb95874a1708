package cosign

import (
	"cmp"
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
// root: page by page, each kept with how far it goes.
func (c *Cosigner) advance(ctx context.Context, older, newer ledger.Checkpoint) error {
	if c.tree.Size+c.shown.leaves > newer.Size { // it was shown more than is signed for now
		if err := c.shown.empty(); err != nil {
			return err
		}
	}
	for next := c.tree.Size + c.shown.leaves; next < newer.Size; next = c.tree.Size + c.shown.leaves {
		page, err := c.config.Feed.Page(ctx, next, newer.Size)
		if err != nil {
			return fmt.Errorf("the leaves from %d on can't be had: %w", next, err)
		}
		if err := c.shown.add(next, page); err != nil {
			return err
		}
	}
	if err := c.check(older, newer); err != nil {
		return errors.Join(err, c.shown.empty()) // it may show others the next time
	}
	var undecided error
	now := canon.At(c.config.Now())
	err := c.shown.each(func(page audit.FeedPage) error {
		err := c.takePage(ctx, page, now)
		if c.broken == nil {
			undecided, err = cmp.Or(undecided, err), nil
		}
		return err
	})
	return cmp.Or(errors.Join(err, c.shown.empty()), undecided)
}

// check holds the tree, and what was shown behind it, to both checkpoints.
func (c *Cosigner) check(older, newer ledger.Checkpoint) error {
	tree := c.tree
	check := func() error {
		for _, at := range []ledger.Checkpoint{older, newer} {
			if at.Size == 0 || tree.Size != at.Size {
				continue
			}
			if root, err := tree.Root(); err != nil || root != at.Root {
				return fmt.Errorf("%w: the %d leaves do not have the root of its checkpoint", ErrLeaves, at.Size)
			}
		}
		return nil
	}
	if err := check(); err != nil {
		return err
	}
	return c.shown.each(func(page audit.FeedPage) (err error) {
		for _, e := range page.Leaves {
			if _, err := ledger.ParseLeaf(e.Text); err != nil {
				return fmt.Errorf("%w: leaf %d: %w", ErrLeaves, e.Index, err)
			}
			if tree, _, err = tree.Append(tlog.RecordHash(e.Text)); err != nil {
				return err
			}
			if err := check(); err != nil {
				return err
			}
		}
		return nil
	})
}

// takePage takes leaves that were found to be under a signed root.
func (c *Cosigner) takePage(ctx context.Context, page audit.FeedPage, now canon.Micros) error {
	var b batch
	tree := c.tree
	for _, e := range page.Leaves {
		parsed, err := ledger.ParseLeaf(e.Text)
		if err != nil {
			return err
		}
		if tree, _, err = tree.Append(tlog.RecordHash(e.Text)); err != nil {
			return err
		}
		c.take(e, parsed, now, &b)
	}
	for _, e := range page.Named {
		c.takeLate(e, &b)
	}
	return c.settle(ctx, tree, now, b)
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
