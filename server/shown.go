package server

import (
	"errors"
	"slices"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// seen returns a request that the person may see. To everybody else it does not
// exist.
func seen(r *store.Reader, id canon.ID, session store.Session, now time.Time) (approval.Request, error) {
	q, err := authority.Standing(r, id)
	if errors.Is(err, record.ErrNotFound) {
		err = authority.ErrNotYours
	}
	if err != nil {
		return approval.Request{}, err
	}
	terms, err := termsOf(r, q, now)
	if err != nil {
		return approval.Request{}, err
	}
	return q, shownTo(q, terms, session.Person, func() (contract.Subject, error) { return authority.Subject(r, session) })
}

// termsOf returns the terms that are in force where a request was made, nil if
// none are.
func termsOf(r *store.Reader, q approval.Request, now time.Time) (*contract.Terms, error) {
	version, err := record.InForce(r, q.Lineage, canon.At(now))
	switch {
	case errors.Is(err, record.ErrNotInForce):
		return nil, nil //nolint:nilnil // there are none
	case err != nil:
		return nil, err
	}
	return version.Terms, nil
}

// shownTo returns nil if a request is shown to a person: it is theirs, or they
// decided on it, or they are in a group that decides in one of its stages.
func shownTo(q approval.Request, terms *contract.Terms, person canon.ID, subject func() (contract.Subject, error)) error {
	if q.By == person || decidedBy(q, person) {
		return nil
	}
	if terms == nil {
		return authority.ErrNotYours
	}
	about, err := subject()
	if err != nil {
		return err
	}
	reason := authority.ErrNotYours
	for _, stage := range q.Stages {
		for _, group := range stage.From {
			member, err := terms.Member(about, group)
			switch {
			case member:
				return nil
			case errors.Is(err, contract.ErrGroupsUnknown):
				reason = err
			}
		}
	}
	return reason
}

func decidedBy(q approval.Request, person canon.ID) bool {
	return slices.ContainsFunc(q.Decisions, func(d approval.Decision) bool { return d.By == person })
}
