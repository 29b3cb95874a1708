package server

import (
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// maxQueue is how many news wait for one listener; a slower one is told to look
// anew.
const maxQueue = 16

// newsKinds are the leaves that change what a page shows.
var newsKinds = []ledger.Kind{
	ledger.RequestSubmit, ledger.RequestDecide, ledger.RequestExpire, ledger.RequestCancel, ledger.AccessRevoke, ledger.CertificateIssue, ledger.CertificateVoid,
	ledger.GrantCarry, ledger.PersonSnapshot,
}

// news is one leaf as far as listeners are concerned: about a request, or about
// the groups of a person. Nothing in it was written by anybody.
type news struct {
	index   int64
	kind    ledger.Kind
	request approval.Request // zero if it is about a person
	state   approval.State
	terms   *contract.Terms // in force for the request; nil if none are
	person  canon.ID        // whose groups changed; empty if it is about a request
}

// listener is one stream.
type listener struct {
	session canon.Digest // hash of the session's secret
	kind    store.SessionKind
	person  canon.ID
	only    canon.ID // the one request that it is about; empty for all

	queue chan *news
	lost  chan struct{} // has room for one: news did not fit into queue
	over  chan struct{} // closed when the stream has to end
	ended bool          // guarded by feed.mu: over is closed
	bye   string        // why; set before over is closed
}

// end closes over; the caller holds feed.mu.
func (l *listener) end(why string) {
	if !l.ended {
		l.ended, l.bye = true, why
		close(l.over)
	}
}

func (l *listener) wants(n *news) bool {
	if n.person != "" {
		return n.person == l.person
	}
	return l.only == "" || l.only == n.request.ID
}

func (l *listener) offer(n *news) {
	select {
	case l.queue <- n:
	default:
		l.miss()
	}
}

func (l *listener) miss() {
	select {
	case l.lost <- struct{}{}:
	default: // it is told already
	}
}

// readNews returns the news of the leaves from an index on, oldest first.
func readNews(r *store.Reader, from int64, now time.Time) ([]*news, error) {
	entries, err := r.Since(from, newsKinds...)
	if err != nil {
		return nil, err
	}
	known := make(map[canon.ID]news)
	var out []*news
	for _, e := range entries {
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		if err != nil {
			return nil, err
		}
		if f, ok := facts.(record.PersonSnapshot); ok {
			out = append(out, &news{index: e.Index, kind: e.Leaf.Kind, person: f.Person})
			continue
		}
		id, err := requestOf(r, facts)
		if err != nil {
			return nil, err
		}
		if id == "" { // of a kind that this version does not show
			continue
		}
		n, ok := known[id]
		if !ok {
			if n, err = newsOf(r, id, now); err != nil {
				return nil, err
			}
			known[id] = n
		}
		n.index, n.kind = e.Index, e.Leaf.Kind
		out = append(out, &n)
	}
	return out, nil
}

func newsOf(r *store.Reader, id canon.ID, now time.Time) (news, error) {
	q, err := authority.Standing(r, id)
	if err != nil {
		return news{}, err
	}
	terms, err := termsOf(r, q, now)
	return news{request: q, state: q.Status(now).State, terms: terms}, err
}
