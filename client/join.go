package client

import (
	"context"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/sshcert"
)

// leastGrant is how much of a grant must be left to be worth using.
const leastGrant = 10 * time.Second

// obtain returns the person's request that answers w: an active grant or an open
// request that covers it, else a new one; with another always a new one. It tells
// which. Runs at the same time on one machine do not both file one.
func (a *account) obtain(ctx context.Context, w wanted, another bool) (api.Request, error) {
	unlock, err := lock(ctx, filepath.Join(a.dir, askLock), func() { a.env.say("another sally is asking; waiting for it") })
	if err != nil {
		return api.Request{}, err
	}
	defer unlock()
	if !another {
		all, err := a.mine(ctx)
		if err != nil {
			return api.Request{}, err
		}
		if r := a.answering(all, w); r != nil {
			a.tellFound(*r, w)
			return *r, nil
		}
	}
	if w.length == 0 || w.reason == "" {
		return api.Request{}, Usagef(`you have no open grant or request for %s: add --for 10m --because "..." to ask for one`, w.principals())
	}
	r, err := a.submit(ctx, w)
	if err != nil {
		return api.Request{}, err
	}
	a.tellFiled(r)
	return r, nil
}

// answering picks, from requests with the newest first, the active grant that
// covers w and ends last, else the newest open request that covers it, else nil.
func (a *account) answering(all []api.Request, w wanted) *api.Request {
	var best, open *api.Request
	for i, r := range all {
		if !w.coveredBy(r) {
			continue
		}
		switch {
		case active(r) && a.conn.now().Add(leastGrant).Before(r.Grant.End.Time()):
			if best == nil || r.Grant.End > best.Grant.End {
				best = &all[i]
			}
		case approval.State(r.State) == approval.Pending && open == nil:
			open = &all[i]
		}
	}
	if best != nil {
		return best
	}
	return open
}

// coveredBy reports whether r asks for every login on every host that w names,
// under the role and contract that w names, if it names any.
func (w wanted) coveredBy(r api.Request) bool {
	for _, l := range w.logins {
		for _, h := range w.hosts {
			if !covers(r, sshcert.Principal{Login: l, Host: h}) {
				return false
			}
		}
	}
	return (w.role == "" || w.role == r.Role) && (w.contract == "" || w.contract == r.Contract.ID)
}

// moreThan names what r, which covers w, is for, if that is more than w names.
func moreThan(r api.Request, w wanted) string {
	if len(r.Logins)*len(r.Hosts) == len(w.logins)*len(w.hosts) {
		return ""
	}
	return listPrincipals(r.Logins, r.Hosts)
}

// tellFound says what answers w, what of w does not count then, and how to have it
// all the same. It names the role, which the person may not have typed, and all
// that is covered where that is more than they typed.
func (a *account) tellFound(r api.Request, w wanted) {
	role := r.Contract.ID + "/" + r.Role
	wider := moreThan(r, w)
	if r.Grant != nil {
		until := a.env.clock(r.Grant.End.Time())
		if a.conn.now().Add(w.length).After(r.Grant.End.Time()) {
			until += "; sally request --new asks for more"
		}
		if wider != "" {
			until += "; it is for " + wider
		}
		a.env.say("using the grant of request %s under %s, until %s", r.ID, role, until)
		return
	}
	a.env.say("joining request %s under %s, open since %s; it is decided at %s", r.ID, role, a.env.clock(r.SubmittedAt.Time()), r.URL)
	if wider == "" && (w.length == 0 || w.length == seconds(r.Seconds)) && (w.reason == "" || w.reason == r.Reason) && (w.ticket == "" || w.ticket == r.Ticket) {
		return
	}
	if wider != "" {
		wider += " for "
	}
	ticket := ""
	if r.Ticket != "" || w.ticket != "" {
		ticket = ", with ticket " + first(r.Ticket, "none")
	}
	a.env.say(`it asks for %s%s because "%s"%s; that counts, and not what you typed now, which sally request --new asks for`, wider, seconds(r.Seconds), r.Reason, ticket)
}
