package authority

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

var errAsked = errors.New("it is being asked and has not answered yet")

// Cosigner is asked for its word on checkpoints.
type Cosigner interface {
	// Key is the key by which its word is known.
	Key() ledger.CosignerKey
	// Cosign returns its cosignature of the checkpoint, verified. It fails with a
	// *witness.StaleError if the proof must start at another size, and wraps
	// witness.ErrFork if it has seen another history.
	Cosign(ctx context.Context, ask ledger.AddCheckpoint, c ledger.Checkpoint) (ledger.Cosignature, error)
}

// member is one cosigner with what is known of it. It is asked once at a time.
type member struct {
	cosigner Cosigner
	// party says that a contract names it. What it says concerns the contracts that
	// name it and no others: it can't stop the authority.
	party bool

	mu     sync.Mutex
	asking bool      // guarded by mu
	seen   int64     // guarded by mu: the size that it has seen last, as far as we know
	err    error     // guarded by mu: why its last answer was none
	at     time.Time // guarded by mu: when it gave its word last
}

// begin reports whether the member may be asked now, and notes that it is.
func (m *member) begin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.asking {
		return false
	}
	m.asking = true
	return true
}

// free reports whether the member is not being asked.
func (m *member) free() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.asking
}

// hopeful reports whether the member's last answer, if there was one, was a word.
func (m *member) hopeful() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err == nil
}

// end notes what came of asking.
func (m *member) end(size int64, err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asking, m.seen, m.err = false, size, err
	if err == nil {
		m.at = now
	}
}

func (m *member) status() CosignerStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := CosignerStatus{Name: m.cosigner.Key().Name(), Party: m.party, Size: m.seen, At: m.at, Err: m.err}
	if m.asking && s.Err == nil && m.at.IsZero() {
		s.Err = errAsked
	}
	return s
}

// CosignerStatus is what is known of a cosigner, for operators.
type CosignerStatus struct {
	Name  string
	Party bool      // a contract names it; else it is a witness
	Size  int64     // of the newest head that it has signed
	At    time.Time // when
	Err   error     // why its last answer was none
}

// ask has one cosigner sign a head, and follows it to the size that it has seen.
func (c *cosigning) ask(ctx context.Context, m *member, head signedHead) (ledger.Cosignature, error) {
	m.mu.Lock()
	seen := m.seen
	m.mu.Unlock()
	var s ledger.Cosignature
	var err error
	for range cosignTries {
		request := ledger.AddCheckpoint{Old: min(seen, head.checkpoint.Size), Checkpoint: head.note}
		err = c.a.store.Read(ctx, func(r *store.Reader) (err error) {
			request.Proof, err = ledger.ProveConsistency(request.Old, head.checkpoint.Size, r)
			return err
		})
		if err != nil {
			break
		}
		s, err = m.cosigner.Cosign(ctx, request, head.checkpoint)
		stale, isStale := errors.AsType[*witness.StaleError](err)
		if !isStale {
			break
		}
		if seen = stale.Size; stale.Size > head.checkpoint.Size {
			err = c.ahead(ctx, stale.Size)
			break
		}
	}
	if err == nil {
		seen = head.checkpoint.Size
	}
	if errors.Is(err, witness.ErrFork) && !m.party {
		c.a.halt(fmt.Errorf("%w: %s says: %w; if a backup was restored, put the newer database back, "+
			"or have `sallyd ledger adopt` take what is lost from a copy of the ledger (docs/recovery.md)",
			ErrHalted, m.cosigner.Key().Name(), err))
	}
	m.end(seen, err, c.a.now())
	return s, err
}

// ahead says what it means that a cosigner has seen more leaves than it is
// offered: another server of this ledger was faster, or this database has lost
// leaves which were cosigned.
func (c *cosigning) ahead(ctx context.Context, size int64) error {
	// What another server wrote is signed for here once it is acknowledged here.
	if err := c.a.store.Barrier(ctx); err != nil {
		return err
	}
	if _, err := c.a.Checkpoint(ctx); err != nil {
		return err
	}
	if have := c.a.signed().checkpoint.Size; have < size {
		return fmt.Errorf("%w: it was shown %d leaves, here are %d", witness.ErrFork, size, have)
	}
	return fmt.Errorf("%w: it has signed a newer head already", ErrUncosigned)
}

// Cosigners returns what is known of each cosigner that was asked, or is to be.
func (a *Authority) Cosigners() []CosignerStatus { return a.cosigning.status() }
