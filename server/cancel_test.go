package server_test

import (
	"bytes"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

func cancelPath(id canon.ID) string { return requestPath(id) + "/cancel" }

// cancelBody signs the cancellation of a request; change mends it before.
func (c *cli) cancelBody(id canon.ID, change func(*record.CancelDoc)) api.CancelRequest {
	c.w.t.Helper()
	doc := record.CancelDoc{V: record.CancelVersion, Origin: origin, Request: id, Person: c.Person, ExpiresAt: c.w.clock.in(5 * time.Minute)}
	if change != nil {
		change(&doc)
	}
	text, err := canon.Marshal(doc)
	must(c.w.t, err)
	return api.CancelRequest{Document: string(text), Signature: sign(c.w.t, c.device, sshcert.NamespaceDevice, text)}
}

// TestCancel takes requests back, by the interface and by the page, and reads what
// the requester and an approver see then.
func TestCancel(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	first, second := alice.submit(nil), alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(first.ID))
	form := yes(t, page, first.ID)
	if _, err := page.Form(cancelPath(first.ID)); err == nil {
		t.Error("an approver is shown the requester's button")
	}
	body := alice.cancelBody(first.ID, nil)
	gone := into[api.Request](t, alice.call("/v1"+cancelPath(first.ID), body), http.StatusOK)
	if gone.State != "cancelled" || gone.CancelledAt == 0 || gone.Grant != nil || gone.Stage != "" || gone.ExpiresAt != 0 {
		t.Errorf("the answer is %+v", gone)
	}
	w.unchanged(func() {
		again, anew := alice.call("/v1"+cancelPath(first.ID), body), alice.call("/v1"+cancelPath(first.ID), alice.cancelBody(first.ID, nil))
		if read := alice.call("/v1"+requestPath(first.ID), nil); again.status != 200 || !bytes.Equal(again.body, read.body) || !bytes.Equal(anew.body, read.body) {
			t.Errorf("a repeat answers %d %s, and one anew %s", again.status, again.body, anew.body)
		}
		late := bob.post(decisionsPath(first.ID), form, w.ownPage())
		if late.status != http.StatusConflict {
			t.Errorf("a yes to what was cancelled: %d", late.status)
		}
		contains(t, string(late.body), "It was cancelled at", "this request is settled")
	})
	contains(t, bob.open(requestPath(first.ID)).Text(), "Cancelled", "UTC, by Alice Ampère")
	if inbox := bob.open("/").Body; strings.Contains(inbox, string(first.ID)) || !strings.Contains(inbox, string(second.ID)) {
		t.Error("what was cancelled still waits for an approver, or what was not does not")
	}

	own, page := w.signIn("alice", requestPath(second.ID))
	w.checkPage("request", page)
	after, err := own.Submit(t.Context(), page, cancelPath(second.ID), nil, "Cancel this request")
	must(t, err)
	if after.Status != 200 || after.URL.Path != requestPath(second.ID) {
		t.Fatalf("after the button: %d at %s", after.Status, after.URL)
	}
	w.checkPage("cancelled", after)
	contains(t, after.Text(), "Cancelled", "UTC, by Alice Ampère")
	if _, err := after.Form(cancelPath(second.ID)); err == nil {
		t.Error("the button is still there")
	}
	contains(t, own.open("/").Text(), "cancelled")
	w.unchanged(func() { // the button of a page that was open in another tab
		if r := own.post(cancelPath(second.ID), url.Values{}, w.ownPage()); r.status != http.StatusSeeOther {
			t.Errorf("the button once more: %d %s", r.status, r.body)
		}
	})
	for _, q := range into[api.Requests](t, alice.call("/v1/requests?scope=mine", nil), 200).Requests {
		if q.State != "cancelled" {
			t.Errorf("request %s is %s", q.ID, q.State)
		}
	}
}

