package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/docs"
	"github.com/sallyport/sallyport/internal/lab/redocly"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// TestOpenAPIIsServed: anybody may read the document, and it is the one that is
// checked in.
func TestOpenAPIIsServed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	r := w.send(http.MethodGet, "/v1/openapi.json", nil, nil)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/json" || string(r.body) != string(docs.OpenAPI) {
		t.Errorf("%d %s, %d bytes", r.status, r.header.Get("Content-Type"), len(r.body))
	}
	if !strings.HasPrefix(string(docs.OpenAPI), "{\n  \"openapi\": \"3.1.0\",") {
		t.Error("it is no OpenAPI 3.1")
	}
}

// TestOpenAPIIsGoodByOthers asks a linter of other people's.
func TestOpenAPIIsGoodByOthers(t *testing.T) {
	t.Parallel()
	flaws, err := redocly.Lint(t.Context(), t.TempDir(), docs.OpenAPI)
	must(t, err)
	for _, flaw := range flaws {
		t.Error(flaw)
	}
}

// TestEveryDocumentedAnswer plays a story in which every operation gives every
// answer of 2xx that the document promises; each is held to it by send. Who adds
// an operation adds its call here.
func TestEveryDocumentedAnswer(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	alice := w.logIn("alice")
	for _, path := range []string{
		"/v1/openapi.json", "/v1/sessions/current", "/v1/hosts", "/v1/roles?login=ops&host=web-1.demo&host=web-2.demo", "/v1/requests?scope=mine",
		"/v1/ledger/export",
	} {
		alice.call(path, nil)
	}
	t.Run("events", func(t *testing.T) { // held to the document when it is closed
		one := *w
		one.t = t
		l := one.listen("/v1/events?after=0", http.Header{"Authorization": {"Bearer " + alice.bearer}})
		alice.submit(nil)
		l.next()
	})
	body := alice.requestBody(nil)
	q := into[api.Request](t, alice.call("/v1/requests", body), http.StatusCreated)
	alice.call("/v1/requests", body)
	unwanted := alice.submit(nil)
	alice.call("/v1"+cancelPath(unwanted.ID), alice.cancelBody(unwanted.ID, nil))
	bob, page := w.signIn("bob", requestPath(q.ID))
	bob.press(page, q.ID, "Approve", map[string]string{"minutes": "5", "words": "go ahead"})
	alice.call("/v1/requests?scope=mine", nil)
	alice.call("/v1/requests?scope=waiting", nil)
	alice.call("/v1"+requestPath(q.ID), nil)
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), http.StatusOK)
	w.send(http.MethodGet, "/v1/hosts/krl?lineage="+w.version.Lineage().String(), nil, nil)
	alice.call("/v1/revocations", alice.revokeBody(ofGrant(q.ID), nil))
	alice.call("/v1"+requestPath(q.ID), nil)
	list := into[api.Entries](t, alice.call("/v1/ledger/entries?before=100&limit=200", nil), http.StatusOK)
	for _, e := range list.Entries {
		alice.call("/v1/ledger/entries/"+itoa(e.Index), nil)
	}

	// A login that is renewed, and ended.
	issuer := w.issuers()["acme/lab"]
	c, rz := &cli{w: w, device: newKey(t)}, [32]byte{9}
	p, got := w.tokens(issuer, "bob", oidc.DeviceNonce(rz, c.device.PublicKey().Marshal()))
	c.bearer = into[api.Session](t, c.call("/v1/sessions", w.loginBody(issuer.ID, got.ID, rz, c.device)), http.StatusCreated).Bearer
	renewed, _ := c.renew(p, got, rz)
	into[api.Session](t, renewed, http.StatusOK)
	w.send(http.MethodDelete, "/v1/sessions/current", http.Header{"Authorization": {"Bearer " + c.bearer}}, nil)

	// A host, and its host admin.
	app := w.caller("app-1.demo")
	_, err := app.Bundle(t.Context(), w.version.Lineage(), 1)
	must(t, err)
	_, err = app.Join(t.Context(), w.invited("app-1.demo", bundle.Digest()))
	must(t, err)
	_, _, err = app.Certify(t.Context())
	must(t, err)
	if r := alice.act(record.HostsDoc{Act: record.ActRetire, ID: newID(t), Host: "app-1.demo"}); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}

	version, folder := w.amendment()
	alice.call("/v1/contracts", sent(t, folder))
	alice.call("/v1/contracts", nil)
	alice.call("/v1/contracts/"+version.Digest.String(), nil)
	alice.call("/v1/contracts/plan", api.PlanRequest{Terms: string(version.Files[contract.TermsFile]), Days: "30"})

	w.askOpenings(w.openingsOf(w.oversee(), nil))

	if unseen := w.openAPI.Unseen(); len(unseen) > 0 {
		t.Errorf("documented, and not answered in this story:\n%s", strings.Join(unseen, "\n"))
	}
}
