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

// requestView is the data of request.html.
type requestView struct {
	R       api.Request
	Own     bool         // the reader made the request
	Left    int64        // seconds that an approval can still give at most
	Until   canon.Micros // the end of the grant if it were approved now
	Heading string
	Stages  []stageView
	Door    door
	Role    clauseView
	Path    clauseView
	PathID  string
	Cert    certificateView
	Issued  []issuedView // newest first
	// Form is there if the reader can decide; else Why says why not, and Next what
	// to do, with commands for a terminal.
	Form     *decisionForm
	Why      string
	SignIn   bool // signing in again would let the reader decide
	Next     string
	Commands []string
	Revoke   *revokeView // there if the reader could revoke the grant

	now canon.Micros
}

func (v requestView) title() string {
	return string(v.R.Logins[0]) + "@" + string(v.R.Hosts[0]) + " " + v.R.State
}

// say is what a screen reader is told when the page renews itself.
func (v requestView) say() string {
	out := v.Heading + "."
	for _, s := range v.Stages {
		if s.State == stageNow {
			out += fmt.Sprintf(" %d of %d approvals, from %s.", s.Votes, s.Quorum, anyOf(s.From))
		}
	}
	return out
}

func (v requestView) address() string { return "/requests/" + string(v.R.ID) }

// clauseView is a clause of the contract with its prose.
type clauseView struct {
	Clause string
	contract.Prose
}

// decisionForm is what the form shows, and what was typed if it comes back.
type decisionForm struct {
	Shown   string
	Max     int64  // whole minutes; 0: the time can't be narrowed
	Minutes string // as typed
	Words   string // as typed
	Alert   string // why the form came back
}

// Shorter are minutes that are often enough: those that narrow, and the whole.
func (f decisionForm) Shorter() []int64 {
	var out []int64
	for _, m := range []int64{5, 15, 30, 60, 240} {
		if m < f.Max {
			out = append(out, m)
		}
	}
	return append(out, f.Max)
}

// requestPage answers GET /requests/{id}.
func (s *Server) requestPage(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	return s.showRequestPage(w, r, session, id, nil)
}

// showRequestPage shows a request; refused is the form that was not accepted.
func (s *Server) showRequestPage(w http.ResponseWriter, r *http.Request, session store.Session, id canon.ID, refused *refusedForm) error {
	now := s.now()
	var me viewer
	var v requestView
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		q, err := seen(reader, id, session, now)
		if err != nil {
			return err
		}
		if me, err = viewerOf(reader, session); err != nil {
			return err
		}
		v, err = s.viewRequest(reader, q, session, now)
		return err
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if refused != nil {
		k, detail := classify(refused.err)
		status = k.status
		if refused.revokes && v.Revoke != nil {
			v.Revoke.Alert, v.Revoke.Because = sentence(detail), refused.words
			return s.show(w, r, status, "request", me, v)
		}
		if v.Form == nil { // there is no form any more to show it in
			return refused.err
		}
		v.Form.Alert, v.Form.Minutes, v.Form.Words = sentence(detail), visible(refused.minutes), refused.words
	}
	return s.show(w, r, status, "request", me, v)
}

func (s *Server) viewRequest(r *store.Reader, q approval.Request, session store.Session, now time.Time) (requestView, error) {
	described, err := s.describe(r, q, now)
	if err != nil {
		return requestView{}, err
	}
	version, err := r.Version(q.Contract)
	if err != nil {
		return requestView{}, err
	}
	v := requestView{R: described, Own: q.By == session.Person, PathID: q.Path, now: canon.At(now), Left: left(q), Door: doorOf(q, now)}
	v.Role, v.Path = clausesOf(version, q)
	if v.Stages, err = s.viewStages(r, q, version.Terms, described.Decisions, session.Person, now); err != nil {
		return requestView{}, err
	}
	if v.Cert, err = s.foresee(r, q, version.Terms, now); err != nil {
		return requestView{}, err
	}
	v.Until = v.Cert.GrantEnd
	if v.Issued, err = issuedUnder(r, q.ID); err != nil {
		return requestView{}, err
	}
	v.Door.Second = slices.ContainsFunc(v.Issued, func(i issuedView) bool { return i.State == certSigned })
	if err := v.offer(r, q, session, now); err != nil {
		return requestView{}, err
	}
	if err := v.offerRevoking(r, q, session); err != nil {
		return requestView{}, err
	}
	v.settle()
	return v, nil
}

// clausesOf returns what the contract says about the role and the path of a
// request.
func clausesOf(version *contract.Version, q approval.Request) (role, path clauseView) {
	r, ok := version.Terms.Role(q.Role)
	if !ok {
		return role, path
	}
	role.Clause = r.Clause
	role.Prose, _ = version.Prose(r.Clause) // each clause of the terms has prose; without it the clause alone is shown
	for _, p := range r.Paths {
		if p.ID == q.Path {
			path.Clause = p.Clause
			path.Prose, _ = version.Prose(p.Clause)
		}
	}
	return role, path
}

// offer puts the form into the view, or the reason why there is none. What is
// decided here is only what the page shows: a post is judged anew.
func (v *requestView) offer(r *store.Reader, q approval.Request, session store.Session, now time.Time) error {
	if approval.State(v.R.State) != approval.Pending {
		return nil
	}
	subject, err := authority.Subject(r, session)
	if err != nil {
		return err
	}
	switch err := mayDecide(r, q, session.Person, subject, now); {
	case errors.Is(err, approval.ErrSelfApproval):
		v.Why = "Nobody decides on their own request. Somebody of " + anyOf(v.R.From) + " has to."
		return nil
	case errors.Is(err, approval.ErrDecidedTwice):
		v.Why = "You have decided; one person counts once."
		return nil
	case errors.Is(err, contract.ErrGroupsUnknown):
		v.Why, v.SignIn = "It is not known which groups you are in now.", true
		return nil
	case err != nil && undecidable(err):
		v.Why = sentence(err.Error())
		return nil
	case err != nil:
		return err
	}
	version, err := record.InForce(r, q.Lineage, canon.At(now))
	if err != nil {
		return err
	}
	if limit := version.Terms.Ceilings.ClaimsMaxAge.Decide; now.Sub(session.ClaimsAt.Time()) > limit {
		v.Why, v.SignIn = "You signed in more than "+spell(int64(limit/time.Second))+" ago, and the contract wants a fresher sign-in for a decision.", true
		return nil
	}
	shown, err := authority.Shown(q)
	if err != nil {
		return err
	}
	v.Form = &decisionForm{Shown: shown.String(), Max: v.Left / 60}
	if v.Left%60 == 0 {
		v.Form.Minutes = fmt.Sprint(v.Form.Max)
	}
	return nil
}
