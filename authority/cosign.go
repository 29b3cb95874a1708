package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

// ErrUncosigned says that too few cosigners gave their word. What was recorded
// stays, and trying again is safe.
var ErrUncosigned = errors.New("too few witnesses have confirmed the ledger, so no certificate was made; what was granted stays granted, try again")

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

const (
	// cosignCall bounds one call of one cosigner.
	cosignCall = 3 * time.Second
	// cosignWait is how long an issue call waits for cosignatures.
	cosignWait = 5 * time.Second
	// cosignPause is between two rounds of which the first failed, doubled up to
	// cosignPauseMost.
	cosignPause     = 50 * time.Millisecond
	cosignPauseMost = 2 * time.Second
	// cosignTries is how often a cosigner may say in one round that it has seen
	// another size.
	cosignTries = 3
)

// cosigning is the one loop that offers the newest signed head to all cosigners.
// A round offers one head to all of them, so that their words stand under one
// checkpoint; whoever waits for a leaf takes any cosigned head that covers it.
type cosigning struct {
	a       *Authority
	quorum  ledger.Cosigners
	members []*member
	policy  *ledger.Policy // the log's key and the quorum

	wake chan struct{} // capacity 1: there is a newer head
	stop context.CancelFunc
	done chan struct{}

	mu      sync.Mutex
	newest  signedHead    // guarded by mu: the newest cosigned head
	changed chan struct{} // guarded by mu: closed when newest moves
	failing error         // guarded by mu: why the last round gave nothing, nil if it did
}

// member is one cosigner with what is known of it. A round asks each member from
// one goroutine.
type member struct {
	cosigner Cosigner
	mu       sync.Mutex
	seen     int64     // guarded by mu: the size that it has seen last, as far as we know
	err      error     // guarded by mu: why its last answer was none
	at       time.Time // guarded by mu: when it gave its word last
}

// newCosigning returns nil if nobody's word is asked for.
func newCosigning(a *Authority, own *ledger.Policy, quorum ledger.Cosigners, list []Cosigner) (*cosigning, error) {
	policy, err := own.WithCosigners(quorum)
	if err != nil || quorum.Empty() {
		return nil, err
	}
	c := &cosigning{a: a, quorum: quorum, policy: policy, wake: make(chan struct{}, 1), done: make(chan struct{}), changed: make(chan struct{})}
	for _, k := range quorum.Keys() {
		i := slices.IndexFunc(list, func(o Cosigner) bool { return o.Key().String() == k.String() })
		if i < 0 {
			return nil, fmt.Errorf("%w: cosigner %s has no address", ledger.ErrPolicy, k.Name())
		}
		c.members = append(c.members, &member{cosigner: list[i]})
	}
	return c, nil
}

// start runs the loop until close.
func (c *cosigning) start() {
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.run(ctx)
	c.poke()
}

func (c *cosigning) close() {
	c.stop()
	<-c.done
}

// poke tells the loop that there is a newer head.
func (c *cosigning) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (c *cosigning) run(ctx context.Context) {
	defer close(c.done)
	pause := cosignPause
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.wake:
		}
		for ctx.Err() == nil && !c.current() {
			if err := c.round(ctx); err == nil {
				pause = cosignPause
				continue
			} else if ctx.Err() == nil {
				c.fail(ctx, err)
			}
			select {
			case <-ctx.Done():
			case <-time.After(pause):
			}
			pause = min(2*pause, cosignPauseMost)
		}
	}
}

// fail notes that a round gave nothing. It is logged when it begins.
func (c *cosigning) fail(ctx context.Context, err error) {
	c.mu.Lock()
	first := c.failing == nil
	c.failing = err
	c.mu.Unlock()
	if first {
		c.a.logger.LogAttrs(ctx, slog.LevelError, "checkpoint not cosigned", slog.Any("error", err))
	}
}

