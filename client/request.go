package client

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
)

// RequestOptions are the settings of [Request].
type RequestOptions struct {
	Env
	Ask
	// New files another request where an open one or a grant would do.
	New bool
	// NoWait returns as soon as the request is filed.
	NoWait bool
	// Timeout bounds the wait; 0 waits until the request is settled.
	Timeout time.Duration
	JSON    bool
}

// Request files a request, or joins an open one or takes the grant that the person
// has; prints its id and the page where it is decided, and waits until it is
// settled. The error is nil only if it was granted, or is there with NoWait.
func Request(ctx context.Context, o RequestOptions) error {
	w, err := o.Ask.check()
	if err != nil {
		return err
	}
	switch {
	case o.Timeout < 0:
		return Usagef("--timeout: not negative")
	case o.Timeout > 0 && o.NoWait:
		return Usagef("--no-wait and --timeout: without a wait there is nothing to bound; leave one of them out")
	}
	a, err := openAccount(o.Env)
	if err != nil {
		return err
	}
	r, err := a.obtain(ctx, w, o.New)
	if err != nil {
		return err
	}
	had := active(r) // and it was told
	if !o.JSON {
		if err := o.print(string(r.ID), r.URL); err != nil {
			return err
		}
	}
	if !o.NoWait {
		r, err = a.waiter(o.Timeout, resumeRequest(r.ID)).wait(ctx, r)
	}
	if o.JSON {
		if err := o.printJSON(r); err != nil {
			return err
		}
	}
	if err != nil || o.NoWait || had {
		return err
	}
	return a.tellOutcome(r)
}

// resumeRequest is the command that goes on waiting for a request.
func resumeRequest(id canon.ID) string { return "sally wait " + string(id) }

func (a *account) waiter(timeout time.Duration, resume string) waiter {
	get := func(ctx context.Context, id canon.ID) (api.Request, error) {
		return readRequest(ctx, a.conn.getNow, id)
	}
	return waiter{env: a.env, get: get, listen: a.conn.listen, timeout: timeout, resume: resume}
}

// request reads one request.
func (a *account) request(ctx context.Context, id canon.ID) (api.Request, error) {
	return readRequest(ctx, a.conn.get, id)
}

func readRequest(ctx context.Context, get func(context.Context, string, url.Values, any) error, id canon.ID) (api.Request, error) {
	var r api.Request
	if err := get(ctx, "/v1/requests/"+string(id), nil, &r); err != nil {
		return api.Request{}, whereToLook(err, "sally list shows your requests")
	}
	return r, sameRequest(r, id)
}

// mine lists the person's own requests, newest first, as many as one answer has.
func (a *account) mine(ctx context.Context) ([]api.Request, error) {
	return a.requests(ctx, url.Values{"scope": {"mine"}}, mostRequests)
}

// mostRequests is how many requests the server lists at once.
const mostRequests = 200

// requests lists at most limit requests, newest first, as the parameters filter
// them. The server looks at a bounded number of them in one call and says where to
// read on, so an answer may be short, even empty, before the end.
func (a *account) requests(ctx context.Context, filter url.Values, limit int) ([]api.Request, error) {
	out := []api.Request{}
	query, before := maps.Clone(filter), int64(0)
	for {
		query.Set("limit", strconv.Itoa(min(limit-len(out), mostRequests)))
		var page api.Requests
		if err := a.conn.get(ctx, "/v1/requests", query, &page); err != nil {
			return nil, err
		}
		out = append(out, page.Requests...)
		switch {
		case len(out) >= limit:
			return out[:limit], nil
		case page.Next == 0:
			return out, nil
		case page.Next < 0 || (before != 0 && page.Next >= before):
			return nil, fmt.Errorf("the server at %s lists its requests out of order; tell the operator", a.at.server)
		}
		before = page.Next
		query.Set("before", strconv.FormatInt(before, 10))
	}
}

func (a *account) tellFiled(r api.Request) {
	a.env.say("asked for %s for %s under %s/%s %s; it is decided at %s",
		listPrincipals(r.Logins, r.Hosts), seconds(r.Seconds), r.Contract.ID, r.Role, r.Clause, r.URL)
}

func (a *account) tellOutcome(r api.Request) error {
	if err := outcome(r); err != nil {
		return err
	}
	by := ""
	for _, d := range r.Decisions {
		if approval.Verdict(d.Verdict) == approval.Approve {
			if by != "" {
				by += ", "
			}
			by += first(d.ByName, "person "+string(d.By))
		}
	}
	by = first(by, "the contract, which asks nobody for this")
	if r.Grant == nil {
		a.env.say("granted by %s", by)
		return nil
	}
	length := r.Grant.End.Time().Sub(r.Grant.Start.Time()).Round(time.Second)
	asked := ""
	if want := seconds(r.Seconds); length < want {
		asked = " (asked " + want.String() + ")"
	}
	a.env.say("granted by %s for %s%s, until %s", by, length, asked, a.env.clock(r.Grant.End.Time()))
	return nil
}

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
