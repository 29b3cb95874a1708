package audit

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
)

// Config is what an auditor knows from elsewhere, and how a replay behaves.
type Config struct {
	// LogKeys are the keys that sign the ledger's checkpoints, as vkeys; all are
	// named like the ledger's origin. At least one.
	LogKeys []string
	// UserCA is the key that signs certificates. Nil: the one that leaf 0 names.
	UserCA ssh.PublicKey
	// Contracts are the digests of the version 1 of each contract that counts.
	// AnyContract takes those that the ledger has, for who runs the ledger.
	Contracts   []canon.Digest
	AnyContract bool
	// Earlier are checkpoints of the ledger that were kept from before: its first
	// leaves must be the ones that they sign.
	Earlier []ledger.Checkpoint
	// Cosigners are whose word the checkpoint over the whole ledger needs beside the
	// log's. What they confirm is that they saw this ledger and no other; they say
	// nothing of single leaves.
	Cosigners ledger.Cosigners
	Waive     Waivers
	// ReadToken reads an ID token without checking its signature. Nil: logins are
	// not held to their ID tokens, and no device key counts as bound to a person.
	ReadToken func(idToken string, i TokenIssuer) (IDToken, error)
	// Parts says which certificates are reported with their parts, by serial. Nil:
	// none.
	Parts func(serial uint64) bool
	// Folded is told, for each leaf that the fold allowed, which rows it wrote. Nil:
	// nobody is.
	Folded func(index int64, changes []record.Change)
}

// Replay folds the leaves of a ledger, in order, and judges them. Open may be
// called by many at a time; Add and Finish may not.
type Replay struct {
	config Config
	policy *ledger.Policy // the log's keys
	whole  *ledger.Policy // and the cosigners', for the checkpoint over all leaves
	userCA ssh.PublicKey
	memo   *memo
	view   *view
	tree   ledger.Tree
	gaps   gaps
	report Report

	index     map[canon.Digest]int64 // of leaves that others name by their hash
	contracts map[canon.Digest]int64 // leaf of each version
	lineages  map[canon.Digest]bool  // that a leaf names
	bound     map[canon.Digest]bool  // logins whose ID token binds their device key
	devices   map[string]bool        // device keys that an ID token binds
	people    personParts
	who       identities
	expected  map[int64][]expected // by size
}

// expected is a root that somebody has signed for a size.
type expected struct {
	root        tlog.Hash
	certificate int // position in the report; -1: a checkpoint kept from before
}

// NewReplay returns a replay before leaf 0.
func NewReplay(c Config) (*Replay, error) {
	policy, err := PolicyOf(c.LogKeys)
	if err != nil {
		return nil, err
	}
	whole, err := policy.WithCosigners(c.Cosigners)
	if err != nil {
		return nil, err
	}
	origin := policy.Origin()
	p := &Replay{
		config: c, policy: policy, whole: whole, userCA: c.UserCA, memo: &memo{holds: make(map[[32]byte]struct{})},
		gaps: newGaps(c.Waive), report: Report{Origin: origin},
		index: make(map[canon.Digest]int64), contracts: make(map[canon.Digest]int64), lineages: make(map[canon.Digest]bool),
		bound: make(map[canon.Digest]bool), devices: make(map[string]bool), people: newPersonParts(), who: newIdentities(), expected: make(map[int64][]expected),
	}
	p.view = &view{Memory: record.NewMemory(), memo: p.memo}
	for _, e := range c.Earlier {
		if e.Origin != origin {
			return nil, fmt.Errorf("a checkpoint of %s: %w", e.Origin, ErrOther)
		}
		p.expected[e.Size] = append(p.expected[e.Size], expected{e.Root, -1})
	}
	return p, nil
}

// PolicyOf returns the policy that believes the checkpoints of the log that keys
// are named after, if one of them has signed.
func PolicyOf(logKeys []string) (*ledger.Policy, error) {
	if len(logKeys) == 0 {
		return nil, fmt.Errorf("%w: no log key", ErrConfig)
	}
	origin, _, _ := strings.Cut(logKeys[0], "+")
	return ledger.NewPolicy(origin, logKeys...)
}

// Tree returns the tree of the leaves so far.
func (p *Replay) Tree() ledger.Tree { return p.tree }

// State returns the rows that the leaves so far fold to.
func (p *Replay) State() *record.Memory { return p.view.Memory }