// TestPromiseP03_SomebodyElseCancels: who may see a request is told that it is not
// theirs to cancel, to everybody else it does not exist.
func TestPromiseP03_SomebodyElseCancels(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, eve, none := w.logIn("alice"), w.logIn("bob"), w.logIn("eve"), w.logIn("nil")
	q := alice.submit(nil)
	path := "/v1" + cancelPath(q.ID)
	bobs, _ := w.signIn("bob", "/")
	eves, _ := w.signIn("eve", "/")
	w.unchanged(func() {
		bob.call(path, bob.cancelBody(q.ID, nil)).wantProblem(t, 403, "not-requester", "by the account that made it")
		bob.call(path, alice.cancelBody(q.ID, nil)).wantProblem(t, 422, "field-refused", "signature")
		eve.call(path, eve.cancelBody(q.ID, nil)).wantProblem(t, 404, "not-found", "no such request")
		none.call(path, none.cancelBody(q.ID, nil)).wantProblem(t, 403, "groups-unknown")
		r := bobs.post(cancelPath(q.ID), url.Values{}, w.ownPage())
		if r.status != 403 {
			t.Errorf("an approver's page: %d", r.status)
		}
		contains(t, string(r.body), "Only who asked can cancel it", "deny it")
		if r := eves.post(cancelPath(q.ID), url.Values{}, w.ownPage()); r.status != 404 {
			t.Errorf("a stranger's page: %d", r.status)
		}
	})
	if now := into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200); now.State != "pending" {
		t.Errorf("it is %s", now.State)
	}
}

// TestCancelInput posts cancellations that must be refused.
func TestCancelInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, eve := w.logIn("alice"), w.logIn("eve")
	q, other, granted, denied := alice.submit(nil), alice.submit(nil), alice.submit(nil), alice.submit(nil)
	bob, _ := w.signIn("bob", "/")
	bob.press(bob.open(requestPath(granted.ID)), granted.ID, "Approve", nil)
	bob.press(bob.open(requestPath(denied.ID)), denied.ID, "Deny", nil)
	unknown := canon.ID(strings.Repeat("a", 26))
	stolen := &cli{w: w, bearer: alice.bearer, device: newKey(t), Session: alice.Session}
	doc := func(change func(*record.CancelDoc)) any { return alice.cancelBody(q.ID, change) }
	bend := func(change func(*api.CancelRequest)) any {
		b := alice.cancelBody(q.ID, nil)
		change(&b)
		return b
	}
	for _, tt := range []struct {
		name   string
		id     canon.ID
		body   any
		status int
		slug   string
		words  []string
	}{
		{"granted", granted.ID, alice.cancelBody(granted.ID, nil), 409, "settled", []string{"it was granted at", "it ends by itself"}},
		{"denied", denied.ID, alice.cancelBody(denied.ID, nil), 409, "settled", []string{"it was denied at"}},
		{"one that is not there", unknown, alice.cancelBody(unknown, nil), 404, "not-found", []string{"no such request"}},
		{"no id", "x", alice.cancelBody(q.ID, nil), 404, "not-found", nil},
		{"an id in capitals", canon.ID(strings.ToUpper(string(q.ID))), alice.cancelBody(q.ID, nil), 404, "not-found", nil},
		{"signed for another request", q.ID, alice.cancelBody(other.ID, nil), 422, "field-refused", []string{"another request"}},
		{"signed for another server", q.ID, doc(func(d *record.CancelDoc) { d.Origin = "evil.test" }), 422, "field-refused", []string{"server"}},
		{"in another name", q.ID, doc(func(d *record.CancelDoc) { d.Person = eve.Person }), 422, "field-refused", []string{"person"}},
		{"another version of documents", q.ID, doc(func(d *record.CancelDoc) { d.V = "sallyport.cancel/v9" }), 422, "field-refused", []string{"v9"}},
		{"expired", q.ID, doc(func(d *record.CancelDoc) { d.ExpiresAt = w.clock.in(-time.Second) }), 422, "field-refused", []string{"expired"}},
		{"dated ahead", q.ID, doc(func(d *record.CancelDoc) { d.ExpiresAt = w.clock.in(time.Hour) }), 422, "field-refused", []string{"clock"}},
		{"a bearer alone", q.ID, stolen.cancelBody(q.ID, nil), 422, "field-refused", []string{"signature"}},
		{"no document", q.ID, bend(func(b *api.CancelRequest) { b.Document = "" }), 422, "field-refused", []string{"document"}},
		{"no signature", q.ID, bend(func(b *api.CancelRequest) { b.Signature = "" }), 422, "field-refused", []string{"signature"}},
		{"white space in the document", q.ID, bend(func(b *api.CancelRequest) { b.Document = " " + b.Document }), 422, "field-refused", []string{"document"}},
		{"another document", q.ID, bend(func(b *api.CancelRequest) {
			asked := alice.requestBody(nil)
			b.Document, b.Signature = asked.Document, asked.Signature
		}), 422, "field-refused", []string{"document"}},
		{"a field missing", q.ID, `{"document":"x"}`, 400, "malformed", []string{"signature", "missing"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.unchanged(func() { alice.call("/v1"+cancelPath(tt.id), tt.body).wantProblem(t, tt.status, tt.slug, tt.words...) })
		})
	}
	own, _ := w.signIn("alice", "/")
	w.unchanged(func() {
		(&cli{w: w}).call("/v1"+cancelPath(q.ID), alice.cancelBody(q.ID, nil)).wantProblem(t, 401, "unauthenticated")
		alice.call("/v1"+cancelPath(q.ID), nil).wantProblem(t, http.StatusMethodNotAllowed, "method-not-allowed")
		if r := own.post("/v1"+cancelPath(q.ID), url.Values{}, w.ownPage()); r.status != 401 {
			t.Errorf("a cookie where a bearer belongs: %d", r.status)
		}
	})
	w.clock.advance(15 * time.Minute)
	w.unchanged(func() {
		alice.call("/v1"+cancelPath(q.ID), alice.cancelBody(q.ID, nil)).wantProblem(t, 409, "settled", "it expired at")
	})
}

