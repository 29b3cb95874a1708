package authority

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
)

// confirmed returns an error while it is known that the words which a certificate
// of a lineage needs can't be had: then nothing is recorded that could not be
// finished.
func (c *cosigning) confirmed(lineage canon.Digest) error {
	if err := c.a.halting(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range c.known {
		if s.lineage == lineage {
			return c.failing[s.id]
		}
	}
	return c.failing[c.whole.id]
}

// cover waits for a head that has leaf index under it and the words that a
// certificate under a contract version needs. It returns what its proof is to be
// held to, too. The version is what its digest says, whatever rows say.
func (c *cosigning) cover(ctx context.Context, v *contract.Version, index int64) (signedHead, *ledger.Policy, error) {
	s := c.scopeOf(v)
	if s.broken != nil {
		return signedHead{}, nil, s.broken
	}
	if s.quorum.Empty() {
		head, err := c.a.cover(ctx, index)
		return head, c.own, err
	}
	late := time.NewTimer(cosignWait)
	defer late.Stop()
	for {
		c.mu.Lock()
		head, changed := c.newest[s.id], c.changed
		c.mu.Unlock()
		if head.note != nil && head.checkpoint.Size > index {
			return head, s.policy, nil
		}
		if err := c.a.halting(); err != nil {
			return signedHead{}, nil, err
		}
		c.poke()
		select {
		case <-changed:
		case <-ctx.Done():
			return signedHead{}, nil, ctx.Err()
		case <-late.C:
			return signedHead{}, nil, s.missing()
		}
	}
}

// shown returns the newest head that is enough everywhere and has somebody's word
// beside the log's; ok is false if there is none.
func (c *cosigning) shown() (head signedHead, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.published, c.published.note != nil
}

// health returns why words can't be had: an error that wraps ErrDegraded if that
// concerns some contracts only.
func (c *cosigning) health() error {
	if err := c.a.halting(); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.failing[c.whole.id]; err != nil {
		return err
	}
	for _, s := range c.known {
		if err := c.failing[s.id]; err != nil {
			return fmt.Errorf("%w: contract %s: %w", ErrDegraded, s.contract, err)
		}
	}
	return nil
}

func (c *cosigning) status() []CosignerStatus {
	c.mu.Lock()
	members := slices.Clone(c.whole.members)
	for _, s := range c.known {
		for _, m := range s.members {
			if !slices.Contains(members, m) {
				members = append(members, m)
			}
		}
	}
	c.mu.Unlock()
	out := make([]CosignerStatus, 0, len(members))
	for _, m := range members {
		out = append(out, m.status())
	}
	slices.SortStableFunc(out, func(a, b CosignerStatus) int { return strings.Compare(a.Name, b.Name) })
	return out
}