// Add takes the next leaf. Its error says that the leaves are not those of the
// pinned ledger: then nothing counts. What is wrong with a leaf by itself is in
// the report.
func (p *Replay) Add(o Opened) error {
	if o.Index != p.tree.Size {
		return fmt.Errorf("%w: leaf %d where leaf %d belongs", ErrBundle, o.Index, p.tree.Size)
	}
	var err error
	if p.tree, _, err = p.tree.Append(o.hash); err != nil {
		return err
	}
	p.count(o)
	gap := p.fold(o)
	if gap != nil {
		p.gaps.add(gap)
	}
	switch {
	case o.leaf.Kind == ledger.CertificateIssue:
		p.judge(o, gap)
	case gap != nil && gap.verdict == Unjustified:
		p.report.Findings = append(p.report.Findings, Finding{
			Leaf: o.Index, Kind: string(o.leaf.Kind), Rule: gap.rule, Cause: gap.cause.leaf, CauseKind: string(gap.cause.kind),
		})
	}
	if o.Index == 0 {
		if err := p.checkOpen(o); err != nil {
			return err
		}
	}
	return p.checkRoots()
}

// count notes what is not shown.
func (p *Replay) count(o Opened) {
	if !o.leaf.Lineage.IsZero() {
		p.lineages[o.leaf.Lineage] = true
	}
	switch {
	case o.Mismatch != nil, o.Opening.Facts == nil:
		p.report.Closed++
	case !o.leaf.Person.IsZero() && o.Opening.Person == nil:
		p.report.NoPerson++ // judgeParts takes off those that were erased
	}
	if o.Mismatch == nil && !o.leaf.Kind.Known() {
		if p.report.UnknownKinds == nil {
			p.report.UnknownKinds = make(map[ledger.Kind]int64)
		}
		p.report.UnknownKinds[o.leaf.Kind]++
	}
}

// fold applies a leaf, or returns why it is not applied.
func (p *Replay) fold(o Opened) *gap {
	g := gap{index: o.Index, leaf: o.leaf, hash: canon.Digest(o.hash), facts: o.facts, cause: cause{o.Index, o.leaf.Kind}, verdict: Unknown}
	switch {
	case o.Mismatch != nil:
		g.rule = "what it hides is not what it commits to"
		return &g
	case !o.leaf.Kind.Known():
		g.rule = "this version of the program does not know its kind"
		return &g
	case o.Opening.Facts == nil:
		g.rule = "its facts are not shown"
		return &g
	case o.wrong != nil:
		g.verdict, g.rule = Unjustified, o.wrong.Error()
		return &g
	}
	bound := false
	if login, ok := o.facts.(record.PersonLogin); ok {
		var err error
		if bound, err = p.checkToken(login, o.person); err != nil {
			g.verdict, g.rule = Unjustified, err.Error()
			return &g
		}
	}
	p.view.missed = record.Key{}
	changes, err := p.view.Fold(p.view, record.Event{
		Index: o.Index, LeafHash: canon.Digest(o.hash), Facts: o.facts, Person: o.person, PersonCommitment: o.leaf.Person,
	})
	if err != nil {
		p.gaps.blame(&g, err, p.view.missed, p.waits(o.facts))
		return &g
	}
	p.note(o, bound)
	p.notePart(o)
	p.who.note(o)
	p.noteLogin(o)
	if p.config.Folded != nil {
		p.config.Folded(o.Index, changes)
	}
	return nil
}

// waits reports whether the request that facts are about is still to be decided,
// as far as is known.
func (p *Replay) waits(facts record.Facts) bool {
	var id canon.ID
	switch f := facts.(type) {
	case record.RequestDecide:
		id = f.Request
	case record.AccessRevoke:
		id = requestOf(f.Target)
	case record.CertificateIssue:
		id = f.Grant
	default:
		return false
	}
	r, err := record.Request(p.view.Memory, id)
	return err == nil && r.Status(time.Time{}).State == approval.Pending
}

// note remembers what later leaves and the report say about a leaf that stands.
func (p *Replay) note(o Opened, bound bool) {
	hash := canon.Digest(o.hash)
	switch f := o.facts.(type) {
	case record.ContractPropose:
		p.contracts[f.Contract] = o.Index
	case record.PersonLogin:
		p.index[hash] = o.Index
		if bound {
			p.bound[hash], p.devices[f.DeviceKey] = true, true
		}
	case record.ContractSign, record.GrantCarry, record.RequestSubmit, record.RequestDecide, record.PersonErase:
		p.index[hash] = o.Index
	case record.CertificateVoid:
		p.voided(f.Serial, o.Index)
	}
}