// TestForgedCancellations sends what no page of ours sends.
func TestForgedCancellations(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	own, _ := w.signIn("alice", "/")
	path, nothing := cancelPath(q.ID), url.Values{}
	header := func(name, value string) http.Header {
		h := w.ownPage()
		h.Set(name, value)
		return h
	}
	for _, tt := range []struct {
		name   string
		send   func() reply
		status int
	}{
		{"from another site", func() reply {
			return own.post(path, nothing, http.Header{"Origin": {"https://evil.test"}, "Sec-Fetch-Site": {"cross-site"}})
		}, 403},
		{"from nowhere", func() reply { return own.post(path, nothing, nil) }, 403},
		{"by GET", func() reply {
			return w.send(http.MethodGet, path, http.Header{"Cookie": {own.cookieHeader()}}, nil)
		}, 405},
		{"as JSON", func() reply { return own.post(path, nothing, header("Content-Type", "application/json")) }, 415},
		{"with a field", func() reply { return own.post(path, url.Values{"verdict": {"deny"}}, w.ownPage()) }, 400},
		{"without a session", func() reply { return w.newBrowser().post(path, nothing, w.ownPage()) }, 401},
		{"with a bearer", func() reply {
			return w.newBrowser().post(path, nothing, header("Authorization", "Bearer "+alice.bearer))
		}, 401},
		{"of what is not there", func() reply { return own.post(cancelPath(canon.ID(strings.Repeat("a", 26))), nothing, w.ownPage()) }, 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.unchanged(func() {
				if r := tt.send(); r.status != tt.status {
					t.Errorf("status %d, want %d: %.300s", r.status, tt.status, r.body)
				}
			})
		})
	}
}
