package client

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/api"
)

const (
	followEvery = 2 * time.Second // unless the server tells earlier that something happened
	followAgain = 5 * time.Second // after a server that did not answer
)

// follow prints what was found, oldest first, and then what is recorded later, until
// ctx ends. A cursor names the place, so nothing is left out or told twice, however
// often the connection is lost meanwhile.
func (o LedgerListOptions) follow(ctx context.Context, a *account, list api.Entries) error {
	slices.Reverse(list.Entries)
	if err := o.show(list, true); err != nil {
		return err
	}
	query := o.values()
	for _, name := range []string{"since"} { // all that comes is later
		if o.Text == "" {
			query.Del(name)
		}
	}
	query.Set("order", "oldest")
	query.Set("from", strconv.FormatInt(list.Size, 10))
	query.Set("limit", strconv.Itoa(pageSize))
	heard := a.conn.listen(ctx, "")
	next, away := list.Size, false
	for {
		var page api.Entries
		switch err := a.conn.get(ctx, "/v1/ledger/entries", query, &page); {
		case ExitCode(err) == ExitUnreachable && ctx.Err() == nil:
			if !away {
				o.say("the server at %s does not answer; going on where it was as soon as it does", a.at.server)
			}
			away = true
			if err := sleep(ctx, followAgain); err != nil {
				return err
			}
			continue
		case err != nil:
			return err
		}
		away = false
		for i, e := range page.Entries {
			if e.Index < next {
				return fmt.Errorf("the server at %s lists its ledger out of order; tell the operator", a.at.server)
			}
			next, page.Entries[i] = e.Index+1, withoutSecrets(e)
		}
		if page.Next == "" {
			return fmt.Errorf("the server at %s ends a ledger that has no end; tell the operator", a.at.server)
		}
		query.Del("from")
		query.Set("cursor", page.Next)
		if len(page.Entries) > 0 {
			if err := o.show(page, false); err != nil {
				return err
			}
		}
		if page.Searched < page.Size { // there is more
			continue
		}
		if _, err := heard.wait(ctx, followEvery); err != nil {
			return err
		}
	}
}
