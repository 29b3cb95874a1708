// Package canary_test owns one question: does anything secret or personal that
// goes through sallyd come out where it must not? It runs the real program at its
// most talkative, with everything on record that people send and are answered,
// through a whole story and through errors of each kind, and then looks for each
// value in the log, in the addresses, in the figures and in the refusals.
package canary_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// What people write in this story stands nowhere else.
const (
	reason = "reason-canary: the disk of web-1 is full"
	words  = "words-canary: five minutes will do"
)

// story is an installation whose traffic is on record.
type story struct {
	*site.Site
	t       *testing.T
	ctx     context.Context
	tape    *tape
	earlier string // the log before sallyd was started anew
}

// TestPromiseP15_Canaries is the whole of it.
func TestPromiseP15_Canaries(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	s := open(t, ctx)
	s.play()
	before := s.scrape() // sallyd is started anew later
	s.fail()
	s.makeNoise()
	figures := s.scrape()
	c := s.canaries()
	s.checkSeen(c)
	t.Run("log", func(t *testing.T) { s.checkLog(t, c) })
	t.Run("export", func(t *testing.T) { s.checkExport(t, c) })
	t.Run("addresses", func(t *testing.T) { s.checkAddresses(t, c) })
	t.Run("refusals", func(t *testing.T) { s.checkRefusals(t, c) })
	t.Run("figures", func(t *testing.T) {
		for _, found := range c.found(before + figures) {
			t.Errorf("the figures hold the %s", found)
		}
		checkPatterns(t, "figures", before+figures)
		checkFigures(t, before, ofTheStory)
		checkFigures(t, figures, ofTheNoise)
	})
}

func open(t *testing.T, ctx context.Context) *story {
	t.Helper()
	bin := t.TempDir()
	must(t, site.Build(ctx, bin))
	s := &story{t: t, ctx: ctx, tape: &tape{}}
	var err error
	s.Site, err = site.Open(ctx, site.Config{
		Bin: bin, Tell: silent{}, Plan: site.Plan{CertTTL: time.Minute}, Vault: true, Metrics: true, Front: s.tape.before,
		Settings: "log_level: debug\ntrusted_proxies: [127.0.0.1]\nsiem: {file: events.jsonl}",
	})
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			for _, log := range s.Logs(30) {
				t.Logf("--- log of %s\n%s", log.Name, log.Text)
			}
		}
		must(t, s.Close())
		if left := s.Running(context.Background()); len(left) > 0 {
			t.Errorf("still there: %s", strings.Join(left, ", "))
		}
	})
	must(t, s.SetUp(ctx))
	return s
}

// silent hears a story that is on record anyway.
type silent struct{}

// Typed hears nothing.
func (silent) Typed(string, string) {}

// Answered hears nothing.
func (silent) Answered(string) {}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// sally is what Alice types; it has to end with the exit code.
func (s *story) sally(code int, argv ...string) string {
	s.t.Helper()
	r, err := s.Alice.Run(s.ctx, append([]string{"sally"}, argv...)...)
	must(s.t, err)
	must(s.t, site.Exit(r, code, "sally "+strings.Join(argv, " ")))
	return r.Output
}

var pagePath = regexp.MustCompile(`/requests/[a-z2-7]{26}`)

// play goes through everything that goes well: logins, a renewal, requests,
// decisions with words, certificates, the ledger, a cancellation, a logout.
func (s *story) play() {
	s.t.Helper()
	must(s.t, s.Alice.LogIn(s.ctx))
	_, err := s.Bob.SignIn(s.ctx, "/")
	must(s.t, err)
	path := pagePath.FindString(s.sally(0, "request", s.Principal(site.Web1), "--for", "10m", "--because", reason, "--no-wait"))
	s.decide(path, "approve")
	s.sally(0, "ssh", s.Principal(site.Web1), "--key-file", "--", "id -un")
	s.oldClaims()
	denied := pagePath.FindString(s.sally(0, "request", s.Principal(site.Web2), "--for", "10m", "--because", reason, "--no-wait"))
	s.tape.last(s.t, http.MethodPost, "/v1/sessions", http.StatusOK) // the login was renewed
	s.decide(denied, "deny")
	s.sally(0, "whoami")
	s.sally(0, "ledger", "list")
	open := pagePath.FindString(s.sally(0, "request", s.Principal(site.Web2), "--for", "10m", "--because", reason, "--no-wait"))
	s.sally(0, "cancel", strings.TrimPrefix(open, "/requests/"))
}

