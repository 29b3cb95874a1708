package server

import (
	"context"
	"net/http"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
)

// cancelRequest answers POST /v1/requests/{id}/cancel with the request, also if it
// was cancelled before.
func (s *Server) cancelRequest(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	var body api.CancelRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	q, err := s.cancel(r.Context(), session, authority.CancelCall{Request: id, Document: body.Document, Signature: body.Signature})
	if err != nil {
		return err
	}
	var out api.Request
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		out, err = s.describe(reader, q, s.now())
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// cancelForm answers POST /requests/{id}/cancel, the button on the page of one's
// own pending request.
func (s *Server) cancelForm(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	if _, err := readForm(r); err != nil {
		return err
	}
	if _, err := s.cancel(r.Context(), session, authority.CancelCall{Request: id}); err != nil {
		return err
	}
	redirect(w, "/requests/"+string(id))
	return nil
}

// cancel takes a request back. To somebody who may not see it, it does not exist.
func (s *Server) cancel(ctx context.Context, session store.Session, call authority.CancelCall) (approval.Request, error) {
	err := s.store.Read(ctx, func(reader *store.Reader) error {
		_, err := seen(reader, call.Request, session, s.now())
		return err
	})
	if err != nil {
		return approval.Request{}, err
	}
	return s.authority.Cancel(ctx, session, call)
}
