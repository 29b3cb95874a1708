package server

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
)

// maxMinutes keeps the arithmetic of typed minutes in bounds: a year and a day,
// longer than any grant.
const maxMinutes = 366 * 24 * 60

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
	revokes        bool // it is the form that revokes
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
		return s.showRequestPage(w, r, session, id, &refusedForm{err: err, minutes: form.Get("minutes"), words: form.Get("words")})
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
