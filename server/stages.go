package server

import (
	"errors"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// maxNamed bounds how many of those who may decide are named.
const maxNamed = 8

// stageView is one stage of the path as the page shows it.
type stageView struct {
	approval.Stage
	State  string // stageDone, …
	Votes  int    // approvals in it
	By     []api.Decision
	Others []named // who else is known to be among those who decide; for the stage that is waited for
	More   int     // how many there are beside Others
}

// States of a stage.
const (
	stageDone  = "done"
	stageNow   = "now"
	stageLater = "later"
	stageOver  = "over" // it was not asked, or did not finish: the request is settled
)

// named is somebody as others know them.
type named struct{ Name, Account string }

// viewStages lays the decisions out over the stages.
func (s *Server) viewStages(r *store.Reader, q approval.Request, terms *contract.Terms, decisions []api.Decision, me canon.ID, now time.Time) ([]stageView, error) {
	status := q.Status(now)
	var out []stageView
	for i, stage := range q.Stages {
		v := stageView{Stage: stage, State: stageLater}
		for _, d := range decisions {
			if d.Stage == stage.ID {
				v.By = append(v.By, d)
				if d.Verdict == string(approval.Approve) {
					v.Votes++
				}
			}
		}
		switch {
		case v.Votes >= stage.Quorum:
			v.State = stageDone
		case status.State != approval.Pending:
			v.State = stageOver
		case i == status.Stage:
			v.State = stageNow
			var err error
			if v.Others, v.More, err = othersOf(r, q, terms, stage, me); err != nil {
				return nil, err
			}
		}
		out = append(out, v)
	}
	return out, nil
}

// othersOf names those who are known to be able to decide in a stage, the reader
// aside: the newest people first, at most maxNamed.
func othersOf(r *store.Reader, q approval.Request, terms *contract.Terms, stage approval.Stage, me canon.ID) (out []named, more int, err error) {
	people, err := authority.Seen(r, terms, stage.From)
	if err != nil {
		return nil, 0, err
	}
	for _, id := range people {
		switch err := record.CheckDecider(r, q, id); {
		case id == me, errors.Is(err, approval.ErrSelfApproval), errors.Is(err, approval.ErrDecidedTwice):
			continue
		case err != nil:
			return nil, 0, err
		}
		if len(out) == maxNamed {
			more++
			continue
		}
		who, err := nameOf(r, id)
		if err != nil {
			return nil, 0, err
		}
		out = append(out, who)
	}
	return out, more, nil
}

func nameOf(r *store.Reader, id canon.ID) (named, error) {
	name, err := authority.Name(r, id)
	if err != nil {
		return named{}, err
	}
	account, err := accountOf(r, id, name)
	return named{name, account}, err
}
