package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// markError says that the mark is the trouble, and not the database.
type markError struct {
	text string
	err  error
}

func (e *markError) Error() string { return e.text + ": " + e.err.Error() }

// Unwrap returns ErrMark and the cause.
func (e *markError) Unwrap() []error { return []error{ErrMark, e.err} }

// markFailed says that the mark can't be written, or read.
func (a *Authority) markFailed(what string, err error) error {
	return &markError{a.markName() + " can't be " + what, err}
}

// signedHead is a checkpoint with its signature.
type signedHead struct {
	checkpoint ledger.Checkpoint
	note       []byte
}

// loadMark reads the newest checkpoint that was ever signed, by this process or
// by another that shares the mark. A missing mark is no beginning: it is a reason
// to stop, for it is what tells a restored backup from the ledger that others have
// seen. The caller holds signing, or has the authority to itself.
func (a *Authority) loadMark(ctx context.Context) error {
	note, err := a.mark.Load(ctx)
	if errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("%w: %s is gone; restore it, it says how far the ledger had come", ErrHalted, a.markName())
	}
	if err != nil {
		return a.markFailed("read", err)
	}
	c, err := a.policy.OpenCheckpoint(note)
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrHalted, a.markName(), err)
	}
	a.last, a.held = signedHead{checkpoint: c, note: note}, false
	return nil
}

// markName is how an operator knows the mark.
func (a *Authority) markName() string {
	if s, ok := a.mark.(fmt.Stringer); ok {
		return s.String()
	}
	return "the mark"
}

// Checkpoint signs the committed head and returns the checkpoint (docs/issuance.md,
// step 4). Before it signs it shows to itself, from the stored hashes, that the
// tree begins with everything that was signed before; if not, it signs nothing,
// now and later. The mark is durable before anybody sees the signature.
func (a *Authority) Checkpoint(ctx context.Context) ([]byte, error) {
	a.signing.Lock()
	defer a.signing.Unlock()
	head, err := a.signHead(ctx)
	return head.note, err
}

// maxMarkMoves is how often others may sign first before this one gives up.
const maxMarkMoves = 10

// signHead does what Checkpoint says; the caller holds signing. What it returns
// covers every leaf that the database has acknowledged to this process.
func (a *Authority) signHead(ctx context.Context) (signedHead, error) {
	if a.stopped != nil {
		return signedHead{}, a.stopped
	}
	begin, before := a.now(), a.last.checkpoint
	err := a.signNew(ctx)
	head := a.last
	if err != nil {
		head = signedHead{}
	}
	if err != nil || head.checkpoint != before {
		a.watch.CheckpointSigned(a.now().Sub(begin), err)
	}
	if err == nil && head.checkpoint != before {
		a.logger.LogAttrs(ctx, slog.LevelDebug, "checkpoint signed", slog.Int64("size", head.checkpoint.Size))
	}
	return head, err
}

// signNew brings last up to what was acknowledged, also if others sign meanwhile.
func (a *Authority) signNew(ctx context.Context) error {
	for range maxMarkMoves {
		err := a.signOnce(ctx)
		if !errors.Is(err, ErrMarkMoved) {
			return err
		}
		if err := a.loadMark(ctx); err != nil {
			return err
		}
	}
	return ErrMarkMoved
}

// signOnce brings last up to what was acknowledged, unless somebody else moves
// the mark meanwhile.
func (a *Authority) signOnce(ctx context.Context) error {
	next, news, err := a.next(ctx)
	switch {
	case err != nil:
		return err
	case !news:
		return nil
	case a.last.note != nil && next.Size <= a.last.checkpoint.Size:
		if a.held {
			return nil // somebody else has signed over it
		}
		// The first look at a mark that this process did not make: it may be ahead of
		// the row, if who made it ended between the two.
		if err := a.keep(ctx, a.last); err != nil {
			return err
		}
		a.held = true
		return nil
	}
	note, err := a.log.Sign(next)
	if err != nil {
		return err
	}
	switch err := a.mark.Save(ctx, a.last.note, note); {
	case errors.Is(err, ErrMarkMoved):
		return err
	case err != nil:
		return a.markFailed("written", err)
	}
	signed := signedHead{checkpoint: next, note: note}
	if err := a.keep(ctx, signed); err != nil {
		return err
	}
	a.last, a.held = signed, true
	a.cosigning.poke()
	return nil
}

// signed returns the newest head that was signed.
func (a *Authority) signed() signedHead {
	a.signing.Lock()
	defer a.signing.Unlock()
	return a.last
}

// halt stops all signing until the next start.
func (a *Authority) halt(why error) {
	a.signing.Lock()
	defer a.signing.Unlock()
	if a.stopped == nil {
		a.stopped = why
		a.logger.LogAttrs(context.Background(), slog.LevelError, "signing stopped", slog.Any("error", why))
	}
}

// halting returns why nothing is signed any more, nil if it is.
func (a *Authority) halting() error {
	a.signing.Lock()
	defer a.signing.Unlock()
	return a.stopped
}

