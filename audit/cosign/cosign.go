// Package cosign is the party cosigner: a program of a party of a contract that
// confirms the ledger's checkpoints, after it has replayed what belongs to the
// contract.
//
// A witness sees sizes and hashes. A party cosigner is shown the openings of every
// leaf of its contract's lineage, and of the logins and snapshots that these name,
// builds the tree again from all leaves, folds the openings by the rules by which
// the server decides, and judges ID tokens by the keys of the identity provider
// itself. A certificate that the operator of the ledger made up gets no word of
// its, so no host that asks for its word lets it in.
package cosign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/oidc"
)

// ErrLeaves says that the leaves which the server shows are not those that it
// signed for.
var ErrLeaves = fmt.Errorf("%w: the leaves that the server shows are not those that the log signed for", witness.ErrUnjustified)

// Feed shows leaves.
type Feed interface {
	// Page returns leaves from index from on, one at least and all below to, with
	// their openings as far as this cosigner may see them.
	Page(ctx context.Context, from, to int64) (audit.FeedPage, error)
}

// Config is what a Cosigner needs. All fields but UserCA and Alarm are required.
type Config struct {
	Dir     string       // where it keeps what it has seen; made if it is not there
	Origin  string       // of the ledger
	Lineage canon.Digest // version 1 of the contract, obtained elsewhere
	LogKeys []string     // of the ledger, as vkeys: leaf 0 has to name one of them
	UserCA  string       // the authority key that leaf 0 has to name, b64 of the SSH wire form; empty: any
	Feed    Feed         // of the ledger's server
	Now     func() time.Time
	// Keys fetches an identity provider's keys from the provider itself.
	Keys func(ctx context.Context, i oidc.Issuer) ([]oidc.Key, error)
	// Alarm is told of each leaf that does not stand, once.
	Alarm func(Finding)
}

// Finding is a leaf that does not stand.
type Finding struct {
	Leaf int64
	Kind ledger.Kind
	Rule string // that it breaks
	// Over is when it can do no harm any more; zero if nobody can tell.
	Over time.Time
}

// String says it in one line.
func (f Finding) String() string {
	until := "until its owner accepts it"
	if !f.Over.IsZero() {
		until = "until " + f.Over.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("leaf %d (%s): %s; held %s", f.Leaf, f.Kind, canon.Visible(f.Rule), until)
}

// Cosigner judges checkpoints of one ledger for one contract. Its Judge is what a
// witness.Witness asks.
type Cosigner struct {
	config Config
	keys   *keyring

	mu       sync.Mutex // guards all below
	journal  *journal
	fold     *fold
	tree     ledger.Tree // of all leaves that were seen under a signed checkpoint
	accepted map[int64]bool
	told     map[int64]string // alarms, by leaf
	again    map[int64]again  // by leaf; those that came to stand stay in it

	shown  spool
	broken error // nothing is signed any more: it can't keep what it sees
}

// Open reads what the cosigner keeps. Who opens it sees to it that nobody else
// does.
func Open(c Config) (*Cosigner, error) {
	if c.Dir == "" || c.Origin == "" || c.Lineage.IsZero() || len(c.LogKeys) == 0 || c.Feed == nil || c.Now == nil || c.Keys == nil {
		return nil, errors.New("cosign: folder, origin, lineage, log keys, feed, clock and keys must be given")
	}
	if c.Alarm == nil {
		c.Alarm = func(Finding) {}
	}
	o := &Cosigner{
		config: c, shown: spool{dir: c.Dir}, fold: newFold(c.Lineage), accepted: make(map[int64]bool), told: make(map[int64]string), again: make(map[int64]again),
	}
	var err error
	if o.keys, err = openKeyring(filepath.Join(c.Dir, "keys"), c.Now, c.Keys); err != nil {
		return nil, err
	}
	first := note{Lineage: c.Lineage.String(), Origin: c.Origin, V: journalVersion}
	if o.journal, err = openJournal(filepath.Join(c.Dir, "journal"), first, o.restore); err != nil {
		return nil, err
	}
	o.fold.run()
	return o, nil
}

// Close ends it.
func (c *Cosigner) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return errors.Join(c.shown.empty(), c.journal.close())
}

// Size returns how many leaves were seen.
func (c *Cosigner) Size() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.tree.Size
}

// Findings returns the leaves that do not stand, were not accepted and are not
// over, by index.
func (c *Cosigner) Findings() []Finding {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Finding
	for _, h := range c.blocking() {
		out = append(out, c.finding(h))
	}
	return out
}

// Accept lets a leaf that does not stand hold up nothing any more. It changes
// nothing in the replay: what rests on the leaf does not stand either.
func (c *Cosigner) Accept(index int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.accepted[index] {
		return nil
	}
	if c.fold.bad[index] == nil {
		return fmt.Errorf("leaf %d is none that this cosigner refuses", index)
	}
	if err := c.journal.append([]note{{Accept: strconv.FormatInt(index, 10)}}, nil); err != nil {
		return err
	}
	c.accepted[index] = true
	return nil
}

// Judge returns nil if everything that counts under the newer checkpoint stands, or
// can do no harm any more. The older one is that which was cosigned last. It is a
// witness.Judge: the newer one follows from the older and is signed by the log.
func (c *Cosigner) Judge(ctx context.Context, older, newer ledger.Checkpoint) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broken != nil {
		return c.broken
	}
	if newer.Size < c.tree.Size {
		return fmt.Errorf("the log has signed for %d leaves before; this cosigner does not go back to %d", c.tree.Size, newer.Size)
	}
	err := c.advance(ctx, older, newer)
	if err == nil {
		err = c.askAgain(ctx)
	}
	c.alarm(err != nil)
	if err != nil {
		return err
	}
	if list := c.blocking(); len(list) > 0 {
		return c.refusal(list)
	}
	return nil
}

// held is a leaf for which this cosigner does not sign, until it is over.
type held struct {
	*leaf

	over time.Time // zero if nobody can tell
}

// blocking returns the leaves for which this cosigner does not sign, by index.
func (c *Cosigner) blocking() []held {
	now, longest := c.config.Now(), c.fold.longest()
	var out []held
	for _, index := range slices.Sorted(maps.Keys(c.fold.bad)) {
		l := c.fold.bad[index]
		if over := c.fold.over(l, longest); !c.accepted[index] && (over.IsZero() || now.Before(over)) {
			out = append(out, held{l, over})
		}
	}
	return out
}

func (c *Cosigner) finding(h held) Finding {
	f := Finding{Leaf: h.index, Kind: h.leaf.leaf.Kind, Rule: h.verdict.Error(), Over: h.over}
	if on := c.fold.withheld(h.leaf); on >= 0 {
		f.Rule = fmt.Sprintf("it rests on leaf %d, which is not shown", on)
	}
	return f
}

// alarm tells of leaves that do not stand and of which nobody was told. Where there
// is no verdict, those that lack something may yet stand.
func (c *Cosigner) alarm(undecided bool) {
	for _, h := range c.blocking() {
		if undecided && (!h.opened() || c.fold.withheld(h.leaf) >= 0) {
			continue
		}
		if f := c.finding(h); c.told[f.Leaf] != f.Rule {
			c.told[f.Leaf] = f.Rule
			c.config.Alarm(f)
		}
	}
}

// refusal says for which leaf there is no word, and when there will be.
func (c *Cosigner) refusal(list []held) error {
	more := ""
	if n := len(list) - 1; n > 0 {
		more = fmt.Sprintf("; and %d more", n)
	}
	return fmt.Errorf("%w: %s%s", witness.ErrUnjustified, c.finding(list[0]), more)
}
