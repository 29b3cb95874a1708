package cosign

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Why a leaf does not stand, beside what the fold says.
var (
	errClosed   = errors.New("what it hides is not shown")
	errPart     = errors.New("its person part is not shown")
	errUnjudged = errors.New("its ID token is not judged yet")
	errUnknown  = errors.New("this version of the program does not know its kind; a newer one may")
)

// leaf is a leaf that counts here: leaf 0, a key for hosts, one of the lineage, or a login or a
// snapshot that one of the lineage rests on.
type leaf struct {
	index  int64
	hash   canon.Digest
	leaf   ledger.Leaf
	seenAt canon.Micros // by our clock: when it came
	facts  record.Facts // nil: they are not shown
	// flaw is what is wrong with it whatever stands before it, nil if nothing is.
	flaw error
	// identity is the record.IdentityKey of a login whose ID token is good.
	identity string

	verdict error // why it does not stand, nil if it does
	undo    *record.Undo
}

// opened reports whether all that it commits to was shown.
func (l *leaf) opened() bool {
	return l.facts != nil && !errors.Is(l.flaw, errPart) && !errors.Is(l.flaw, errUnjudged)
}

// keepUndo is how many folds can be taken back one by one. A leaf that belongs
// further back has everything folded anew.
const keepUndo = 20_000

// fold is the state that the leaves shown here fold to, by the rules by which the
// server decides. It is that of the leaves in their order, whenever they came.
type fold struct {
	lineage canon.Digest
	memory  *record.Memory
	leaves  []*leaf // by index
	folded  int     // how many of them are folded
	bad     map[int64]*leaf
	// badByHash is bad by hash. Of leaves with one text it has the oldest.
	badByHash map[canon.Digest]*leaf
	// waiting are the leaves about people that nobody was shown so far: one of the
	// lineage may come to name them.
	waiting map[canon.Digest]waiting
	devices map[string]bool // device keys that an ID token binds to a person
}

type waiting struct {
	index  int64
	seenAt canon.Micros
}

func newFold(lineage canon.Digest) *fold {
	return &fold{
		lineage: lineage, memory: record.NewMemory(), bad: make(map[int64]*leaf), badByHash: make(map[canon.Digest]*leaf),
		waiting: make(map[canon.Digest]waiting), devices: make(map[string]bool),
	}
}

func (f *fold) find(index int64) (at int, found bool) {
	return slices.BinarySearchFunc(f.leaves, index, func(l *leaf, index int64) int { return int(l.index - index) })
}

// put adds a leaf where it belongs, or puts it in the place of what was known of it
// before. Everything behind it is folded again by run.
func (f *fold) put(l *leaf) {
	at, found := f.find(l.index)
	f.rewind(at)
	if found {
		f.leaves[at] = l
	} else {
		f.leaves = slices.Insert(f.leaves, at, l)
	}
	delete(f.waiting, l.hash)
	if login, ok := l.facts.(record.PersonLogin); ok && l.identity != "" && login.DeviceKey != "" {
		f.devices[login.DeviceKey] = true
	}
}

// rewind takes folds back until only the first n leaves are folded.
func (f *fold) rewind(n int) {
	if f.folded <= n {
		return
	}
	for f.folded > n {
		l := f.leaves[f.folded-1]
		if l.verdict == nil && l.undo == nil { // too far back
			f.memory, f.folded = record.NewMemory(), 0
			clear(f.bad)
			clear(f.badByHash)
			return
		}
		if l.undo != nil {
			f.memory.Undo(*l.undo)
		}
		delete(f.bad, l.index)
		if f.badByHash[l.hash] == l {
			delete(f.badByHash, l.hash)
		}
		l.undo = nil
		f.folded--
	}
}

