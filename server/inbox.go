package server

import (
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
)

// maxOwn bounds how many of one's own requests the inbox shows.
const maxOwn = 20

// inboxView is the data of inbox.html.
type inboxView struct {
	Waiting []api.Request
	Own     []api.Request
	// Unknown says that the identity provider did not say which groups the person
	// is in: then nothing can wait for them.
	Unknown bool
}

func (inboxView) title() string { return "Inbox" }

// inbox answers GET /: what waits for the person, and their own requests.
func (s *Server) inbox(w http.ResponseWriter, r *http.Request, session store.Session) error {
	now := s.now()
	var v inboxView
	var me string
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		var err error
		if me, err = authority.Name(reader, session.Person); err != nil {
			return err
		}
		open, err := waiting(reader, session, now)
		v.Unknown = errors.Is(err, contract.ErrGroupsUnknown)
		if err != nil && !v.Unknown {
			return err
		}
		own, err := mine(reader, session, now)
		if err != nil {
			return err
		}
		for _, q := range open {
			one, err := s.describe(reader, q, now)
			if err != nil {
				return err
			}
			v.Waiting = append(v.Waiting, one)
		}
		for _, q := range own[:min(len(own), maxOwn)] {
			one, err := s.describe(reader, q, now)
			if err != nil {
				return err
			}
			v.Own = append(v.Own, one)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.show(w, r, http.StatusOK, "inbox", me, v)
}
