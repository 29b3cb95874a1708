package authority

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

// ErrUncosigned says that too few cosigners gave their word. What was recorded
// stays, and trying again is safe.
var ErrUncosigned = errors.New("too few witnesses have confirmed the ledger, so no certificate was made; what was granted stays granted, try again")

const (
	// cosignCall bounds one call of one cosigner.
	cosignCall = 3 * time.Second
	// cosignWait is how long an issue call waits for cosignatures.
	cosignWait = 5 * time.Second
	// cosignPause is between two rounds of which the first failed, doubled up to
	// cosignPauseMost.
	cosignPause     = 50 * time.Millisecond
	cosignPauseMost = 2 * time.Second
	// cosignGrace is how long a round that is enough for some waits for the others
	// while there is a newer head: what is slow for one contract holds up none else.
	cosignGrace = 100 * time.Millisecond
	// cosignTries is how often a cosigner may say in one round that it has seen
	// another size.
	cosignTries = 3
)

// cosigning is the one loop that offers the newest signed head to all cosigners:
// the witnesses, and those that contracts in force name. A round offers one head to
// all of them, so that their words stand under one checkpoint; whoever waits for a
// leaf takes any head that covers it and has the words of its scope. A cosigner
// that says nothing holds up the scopes that ask for its word, and no others.
type cosigning struct {
	a     *Authority
	own   *ledger.Policy // the log's key alone
	whole *scope
	reach func(ledger.CosignerKey) (Cosigner, error) // for those that contracts name

	wake chan struct{}      // capacity 1: there is a newer head, or somebody can be asked again
	stop context.CancelFunc // nil before start
	done chan struct{}
	asks sync.WaitGroup // calls that run

	mu        sync.Mutex
	known     map[canon.Digest]*scope     // guarded by mu: of the versions in force
	parties   map[string]*member          // guarded by mu: by vkey
	newest    map[canon.Digest]signedHead // guarded by mu: the newest head with a scope's words
	published signedHead                  // guarded by mu: the newest head that is enough everywhere, with all its words
	changed   chan struct{}               // guarded by mu: closed when newest moves
	failing   map[canon.Digest]error      // guarded by mu: why a scope's last round gave nothing
	round     *round                      // guarded by mu: the newest
}

// round is one head that is offered, with the words that came for it.
type round struct {
	head signedHead

	mu    sync.Mutex // also held while what came of a word is kept
	words map[string]ledger.Cosignature
	news  chan struct{} // capacity 1: somebody has answered
}

func newCosigning(a *Authority, own *ledger.Policy, quorum ledger.Cosigners, list []Cosigner, reach func(ledger.CosignerKey) (Cosigner, error)) (*cosigning, error) {
	policy, err := own.WithCosigners(quorum)
	if err != nil {
		return nil, err
	}
	if len(quorum.All) > 0 {
		return nil, fmt.Errorf("%w: cosigners of parties are named by contracts", ledger.ErrPolicy)
	}
	if reach == nil {
		reach = func(k ledger.CosignerKey) (Cosigner, error) { return nil, fmt.Errorf("%s: %w", k.Name(), ErrNoAddress) }
	}
	c := &cosigning{
		a: a, own: own, whole: &scope{quorum: quorum, policy: policy}, reach: reach, wake: make(chan struct{}, 1), done: make(chan struct{}),
		parties: make(map[string]*member), newest: make(map[canon.Digest]signedHead), changed: make(chan struct{}), failing: make(map[canon.Digest]error),
	}
	for _, k := range quorum.Witnesses {
		i := slices.IndexFunc(list, func(o Cosigner) bool { return o.Key().String() == k.String() })
		if i < 0 {
			return nil, fmt.Errorf("%w: cosigner %s has no address", ledger.ErrPolicy, k.Name())
		}
		c.whole.members = append(c.whole.members, &member{cosigner: list[i]})
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
	if c.stop == nil {
		return
	}
	c.stop()
	<-c.done
	c.asks.Wait()
}

// poke tells the loop to look.
func (c *cosigning) poke() {
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

func (c *cosigning) run(ctx context.Context) {
	defer close(c.done)
	pause := cosignPause
	var tried ledger.Checkpoint
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		case <-c.wake:
			// What failed is not tried again before its time unless there is more to offer.
			if pause > cosignPause && c.a.signed().checkpoint == tried && !c.idle() {
				continue
			}
		}
		tried = c.a.signed().checkpoint
		if c.a.signed().note == nil {
			continue // nothing is signed yet
		}
		ok, err := c.offer(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			c.a.logger.LogAttrs(ctx, slog.LevelError, "cosigners can't be asked", slog.Any("error", err))
			fallthrough
		case !ok:
			retry.Reset(pause)
			pause = min(2*pause, cosignPauseMost)
		default:
			pause = cosignPause
			if c.a.signed().checkpoint != tried {
				c.poke()
			}
		}
	}
}

// idle reports whether a scope has no head at all that it could have: one that a
// contract has just made.
func (c *cosigning) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id := range c.known {
		if c.newest[id].note == nil && c.failing[id] == nil {
			return true
		}
	}
	return false
}