// decide is what Bob does on a request's page.
func (s *story) decide(path, verdict string) {
	s.t.Helper()
	page, err := s.Bob.OpenPage(s.ctx, path)
	must(s.t, err)
	page, err = s.Bob.Submit(s.ctx, page, path+"/decisions", map[string]string{"words": words}, verdict)
	must(s.t, err)
	if page.Status != http.StatusOK {
		s.t.Fatalf("%s: %d %s", verdict, page.Status, page.Text())
	}
}

// state is Alice's session file.
func (s *story) state() string {
	return s.Alice.Home(".local", "state", "sallyport", site.Origin, "session.json")
}

// oldClaims has the next request renew Alice's login.
func (s *story) oldClaims() {
	s.t.Helper()
	text, err := os.ReadFile(s.state())
	must(s.t, err)
	old := regexp.MustCompile(`"fresh_until_at":\s*\d+`)
	if !old.Match(text) {
		s.t.Fatalf("the session does not say when claims are too old: %s", text)
	}
	must(s.t, os.WriteFile(s.state(), old.ReplaceAll(text, []byte(`"fresh_until_at": 1`)), 0o600))
	// An ID token is dated in whole seconds, and a renewal has to be newer.
	var kept struct {
		ClaimsAt canon.Micros `json:"claims_at"`
	}
	must(s.t, json.Unmarshal(text, &kept))
	must(s.t, lab.Poll(s.ctx, "the next second", func() (bool, error) {
		return time.Now().Unix() > kept.ClaimsAt.Time().Unix()+1, nil
	}))
}

// canaries are all secrets that went through sallyd, lie in its folder, or lie
// with those who use it, and what people wrote and are called.
func (s *story) canaries() canaries {
	s.t.Helper()
	c := canaries{}
	for _, e := range s.tape.all() {
		c.harvest(e)
	}
	var session struct{ Bearer, Refresh, RZ string }
	text := s.read(s.state())
	must(s.t, json.Unmarshal([]byte(text), &session))
	var key struct {
		Device string `json:"device_key"`
	}
	must(s.t, json.Unmarshal([]byte(text), &key))
	c.add("bearer", session.Bearer)
	c.add("refresh token", session.Refresh)
	c.add("private device key", key.Device)
	keys, err := filepath.Glob(filepath.Join(filepath.Dir(s.state()), "key+*"))
	must(s.t, err)
	for _, path := range keys {
		if !strings.HasSuffix(path, ".pub") {
			c.add("private certificate key", s.read(path))
		}
	}
	c.add("log key", s.read(filepath.Join(s.ServerDir(), "keys", "log.key")))
	c.add("Vault token", s.read(s.VaultTokenFile()))
	c.add("web client's secret", s.read(s.Dir.Path("web-client-secret")))
	for _, p := range []*site.Person{s.Alice, s.Bob} {
		name, password := p.Account()
		account, err := s.IDP.Account(name)
		must(s.t, err)
		c.add("password", password)
		c.add("subject", account.Subject)
		c.add("name", account.Name+" ") // long enough to be no accident
		c.add("address", account.Email)
		c["name"] = map[string]bool{"Alice Example": true, "Bob Example": true}
	}
	return c
}

func (s *story) read(path string) string {
	s.t.Helper()
	text, err := os.ReadFile(path)
	must(s.t, err)
	return string(text)
}

// checkSeen demands that the story had something of each kind: what was not there
// can't be found.
func (s *story) checkSeen(c canaries) {
	s.t.Helper()
	for _, what := range []string{
		"bearer", "cookie", "code", "state", "nonce", "ID token", "refresh token", "challenge", "device key", "private device key",
		"private certificate key", "certificate", "rz", "salt", "signature", "signed document", "reason", "words", "shown digest", "name", "address",
		"password", "subject", "log key", "Vault token", "web client's secret",
	} {
		if len(c[what]) == 0 {
			s.t.Errorf("the story had no %s", what)
		}
	}
	// The search itself finds what is there.
	for _, where := range []string{
		`{"error":"` + words + `"}`, "/x?q=" + strings.ReplaceAll(reason, " ", "+"), "/x?q=" + url.QueryEscape(reason), "token " + firstOf(c["ID token"]), firstOf(c["cookie"]),
	} {
		if len(c.found(where)) == 0 {
			s.t.Errorf("the search finds nothing in %q", where)
		}
	}
}

func firstOf(set map[string]bool) string {
	for value := range set {
		return value
	}
	return ""
}

