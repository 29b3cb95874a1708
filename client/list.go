package client

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// ListOptions are the settings of [List].
type ListOptions struct {
	Env
	// Waiting lists what waits for the person's decision, instead of the person's
	// own requests.
	Waiting bool
	// State and Host filter; empty lets all pass.
	State, Host string
	// Since is a length of time back from now, a day or a moment; empty is from
	// the beginning.
	Since string
	// Limit is how many requests to list at most, newest first.
	Limit     int
	JSON, CSV bool
}

// MaxListed is the highest limit of a list.
const MaxListed = 10_000

// requestsResult is what --json prints.
type requestsResult struct {
	Requests []api.Request `json:"requests"`
}

// List prints requests, newest first: the person's own, or those that wait for the
// person's decision.
func List(ctx context.Context, o ListOptions) error {
	filter, err := o.filter()
	if err != nil {
		return err
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	list, err := a.requests(ctx, filter, o.Limit)
	switch {
	case err != nil:
		return err
	case o.JSON:
		return o.printJSON(requestsResult{list})
	case o.CSV:
		return o.printCSV(csvRequests(list))
	case len(list) == 0 && o.Waiting:
		o.say("nothing waits for you")
		return nil
	case len(list) == 0:
		o.say("no request of yours is like that; sally list without filters shows all")
		return nil
	case o.Waiting:
		return o.printTable(o.waitingTable(list))
	default:
		return o.printTable(o.ownTable(list))
	}
}

// filter refuses what is wrong with the options before any network call, and
// returns them as the server takes them.
func (o ListOptions) filter() (url.Values, error) {
	query := url.Values{"scope": {"mine"}}
	if o.Waiting {
		query.Set("scope", "waiting")
	}
	states := []string{
		string(approval.Pending), string(approval.Granted), string(approval.Denied), string(approval.Expired), string(approval.Cancelled),
		string(approval.Revoked), string(approval.Ended),
	}
	switch {
	case o.CSV && o.JSON:
		return nil, Usagef("--csv and --json: choose one of them")
	case o.Waiting && o.State != "":
		return nil, Usagef("--waiting and --state: what waits for you is pending; leave --state out")
	case o.State != "" && !slices.Contains(states, o.State):
		return nil, Usagef("--state %q: one of %s", o.State, strings.Join(states, ", "))
	case o.Limit < 1 || o.Limit > MaxListed:
		return nil, Usagef("--limit %d: 1 to %d", o.Limit, MaxListed)
	}
	if o.State != "" {
		query.Set("state", o.State)
	}
	if o.Host != "" {
		host, err := sshcert.ParseHost(o.Host)
		if err != nil {
			return nil, Usagef("--host: %w", err)
		}
		query.Set("host", string(host))
	}
	if o.Since != "" {
		since, err := parseSince(o.Since, o.Now())
		if err != nil {
			return nil, err
		}
		query.Set("since", strconv.FormatInt(since.UnixMicro(), 10))
	}
	return query, nil
}

// parseSince reads a length of time back from now (90m, 24h, 7d), a day in the
// machine's zone, or a moment (RFC 3339).
func parseSince(s string, now time.Time) (time.Time, error) {
	at, ok := backFrom(s, now)
	if !ok {
		var err error
		if at, err = time.ParseInLocation(time.DateOnly, s, now.Location()); err != nil {
			if at, err = time.Parse(time.RFC3339, s); err != nil {
				return time.Time{}, Usagef("--since %q: write 90m, 24h or 7d, a day such as 2026-11-25, or a moment such as 2026-11-25T08:00:00Z", s)
			}
		}
	}
	switch {
	case at.After(now):
		return time.Time{}, Usagef("--since %s: that is yet to come", s)
	case at.Unix() < 0:
		return time.Time{}, Usagef("--since %s: not before 1970", s)
	}
	return at, nil
}

func backFrom(s string, now time.Time) (time.Time, bool) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.Atoi(days)
		if err != nil || n < 1 || n > 100*366 {
			return time.Time{}, false
		}
		return now.AddDate(0, 0, -n), true
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		return time.Time{}, false
	}
	return now.Add(-d), true
}

func (e Env) ownTable(list []api.Request) table {
	t := table{heading: []string{"request", "state", "asked", "length", "for", "because"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{
			string(r.ID), e.briefState(r), e.clock(r.SubmittedAt.Time()), seconds(r.Seconds).String(), listPrincipals(r.Logins, r.Hosts), e.why(r),
		})
	}
	return t
}

func (e Env) waitingTable(list []api.Request) table {
	t := table{heading: []string{"by", "for", "length", "until", "because", "page"}}
	for _, r := range list {
		t.rows = append(t.rows, []string{
			asker(r), listPrincipals(r.Logins, r.Hosts), seconds(r.Seconds).String(), e.clock(r.ExpiresAt.Time()), e.why(r), r.URL,
		})
	}
	return t
}

// asker names who asks, with what tells them from others of that name.
func asker(r api.Request) string {
	name := first(r.ByName, "person "+string(r.By))
	if r.ByAccount != "" {
		name += " (" + r.ByAccount + ")"
	}
	return name
}

// why is the beginning of a request's reason for a column, with its ticket.
func (e Env) why(r api.Request) string {
	if r.Ticket == "" {
		return e.brief(r.Reason)
	}
	return e.brief(r.Reason) + " [" + clipped(e.visible(r.Ticket), 24) + "]"
}

// brief is the beginning of a free text for a column.
func (e Env) brief(text string) string { return clipped(e.visible(text), 48) }

func (e Env) briefState(r api.Request) string {
	switch {
	case approval.State(r.State) == approval.Pending:
		return "pending until " + e.clock(r.ExpiresAt.Time())
	case active(r):
		return "granted until " + e.clock(r.Grant.End.Time())
	case r.Grant != nil:
		return "granted, over"
	default:
		return r.State
	}
}

// csvRequests has a row for each request. Times are RFC 3339 in UTC there, because
// that is what spreadsheets read; lists in a cell are separated by blanks.
func csvRequests(list []api.Request) [][]string {
	rows := [][]string{{
		"request", "state", "submitted", "expires", "by", "by_name", "by_account", "contract", "version", "role", "clause", "logins", "hosts",
		"for_seconds", "reason", "grant_start", "grant_end", "grant_active", "decisions", "page", "ticket",
	}}
	for _, r := range list {
		var start, end canon.Micros
		isActive := ""
		if r.Grant != nil {
			start, end, isActive = r.Grant.Start, r.Grant.End, strconv.FormatBool(r.Grant.Active)
		}
		decisions := make([]string, len(r.Decisions))
		for i, d := range r.Decisions {
			decisions[i] = fmt.Sprintf("%s by %s", d.Verdict, first(d.ByName, string(d.By)))
		}
		rows = append(rows, []string{
			string(r.ID), r.State, csvTime(r.SubmittedAt), csvTime(r.ExpiresAt), string(r.By), r.ByName, r.ByAccount, r.Contract.ID,
			strconv.FormatInt(r.Contract.Version, 10), r.Role, r.Clause, joined(r.Logins), joined(r.Hosts), strconv.FormatInt(r.Seconds, 10), r.Reason,
			csvTime(start), csvTime(end), isActive, strings.Join(decisions, ", "), r.URL, r.Ticket,
		})
	}
	return rows
}

func joined[T ~string](list []T) string {
	words := make([]string, len(list))
	for i, v := range list {
		words[i] = string(v)
	}
	return strings.Join(words, " ")
}
