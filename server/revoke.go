package server

import (
	"errors"
	"net/http"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// revoke answers POST /v1/revocations. What is revoked stands in the document that
// the device key has signed.
func (s *Server) revoke(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var body api.RevocationRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	done, err := s.authority.Revoke(r.Context(), session, authority.RevokeCall{
		Document: body.Document, Signature: body.Signature, Because: body.Because,
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, revocationOf(done))
}

func revocationOf(done authority.Revoked) api.Revocation {
	t := done.Target
	return api.Revocation{
		Revocation: done.Revocation, At: done.At, Index: done.Index, Lineage: done.Lineage,
		Target: string(t.Type), Serial: t.Serial, ID: t.ID, Role: t.Role, Host: t.Host,
	}
}

// revokeForm answers POST /requests/{id}/revoke, the button on the page of a grant.
func (s *Server) revokeForm(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	form, err := readForm(r, "because")
	if err != nil {
		return err
	}
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		_, err := seen(reader, id, session, s.now())
		return err
	})
	if err != nil {
		return err
	}
	because := oneLine(form.Get("because"))
	_, err = s.authority.Revoke(r.Context(), session, authority.RevokeCall{
		Target: record.Target{Type: record.TargetGrant, ID: id}, Because: because,
	})
	if k, _ := classify(err); err != nil && k == fieldRefused { // what was typed can be mended
		return s.showRequestPage(w, r, session, id, &refusedForm{err: err, words: because, revokes: true})
	}
	if err != nil {
		return err
	}
	redirect(w, "/requests/"+string(id))
	return nil
}

// revokeView is the form that revokes a grant, as it was typed if it came back.
type revokeView struct {
	Because string
	Alert   string // why it came back
}

// offerRevoking puts the form into the view for whoever could revoke the grant. A
// post is judged anew.
func (v *requestView) offerRevoking(r *store.Reader, q approval.Request, session store.Session) error {
	if approval.State(v.R.State) != approval.Granted || v.R.Grant == nil || !v.R.Grant.Active || session.DeviceKey != "" {
		return nil
	}
	version, err := record.Newest(r, q.Lineage, v.now)
	if err != nil {
		return err
	}
	switch err := record.MayRevoke(r, version, q, session.Person, session.Claims(), v.now); {
	case err == nil:
		v.Revoke = &revokeView{}
	case errors.Is(err, record.ErrNotRevoker), errors.Is(err, record.ErrClaimsOld), errors.Is(err, record.ErrOtherLogin), errors.Is(err, record.ErrLocked):
	default:
		return err
	}
	return nil
}

// revokedOf tells what revoked a request, who, and why, as far as that is for those
// who see the request: why somebody was locked is not.
func revokedOf(r *store.Reader, by approval.Revocation) (*api.Revoked, error) {
	out := &api.Revoked{At: by.At}
	index, err := r.LeafIndex(by.Leaf)
	if err != nil {
		return nil, err
	}
	entry, err := r.Entry(index)
	if err != nil {
		return nil, err
	}
	facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
	if err != nil {
		return nil, err
	}
	f, ok := facts.(record.AccessRevoke)
	if !ok {
		out.Target = "lock"
		return out, nil
	}
	out.Target, out.By = string(f.Target.Type), f.Person
	if f.Person != "" {
		if out.ByName, err = authority.Name(r, f.Person); err != nil {
			return nil, err
		}
		if out.ByAccount, err = accountOf(r, f.Person, out.ByName); err != nil {
			return nil, err
		}
	}
	part, ok, err := personPart[record.RevokePerson](r, by.Leaf)
	if ok {
		out.Because = part.Because
	}
	return out, err
}
