package server_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

func revokePath(id canon.ID) string { return requestPath(id) + "/revoke" }

// revokeBody signs a revocation; change mends the document before.
func (c *cli) revokeBody(t record.Target, change func(*record.RevokeDoc)) api.RevocationRequest {
	c.w.t.Helper()
	id, err := canon.NewID(rand.Reader)
	must(c.w.t, err)
	doc := record.RevokeDoc{
		V: record.RevokeVersion, Origin: origin, Revocation: id, Person: c.Person, Lineage: c.w.version.Lineage(), Target: t, ExpiresAt: c.w.clock.in(5 * time.Minute),
	}
	if change != nil {
		change(&doc)
	}
	text, err := canon.Marshal(doc)
	must(c.w.t, err)
	return api.RevocationRequest{Document: string(text), Signature: sign(c.w.t, c.device, sshcert.NamespaceDevice, text), Because: "the <b>laptop</b> was stolen"}
}

func ofGrant(id canon.ID) record.Target { return record.Target{Type: record.TargetGrant, ID: id} }

// granted is a request of alice's that bob's browser has approved.
func (w *world) granted(alice *cli, bob *browser) api.Request {
	w.t.Helper()
	q := alice.submit(nil)
	bob.press(bob.open(requestPath(q.ID)), q.ID, "Approve", nil)
	return into[api.Request](w.t, alice.call("/v1"+requestPath(q.ID), nil), 200)
}

func (w *world) list(query string) api.RevocationList {
	w.t.Helper()
	return into[api.RevocationList](w.t, w.send(http.MethodGet, "/v1/hosts/krl?lineage="+w.version.Lineage().String()+query, nil, nil), 200)
}

// TestRevoke revokes by the interface and by the page, and reads what the requester
// and an approver see then.
func TestRevoke(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	first, second := w.granted(alice, bob), w.granted(alice, bob)
	key := newKey(t)
	cert := into[api.Certificate](t, alice.call("/v1/grants/"+string(first.ID)+"/certificates", alice.issueBody(first, key)), 200)
	body := alice.revokeBody(ofGrant(first.ID), nil)
	done := into[api.Revocation](t, alice.call("/v1/revocations", body), 200)
	if done.Target != "grant" || done.ID != first.ID || done.Lineage != w.version.Lineage() || done.Index != w.size()-1 {
		t.Errorf("the answer is %+v", done)
	}
	w.unchanged(func() {
		again := into[api.Revocation](t, alice.call("/v1/revocations", body), 200)
		if again != done {
			t.Errorf("a repeat answers %+v", again)
		}
		alice.call("/v1/revocations", alice.revokeBody(ofGrant(first.ID), nil)).wantProblem(t, 409, "settled", "was revoked at")
		alice.call("/v1/grants/"+string(first.ID)+"/certificates", alice.issueBody(first, key)).wantProblem(t, 409, "revoked", "ask again")
	})
	gone := into[api.Request](t, alice.call("/v1"+requestPath(first.ID), nil), 200)
	if gone.State != "revoked" || gone.Revoked == nil || gone.Revoked.ByName != "Alice Ampère" || gone.Revoked.Because != body.Because || gone.Grant == nil || gone.Grant.Active {
		t.Errorf("it is %+v", gone)
	}
	if n := len(into[api.Requests](t, alice.call("/v1/requests?scope=mine&state=revoked", nil), 200).Requests); n != 1 {
		t.Errorf("%d are listed as revoked", n)
	}
	page := bob.open(requestPath(first.ID))
	w.checkPage("revoked", page)
	contains(t, page.Text(), "Revoked", "Alice Ampère", "the <b>laptop</b> was stolen")
	if _, err := page.Form(revokePath(first.ID)); err == nil {
		t.Error("what is revoked can be revoked")
	}

	page = bob.open(requestPath(second.ID))
	w.checkPage("grant", page)
	empty, err := bob.Submit(t.Context(), page, revokePath(second.ID), map[string]string{"because": " "}, "Revoke, for good")
	must(t, err)
	if empty.Status != 422 {
		t.Errorf("without a reason: %d", empty.Status)
	}
	w.checkPage("revoke refused", empty)
	contains(t, empty.Text(), "because", "it is empty")
	after, err := bob.Submit(t.Context(), page, revokePath(second.ID), map[string]string{"because": "wrong\nhost"}, "Revoke, for good")
	must(t, err)
	if after.Status != 200 || after.URL.Path != requestPath(second.ID) {
		t.Fatalf("after the button: %d at %s", after.Status, after.URL)
	}
	contains(t, after.Text(), "Revoked", "Bob", "wrong host")
	own, page := w.signIn("alice", requestPath(second.ID))
	contains(t, page.Text(), "Revoked", "ask again", "wrong host")
	contains(t, own.open("/").Text(), "revoked")
	list, err := krl.Parse(unb64(t, w.list("").KRL))
	must(t, err)
	if len(list.Issued) != 1 || list.Issued[0].Serials[0].First != cert.Serial {
		t.Errorf("the list has %+v, want serial %d", list.Issued, cert.Serial)
	}
}

