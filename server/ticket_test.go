package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

// ticketTerms has a role that wants a ticket, whose short grants nobody is asked for.
func ticketTerms(pattern string) string {
	const paths = `    paths: [{id: lead, clause: "§2", stages`
	out := strings.Replace(terms, "request: {reason: {min_words: 2}}", "request: {reason: {min_words: 2}, ticket: {required: true"+pattern+"}}", 1)
	return strings.Replace(out, paths, `    paths: [{id: quick, clause: "§2", when: "ticket && grant_seconds <= 60", auto: true}, {id: lead, clause: "§2", stages`, 1)
}

// A role that wants a ticket says so, refuses a request without one or with one of
// another form, and whoever decides reads the one that was signed.
func TestPromiseP06_ARequestNamesTheTicketThatItsRoleWants(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, ticketTerms(`, pattern: "INC-[0-9]+"`))
	alice := w.logIn("alice")
	roles := into[[]api.RoleOption](t, alice.call("/v1/roles?login=ops&host=web-1.demo", nil), http.StatusOK)
	if len(roles) != 1 || roles[0].Ticket == nil || *roles[0].Ticket != (api.RoleTicket{Required: true, Pattern: "INC-[0-9]+"}) ||
		len(roles[0].Stages) != 1 || roles[0].Approvers[0] != "leads" {
		t.Errorf("the role says %+v", roles)
	}
	for _, tt := range []struct{ name, ticket, want string }{
		{"none", "", "no ticket named"},
		{"of another form", "INC-42x", "not a ticket of the form"},
		{"white space around it", "INC-42 ", "white space around it"},
		{"two lines", "INC-42\nINC-43", "invisible character"},
	} {
		answer := alice.call("/v1/requests", alice.requestBody(func(a *ask) { a.ticket = tt.ticket }))
		if answer.status < 400 || answer.status >= 500 || !strings.Contains(string(answer.body), tt.want) {
			t.Errorf("%s: %d %s", tt.name, answer.status, answer.body)
		}
	}
	other := alice.requestBody(func(a *ask) { a.ticket = "INC-42" })
	other.Ticket = "INC-43"
	if answer := alice.call("/v1/requests", other); answer.status < 400 {
		t.Errorf("another ticket than the one that was signed: %d %s", answer.status, answer.body)
	}
	q := alice.submit(func(a *ask) { a.ticket = "INC-42" })
	if q.Ticket != "INC-42" || q.State != "pending" {
		t.Errorf("it came back as %+v", q)
	}
	bob, page := w.signIn("bob", requestPath(q.ID))
	contains(t, page.Text(), "ticket INC-42")
	contains(t, bob.open("/").Text(), "ticket INC-42")
	at := alice.submit(func(a *ask) { a.ticket, a.Seconds = "INC-44", 60 })
	if at.State != "granted" || at.Grant == nil {
		t.Errorf("a short one is %+v", at)
	}
}

// A ticket is free text of a person: no page shows it but spelled out.
func TestPromiseP16_ATicketIsShownSpelled(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, ticketTerms(""))
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	tried := 0
	for _, p := range payloads.All() {
		text := "T " + strings.TrimSpace(p.Text)
		body := alice.requestBody(func(a *ask) { a.ticket = "T harmless" })
		if canonical(text) {
			body = alice.requestBody(func(a *ask) { a.ticket = text })
		}
		answer := alice.call("/v1/requests", body)
		if wantRefusal(t, p.Name, answer) {
			continue
		}
		tried++
		q := into[api.Request](t, answer, http.StatusCreated)
		for name, page := range map[string]string{"inbox": bob.open("/").Text(), "request": bob.open(requestPath(q.ID)).Text()} {
			if err := payloads.Spelled(page, q.Ticket); err != nil {
				t.Errorf("%s, %s: %v", p.Name, name, err)
			}
		}
		into[api.Request](t, alice.call("/v1"+cancelPath(q.ID), alice.cancelBody(q.ID, nil)), http.StatusOK)
	}
	if tried < 3 {
		t.Errorf("only %d texts were accepted", tried)
	}
}
