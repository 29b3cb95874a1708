package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// errMark says that the mark file is the trouble, and not the database.
var errMark = errors.New("the mark can't be written")

// signedHead is a checkpoint with its signature.
type signedHead struct {
	checkpoint ledger.Checkpoint
	note       []byte
}

// loadMark reads the newest checkpoint this authority ever signed. A missing
// mark is no beginning: it is a reason to stop, for it is what tells a restored
// backup from the ledger that others have seen.
func (a *Authority) loadMark() error {
	note, err := a.mark.Load()
	if errors.Is(err, record.ErrNotFound) {
		return fmt.Errorf("%w: the mark file is gone; restore it, it says how far the ledger had come", ErrHalted)
	}
	if err != nil {
		return err
	}
	c, err := a.policy.OpenCheckpoint(note)
	if err != nil {
		return fmt.Errorf("%w: the mark file: %w", ErrHalted, err)
	}
	a.last = signedHead{checkpoint: c, note: note}
	return nil
}

// Checkpoint signs the committed head and returns the checkpoint (docs/issuance.md,
// step 4). Before it signs it shows to itself, from the stored hashes, that the
// tree begins with everything it signed before; if not, it signs nothing, now
// and later. The mark is durable before anybody sees the signature.
func (a *Authority) Checkpoint(ctx context.Context) ([]byte, error) {
	a.signing.Lock()
	defer a.signing.Unlock()
	head, err := a.signHead(ctx)
	return head.note, err
}

// signHead does what Checkpoint says; the caller holds signing.
func (a *Authority) signHead(ctx context.Context) (signedHead, error) {
	if a.stopped != nil {
		return signedHead{}, a.stopped
	}
	begin, before := a.now(), a.last.checkpoint
	head, err := a.signNew(ctx)
	if err != nil || head.checkpoint != before {
		a.watch.CheckpointSigned(a.now().Sub(begin), err)
	}
	if err == nil && head.checkpoint != before {
		a.logger.LogAttrs(ctx, slog.LevelDebug, "checkpoint signed", slog.Int64("size", head.checkpoint.Size))
	}
	return head, err
}

// signNew signs the committed head unless it is signed.
func (a *Authority) signNew(ctx context.Context) (signedHead, error) {
	next, err := a.checkHead(ctx)
	switch {
	case err != nil:
		return signedHead{}, err
	case next == a.last.checkpoint && a.held:
		return a.last, nil
	case next == a.last.checkpoint:
		// The first look after a start: the mark may be ahead of the row, if the
		// process ended between the two.
		a.held = true
		return a.last, a.keep(ctx, a.last)
	}
	note, err := a.log.Sign(next)
	if err != nil {
		return signedHead{}, err
	}
	if err := a.mark.Save(note); err != nil {
		return signedHead{}, fmt.Errorf("%w: %w: %w", store.ErrUnavailable, errMark, err)
	}
	signed := signedHead{checkpoint: next, note: note}
	if err := a.keep(ctx, signed); err != nil {
		return signedHead{}, err
	}
	a.last, a.held = signed, true
	if a.cosigning != nil {
		a.cosigning.poke()
	}
	return a.last, nil
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

// checkHead returns the committed head, unsigned. It shows that the tree begins
// with everything that was signed before.
func (a *Authority) checkHead(ctx context.Context) (ledger.Checkpoint, error) {
	var next ledger.Checkpoint
	err := a.store.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err != nil {
			return err
		}
		root, err := head.Tree.Root()
		if err != nil {
			return err
		}
		next = ledger.Checkpoint{Origin: a.log.Origin(), Size: head.Tree.Size, Root: root}
		if a.last.note == nil || (next == a.last.checkpoint && a.held) {
			return nil
		}
		return ledger.CheckConsistency(a.last.checkpoint, next, r)
	})
	if errors.Is(err, ledger.ErrRewound) || errors.Is(err, ledger.ErrForked) {
		err = fmt.Errorf("%w: this database is not the one that was signed for (%w); "+
			"if a backup was restored, put the newer database back", ErrHalted, err)
	}
	return next, err
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
	return a.signHead(ctx)
}

// required returns a head that covers leaf index and has every word that a
// certificate needs: the log's and, if they are asked for, the cosigners'.
func (a *Authority) required(ctx context.Context, index int64) (signedHead, error) {
	head, err := a.cover(ctx, index)
	if err != nil || a.cosigning == nil {
		return head, err
	}
	return a.cosigning.cover(ctx, index)
}

// requiredPolicy is what a certificate's proof is held to.
func (a *Authority) requiredPolicy() *ledger.Policy {
	if a.cosigning == nil {
		return a.policy
	}
	return a.cosigning.policy
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
	if a.cosigning != nil {
		if head := a.cosigning.head(); head.note != nil && head.checkpoint.Size > index {
			return a.prove(ctx, index, nil, head)
		}
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
	if a.cosigning != nil {
		if head := a.cosigning.head(); head.note != nil {
			return head.note, nil
		}
	}
	var note []byte
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		_, _, note, err = r.Checkpoint()
		return err
	})
	return note, err
}
