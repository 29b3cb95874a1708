package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// LedgerListOptions are the settings of [LedgerList].
type LedgerListOptions struct {
	Env
	LedgerFilter
	// Limit is how many entries to list at most, newest first.
	Limit     int
	JSON, CSV bool
	// Follow lists them oldest first and goes on with what is recorded later.
	Follow bool
}

const (
	pageSize = 200 // entries asked for at once
	// MaxEntries is the highest limit of a list of entries.
	MaxEntries = 100_000
)

// LedgerList prints entries of the ledger as the server tells them. It verifies
// nothing: [LedgerShow] does. With CSV the entries are those of one tree, which the
// last row names as a checkpoint signed by the pinned log key does.
func LedgerList(ctx context.Context, o LedgerListOptions) error {
	switch {
	case o.CSV && o.JSON:
		return Usagef("--csv and --json: choose one of them")
	case o.Follow && o.CSV:
		return Usagef("--follow and --csv: the last row of a table would never come; follow with --json")
	case o.Follow && o.Until != "":
		return Usagef("--follow and --until: choose one of them")
	case o.Follow && o.People && o.byName():
		return Usagef("--follow and --people with a name: each look would be recorded as one at everybody's names; " +
			"give the id of the person, which is in each login that sally ledger list --people --person NAME shows")
	case o.Limit < 1 || o.Limit > MaxEntries:
		return Usagef("--limit %d: 1 to %d", o.Limit, MaxEntries)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	query := o.values()
	if o.CSV {
		tree, err := a.checkpoint(ctx)
		if err != nil {
			return err
		}
		query.Set("before", strconv.FormatInt(tree.Size, 10))
		list, err := a.entries(ctx, query, o.Limit)
		if err != nil {
			return err
		}
		return a.printEntriesCSV(list, tree)
	}
	list, err := a.entries(ctx, query, o.Limit)
	if err != nil {
		return err
	}
	if o.Follow {
		return o.follow(ctx, a, list)
	}
	return o.show(list, true)
}

// show prints entries, as a whole result or as a part of one.
func (o LedgerListOptions) show(list api.Entries, heading bool) error {
	if o.JSON {
		return o.printJSON(entriesResult{list.Size, list.Entries})
	}
	t := table{}
	if heading {
		t.heading = []string{"entry", "time", "kind", "about"}
		if o.People {
			t.heading = append(t.heading, "people")
		}
	}
	for _, e := range list.Entries {
		t.rows = append(t.rows, o.entryRow(e))
	}
	return o.printTable(t)
}

type entriesResult struct {
	Size    int64       `json:"size"`
	Entries []api.Entry `json:"entries"`
}

// entries reads the newest entries that are looked for, at most limit, without what
// is secret in them.
func (a *account) entries(ctx context.Context, query url.Values, limit int) (api.Entries, error) {
	out := api.Entries{Entries: []api.Entry{}}
	for before := int64(ledger.MaxSize); len(out.Entries) < limit; {
		query.Set("limit", strconv.Itoa(min(limit-len(out.Entries), pageSize)))
		var page api.Entries
		if err := a.conn.get(ctx, "/v1/ledger/entries", query, &page); err != nil {
			return out, err
		}
		if out.Size == 0 { // as of the first page: what came later is on none
			out.Size = page.Size
		}
		for _, e := range page.Entries {
			if e.Index < 0 || e.Index >= before {
				return out, fmt.Errorf("the server at %s lists its ledger out of order; tell the operator", a.at.server)
			}
			before = e.Index
			out.Entries = append(out.Entries, withoutSecrets(e))
		}
		if page.Next == "" {
			return out, nil
		}
		if page.Searched > before || page.Searched < 0 || (page.Searched == before && len(page.Entries) == 0) {
			return out, fmt.Errorf("the server at %s does not come to an end with its ledger; tell the operator", a.at.server)
		}
		before = page.Searched
		query.Del("before")
		query.Set("cursor", page.Next)
	}
	return out, nil
}

func (o LedgerListOptions) entryRow(e api.Entry) []string {
	index, at := fmt.Sprintf("%6d", e.Index), o.clock(e.At.Time())
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	if err != nil {
		return []string{index, at, "(malformed)", err.Error()}
	}
	row := []string{index, at, string(leaf.Kind), aboutEntry(e, leaf)}
	if o.People {
		row = append(row, peopleIn(e))
	}
	return row
}

// aboutEntry is what an entry is about, in a few words.
func aboutEntry(e api.Entry, leaf ledger.Leaf) string {
	if leaf.Kind == ledger.CertificateIssue {
		return fmt.Sprintf("serial %d", ledger.Serial(e.Index))
	}
	facts, err := record.ParseFacts(leaf.Kind, []byte(e.Facts))
	if err != nil { // not shown, or not what this sally knows
		return leaf.Reference
	}
	switch f := facts.(type) {
	case record.LoginOpen:
		if f.Serial == 0 {
			return fmt.Sprintf("%s@%s, by no certificate", f.Login, f.Host)
		}
		return fmt.Sprintf("%s@%s, serial %d", f.Login, f.Host, f.Serial) + unexplained(f.Finding)
	case record.LoginClose:
		return fmt.Sprintf("%s, %s", f.Host, f.How)
	case record.LoginRefuse:
		refused := int64(0)
		for _, c := range f.Counts {
			refused += c.Count
		}
		return fmt.Sprintf("%s, %d refused", f.Host, refused)
	}
	return leaf.Reference
}

// peopleIn is what a person part says in words: what somebody wrote, or is called.
func peopleIn(e api.Entry) string {
	var part map[string]string
	if json.Unmarshal([]byte(e.Person), &part) != nil { // there is none
		return ""
	}
	var out []string
	for _, name := range []string{"name", "email", "handle", "reason", "ticket", "words", "because"} {
		if part[name] != "" {
			out = append(out, part[name])
		}
	}
	return strings.Join(out, ", ")
}

// printEntriesCSV writes a row for each entry and one for the tree.
func (a *account) printEntriesCSV(list api.Entries, tree ledger.Checkpoint) error {
	rows := [][]string{{"index", "time", "kind", "serial", "reference", "lineage", "facts", "person", "leaf_hash"}}
	for _, e := range list.Entries {
		rows = append(rows, csvEntry(e))
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