// offer offers the newest signed head to all cosigners that have not signed it. It
// reports whether all scopes have their words for it.
func (c *cosigning) offer(ctx context.Context) (done bool, err error) {
	scopes, err := c.scopes(ctx)
	if err != nil {
		return false, err
	}
	r := c.roundOf(c.a.signed())
	c.take(ctx, r, scopes)
	for _, m := range toAsk(scopes, r) {
		if !m.begin() {
			continue
		}
		c.asks.Go(func() {
			call, cancel := context.WithTimeout(ctx, cosignCall)
			defer cancel()
			word, err := c.ask(call, m, r.head)
			if err == nil {
				r.mu.Lock()
				r.words[word.Key.String()] = word
				r.mu.Unlock()
			}
			c.take(ctx, r, scopes)
			select {
			case r.news <- struct{}{}:
			default:
			}
			c.poke()
		})
	}
	return c.wait(ctx, r, scopes), nil
}

// roundOf returns the round of a head: the newest one, or a new one.
func (c *cosigning) roundOf(head signedHead) *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.round == nil || c.round.head.checkpoint != head.checkpoint {
		c.round = &round{head: head, words: make(map[string]ledger.Cosignature), news: make(chan struct{}, 1)}
	}
	return c.round
}

// toAsk returns the members that have not signed a round's head. All cosigners of a
// contract are asked together, when all can be: else each could sign another head.
func toAsk(scopes []*scope, r *round) []*member {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[*member]bool)
	for _, s := range scopes {
		ready := true
		for _, m := range s.members {
			ready = ready && (!m.party || m.free())
		}
		for _, m := range s.members {
			_, signed := r.words[m.cosigner.Key().String()]
			if s.broken == nil && !signed && (!m.party || ready) {
				out[m] = true
			}
		}
	}
	return slices.Collect(maps.Keys(out))
}

// wait waits until it is known of every scope whether it gets its words for a
// round's head, or those that have them have something newer to ask for.
func (c *cosigning) wait(ctx context.Context, r *round, scopes []*scope) (done bool) {
	grace := time.NewTicker(cosignGrace)
	defer grace.Stop()
	for patient := true; ; {
		some, open := false, false
		for _, s := range scopes {
			have, failed := c.at(s, r.head)
			some = some || have && !s.quorum.Empty()
			open = open || !have && !failed
		}
		if !open || !patient && some && c.a.signed().checkpoint != r.head.checkpoint {
			return c.complete(r.head, scopes)
		}
		select {
		case <-ctx.Done():
			return false
		case <-r.news:
		case <-grace.C:
			patient = false
		}
	}
}

// at reports whether a scope has its words for a head, or is known to lack them.
func (c *cosigning) at(s *scope, head signedHead) (have, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	newest := c.newest[s.id]
	return newest.note != nil && newest.checkpoint.Size >= head.checkpoint.Size, c.failing[s.id] != nil
}

func (c *cosigning) complete(head signedHead, scopes []*scope) bool {
	for _, s := range scopes {
		if have, _ := c.at(s, head); !have {
			return false
		}
	}
	return true
}

// take keeps what the words for a round's head are enough for.
func (c *cosigning) take(ctx context.Context, r *round, scopes []*scope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	enough := make(map[*scope]signedHead)
	for _, s := range scopes {
		if head, ok := s.satisfied(r.head, r.words); ok {
			enough[s] = head
		} else if s.broken != nil || s.hopeless(r.words) {
			c.fail(ctx, s, s.missing())
		}
	}
	all := r.head
	if note, err := ledger.AddCosignatures(r.head.note, slices.Collect(maps.Values(r.words))...); err == nil {
		all.note = note
	} else if head, ok := enough[c.whole]; ok {
		all = head // they are too many for one checkpoint
	}
	if len(r.words) > 0 && len(enough) > 0 {
		if err := c.keep(ctx, all); err != nil {
			for s := range enough {
				c.fail(ctx, s, err)
			}
			return
		}
	}
	for s, head := range enough {
		c.have(s, head)
	}
	if _, ok := enough[c.whole]; ok {
		c.publish(all)
	}
}

// publish shows a head that is enough everywhere, with all the words that came for
// it, to everybody who watches the ledger.
func (c *cosigning) publish(head signedHead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.published.note == nil || head.checkpoint.Size >= c.published.checkpoint.Size {
		c.published = head
	}
}

// keep stores a cosigned head: it is durable before anything rests on it.
func (c *cosigning) keep(ctx context.Context, head signedHead) error {
	return c.a.store.WriteUrgent(context.WithoutCancel(ctx), func(tx *store.Tx) error { return tx.PutCosigned(head.checkpoint, head.note) })
}

// have notes that a scope has its words for a head, and tells those who wait.
func (c *cosigning) have(s *scope, head signedHead) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if before := c.newest[s.id]; before.note != nil && before.checkpoint.Size >= head.checkpoint.Size {
		return
	}
	c.newest[s.id] = head
	delete(c.failing, s.id)
	close(c.changed)
	c.changed = make(chan struct{})
}

// fail notes that a scope gets no words now. It is logged when it begins, with what
// the cosigners said.
func (c *cosigning) fail(ctx context.Context, s *scope, err error) {
	c.mu.Lock()
	first := c.failing[s.id] == nil
	c.failing[s.id] = err
	c.mu.Unlock()
	if !first || ctx.Err() != nil {
		return
	}
	attrs := []slog.Attr{slog.Any("error", err)}
	if s.contract != "" {
		attrs = append(attrs, slog.String("contract", s.contract))
	}
	for _, m := range s.members {
		if st := m.status(); st.Err != nil {
			attrs = append(attrs, slog.String("cosigner", st.Name), slog.String("said", st.Err.Error()))
		}
	}
	c.a.logger.LogAttrs(ctx, slog.LevelError, "checkpoint not cosigned", attrs...)
}
