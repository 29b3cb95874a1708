package client

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/ledger"
)

// LedgerListOptions are the settings of [LedgerList].
type LedgerListOptions struct {
	Env
	// Limit is how many entries to list at most, newest first; at least 1.
	Limit int
	JSON  bool
}

const pageSize = 50 // entries asked for at once

// LedgerList prints the newest entries of the ledger as the server tells them.
// It verifies nothing: [LedgerShow] does.
func LedgerList(ctx context.Context, o LedgerListOptions) error {
	if o.Limit < 1 {
		return Usagef("--limit %d: at least 1", o.Limit)
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	entries := []api.Entry{}
	before := int64(-1)
	for len(entries) < o.Limit && before != 0 {
		query := url.Values{"limit": {strconv.Itoa(min(o.Limit-len(entries), pageSize))}}
		if before > 0 {
			query.Set("before", strconv.FormatInt(before, 10))
		}
		var page api.Entries
		if err := a.conn.get(ctx, "/v1/ledger/entries", query, &page); err != nil {
			return err
		}
		if len(page.Entries) == 0 {
			break
		}
		last := page.Entries[len(page.Entries)-1].Index
		if last < 0 || (before > 0 && last >= before) {
			return fmt.Errorf("the server at %s lists its ledger out of order; tell the operator", a.at.server)
		}
		entries, before = append(entries, page.Entries...), last
	}
	if o.JSON {
		for i := range entries {
			entries[i] = withoutSecrets(entries[i])
		}
		return o.printJSON(entries)
	}
	lines := make([]string, 0, len(entries))
	for _, e := range entries {
		lines = append(lines, o.entryLine(e))
	}
	return o.print(lines...)
}

func (o LedgerListOptions) entryLine(e api.Entry) string {
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	if err != nil {
		return fmt.Sprintf("%6d  %s  (malformed: %s)", e.Index, o.clock(e.At.Time()), err)
	}
	about := leaf.Reference
	if leaf.Kind == ledger.CertificateIssue {
		about = fmt.Sprintf("serial %d", ledger.Serial(e.Index))
	}
	return fmt.Sprintf("%6d  %s  %-18s  %s", e.Index, o.clock(e.At.Time()), leaf.Kind, about)
}

// LedgerShowOptions are the settings of [LedgerShow].
type LedgerShowOptions struct {
	Env
	// Serial names a certificate's entry. Empty: Leaf does.
	Serial string
	// Leaf is an entry's index, counted from 0. Empty: Serial does.
	Leaf string
	JSON bool
}

// LedgerShow fetches one entry, checks it against the pin file's keys and
// prints each check, the leaf and what it hides. The error is nil only if no
// check failed.
func LedgerShow(ctx context.Context, o LedgerShowOptions) error {
	index, bySerial, err := o.index()
	if err != nil {
		return err
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	var e api.EntryProof
	if err := a.conn.get(ctx, "/v1/ledger/entries/"+strconv.FormatInt(index, 10), nil, &e); err != nil {
		return err
	}
	v := verification{pin: a.at.pin, entry: e, index: index, bySerial: bySerial}
	if err := v.run(); err != nil {
		return err
	}
	if o.JSON {
		err = v.printJSON(o.Env)
	} else {
		err = v.print(o.Env)
	}
	if err != nil {
		return err
	}
	if n := v.count(Failed); n > 0 {
		return fmt.Errorf("entry %d does not verify: %d of %d checks failed; keep this output and tell whoever gave you the pin file",
			index, n, len(v.checks))
	}
	return nil
}

// index returns which entry is meant, and whether it was named by a serial.
func (o LedgerShowOptions) index() (index int64, bySerial bool, err error) {
	switch {
	case (o.Serial == "") == (o.Leaf == ""):
		return 0, false, Usagef("name a certificate's SERIAL or an entry with --leaf INDEX, one of them")
	case o.Leaf != "":
		n, err := strconv.ParseInt(o.Leaf, 10, 64)
		if err != nil || n < 0 || n >= ledger.MaxSize {
			return 0, false, Usagef("--leaf %q: a number from 0", o.Leaf)
		}
		return n, false, nil
	default:
		n, err := strconv.ParseUint(o.Serial, 10, 64)
		if err != nil || n == 0 || n > math.MaxInt64 || int64(n) > ledger.MaxSize {
			return 0, false, Usagef("SERIAL %q: a number from 1, as sshd logs it and ssh-keygen -L shows it", o.Serial)
		}
		return int64(n) - 1, true, nil // a serial is its leaf's index plus one
	}
}
