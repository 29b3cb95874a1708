package server

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
)

const (
	maxOwn     = 20 // of one's own requests that the inbox shows
	maxDecided = 10 // of those that one decided lately
)

// inboxView is the data of inbox.html.
type inboxView struct {
	Waiting []card
	Own     []card
	Decided []card
	// Unknown says that the identity provider did not say which groups the person
	// is in: then nothing can wait for them.
	Unknown bool
}

// card is a request in a list.
type card struct {
	api.Request
	Door door
	Mine *api.Decision // the reader's own, where they decided
}

// Standing is how the request stands, in one word.
func (c card) Standing() string {
	return standing(c.State, c.Grant != nil, c.Grant != nil && c.Grant.Active)
}

func (v inboxView) title() string {
	if n := len(v.Waiting); n > 0 {
		return fmt.Sprintf("(%d) Inbox", n)
	}
	return "Inbox"
}

// say is what a screen reader is told when the page renews itself.
func (v inboxView) say() string {
	switch n := len(v.Waiting); n {
	case 0:
		return "Nothing waits for you."
	case 1:
		return "1 request waits for you."
	default:
		return fmt.Sprintf("%d requests wait for you.", n)
	}
}

func (inboxView) address() string { return "/" }

// inbox answers GET /: what waits for the person, their own requests, and what
// they decided lately.
func (s *Server) inbox(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var v inboxView
	var me viewer
	err := s.store.Read(r.Context(), func(reader *store.Reader) (err error) {
		if me, err = viewerOf(reader, session); err != nil {
			return err
		}
		v, err = s.viewInbox(reader, session, s.now())
		return err
	})
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "inbox", me, v)
}

func (s *Server) viewInbox(r *store.Reader, session store.Session, now time.Time) (v inboxView, err error) {
	open, err := waiting(r, session, now)
	v.Unknown = errors.Is(err, contract.ErrGroupsUnknown)
	if err != nil && !v.Unknown {
		return v, err
	}
	if v.Waiting, err = s.cards(r, open, now); err != nil {
		return v, err
	}
	own, err := mine(r, session, now)
	if err != nil {
		return v, err
	}
	if v.Own, err = s.cards(r, own[:min(len(own), maxOwn)], now); err != nil {
		return v, err
	}
	decided, err := authority.Decided(r, session.Person, maxDecided)
	if err != nil {
		return v, err
	}
	if v.Decided, err = s.cards(r, decided, now); err != nil {
		return v, err
	}
	for i, c := range v.Decided {
		if at := slices.IndexFunc(c.Decisions, func(d api.Decision) bool { return d.By == session.Person }); at >= 0 {
			v.Decided[i].Mine = &c.Decisions[at]
		}
	}
	return v, nil
}

func (s *Server) cards(r *store.Reader, requests []approval.Request, now time.Time) ([]card, error) {
	var out []card
	for _, q := range requests {
		one, err := s.describe(r, q, now)
		if err != nil {
			return nil, err
		}
		out = append(out, card{Request: one, Door: doorOf(q, now)})
	}
	return out, nil
}
