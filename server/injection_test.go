package server_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/text/unicode/norm"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
)

// person is an account that calls itself a payload in every way.
func person(i int, text string) idp.Account {
	username := fmt.Sprintf("p%d", i)
	return idp.Account{
		Username: username, Password: username + "-pw", Name: text, Email: text, Handle: text, Groups: []string{"engineers", "leads"},
	}
}

// patientWorld is newWorld for tests that ask for more than people do.
func patientWorld(t *testing.T, more ...idp.Account) *world {
	t.Helper()
	return makeWorld(t, terms, func(c *server.Config) {
		c.Limits = server.Limits{Person: 1_000_000, Address: 1_000_000, Login: 1_000_000, Logins: 1_000_000}
	}, more...)
}

// wantRefusal demands an answer that was taken, or a refusal in words that is fit
// to be read.
func wantRefusal(t testing.TB, what string, r reply) (refused bool) {
	t.Helper()
	if r.status < 400 {
		return false
	}
	var p api.Problem
	if err := json.Unmarshal(r.body, &p); err != nil || r.status >= 500 || p.Title == "" || p.Detail == "" {
		t.Errorf("%s: %d %s", what, r.status, r.body)
	}
	if err := payloads.Seen(p.Title + " " + p.Detail + " " + p.Instance); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	return true
}

// payloadStory lets somebody ask, and decide for alice, who writes text into every
// free text, and returns the pages that people saw on the way, by name.
func (w *world) payloadStory(alice *cli, bob *browser, username, text string) map[string]*robot.Page {
	t := w.t
	t.Helper()
	pages := map[string]*robot.Page{}
	asks := w.logIn(username)
	reason := "INC-42 " + text
	body := asks.requestBody(func(a *ask) { a.reason = "INC-42 harmless" })
	if canonical(reason) {
		body = asks.requestBody(func(a *ask) { a.reason = reason })
	}
	answer := asks.call("/v1/requests", body)
	if wantRefusal(t, username+" asks", answer) {
		reason = "INC-42 harmless"
		answer = asks.call("/v1/requests", asks.requestBody(func(a *ask) { a.reason = reason }))
	}
	q := into[api.Request](t, answer, http.StatusCreated)
	if q.Reason != body.Reason && q.Reason != reason {
		t.Errorf("%s: the reason %q came back as %q", username, reason, q.Reason)
	}

	self, page := w.signIn(username, "/")
	pages["own inbox"] = page
	pages["own request"] = self.open(requestPath(q.ID))
	pages["inbox"] = bob.open("/")
	pages["request"] = bob.open(requestPath(q.ID))
	for _, name := range []string{"own inbox", "own request", "inbox", "request"} {
		if err := payloads.Spelled(pages[name].Text(), q.Reason); err != nil {
			t.Errorf("%s, %s: %v", username, name, err)
		}
	}
	pages["found"] = self.open("/ledger?kind=request.submit&person=me")
	// An entry's page has the person part as it is, for the browser to hash; what
	// people see of it is spelled.
	entry := self.open("/ledger/" + itoa(entries(asks, "kind=request.submit&person=me").Entries[0].Index))
	typed := self.open("/ledger?since=1h&who=x&text=" + url.QueryEscape(text))
	for name, page := range map[string]*robot.Page{"found": pages["found"], "entry": entry} {
		if err := payloads.Spelled(page.Text(), q.Reason); err != nil {
			t.Errorf("%s, %s: %v", username, name, err)
		}
	}
	if err := payloads.Seen(strings.ReplaceAll(typed.Text(), "\n", " ")); err != nil || typed.Status >= 500 {
		t.Errorf("%s looks for %q: %d, %v", username, text, typed.Status, err)
	}
	pages["decided"] = w.decideWith(bob, q, pages["request"], text, "harmless")
	w.checkCertificate(asks, q)

	other := alice.submit(nil)
	pages["decides"] = self.open(requestPath(other.ID))
	pages["decided by them"] = w.decideWith(self, other, pages["decides"], text, "harmless")
	return pages
}

// canonical reports whether text can be committed to: a client can't send others.
func canonical(text string) bool {
	return strings.ToValidUTF8(text, "") == text && norm.NFC.IsNormalString(text)
}

