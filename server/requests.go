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
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// submit answers POST /v1/requests: 201, or 200 for a document that came before.
func (s *Server) submit(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var body api.RequestRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	q, isNew, err := s.authority.Submit(r.Context(), session, authority.Ask{
		Document: body.Document, Signature: body.Signature, PersonSalt: body.PersonSalt, Reason: body.Reason, Ticket: body.Ticket,
	})
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
	status := http.StatusOK
	if isNew {
		status = http.StatusCreated
	}
	return writeJSON(w, status, out)
}

// mayDecide returns nil if the person can decide on the request now.
func mayDecide(r *store.Reader, q approval.Request, person canon.ID, subject contract.Subject, now time.Time) error {
	version, err := record.InForce(r, q.Lineage, canon.At(now))
	if err != nil {
		return err
	}
	if version.Digest != q.Contract {
		return fmt.Errorf("the contract changed since this request was made: %w", record.ErrNotInForce)
	}
	if err := q.MayDecide(version.Terms, person, subject, now); err != nil {
		return err
	}
	return record.CheckDecider(r, q, person)
}

// undecidable tells a reason why somebody does not decide from a failure to find
// out.
func undecidable(err error) bool {
	return slices.ContainsFunc([]error{
		approval.ErrSelfApproval, approval.ErrDecidedTwice, approval.ErrSettled, approval.ErrNotEligible,
		contract.ErrGroupsUnknown, contract.ErrGroupUnknown, record.ErrNotInForce,
	}, func(known error) bool { return errors.Is(err, known) })
}

// showRequest answers GET /v1/requests/{id}.
func (s *Server) showRequest(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	var out api.Request
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		q, err := seen(reader, id, session, s.now())
		if err != nil {
			return err
		}
		out, err = s.describe(reader, q, s.now())
		return err
	})
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, out)
}

// describe returns a request as its readers see it, free texts included: who may
// see it was asked before.
func (s *Server) describe(r *store.Reader, q approval.Request, now time.Time) (api.Request, error) {
	version, err := r.Version(q.Contract)
	if err != nil {
		return api.Request{}, err
	}
	role, ok := version.Terms.Role(q.Role)
	if !ok {
		return api.Request{}, fmt.Errorf("request %s: role %s is missing in its contract", q.ID, q.Role)
	}
	status := q.Status(now)
	out := api.Request{
		ID: q.ID, State: string(status.State), By: q.By, Contract: contractOf(version), Role: q.Role, Clause: role.Clause,
		Logins: q.Logins, Hosts: q.Hosts, Seconds: q.Seconds, SubmittedAt: q.At, URL: s.base.String() + "/requests/" + string(q.ID),
	}
	if out.ByName, err = authority.Name(r, q.By); err != nil {
		return api.Request{}, err
	}
	if out.ByAccount, err = accountOf(r, q.By, out.ByName); err != nil {
		return api.Request{}, err
	}
	if part, ok, err := personPart[record.RequestPerson](r, q.Leaf); err != nil {
		return api.Request{}, err
	} else if ok {
		out.Reason, out.Ticket = part.Reason, part.Ticket
	}
	if out.Decisions, err = decisions(r, q); err != nil {
		return api.Request{}, err
	}
	switch status.State {
	case approval.Pending:
		stage := q.Stages[status.Stage]
		out.Stage, out.Need, out.From, out.ExpiresAt = stage.ID, status.Need, stage.From, canon.At(status.At)
	case approval.Expired:
		out.ExpiresAt = canon.At(status.At)
	case approval.Granted:
		out.Grant, err = grantOf(r, q, version, now)
	case approval.Cancelled:
		out.CancelledAt = q.Cancelled.At
	case approval.Revoked:
		if out.Revoked, err = revokedOf(r, q.Revoked); err != nil {
			return api.Request{}, err
		}
		if before := q.BeforeRevocation(); before.Status(q.Revoked.At.Time()).State == approval.Granted {
			out.Grant, err = grantOf(r, before, version, now)
			if out.Grant != nil {
				out.Grant.Active = false
			}
		}
	case approval.Denied, approval.Ended:
	}
	return out, err
}

func decisions(r *store.Reader, q approval.Request) ([]api.Decision, error) {
	var out []api.Decision
	for _, d := range q.Decisions {
		one := api.Decision{By: d.By, Stage: d.Stage, Verdict: string(d.Verdict), Seconds: d.Seconds, At: d.At}
		name, err := authority.Name(r, d.By)
		if err != nil {
			return nil, err
		}
		one.ByName = name
		if one.ByAccount, err = accountOf(r, d.By, name); err != nil {
			return nil, err
		}
		part, ok, err := personPart[record.DecidePerson](r, d.Leaf)
		if err != nil {
			return nil, err
		}
		if ok {
			one.Words = part.Words
		}
		out = append(out, one)
	}
	return out, nil
}

// personPart returns the free text of a leaf; false if it has none, or it was
// erased.
func personPart[T any](r *store.Reader, leaf canon.Digest) (T, bool, error) {
	var none T
	index, err := r.LeafIndex(leaf)
	if err != nil {
		return none, false, err
	}
	entry, err := r.Entry(index)
	if err != nil || entry.Opening.Person == nil {
		return none, false, err
	}
	part, err := record.ParsePerson(entry.Leaf.Kind, entry.Opening.Person)
	if err != nil {
		return none, false, err
	}
	typed, ok := part.(T)
	if !ok {
		return none, false, fmt.Errorf("%w: leaf %d has another person part", record.ErrEvent, index)
	}
	return typed, true, nil
}

// grantOf returns what a granted request allows. It is active while certificates
// can be had under it.
func grantOf(r *store.Reader, q approval.Request, version *contract.Version, now time.Time) (*api.Grant, error) {
	grant, err := q.Grant(version.Terms)
	if err != nil {
		return nil, err
	}
	current, err := record.InForce(r, q.Lineage, canon.At(now))
	if err != nil && !errors.Is(err, record.ErrNotInForce) {
		return nil, err
	}
	return &api.Grant{
		Start: canon.At(grant.Start), End: canon.At(grant.End),
		Active: grant.Active(now) == nil && err == nil && current.Digest == q.Contract,
	}, nil
}
