package killloop_test

import (
	"context"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// ledgerCopy is the ledger as Alice reads it.
type ledgerCopy struct {
	leaves   [][]byte
	tree     ledger.Tree
	nodes    hashes
	held     map[uint64]held // certificates that clients hold, by serial
	issued   map[uint64]record.CertificateIssue
	void     map[uint64]bool
	byKey    map[string][]uint64 // serials of all certificates recorded for a key
	requests map[canon.ID]bool
	verdicts map[canon.ID]approval.Verdict
	devices  map[string]bool
}

func newCopy() ledgerCopy {
	return ledgerCopy{
		held: map[uint64]held{}, issued: map[uint64]record.CertificateIssue{}, void: map[uint64]bool{}, byKey: map[string][]uint64{},
		requests: map[canon.ID]bool{}, verdicts: map[canon.ID]approval.Verdict{}, devices: map[string]bool{},
	}
}

// catchUp reads what the ledger has gained and checks everything that was
// answered before the kill. sallyd has just started, and nobody else works.
func (b *book) catchUp(ctx context.Context, a *account) {
	b.t.Helper()
	gained := b.gained(ctx, a)
	var recorded []uint64
	for _, e := range gained {
		serial, err := b.take(e)
		must(b.t, err)
		if serial != 0 {
			recorded = append(recorded, serial)
		}
	}
	b.checkTree(ctx, a)
	b.checkAnswers()
	b.checkUnanswered(ctx, a, recorded)
	b.checkKeys()
}

// gained returns the entries behind those of the copy, oldest first.
func (b *book) gained(ctx context.Context, a *account) []api.Entry {
	b.t.Helper()
	known := b.copy.tree.Size
	var out []api.Entry
	for before := ""; ; {
		var list api.Entries
		must(b.t, a.call(ctx, "/v1/ledger/entries?limit=200"+before, nil, &list))
		if list.Size < known {
			b.t.Fatalf("the ledger had %d leaves, after the kill it has %d", known, list.Size)
		}
		for _, e := range list.Entries {
			if e.Index >= known {
				out = append(out, e)
			}
		}
		if len(list.Entries) == 0 || list.Entries[len(list.Entries)-1].Index <= known {
			slices.Reverse(out)
			return out
		}
		before = fmt.Sprintf("&before=%d", list.Entries[len(list.Entries)-1].Index)
	}
}

// take adds one entry to the copy. It returns the serial if the entry records a
// certificate.
func (b *book) take(e api.Entry) (serial uint64, err error) {
	c := &b.copy
	if e.Index != c.tree.Size {
		return 0, fmt.Errorf("entry %d follows on %d", e.Index, c.tree.Size-1)
	}
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	if err != nil {
		return 0, err
	}
	tree, stored, err := c.tree.Append(tlog.RecordHash([]byte(e.Leaf)))
	if err != nil {
		return 0, err
	}
	c.tree, c.leaves = tree, append(c.leaves, []byte(e.Leaf))
	for _, s := range stored {
		c.nodes = append(c.nodes, s.Hash)
	}
	if e.Facts == "" {
		return 0, nil // about somebody else
	}
	salt, err := ledger.ParseSalt(e.FactsSalt)
	if err != nil {
		return 0, err
	}
	if ledger.FactsCommitment(salt, []byte(e.Facts)) != leaf.Facts {
		return 0, fmt.Errorf("entry %d: the facts are not what the leaf commits to", e.Index)
	}
	facts, err := record.ParseFacts(leaf.Kind, []byte(e.Facts))
	if err != nil {
		return 0, err
	}
	return c.note(e.Index, facts)
}

// note keeps what the facts of an entry say.
func (c *ledgerCopy) note(index int64, facts record.Facts) (serial uint64, err error) {
	switch f := facts.(type) {
	case record.CertificateIssue:
		var doc record.IssueDoc
		if err := canon.Unmarshal([]byte(f.Document), &doc); err != nil {
			return 0, err
		}
		if f.Serial != ledger.Serial(index) {
			return 0, fmt.Errorf("entry %d records serial %d", index, f.Serial)
		}
		c.issued[f.Serial] = f
		c.byKey[doc.Key] = append(c.byKey[doc.Key], f.Serial)
		return f.Serial, nil
	case record.CertificateVoid:
		if _, there := c.held[f.Serial]; there {
			return 0, fmt.Errorf("entry %d voids certificate %d, which a client holds", index, f.Serial)
		}
		c.void[f.Serial] = true
	case record.RequestSubmit:
		c.requests[canon.ID(f.Reference())] = true
	case record.RequestDecide:
		if was, twice := c.verdicts[f.Request]; twice {
			return 0, fmt.Errorf("entry %d decides request %s, which was settled by %s", index, f.Request, was)
		}
		c.verdicts[f.Request] = f.Verdict
	case record.PersonLogin:
		c.devices[f.DeviceKey] = true
	}
	return 0, nil
}

// checkTree holds every checkpoint that anybody was shown to the newest one, and
// that to the tree that all leaves make.
func (b *book) checkTree(ctx context.Context, a *account) {
	b.t.Helper()
	note, err := a.send(ctx, "/checkpoint", nil)
	must(b.t, err)
	newest, err := b.policy.OpenCheckpoint(note)
	must(b.t, err)
	root, err := b.copy.tree.Root()
	must(b.t, err)
	if newest.Size != b.copy.tree.Size || newest.Root != root {
		b.t.Fatalf("the checkpoint signs %d leaves with root %s, the leaves are %d with root %s", newest.Size, newest.Root, b.copy.tree.Size, root)
	}
	for _, c := range b.unproved {
		if err := ledger.CheckConsistency(c, newest, b.copy.nodes); err != nil {
			b.t.Fatalf("a checkpoint of %d leaves that was shown before the kill: %v", c.Size, err)
		}
	}
	b.unproved = nil
	b.show(newest)
}

// checkAnswers looks for what was answered since the last start.
func (b *book) checkAnswers() {
	b.t.Helper()
	c := &b.copy
	for _, h := range b.fresh {
		serial := h.cert.Serial
		f, there := c.issued[serial]
		switch {
		case !there || serial > uint64(len(c.leaves)):
			b.t.Fatalf("a client holds certificate %d, which is not in the ledger", serial)
		case tlog.RecordHash(c.leaves[serial-1]) != h.proved.LeafHash || f.TBS != canon.B64(sshcert.TBS(h.cert)):
			b.t.Fatalf("leaf %d is about another certificate than the one with its serial", serial-1)
		case f.Person != h.call.account.Person || f.Grant != h.call.grant.ID:
			b.t.Fatalf("certificate %d was recorded for another person or grant", serial)
		case c.void[serial]:
			b.t.Fatalf("a client holds certificate %d, which the ledger says is void", serial)
		}
		if _, twice := c.held[serial]; twice {
			b.t.Fatalf("certificate %d was given out for two calls", serial)
		}
		c.held[serial] = h
	}
	b.fresh = nil
	for id := range b.requests {
		if !c.requests[id] {
			b.t.Fatalf("request %s was answered and is not in the ledger", id)
		}
	}
	for id, verdict := range b.verdicts {
		if c.verdicts[id] != verdict {
			b.t.Fatalf("%s on request %s was answered, the ledger has %q", verdict, id, c.verdicts[id])
		}
	}
	for device := range b.devices {
		if !c.devices[device] {
			b.t.Fatalf("a login was answered and is not in the ledger")
		}
	}
	clear(b.requests)
	clear(b.verdicts)
	clear(b.devices)
}

// checkUnanswered looks at the newly recorded certificates that no client holds:
// sallyd was killed on the way. They are signed, and then they verify as every
// other, or they are void.
func (b *book) checkUnanswered(ctx context.Context, a *account, recorded []uint64) {
	b.t.Helper()
	for _, serial := range recorded {
		if _, there := b.copy.held[serial]; there {
			continue
		}
		var entry api.EntryProof
		must(b.t, a.call(ctx, fmt.Sprintf("/v1/ledger/entries/%d", serial-1), nil, &entry))
		switch void := b.copy.void[serial]; {
		case b.several && !void && entry.Certificate == "":
			b.copy.void[serial] = true // as good as that, for nobody has it
			b.count.unsigned++
		case void == (entry.Certificate != ""):
			b.t.Fatalf("after the restart certificate %d is void: %t, signed: %t", serial, void, entry.Certificate != "")
		case void:
			b.count.void++
		default:
			h, err := b.read(entry.Certificate)
			must(b.t, err)
			if h.cert.Serial != serial {
				b.t.Fatalf("entry %d shows certificate %d", serial-1, h.cert.Serial)
			}
			b.count.stored++
		}
	}
}

// checkKeys: a call that is repeated because it was not answered brings no second
// certificate for its key, unless the first is void.
func (b *book) checkKeys() {
	b.t.Helper()
	for key, serials := range b.copy.byKey {
		valid := slices.DeleteFunc(slices.Clone(serials), func(s uint64) bool { return b.copy.void[s] })
		if len(valid) > 1 {
			b.t.Fatalf("key %s has the valid certificates %d", key, valid)
		}
	}
}