// decideWith approves with words, or with others if those are refused, and returns
// the request's page as it is then.
func (w *world) decideWith(b *browser, q api.Request, page *robot.Page, words, otherwise string) *robot.Page {
	t := w.t
	t.Helper()
	if strings.TrimSpace(words) == "" {
		words = otherwise // blanks are no words, and the page has none
	}
	form := url.Values{"verdict": {"approve"}, "minutes": {"10"}, "words": {words}, "shown": {hidden(t, page, q.ID, "shown")}}
	r := b.post(decisionsPath(q.ID), form, w.ownPage())
	if r.status >= 400 {
		twin := b.post(decisionsPath(q.ID), also(without(form, "words"), "words", strings.Repeat("x", 1001)), w.ownPage())
		if r.status != twin.status || r.status >= 500 {
			t.Errorf("words refused by %d, harmless ones by %d", r.status, twin.status)
		}
		if err := payloads.Twin(string(r.body), string(twin.body)); err != nil {
			t.Errorf("the refusal of %.60q: %v", words, err)
		}
		r = b.post(decisionsPath(q.ID), also(without(form, "words"), "words", otherwise), w.ownPage())
	}
	if r.status != http.StatusSeeOther {
		t.Fatalf("not decided: %d %s", r.status, r.body)
	}
	return b.open(requestPath(q.ID))
}

func without(form url.Values, name string) url.Values {
	out := also(form, name, "")
	delete(out, name)
	return out
}

// checkCertificate demands a certificate in which nothing stands that anybody
// wrote.
func (w *world) checkCertificate(c *cli, q api.Request) {
	t := w.t
	t.Helper()
	got := into[api.Certificate](t, c.call("/v1/grants/"+string(q.ID)+"/certificates", c.issueBody(q, newKey(t))), http.StatusOK)
	key, comment, options, _, err := ssh.ParseAuthorizedKey([]byte(got.Certificate))
	must(t, err)
	cert, ok := key.(*ssh.Certificate)
	if !ok || comment != "" || len(options) > 0 {
		t.Fatalf("no certificate alone: %s", got.Certificate)
	}
	id, err := sshcert.ParseKeyID(cert.KeyId)
	if err != nil || id.Person != c.Person || id.Request != q.ID {
		t.Errorf("the key ID is %q, %v", cert.KeyId, err)
	}
	if len(cert.ValidPrincipals) != 1 || cert.ValidPrincipals[0] != "ops@web-1.demo" || len(cert.CriticalOptions) > 0 {
		t.Errorf("principals %q, options %v", cert.ValidPrincipals, cert.CriticalOptions)
	}
}

// Whatever accounts are called and people write, pages are built as those of people
// with plain names and words, certificates hold none of it, and nor does the log.
func TestPromiseP16_NobodyWritesMarkup(t *testing.T) {
	t.Parallel()
	all := payloads.All()
	var people []idp.Account
	for i, p := range all {
		people = append(people, person(i, p.Text))
	}
	nameless := person(len(all), "")
	nameless.Handle = "\a" // the provider sends it, and it is dropped
	named := person(len(all)+1, "Harmless Name")
	w := patientWorld(t, append(people, nameless, named)...)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	// One before the twins: bob's inbox lists what he decided lately from then on.
	w.payloadStory(alice, bob, named.Username, "use staging")
	twins := map[bool]map[string]*robot.Page{
		true: w.payloadStory(alice, bob, named.Username, "use staging"), false: w.payloadStory(alice, bob, nameless.Username, "use staging"),
	}
	for i, p := range all {
		pages := w.payloadStory(alice, bob, people[i].Username, p.Text)
		for name, page := range pages {
			if page.Status != http.StatusOK {
				t.Errorf("%s: %s answers %d", p.Name, name, page.Status)
			}
			err := payloads.Twin(page.Body, twins[true][name].Body)
			if err != nil && payloads.Twin(page.Body, twins[false][name].Body) != nil {
				t.Errorf("%s: %s: %v", p.Name, name, err)
			}
		}
	}
	if err := payloads.Log(w.logs.String(), logMembers()...); err != nil {
		t.Error(err)
	}
}