// noteLogin reports a login on a host that the ledger can't explain: the host let
// somebody in by something else than a certificate of this ledger, or says so.
func (p *Replay) noteLogin(o Opened) {
	rule := ""
	switch f := o.facts.(type) {
	case record.LoginOpen:
		if f.Finding != record.LoginExplained {
			rule = fmt.Sprintf("host %s says that it let in %s, and %s", f.Host, f.Login, f.Finding.Words(f.Serial))
		}
	case record.LoginOffline:
		rule = fmt.Sprintf("host %s says that it let in %s by the offline key %s: nobody approved it, and it is owed a review", f.Host, f.Login, offlineKey(f.Key))
	}
	if rule == "" {
		return
	}
	p.report.Findings = append(p.report.Findings, Finding{Leaf: o.Index, Kind: string(o.leaf.Kind), Rule: rule, Cause: o.Index, CauseKind: string(o.leaf.Kind)})
}

// offlineKey is the fingerprint of a key that the fold has read.
func offlineKey(b64 string) string {
	key, err := hostcall.ParseOfflineKey(b64)
	if err != nil {
		return "that can't be read"
	}
	return ssh.FingerprintSHA256(key)
}

// checkOpen holds leaf 0 to what is pinned.
func (p *Replay) checkOpen(o Opened) error {
	f, ok := o.facts.(record.LedgerOpen)
	switch {
	case !ok:
		return nil // closed, or unjustified: nothing stands on it
	case f.Origin != p.report.Origin:
		return fmt.Errorf("leaf 0 opens the ledger %s: %w", f.Origin, ErrOther)
	case !slices.Contains(p.config.LogKeys, f.LogKey):
		return fmt.Errorf("leaf 0 names the log key %s: %w", f.LogKey, ErrOther)
	case p.userCA == nil:
		wire, err := canon.ParseB64(f.UserCA)
		if err != nil {
			return err
		}
		if p.userCA, err = ssh.ParsePublicKey(wire); err != nil {
			return err
		}
	case f.UserCA != canon.B64(p.userCA.Marshal()):
		return fmt.Errorf("leaf 0 names another authority key than you pinned: %w", ErrOther)
	}
	return nil
}

// checkRoots compares the tree with what was signed for its size.
func (p *Replay) checkRoots() error {
	list, ok := p.expected[p.tree.Size]
	if !ok {
		return nil
	}
	delete(p.expected, p.tree.Size)
	root, err := p.tree.Root()
	if err != nil {
		return err
	}
	for _, e := range list {
		switch {
		case e.root == root:
		case e.certificate < 0:
			return fmt.Errorf("%w: its first %d leaves are not those of the checkpoint that you kept", ledger.ErrForked, p.tree.Size)
		default:
			c := &p.report.Certificates[e.certificate]
			c.unjustified(fmt.Sprintf("the log key signed another ledger of %d leaves, in the certificate's own proof: %s", p.tree.Size, ledger.ErrForked), c.itself())
		}
	}
	return nil
}

// succeeds returns the ledger in whose place this one goes on, nil for none.
func (p *Replay) succeeds() (*Succession, error) {
	row, err := record.Succeeds(p.view.Memory)
	if errors.Is(err, record.ErrNotFound) {
		return nil, nil //nolint:nilnil // most succeed none
	}
	if err != nil {
		return nil, err
	}
	return &Succession{Origin: row.Origin, LogKey: row.LogKey, Size: row.Size, Root: tlog.Hash(row.Root).String(), Kept: row.Kept}, nil
}

// Finish ends the replay. That the tree is one that the log key signed is for the
// caller to show, of Tree.
func (p *Replay) Finish() (Report, error) {
	root, err := p.tree.Root()
	if err != nil {
		return Report{}, err
	}
	for size, list := range p.expected {
		if slices.ContainsFunc(list, func(e expected) bool { return e.certificate < 0 }) {
			return Report{}, fmt.Errorf("%w: it has %d leaves, the checkpoint that you kept %d", ledger.ErrRewound, p.tree.Size, size)
		}
	}
	p.report.Size, p.report.Root = p.tree.Size, root.String()
	if p.report.Succeeds, err = p.succeeds(); err != nil {
		return Report{}, err
	}
	if err := p.judgeParts(); err != nil {
		return Report{}, err
	}
	if err := p.judgeHidden(); err != nil {
		return Report{}, err
	}
	if err := p.listContracts(); err != nil {
		return Report{}, err
	}
	p.waive()
	return p.report, nil
}
