package server

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// maxMinutes keeps the arithmetic of typed minutes in bounds: a year and a day,
// longer than any grant.
const maxMinutes = 366 * 24 * 60

// requestView is the data of request.html.
type requestView struct {
	R          api.Request
	Own        bool         // the reader made the request
	Left       int64        // seconds that an approval can still give at most
	Until      canon.Micros // the end of the grant if it were approved now
	Path       string
	PathClause string
	Votes      int // approvals so far in the stage that is waited for
	Quorum     int
	Stages     []approval.Stage
	Principals []string
	Extensions []string
	TTL        int64 // seconds of one certificate
	// Form is there if the reader can decide; else Why says why not.
	Form   *decisionForm
	Why    string
	SignIn bool // signing in again would let the reader decide
}

func (v requestView) title() string {
	return string(v.R.Logins[0]) + "@" + string(v.R.Hosts[0]) + " " + v.R.State
}

// decisionForm is what the form shows, and what was typed if it comes back.
type decisionForm struct {
	Shown   string
	Max     int64  // whole minutes; 0: the time can't be narrowed
	Minutes string // as typed
	Words   string // as typed
	Alert   string // why the form came back
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
	var me string
	var v requestView
	err := s.store.Read(r.Context(), func(reader *store.Reader) error {
		q, err := seen(reader, id, session, now)
		if err != nil {
			return err
		}
		if me, err = authority.Name(reader, session.Person); err != nil {
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
		if v.Form == nil { // there is no form any more to show it in
			return refused.err
		}
		k, detail := classify(refused.err)
		status = k.status
		v.Form.Alert, v.Form.Minutes, v.Form.Words = sentence(detail), visible(refused.minutes), refused.words
	}
	return s.show(w, r, status, "request", me, v)
}

func (s *Server) viewRequest(r *store.Reader, q approval.Request, session store.Session, now time.Time) (requestView, error) {
	described, err := s.describe(r, q, now)
	if err != nil {
		return requestView{}, err
	}
	v := requestView{R: described, Own: q.By == session.Person, Path: q.Path, Left: left(q), Stages: q.Stages}
	v.Until = canon.At(now.Add(time.Duration(v.Left) * time.Second))
	if status := q.Status(now); status.State == approval.Pending {
		v.Quorum = q.Stages[status.Stage].Quorum
		v.Votes = v.Quorum - status.Need
	}
	version, err := r.Version(q.Contract)
	if err != nil {
		return requestView{}, err
	}
	if role, ok := version.Terms.Role(q.Role); ok {
		v.TTL, v.Extensions = int64(min(role.Cert.TTL, version.Terms.Ceilings.CertTTL)/time.Second), role.Cert.Extensions
		for _, p := range role.Paths {
			if p.ID == q.Path {
				v.PathClause = p.Clause
			}
		}
	}
	if v.Principals, err = sshcert.Principals(q.Logins, q.Hosts); err != nil {
		return requestView{}, err
	}
	return v, v.offer(r, q, session, now)
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

// left is the most that an approval can still give: what was asked, or what the
// decisions so far narrowed it to.
func left(q approval.Request) int64 {
	out := q.Seconds
	for _, d := range q.Decisions {
		if d.Seconds > 0 {
			out = min(out, d.Seconds)
		}
	}
	return out
}

// refusedForm is a form that was not accepted, as it was typed.
type refusedForm struct {
	err            error
	minutes, words string
}

// decide answers POST /requests/{id}/decisions.
func (s *Server) decide(w http.ResponseWriter, r *http.Request, session store.Session) error {
	id, err := requestID(r)
	if err != nil {
		return err
	}
	form, err := readForm(r, "verdict", "minutes", "words", "shown")
	count := s.countPerson
	if err == nil && approval.Verdict(form.Get("verdict")) == approval.Deny {
		count = s.countAway
	}
	if limit := count(session); limit != nil {
		return limit
	}
	if err != nil {
		return err
	}
	var q approval.Request
	err = s.store.Read(r.Context(), func(reader *store.Reader) error {
		q, err = seen(reader, id, session, s.now())
		return err
	})
	if err != nil {
		return err
	}
	verdict, err := readVerdict(form, q)
	if err == nil {
		_, err = s.authority.Decide(r.Context(), session, verdict)
	}
	if err == nil {
		redirect(w, "/requests/"+string(id))
		return nil
	}
	if k, _ := classify(err); k == fieldRefused { // what was typed can be mended
		return s.showRequestPage(w, r, session, id, &refusedForm{err, form.Get("minutes"), form.Get("words")})
	}
	return err
}

// readForm reads a form: its own fields, each once.
func readForm(r *http.Request, names ...string) (url.Values, error) {
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || media != "application/x-www-form-urlencoded" {
		return nil, fmt.Errorf("%w: send application/x-www-form-urlencoded", errMedia)
	}
	if err := r.ParseForm(); err != nil {
		return nil, fmt.Errorf("%w: reading the form: %w", errMalformed, err)
	}
	for _, name := range names {
		if _, err := single(r.PostForm, name); err != nil {
			return nil, err
		}
	}
	return r.PostForm, only(r.PostForm, names...)
}

// readVerdict makes the call of a form. A digest that can't be read is the
// digest of nothing, which is never what was shown.
func readVerdict(form url.Values, q approval.Request) (authority.Verdict, error) {
	shown, err := canon.ParseDigest(form.Get("shown"))
	if err != nil {
		shown = canon.Digest{}
	}
	v := authority.Verdict{Request: q.ID, Verdict: approval.Verdict(form.Get("verdict")), Words: oneLine(form.Get("words")), Shown: shown}
	switch v.Verdict {
	case approval.Deny: // a denial grants no time, whatever stands in the field
		return v, nil
	case approval.Approve:
	default:
		return v, fmt.Errorf("verdict: %w: approve or deny", authority.ErrField)
	}
	text := strings.TrimSpace(form.Get("minutes"))
	if text == "" {
		return v, nil
	}
	minutes, err := parseNumber(text, "minutes")
	if err != nil || minutes < 1 || minutes > maxMinutes {
		return v, fmt.Errorf("minutes: %w: a whole number from 1 to %d, or nothing for as long as was asked", authority.ErrField, left(q)/60)
	}
	if v.Seconds = minutes * 60; v.Seconds == q.Seconds {
		v.Seconds = 0 // as asked
	}
	return v, nil
}

// oneLine makes typed text one composed line: a text box sends line breaks.
func oneLine(s string) string {
	return strings.Join(strings.Fields(norm.NFC.String(s)), " ")
}