// checkLog looks into everything that sallyd wrote.
func (s *story) checkLog(t *testing.T, c canaries) {
	log := s.read(s.earlier) + s.read(s.ServerLog())
	for _, found := range c.found(log) {
		t.Errorf("the log holds the %s", found)
	}
	checkPatterns(t, "log", log)
	for line := range strings.Lines(log) {
		if !strings.HasPrefix(line, "sallyd: ") && !json.Valid([]byte(line)) {
			t.Errorf("a line of the log is no JSON: %s", line)
		}
	}
	for _, want := range []string{
		`"level":"DEBUG"`, `"status":500`, `"status":503`, `"status":429`, `"problem":"unavailable"`, `"problem":"internal"`, `"msg":"part is not well"`,
	} {
		if !strings.Contains(log, want) {
			t.Errorf("the story brought no %s into the log", want)
		}
	}
}

// checkExport looks into what a SIEM is told.
func (s *story) checkExport(t *testing.T, c canaries) {
	told := s.read(filepath.Join(s.ServerDir(), "events.jsonl"))
	for _, found := range c.found(told) {
		t.Errorf("the export holds the %s", found)
	}
	checkPatterns(t, "export", told)
	for _, want := range []string{`"kind":"person.login"`, `"kind":"request.submit"`, `"verdict":"approve"`, `"kind":"certificate.issue"`} {
		if !strings.Contains(told, want) {
			t.Errorf("the story brought no %s into the export", want)
		}
	}
}

// checkPatterns looks for what has the form of a secret, wherever it came from.
func checkPatterns(t *testing.T, where, text string) {
	for what, pattern := range map[string]string{
		"ID token": `eyJ[A-Za-z0-9_-]{8,}\.`, "PEM": `-----BEGIN`, "Vault token": `hvs\.`, "bearer": `(?i)bearer [A-Za-z0-9_-]{20}`,
		"e-mail address": `[a-z]+@acme\.example`, "cookie": `(?i)cookie`, "a request's address": `/requests/[a-z2-7]{26}`,
	} {
		if found := regexp.MustCompile(pattern).FindString(text); found != "" {
			t.Errorf("the %s holds what looks like %s: %s", where, what, found)
		}
	}
}

// checkAddresses: the code and the state of a login come back in an address, as
// OpenID Connect has it, and go no further.
func (s *story) checkAddresses(t *testing.T, c canaries) {
	for _, e := range s.tape.all() {
		if strings.HasPrefix(e.url, "/callback?") {
			continue
		}
		for _, found := range c.found(e.url) {
			t.Errorf("the address %s holds the %s", e.url, found)
		}
		location := e.answer.Get("Location")
		if strings.HasPrefix(location, s.IDP.URL()+"/authorize?") {
			continue // with state and nonce, which are for the identity provider
		}
		for _, found := range c.found(location) {
			t.Errorf("the answer to %s leads to %s, which holds the %s", e.url, location, found)
		}
	}
}

// checkRefusals looks into every answer that is a problem. A form that comes back
// to who typed it may hold what was typed, and the page what it is about.
func (s *story) checkRefusals(t *testing.T, c canaries) {
	var slugs []string
	for _, e := range s.tape.all() {
		if e.status < http.StatusBadRequest {
			continue
		}
		mine := c
		if isForm := strings.Contains(string(e.content), "<form"); isForm {
			mine = canaries{}
			for what, values := range c {
				if !slices.Contains([]string{"words", "reason", "name", "address", "shown digest"}, what) {
					mine[what] = values
				}
			}
		}
		for _, found := range mine.found(string(e.content)) {
			t.Errorf("%s %s: the answer %d holds the %s", e.method, e.url, e.status, found)
		}
		var problem struct{ Type string }
		if json.Unmarshal(e.content, &problem) == nil {
			slugs = append(slugs, strings.TrimPrefix(problem.Type, "/problems/"))
		}
	}
	for _, want := range []string{
		"malformed", "unauthenticated", "contract-forbids", "not-found", "method-not-allowed", "misdirected", "field-refused", "too-large", "rate", "internal", "unavailable",
	} {
		if !slices.Contains(slugs, want) {
			t.Errorf("no answer was a problem of the type %s", want)
		}
	}
}

// send makes one request to sallyd as a stranger would write it.
func (s *story) send(method, path string, header http.Header, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.ctx, method, s.URL()+path, strings.NewReader(body))
	must(s.t, err)
	for name, values := range header {
		req.Header[name] = values
	}
	if host := header.Get("Host"); host != "" {
		req.Host = host
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	must(s.t, err)
	content, err := io.ReadAll(resp.Body)
	must(s.t, err)
	_ = resp.Body.Close() // it was read
	return resp.StatusCode, string(content)
}

// browser signs somebody in at the pages.
func (s *story) browser(p *site.Person) *robot.Robot {
	s.t.Helper()
	b, err := robot.New(nil)
	must(s.t, err)
	s.t.Cleanup(b.Close)
	name, password := p.Account()
	_, err = b.LogIn(s.ctx, s.URL()+"/", name, password)
	must(s.t, err)
	return b
}