// next returns the head that the database has acknowledged to this process: what
// another process wrote since may yet be lost. If there is nothing to do since the
// last time, news is false.
func (a *Authority) next(ctx context.Context) (next ledger.Checkpoint, news bool, err error) {
	if a.store.Acknowledged() == nil {
		if err := a.store.Barrier(ctx); err != nil {
			return next, false, err
		}
	}
	if next, err = a.checkpointOver(a.store.Acknowledged().Tree); err != nil {
		return next, false, err
	}
	there, err := a.checkHead(ctx, &next)
	return next, !a.held || there != a.last.checkpoint, err
}

// checkHead returns the head that the database holds now, unsigned. It shows that
// the tree begins with everything that was signed before and, unless it is nil,
// with what was acknowledged.
func (a *Authority) checkHead(ctx context.Context, acknowledged *ledger.Checkpoint) (there ledger.Checkpoint, err error) {
	err = a.store.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		if there, err = a.checkpointOver(head.Tree); err != nil {
			return err
		}
		if a.held && there == a.last.checkpoint {
			return nil
		}
		if a.last.note != nil {
			if err := ledger.CheckConsistency(a.last.checkpoint, there, r); err != nil {
				return err
			}
		}
		if acknowledged == nil || *acknowledged == there {
			return nil
		}
		return ledger.CheckConsistency(*acknowledged, there, r)
	})
	if errors.Is(err, ledger.ErrRewound) || errors.Is(err, ledger.ErrForked) {
		err = fmt.Errorf("%w: this database is not the one that was signed for (%w); "+
			"if a backup was restored, put the newer database back, or have `sallyd ledger adopt` take what is lost from a copy of the ledger (docs/recovery.md)", ErrHalted, err)
	}
	return there, err
}

func (a *Authority) checkpointOver(tree ledger.Tree) (ledger.Checkpoint, error) {
	root, err := tree.Root()
	return ledger.Checkpoint{Origin: a.log.Origin(), Size: tree.Size, Root: root}, err
}

// keep stores a signed checkpoint for readers.
func (a *Authority) keep(ctx context.Context, h signedHead) error {
	return a.store.WriteUrgent(ctx, func(tx *store.Tx) error { return tx.PutCheckpoint(h.checkpoint, h.note) })
}

// settle signs a checkpoint over what was just committed. The command stands
// whether or not that works: the next one signs over both.
func (a *Authority) settle(ctx context.Context) {
	if _, err := a.Checkpoint(ctx); err != nil {
		a.logger.LogAttrs(ctx, slog.LevelError, "checkpoint not signed", slog.Any("error", err))
	}
}

// cover returns a signed checkpoint that has leaf index under it. Whoever comes
// while another signs finds that one's checkpoint over both.
func (a *Authority) cover(ctx context.Context, index int64) (signedHead, error) {
	a.signing.Lock()
	defer a.signing.Unlock()
	if a.last.note != nil && a.last.checkpoint.Size > index {
		return a.last, nil
	}
	head, err := a.signHead(ctx)
	if err != nil || head.checkpoint.Size > index {
		return head, err
	}
	// Another process has written the leaf.
	if err := a.store.Barrier(ctx); err != nil {
		return signedHead{}, err
	}
	return a.signHead(ctx)
}

// required returns a head that covers leaf index and has every word that a
// certificate under a contract version needs, the log's and, if they are asked for,
// the cosigners'; and what the certificate's proof is held to.
func (a *Authority) required(ctx context.Context, v *contract.Version, index int64) (signedHead, *ledger.Policy, error) {
	if _, err := a.cover(ctx, index); err != nil {
		return signedHead{}, nil, err
	}
	return a.cosigning.cover(ctx, v, index)
}

// prove returns the inclusion proof of leaf index under a head that covers it, as
// C2SP tlog-proof text.
func (a *Authority) prove(ctx context.Context, index int64, extra []byte, head signedHead) ([]byte, error) {
	var proof []byte
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		proof, err = ledger.Prove(index, head.checkpoint.Size, r, head.note, extra)
		return err
	})
	return proof, err
}

// Prove returns the inclusion proof of a leaf, for readers of the ledger: under
// the newest cosigned head if that covers it, else under the newest signed one.
func (a *Authority) Prove(ctx context.Context, index int64) ([]byte, error) {
	if head, ok := a.cosigning.shown(); ok && head.checkpoint.Size > index {
		return a.prove(ctx, index, nil, head)
	}
	head, err := a.cover(ctx, index)
	if err != nil {
		return nil, err
	}
	return a.prove(ctx, index, nil, head)
}

// Published returns the checkpoint for everybody who watches the ledger: the
// newest cosigned one, else the newest signed one.
func (a *Authority) Published(ctx context.Context) ([]byte, error) {
	if head, ok := a.cosigning.shown(); ok && !a.cosigning.whole.quorum.Empty() {
		return head.note, nil
	}
	var note []byte
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		_, _, note, err = r.Checkpoint()
		return err
	})
	return note, err
}
