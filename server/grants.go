package server

import (
	"errors"
	"log/slog"
	"net/http"

	"github.com/gorilla/mux"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// requestID reads the id of a request from the address. One that is none does
// not exist.
func requestID(r *http.Request) (canon.ID, error) {
	id, err := canon.ParseID(mux.Vars(r)["id"])
	if err != nil {
		return "", authority.ErrNotYours
	}
	return id, nil
}

// issue answers POST /v1/grants/{id}/certificates. A grant has the id of its
// request; somebody else's does not exist.
func (s *Server) issue(w http.ResponseWriter, r *http.Request, session store.Session) error {
	err := s.issueUnder(w, r, session)
	if err != nil {
		k, _ := classify(err)
		s.watch.NotIssued(k.slug)
	}
	return err
}

func (s *Server) issueUnder(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	var body api.CertificateRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		q, err := record.Request(reader, id)
		if errors.Is(err, record.ErrNotFound) || (err == nil && q.By != session.Person) {
			return authority.ErrNotYours
		}
		return err
	})
	if err != nil {
		return err
	}
	issued, err := s.authority.Issue(r.Context(), session, authority.IssueCall{
		Grant: id, Document: body.Document, DeviceSig: body.DeviceSignature, Possession: body.PossessionSignature,
	})
	if err != nil {
		return err
	}
	cert := issued.Certificate
	out := api.Certificate{
		Certificate: keyLine(cert), Serial: cert.Serial, GrantEnd: canon.At(issued.GrantEnd),
		ValidAfter: seconds(cert.ValidAfter), ValidBefore: seconds(cert.ValidBefore),
	}
	// The certificate is out whether or not there is a challenge for the next one.
	if out.Challenge.Challenge, out.Challenge.ExpiresAt, err = s.authority.Challenge(r.Context(), authority.PurposeIssue); err != nil {
		s.logger.LogAttrs(r.Context(), slog.LevelWarn, "no challenge for the next certificate", slog.Any("error", err))
	}
	return writeJSON(w, http.StatusOK, out)
}

// seconds reads a certificate's time.
func seconds(unix uint64) canon.Micros {
	return canon.Micros(unix) * 1e6 //nolint:gosec // a time of this century: ca lints what is released
}