// confirmed returns an error while the cosigners' words don't suffice: then
// nothing is recorded that could not be finished.
func (c *cosigning) confirmed() error {
	if c == nil {
		return nil
	}
	if err := c.a.halting(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failing
}

// head returns the newest cosigned head, the zero one before the first.
func (c *cosigning) head() signedHead {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.newest
}

// current reports whether the newest signed head is cosigned.
func (c *cosigning) current() bool {
	have := c.head()
	return have.note != nil && have.checkpoint == c.a.signed().checkpoint
}

// round offers the newest signed head to all cosigners, and keeps it with their
// words if they suffice. It ends as soon as they do: the others are asked again
// next time.
func (c *cosigning) round(ctx context.Context) error {
	head := c.a.signed()
	ctx, cancel := context.WithTimeout(ctx, cosignCall)
	defer cancel()
	answers := make(chan ledger.Cosignature, len(c.members))
	var asked sync.WaitGroup
	for _, m := range c.members {
		asked.Go(func() {
			if s, err := c.ask(ctx, m, head); err == nil {
				answers <- s
			}
		})
	}
	go func() { asked.Wait(); close(answers) }()
	var got []ledger.Cosignature
	for s := range answers {
		got = append(got, s)
		note, err := ledger.AddCosignatures(head.note, got...)
		if err != nil {
			return err
		}
		if _, err := c.policy.OpenCheckpoint(note); err != nil {
			continue // not enough yet
		}
		return c.publish(ctx, signedHead{checkpoint: head.checkpoint, note: note})
	}
	return c.missing()
}

// ask has one cosigner sign a head, and follows it to the size that it has seen.
func (c *cosigning) ask(ctx context.Context, m *member, head signedHead) (ledger.Cosignature, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var s ledger.Cosignature
	var err error
	for range cosignTries {
		request := ledger.AddCheckpoint{Old: min(m.seen, head.checkpoint.Size), Checkpoint: head.note}
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
		if m.seen = stale.Size; stale.Size > head.checkpoint.Size {
			err = c.ahead(ctx, stale.Size)
			break
		}
	}
	switch {
	case err == nil:
		m.seen, m.err, m.at = head.checkpoint.Size, nil, c.a.now()
	case errors.Is(err, witness.ErrFork):
		m.err = err
		c.a.halt(fmt.Errorf("%w: %s says: %w; if a backup was restored, put the newer database back, "+
			"or have `sallyd ledger adopt` take what is lost from a copy of the ledger (docs/recovery.md)", ErrHalted, m.cosigner.Key().Name(), err))
	case errors.Is(context.Cause(ctx), context.Canceled): // the others sufficed; it is not to blame
	default:
		m.err = err
	}
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

// publish keeps a cosigned head and tells those who wait.
func (c *cosigning) publish(ctx context.Context, head signedHead) error {
	err := c.a.store.WriteUrgent(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutCosigned(head.checkpoint, head.note) })
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.newest, c.failing = head, nil
	close(c.changed)
	c.changed = make(chan struct{})
	return nil
}

// cover waits for a cosigned head that has leaf index under it.
func (c *cosigning) cover(ctx context.Context, index int64) (signedHead, error) {
	late := time.NewTimer(cosignWait)
	defer late.Stop()
	for {
		c.mu.Lock()
		head, changed := c.newest, c.changed
		c.mu.Unlock()
		if head.note != nil && head.checkpoint.Size > index {
			return head, nil
		}
		if err := c.a.halting(); err != nil {
			return signedHead{}, err
		}
		c.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return signedHead{}, ctx.Err()
		case <-late.C:
			return signedHead{}, c.missing()
		}
	}
}

// missing says whose word is missing and why.
func (c *cosigning) missing() error {
	var why []string
	for _, s := range c.status() {
		if s.Err != nil {
			why = append(why, fmt.Sprintf("%s: %v", s.Name, s.Err))
		}
	}
	need := fmt.Sprintf("%d of %d witnesses", c.quorum.Need, len(c.quorum.Witnesses))
	if len(c.quorum.All) > 0 {
		need += fmt.Sprintf(" and all %d cosigners of the contracts", len(c.quorum.All))
	}
	return fmt.Errorf("%w (needed: %s; %s)", ErrUncosigned, need, strings.Join(why, "; "))
}

// CosignerStatus is what is known of a cosigner, for operators.
type CosignerStatus struct {
	Name string
	Size int64     // of the newest head that it has signed
	At   time.Time // when
	Err  error     // why its last answer was none
}

// Cosigners returns what is known of each cosigner.
func (a *Authority) Cosigners() []CosignerStatus {
	if a.cosigning == nil {
		return nil
	}
	return a.cosigning.status()
}

func (c *cosigning) status() []CosignerStatus {
	out := make([]CosignerStatus, 0, len(c.members))
	for _, m := range c.members {
		s := CosignerStatus{Name: m.cosigner.Key().Name()}
		if m.mu.TryLock() { // else it is being asked right now
			s.Size, s.At, s.Err = m.seen, m.at, m.err
			m.mu.Unlock()
		} else {
			s.Err = errAsked
		}
		out = append(out, s)
	}
	return out
}
