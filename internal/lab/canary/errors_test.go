package canary_test

import (
	"database/sql"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	_ "github.com/mattn/go-sqlite3" // to damage a row

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// fail goes through errors of each kind: what strangers send, what people send
// twice or wrongly, and what breaks under sallyd.
func (s *story) fail() {
	s.t.Helper()
	s.strangers()
	s.wrongPeople()
	s.broken()
}

// want demands a status.
func (s *story) want(status int, method, path string, header http.Header, body string) {
	s.t.Helper()
	if got, content := s.send(method, path, header, body); got != status {
		s.t.Errorf("%s %s: %d, want %d: %.300s", method, path, got, status, content)
	}
}

func jsonBody(bearer string) http.Header {
	h := http.Header{"Content-Type": {"application/json"}}
	if bearer != "" {
		h.Set("Authorization", "Bearer "+bearer)
	}
	return h
}

// strangers send what nobody would.
func (s *story) strangers() {
	s.t.Helper()
	secret := canon.Digest{42}.String()
	s.want(404, http.MethodGet, "/v1/path-canary", nil, "")
	s.want(404, http.MethodGet, "/path-canary", nil, "")
	s.want(405, http.MethodPut, "/v1/hosts", jsonBody(secret), reason)
	s.want(401, http.MethodGet, "/v1/hosts", jsonBody(secret), "")
	s.want(401, http.MethodGet, "/v1/hosts", http.Header{"Authorization": {"Basic " + secret}}, "")
	s.want(303, http.MethodGet, "/", http.Header{"Cookie": {"sallyport-1=" + secret}}, "")
	s.want(421, http.MethodGet, "/v1/server", http.Header{"Host": {"host-canary.test"}}, "")
	s.want(415, http.MethodPost, "/v1/challenges", http.Header{"Content-Type": {"text/plain"}}, reason)
	s.want(400, http.MethodPost, "/v1/challenges", jsonBody(""), `{"purpose": "`+reason)
	s.want(401, http.MethodPost, "/v1/challenges", jsonBody(""), `{"purpose": "`+words+`"}`)
	s.want(413, http.MethodPost, "/v1/challenges", jsonBody(""), `{"purpose": "`+strings.Repeat(words, 4000)+`"}`)
	s.want(431, http.MethodGet, "/v1/server", http.Header{"X-Canary": {strings.Repeat(words, 2000)}}, "")
	s.want(401, http.MethodGet, "/callback?code=code-canary-of-a-stranger&state="+secret, http.Header{"Cookie": {"sallyport-login=" + secret}}, "")
	s.want(403, http.MethodPost, "/logout", http.Header{"Origin": {"https://evil.test"}}, reason)
	s.want(400, http.MethodGet, "/login?next=/&token="+url.QueryEscape("x"), nil, "")
}

// wrongPeople repeat and change what was recorded of the good story.
func (s *story) wrongPeople() {
	s.t.Helper()
	login := s.tape.last(s.t, http.MethodPost, "/v1/sessions", http.StatusCreated)
	s.want(422, http.MethodPost, "/v1/sessions", login.header, string(login.body)) // its challenge is used up
	var session map[string]string
	must(s.t, json.Unmarshal(login.body, &session))
	token := session["id_token"]
	session["id_token"] = token[:len(token)-8] + "AAAAAAAA"
	s.want(422, http.MethodPost, "/v1/sessions", login.header, text(session))
	asked := s.tape.last(s.t, http.MethodPost, "/v1/requests", http.StatusCreated)
	var ask map[string]string
	must(s.t, json.Unmarshal(asked.body, &ask))
	for _, change := range []func(map[string]string){
		func(m map[string]string) { m["reason"] = reason + "\n" + words },
		func(m map[string]string) { m["reason"] = strings.Repeat(words, 40) },
		func(m map[string]string) { m["document"] = words },
		func(m map[string]string) { m["person_salt"] = words },
	} {
		other := make(map[string]string)
		for name, v := range ask {
			other[name] = v
		}
		change(other)
		s.want(422, http.MethodPost, "/v1/requests", asked.header, text(other))
	}
	delete(ask, "reason")
	s.want(400, http.MethodPost, "/v1/requests", asked.header, text(ask))
	issued := s.tape.last(s.t, http.MethodPost, "/v1/grants/", http.StatusOK)
	s.want(422, http.MethodPost, issued.url, issued.header, string(issued.body)) // its challenge is used up
	s.want(404, http.MethodPost, "/v1/grants/aaaaaaaaaaaaaaaaaaaaaaaaaa/certificates", issued.header, string(issued.body))
	s.want(404, http.MethodGet, "/v1/requests/aaaaaaaaaaaaaaaaaaaaaaaaaa", issued.header, "")
	s.want(404, http.MethodGet, "/requests/aaaaaaaaaaaaaaaaaaaaaaaaaa", s.tape.last(s.t, http.MethodPost, "/requests/", http.StatusSeeOther).header, "")
	decided := s.tape.last(s.t, http.MethodPost, "/requests/", http.StatusSeeOther)
	s.want(409, http.MethodPost, decided.url, decided.header, string(decided.body)) // nobody decides twice
	form, err := url.ParseQuery(string(decided.body))
	must(s.t, err)
	form.Set("words", words+"\u202e")
	s.want(422, http.MethodPost, decided.url, decided.header, form.Encode())
	s.want(403, http.MethodGet, "/v1/roles?login=root&host="+site.Web1, asked.header, "")
	// Alice has no say about her own request.
	path := pagePath.FindString(s.sally(0, "request", s.Principal(site.Web2), "--for", "10m", "--because", reason, "--no-wait", "--new"))
	alice := s.browser(s.Alice)
	bobs, err := s.Bob.OpenPage(s.ctx, path)
	must(s.t, err)
	offered, err := bobs.Form(path + "/decisions")
	must(s.t, err)
	forged, err := alice.Get(s.ctx, s.URL()+path)
	must(s.t, err)
	forged.Forms = append(forged.Forms, offered)
	if page, err := alice.Submit(s.ctx, forged, path+"/decisions", map[string]string{"words": words}, "approve"); err != nil || page.Status != http.StatusForbidden {
		s.t.Errorf("Alice's own request: %v %v", page, err)
	}
	s.decide(path, "approve")
}

func text(v any) string {
	b, _ := json.Marshal(v) // of a map of strings it always works
	return string(b)
}

// broken takes away what sallyd rests on, one after the other.
func (s *story) broken() {
	s.t.Helper()
	must(s.t, s.Seal(s.ctx))
	s.sally(6, "ssh", s.Principal(site.Web2), "--key-file", "--", "id -un")
	s.ready(503)
	must(s.t, s.Unseal(s.ctx))
	must(s.t, s.NewVaultToken(s.ctx)) // the last one may have ended meanwhile

	database := filepath.Join(s.ServerDir(), "ledger.db")
	must(s.t, os.Rename(database, database+".aside"))
	s.sally(6, "whoami")
	s.want(503, http.MethodGet, "/v1/server", nil, "")
	must(s.t, os.Rename(database+".aside", database))

	// A session's row is damaged, with what is secret in it.
	s.damage(database)
	s.want(500, http.MethodGet, "/v1/hosts", s.tape.last(s.t, http.MethodGet, "/v1/sessions/current", http.StatusOK).header, "")
	must(s.t, s.IDP.Close())
	s.want(303, http.MethodGet, "/login", nil, "") // what it fetched before serves
	s.earlier = s.ServerLog()
	must(s.t, s.StopServing())
	must(s.t, s.Serve(s.ctx))
	s.want(503, http.MethodGet, "/login", nil, "")
	s.ready(200)
}

// ready waits until /readyz answers so: its answer is up to five seconds old.
func (s *story) ready(status int) {
	s.t.Helper()
	must(s.t, lab.Poll(s.ctx, "/readyz to change", func() (bool, error) {
		got, _ := s.send(http.MethodGet, "/readyz", nil, "")
		return got == status, nil
	}))
}

func (s *story) damage(database string) {
	s.t.Helper()
	db, err := sql.Open("sqlite3", "file:"+database+"?_busy_timeout=5000")
	must(s.t, err)
	_, err = db.ExecContext(s.ctx, `UPDATE session SET body = '{"kind":"cli","words":"`+words+`"}' WHERE kind = 'cli'`)
	must(s.t, err)
	must(s.t, db.Close())
}

// makeNoise sends much of everything that somebody could hope to find in the
// figures, and too much of it.
func (s *story) makeNoise() {
	s.t.Helper()
	limited := false
	for i := range 150 {
		id, secret := canon.Digest{byte(i), 1}.String(), canon.Digest{byte(i), 2}.String()
		s.send("M"+strings.ToUpper(id[:6]), "/v1/"+id, http.Header{"Authorization": {"Bearer " + secret}, "User-Agent": {id}}, "")
		s.send(http.MethodGet, "/requests/"+id, http.Header{"Cookie": {"sallyport=" + secret}}, "")
		s.send(http.MethodGet, "/static/"+id+".css", nil, "")
		status, _ := s.send(http.MethodPost, "/v1/challenges", jsonBody(""), `{"purpose":"session"}`)
		limited = limited || status == http.StatusTooManyRequests
	}
	if !limited {
		s.t.Error("150 logins at once were no too many")
	}
}