func unb64(t *testing.T, text string) []byte {
	t.Helper()
	b, err := canon.ParseB64(text)
	must(t, err)
	return b
}

// TestPromiseP03_SomebodyElseRevokes: who may not is told so, and what somebody may
// not see is answered like what is not there.
func TestPromiseP03_SomebodyElseRevokes(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, eve, mallory := w.logIn("alice"), w.logIn("eve"), w.logIn("mallory")
	bob, _ := w.signIn("bob", "/")
	eves, _ := w.signIn("eve", "/")
	q := w.granted(alice, bob)
	w.unchanged(func() {
		mallory.call("/v1/revocations", mallory.revokeBody(ofGrant(q.ID), nil)).wantProblem(t, 403, "not-revoker", "who asked for it")
		mallory.call("/v1/revocations", alice.revokeBody(ofGrant(q.ID), nil)).wantProblem(t, 422, "field-refused", "signature")
		eve.call("/v1/revocations", eve.revokeBody(record.Target{Type: record.TargetRole, Role: "operator"}, nil)).wantProblem(t, 403, "not-revoker", "office")
		eve.call("/v1/revocations", eve.revokeBody(ofGrant(eve.Person), nil)).wantProblem(t, 404, "not-found")
		alice.call("/v1/revocations", alice.revokeBody(ofGrant(q.ID), func(d *record.RevokeDoc) { d.Origin = "evil.example" })).wantProblem(t, 422, "field-refused", "server")
		if r := eves.post(revokePath(q.ID), url.Values{"because": {"x"}}, w.ownPage()); r.status != 404 {
			t.Errorf("a stranger's page: %d", r.status)
		}
		if r := bob.post(revokePath(q.ID), url.Values{"because": {"x"}}, http.Header{"Origin": {"https://evil.example"}}); r.status != 403 {
			t.Errorf("another site's form: %d", r.status)
		}
	})
}

// TestPromiseP09_TheListForHosts: anybody reads the list and its statement; who has
// it is not sent it, and who waits hears of another one at once.
func TestPromiseP09_TheListForHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	q := w.granted(alice, bob)
	first := w.list("")
	said, err := trust.ParseKRL(first.Statement)
	must(t, err)
	if said.Number != first.Number || said.Lineage != w.version.Lineage() || said.Covers(unb64(t, first.KRL)) != nil {
		t.Errorf("of list %d it says %+v", first.Number, said)
	}
	must(t, sshcert.Verify(w.settings.KRL.PublicKey(), trust.KRLNamespace, []byte(first.Statement), first.Signature))
	if again := w.list(fmt.Sprintf("&after=%d", first.Number)); again.KRL != "" || again.Statement != first.Statement {
		t.Errorf("who has the list is sent %+v", again)
	}
	path := "/v1/hosts/krl?lineage=" + w.version.Lineage().String()
	whole := w.send(http.MethodGet, path, nil, nil)
	if r := w.send(http.MethodGet, path, http.Header{"If-None-Match": {whole.header.Get("ETag")}}, nil); r.status != http.StatusNotModified || len(r.body) > 0 {
		t.Errorf("asked about the same one: %d %s", r.status, r.body)
	}

	answer := make(chan api.RevocationList, 1)
	asked := make(chan struct{})
	go func() {
		close(asked)
		answer <- w.list(fmt.Sprintf("&after=%d&wait=60", first.Number))
	}()
	<-asked
	begun := time.Now()
	into[api.Revocation](t, alice.call("/v1/revocations", alice.revokeBody(ofGrant(q.ID), nil)), 200)
	next := <-answer
	t.Logf("told after %s", time.Since(begun))
	if next.Number != w.size() || next.KRL == "" {
		t.Errorf("who waited was answered list %d, want %d", next.Number, w.size())
	}
	if r := w.send(http.MethodGet, path, http.Header{"If-None-Match": {whole.header.Get("ETag")}}, nil); r.status != http.StatusOK {
		t.Errorf("asked about the old one: %d", r.status)
	}
	for query, want := range map[string]string{
		"lineage=x": "lineage", "": "lineage", "lineage=" + w.version.Lineage().String() + "&wait=61&after=1": "wait",
		"lineage=" + w.version.Lineage().String() + "&wait=1": "after", "lineage=" + w.version.Lineage().String() + "&after=-1": "after",
	} {
		w.send(http.MethodGet, "/v1/hosts/krl?"+query, nil, nil).wantProblem(t, 422, "field-refused", want)
	}
	other := canon.Sum("x").String()
	w.send(http.MethodGet, "/v1/hosts/krl?lineage="+other, nil, nil).wantProblem(t, 404, "not-found")
	if strings.Contains(string(whole.body), "ops") {
		t.Error("the list names a login")
	}
}
