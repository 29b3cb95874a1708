package server

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	defaultRequests = 50
	maxRequests     = 200 // in one answer
	// maxScanned bounds how many requests one call looks at, so that a filter which
	// nothing passes costs little more than a page. The caller reads on from there.
	maxScanned = 400
	maxInbox   = 500 // the same for a page, which does not read on
	scanBatch  = 200
)

// listing is what GET /v1/requests is asked for. A zero state, host or time
// filters nothing.
type listing struct {
	waiting bool // for the person's decision, instead of the person's own
	state   approval.State
	host    sshcert.Host
	since   canon.Micros
	before  int64
	limit   int
	scan    int // requests to look at, at most
}

// everything lists without a filter, the newest that fit.
func everything(waiting bool) listing {
	return listing{waiting: waiting, before: ledger.MaxSize, limit: maxRequests, scan: maxInbox}
}

// listRequests answers GET /v1/requests?scope=mine|waiting, with state=, host=,
// since=, before= and limit= if wanted.
func (s *Server) listRequests(w http.ResponseWriter, r *http.Request, session store.Session) error {
	l, err := parseListing(r)
	if err != nil {
		return err
	}
	now := s.now()
	out := api.Requests{Requests: []api.Request{}}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		requests, next, err := l.read(reader, session, now)
		if err != nil {
			return err
		}
		out.Next = next
		for _, q := range requests {
			one, err := s.describe(reader, q, now)
			if err != nil {
				return err
			}
			out.Requests = append(out.Requests, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// parseListing reads the parameters of the address. Each refusal names the
// parameter and what it takes.
func parseListing(r *http.Request) (listing, error) {
	l := listing{scan: maxScanned}
	values, err := query(r, "scope", "state", "host", "since", "before", "limit")
	if err != nil {
		return l, err
	}
	for name := range values {
		switch text, err := single(values, name); {
		case err != nil:
			return l, err
		case text == "":
			return l, fmt.Errorf("%s: %w: it is empty; leave it out", name, authority.ErrField)
		}
	}
	switch values.Get("scope") {
	case "mine":
	case "waiting":
		l.waiting = true
	default:
		return l, fmt.Errorf("scope: %w: mine or waiting", authority.ErrField)
	}
	if l.state, err = stateParameter(values, l.waiting); err != nil {
		return l, err
	}
	if values.Has("host") {
		if l.host, err = sshcert.ParseHost(values.Get("host")); err != nil {
			return l, err
		}
	}
	since, err := number(values, "since", 0)
	if err != nil {
		return l, err
	}
	l.since = canon.Micros(since)
	if l.before, err = number(values, "before", ledger.MaxSize); err != nil {
		return l, err
	}
	limit, err := number(values, "limit", defaultRequests)
	if err == nil && (limit < 1 || limit > maxRequests) {
		err = fmt.Errorf("limit: %w: 1 to %d", authority.ErrField, maxRequests)
	}
	l.limit = int(limit)
	return l, err
}

// stateParameter reads the state that is wanted, empty for any.
func stateParameter(values url.Values, waiting bool) (approval.State, error) {
	state := approval.State(values.Get("state"))
	switch {
	case !values.Has("state"):
		return "", nil
	case waiting:
		return "", fmt.Errorf("state: %w: what waits for a decision is pending; leave it out", authority.ErrField)
	}
	switch state {
	case approval.Pending, approval.Granted, approval.Denied, approval.Expired, approval.Cancelled, approval.Revoked, approval.Ended:
		return state, nil
	}
	return "", fmt.Errorf("state: %w: pending, granted, denied, expired, cancelled, revoked or ended", authority.ErrField)
}

// read returns the requests that pass, newest first, and where to read on: 0 at
// the end of the list. A page may be short, even empty, before the end.
func (l listing) read(r *store.Reader, session store.Session, now time.Time) (out []approval.Request, next int64, err error) {
	index, value, passes := "by", string(session.Person), l.own(now)
	if l.waiting {
		index, value = "state", string(approval.Pending)
		if passes, err = l.decidable(r, session, now); err != nil {
			return nil, 0, err
		}
	}
	for left, before := l.scan, l.before; left > 0; left -= scanBatch {
		batch := min(left, scanBatch)
		rows, err := authority.RequestsBefore(r, index, value, before, batch)
		if err != nil {
			return nil, 0, err
		}
		for _, q := range rows {
			if q.At < l.since { // all that follow are older
				return out, 0, nil
			}
			before, next = q.Place, q.Place
			if l.host != "" && !slices.Contains(q.Hosts, l.host) {
				continue
			}
			switch ok, err := passes(q.Request); {
			case err != nil:
				return nil, 0, err
			case ok:
				out = append(out, q.Request)
			}
			if len(out) == l.limit {
				return out, next, nil
			}
		}
		if len(rows) < batch {
			return out, 0, nil
		}
	}
	return out, next, nil
}

// own passes requests in the wanted state.
func (l listing) own(now time.Time) func(approval.Request) (bool, error) {
	return func(q approval.Request) (bool, error) { return l.state == "" || q.Status(now).State == l.state, nil }
}

// decidable passes what the person can decide on now. Somebody whose groups are
// not known is told so: an empty list would say that nothing waits.
func (l listing) decidable(r *store.Reader, session store.Session, now time.Time) (func(approval.Request) (bool, error), error) {
	subject, err := authority.Subject(r, session)
	if err != nil {
		return nil, err
	}
	if !subject.GroupsKnown {
		return nil, contract.ErrGroupsUnknown
	}
	return func(q approval.Request) (bool, error) {
		err := mayDecide(r, q, session.Person, subject, now)
		if err != nil && !undecidable(err) {
			return false, err
		}
		return err == nil, nil
	}, nil
}

// mine lists the person's own requests, newest first.
func mine(r *store.Reader, session store.Session, now time.Time) ([]approval.Request, error) {
	list, _, err := everything(false).read(r, session, now)
	return list, err
}

// waiting lists the requests that the person can decide on now, newest first.
func waiting(r *store.Reader, session store.Session, now time.Time) ([]approval.Request, error) {
	list, _, err := everything(true).read(r, session, now)
	return list, err
}