// run folds what is not folded. A leaf that does not stand changes nothing.
func (f *fold) run() {
	for ; f.folded < len(f.leaves); f.folded++ {
		l := f.leaves[f.folded]
		if l.verdict = f.one(l); l.verdict != nil {
			f.bad[l.index] = l
			if f.badByHash[l.hash] == nil {
				f.badByHash[l.hash] = l
			}
		}
		if old := f.folded - keepUndo; old >= 0 {
			f.leaves[old].undo = nil
		}
	}
}

func (f *fold) one(l *leaf) error {
	switch {
	case l.flaw != nil:
		return l.flaw
	case l.facts == nil:
		return errClosed
	}
	var person any
	if l.identity != "" {
		person = record.KnownIdentity(l.identity)
	}
	undo, err := f.memory.FoldUndoable(record.Event{
		Index: l.index, LeafHash: l.hash, Facts: l.facts, Person: person, PersonCommitment: l.leaf.Person,
	})
	if err != nil {
		return err
	}
	l.undo = &undo
	return nil
}

// lacking reports whether a leaf that does not stand has to be asked for again: it
// is not shown, or one that it names is not.
func (f *fold) lacking(l *leaf) bool {
	about := l.leaf.Lineage == f.lineage || l.index == 0 || l.leaf.Kind == ledger.KeyAdd
	return about && (!l.opened() || f.withheld(l) >= 0)
}

// withheld returns a leaf that l rests on and that was not shown, -1 if there is
// none.
func (f *fold) withheld(l *leaf) int64 {
	for _, hash := range record.Named(l.facts) {
		if w, ok := f.waiting[hash]; ok {
			return w.index
		}
		if at := f.badByHash[hash]; at != nil {
			if !at.opened() {
				return at.index
			}
			if _, snapshot := at.facts.(record.PersonSnapshot); snapshot {
				if w := f.withheld(at); w >= 0 {
					return w
				}
			}
		}
	}
	return -1
}

// grace is how long after a certificate is over it is still held against the
// ledger: a host's clock may be behind.
const grace = time.Minute

// over returns when a leaf that does not stand can do no harm any more; zero if
// nobody can tell. A certificate is over when it says so. Of another leaf, what the
// server may have signed on its strength is, before it was seen here, when the
// longest certificate is over that the contract knows.
func (f *fold) over(l *leaf, longest time.Duration) time.Time {
	switch facts := l.facts.(type) {
	case nil, record.LedgerOpen: // a ledger that is another's stays that
		return time.Time{}
	case record.CertificateIssue:
		tbs, err := canon.ParseB64(facts.TBS)
		if err != nil {
			return time.Time{}
		}
		cert, err := sshcert.ParseTBS(tbs)
		if err != nil || cert.ValidBefore > maxBefore {
			return time.Time{}
		}
		return time.Unix(int64(cert.ValidBefore), 0).Add(grace)
	default:
		return l.seenAt.Time().Add(longest).Add(grace)
	}
}

// maxBefore is a time that no certificate reaches, in unix seconds: the year 9999.
const maxBefore = 253402300799

// unknownLongest is the longest certificate where no contract says how long.
const unknownLongest = 24 * time.Hour

// longest is the longest certificate that a version of the contract allows.
func (f *fold) longest() time.Duration {
	out := time.Duration(0)
	for _, l := range f.leaves {
		propose, ok := l.facts.(record.ContractPropose)
		if !ok || l.verdict != nil {
			continue
		}
		if v, err := f.memory.Version(propose.Contract); err == nil {
			out = max(out, v.Terms.Ceilings.CertTTL)
		}
	}
	if out == 0 {
		return unknownLongest
	}
	return out
}

// issuer returns how the contract in force reads an identity provider.
func (f *fold) issuer(url string) (record.IssuerRow, error) {
	text, err := f.memory.Row(record.TableIssuer, record.IssuerKey(url))
	if err != nil {
		return record.IssuerRow{}, fmt.Errorf("its identity provider %q is none of the contract's", url)
	}
	var row record.IssuerRow
	return row, canon.Unmarshal(text, &row)
}
