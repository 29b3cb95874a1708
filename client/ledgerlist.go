package client

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// LedgerListOptions are the settings of [LedgerList].
type LedgerListOptions struct {
	Env
	// Limit is how many entries to list at most, newest first.
	Limit     int
	JSON, CSV bool
}

const (
	pageSize = 200 // entries asked for at once
	// MaxEntries is the highest limit of a list of entries.
	MaxEntries = 100_000
)

// LedgerList prints the newest entries of the ledger as the server tells them.
// It verifies nothing: [LedgerShow] does. With CSV the last row names the tree, as
// a checkpoint signed by the pinned log key does.
func LedgerList(ctx context.Context, o LedgerListOptions) error {
	switch {
	case o.CSV && o.JSON:
		return Usagef("--csv and --json: choose one of them")
	case o.Limit < 1 || o.Limit > MaxEntries:
		return Usagef("--limit %d: 1 to %d", o.Limit, MaxEntries)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	list, err := a.entries(ctx, o.Limit)
	switch {
	case err != nil:
		return err
	case o.JSON:
		return o.printJSON(list)
	case o.CSV:
		return a.printEntriesCSV(ctx, list)
	}
	t := table{heading: []string{"entry", "time", "kind", "about"}}
	for _, e := range list.Entries {
		t.rows = append(t.rows, o.entryRow(e))
	}
	return o.printTable(t)
}

// entries reads the newest entries of the ledger, at most limit, without what is
// secret in them.
func (a *account) entries(ctx context.Context, limit int) (api.Entries, error) {
	out := api.Entries{Entries: []api.Entry{}}
	before := int64(-1)
	for len(out.Entries) < limit && before != 0 {
		query := url.Values{"limit": {strconv.Itoa(min(limit-len(out.Entries), pageSize))}}
		if before > 0 {
			query.Set("before", strconv.FormatInt(before, 10))
		}
		var page api.Entries
		if err := a.conn.get(ctx, "/v1/ledger/entries", query, &page); err != nil {
			return out, err
		}
		if len(page.Entries) == 0 {
			break
		}
		last := page.Entries[len(page.Entries)-1].Index
		if last < 0 || (before > 0 && last >= before) {
			return out, fmt.Errorf("the server at %s lists its ledger out of order; tell the operator", a.at.server)
		}
		out.Size, before = max(out.Size, page.Size), last
		for _, e := range page.Entries {
			out.Entries = append(out.Entries, withoutSecrets(e))
		}
	}
	return out, nil
}

func (o LedgerListOptions) entryRow(e api.Entry) []string {
	index, at := fmt.Sprintf("%6d", e.Index), o.clock(e.At.Time())
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	if err != nil {
		return []string{index, at, "(malformed)", err.Error()}
	}
	about := leaf.Reference
	if leaf.Kind == ledger.CertificateIssue {
		about = fmt.Sprintf("serial %d", ledger.Serial(e.Index))
	}
	return []string{index, at, string(leaf.Kind), about}
}

// printEntriesCSV writes a row for each entry and one for the tree.
func (a *account) printEntriesCSV(ctx context.Context, list api.Entries) error {
	rows := [][]string{{"index", "time", "kind", "serial", "reference", "lineage", "facts", "person", "leaf_hash"}}
	for _, e := range list.Entries {
		rows = append(rows, csvEntry(e))
	}
	tree, err := a.checkpoint(ctx)
	if err != nil {
		return err
	}
	rows = append(rows, []string{
		"end", fmt.Sprintf("rows=%d", len(list.Entries)), fmt.Sprintf("size=%d", tree.Size), "root=" + canon.B64(tree.Root[:]), "origin=" + a.at.pin.Origin,
		"", "", "", "",
	})
	return a.env.printCSV(rows)
}

// csvEntry is what the leaf says, and what its facts and person part are committed
// to. A leaf that cannot be read leaves its cells empty.
func csvEntry(e api.Entry) []string {
	row := []string{strconv.FormatInt(e.Index, 10), csvTime(e.At), e.Kind, "", "", "", "", "", canon.B64(hashOf(e.Leaf))}
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	if err != nil {
		return row
	}
	if leaf.Kind == ledger.CertificateIssue {
		row[3] = strconv.FormatUint(ledger.Serial(e.Index), 10)
	}
	row[2], row[4], row[5], row[6], row[7] = string(leaf.Kind), leaf.Reference, orNone(leaf.Lineage), leaf.Facts.String(), orNone(leaf.Person)
	return row
}

func hashOf(leaf string) []byte {
	h := tlog.RecordHash([]byte(leaf))
	return h[:]
}

func orNone(d canon.Digest) string {
	if d.IsZero() {
		return ""
	}
	return d.String()
}

// checkpoint reads the newest checkpoint and believes it if the pinned log key
// signed it.
func (a *account) checkpoint(ctx context.Context) (ledger.Checkpoint, error) {
	policy, err := a.at.pin.policy()
	if err != nil {
		return ledger.Checkpoint{}, err
	}
	var note []byte
	if err := a.conn.get(ctx, "/checkpoint", nil, &note); err != nil {
		return ledger.Checkpoint{}, err
	}
	c, err := policy.OpenCheckpoint(note)
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("the checkpoint of the server at %s is refused: %w; tell whoever gave you the pin file", a.at.server, err)
	}
	return c, nil
}
