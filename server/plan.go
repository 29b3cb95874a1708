package server

import (
	"fmt"
	"net/http"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// maxPlanDays is how far back a plan looks at most.
const maxPlanDays = 366

// planners are the offices whose holders see what others asked for, without names,
// in a plan.
var planners = []contract.Office{contract.Auditor, contract.Reviewer, contract.HostAdmin, contract.Operator}

// planContract answers POST /v1/contracts/plan: what a draft of a contract's terms
// would have changed. Nothing of it is kept.
func (s *Server) planContract(w http.ResponseWriter, r *http.Request, session store.Session) error {
	var body api.PlanRequest
	if err := decode(r, &body); err != nil {
		return err
	}
	days, err := parseNumber(body.Days, "days")
	if err == nil && (days < 1 || days > maxPlanDays) {
		err = fmt.Errorf("days: %w: %d; from 1 to %d", authority.ErrField, days, maxPlanDays)
	}
	if err != nil {
		return err
	}
	draft, err := contract.ParseTerms([]byte(body.Terms))
	if err != nil {
		return fmt.Errorf("terms: %w: %w", authority.ErrField, err)
	}
	select { // it reads much, as an export does
	case s.exports <- struct{}{}:
		defer func() { <-s.exports }()
	default:
		return errExports
	}
	now := s.now()
	var plan contract.Plan
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		version, err := planned(reader, draft.ID, now)
		if err != nil {
			return err
		}
		if err := mayPlan(reader, version, session); err != nil {
			return err
		}
		plan, err = authority.Plan(reader, version.Lineage(), draft, canon.At(now.Add(-time.Duration(days)*24*time.Hour)), canon.At(now))
		return err
	})
	if err != nil {
		return err
	}
	text, err := canon.Marshal(plan)
	if err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, api.Plan{Plan: string(text)})
}

// planned returns the version in force of the contract with an id.
func planned(r *store.Reader, id string, now time.Time) (*contract.Version, error) {
	versions, err := authority.InForce(r, canon.At(now))
	if err != nil {
		return nil, err
	}
	for _, v := range versions {
		if v.Terms.ID == id {
			return v, nil
		}
	}
	return nil, fmt.Errorf("contract %q: %w", id, record.ErrNotFound)
}

// mayPlan refuses whoever holds no office of the contract.
func mayPlan(r *store.Reader, v *contract.Version, session store.Session) error {
	subject, err := authority.Subject(r, session)
	if err != nil {
		return err
	}
	var refused error
	for _, office := range planners {
		err := v.Terms.CheckHolds(subject, office)
		if err == nil {
			return nil
		}
		if refused == nil {
			refused = err
		}
	}
	return refused
}
