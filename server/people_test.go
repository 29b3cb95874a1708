package server_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// cli is a person's command-line client.
type cli struct {
	w      *world
	bearer string
	device ssh.Signer
	api.Session
}

// call posts JSON, or gets if body is nil.
func (c *cli) call(path string, body any) reply {
	c.w.t.Helper()
	header := http.Header{}
	if c.bearer != "" {
		header.Set("Authorization", "Bearer "+c.bearer)
	}
	if body == nil {
		return c.w.send(http.MethodGet, path, header, nil)
	}
	header.Set("Content-Type", "application/json")
	text, ok := body.(string)
	if !ok {
		b, err := json.Marshal(body)
		must(c.w.t, err)
		text = string(b)
	}
	return c.w.send(http.MethodPost, path, header, strings.NewReader(text))
}

// idToken runs the code flow as the CLI does, with a nonce that commits to the
// device key.
func (w *world) idToken(username, nonce string) string {
	t := w.t
	t.Helper()
	about := into[api.Server](t, w.send(http.MethodGet, "/v1/server", nil, nil), http.StatusOK)
	i := about.Issuers[0]
	p, err := oidc.New(oidc.Issuer{ID: i.ID, URL: i.URL, ClientID: i.ClientID, Algs: i.Algs, SubjectClaim: i.Subject, GroupsClaim: i.Groups}, time.Now)
	must(t, err)
	loopback, err := oidc.ListenLoopback(0)
	must(t, err)
	defer func() { must(t, loopback.Close()) }()
	authURL, pending, err := p.Start(t.Context(), loopback.RedirectURI(), nonce, nil)
	must(t, err)
	browser, err := robot.New(nil)
	must(t, err)
	defer browser.Close()
	_, err = browser.LogIn(t.Context(), authURL, username, username+"-pw")
	must(t, err)
	answer, err := loopback.Wait(t.Context())
	must(t, err)
	raw, err := p.Exchange(t.Context(), pending, answer)
	must(t, err)
	return raw
}

// sessionBody makes the body of POST /v1/sessions.
func (w *world) sessionBody(username string, device ssh.Signer) api.SessionRequest {
	t := w.t
	t.Helper()
	rz := [32]byte{1, 2, 3}
	wire := device.PublicKey().Marshal()
	token := w.idToken(username, oidc.DeviceNonce(rz, wire))
	challenge := into[api.Challenge](t, (&cli{w: w}).call("/v1/challenges", api.ChallengeRequest{Purpose: "session"}), http.StatusOK)
	document, err := canon.Marshal(record.SessionDoc{
		V: record.SessionVersion, Origin: origin, Server: w.base, IDToken: sha256.Sum256([]byte(token)), Challenge: challenge.Challenge,
	})
	must(t, err)
	return api.SessionRequest{
		Issuer: "acme/lab", IDToken: token, RZ: canon.B64(rz[:]), DeviceKey: canon.B64(wire),
		Document: string(document), Signature: sign(t, device, sshcert.NamespaceDevice, document),
	}
}

func sign(t testing.TB, key ssh.Signer, namespace string, text []byte) string {
	t.Helper()
	armored, err := sshcert.Sign(rand.Reader, key, namespace, text)
	must(t, err)
	return armored
}

// logIn opens a session for a command-line client.
func (w *world) logIn(username string) *cli {
	w.t.Helper()
	device := newKey(w.t)
	c := &cli{w: w, device: device}
	c.Session = into[api.Session](w.t, c.call("/v1/sessions", w.sessionBody(username, device)), http.StatusCreated)
	c.bearer = c.Bearer
	return c
}

// ask is what a request is made of; change mends it before it is signed.
type ask struct {
	record.RequestDoc
	reason string
	ticket string
}

// requestBody signs a request for 10 minutes as ops on web-1.demo.
func (c *cli) requestBody(change func(*ask)) api.RequestRequest {
	t := c.w.t
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	must(t, err)
	a := ask{reason: "INC-42 checkout latency", RequestDoc: record.RequestDoc{
		V: record.RequestVersion, Origin: origin, Request: id, Person: c.Person, Contract: c.w.version.Digest, Role: "operator",
		Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{"web-1.demo"}, Seconds: 600, ExpiresAt: c.w.clock.in(5 * time.Minute),
	}}
	if change != nil {
		change(&a)
	}
	salt, err := ledger.NewSalt(rand.Reader)
	must(t, err)
	if a.Commitment.IsZero() && a.reason != "" {
		part, err := canon.Marshal(record.RequestPerson{Reason: a.reason, Ticket: a.ticket})
		must(t, err)
		a.Commitment = ledger.PersonCommitment(salt, part)
	}
	document, err := canon.Marshal(a.RequestDoc)
	must(t, err)
	return api.RequestRequest{
		Document: string(document), Signature: sign(t, c.device, sshcert.NamespaceDevice, document), PersonSalt: salt.String(), Reason: a.reason, Ticket: a.ticket,
	}
}

// submit files a request.
func (c *cli) submit(change func(*ask)) api.Request {
	c.w.t.Helper()
	return into[api.Request](c.w.t, c.call("/v1/requests", c.requestBody(change)), http.StatusCreated)
}

// issueBody signs an issue call for key under the grant.
func (c *cli) issueBody(q api.Request, key ssh.Signer) api.CertificateRequest {
	t := c.w.t
	t.Helper()
	challenge := into[api.Challenge](t, c.call("/v1/challenges", api.ChallengeRequest{Purpose: "issue"}), http.StatusOK)
	document, err := canon.Marshal(record.IssueDoc{
		V: record.IssueVersion, Origin: origin, Lineage: q.Contract.Lineage, Person: c.Person, Grant: q.ID,
		Key: canon.B64(key.PublicKey().Marshal()), Challenge: challenge.Challenge, ExpiresAt: c.w.clock.in(5 * time.Minute),
	})
	must(t, err)
	return api.CertificateRequest{
		Document: string(document), DeviceSignature: sign(t, c.device, sshcert.NamespaceDevice, document),
		PossessionSignature: sign(t, key, sshcert.NamespacePossession, document),
	}
}

// browser is a person's browser.
type browser struct {
	*robot.Robot
	w *world
}

func (w *world) newBrowser() *browser {
	w.t.Helper()
	r, err := robot.New(nil)
	must(w.t, err)
	w.t.Cleanup(r.Close)
	return &browser{r, w}
}

// signIn opens a page and signs in on the way.
func (w *world) signIn(username, path string) (*browser, *robot.Page) {
	w.t.Helper()
	b := w.newBrowser()
	page, err := b.LogIn(w.t.Context(), w.base+path, username, username+"-pw")
	must(w.t, err)
	if b.cookieHeader() == "" {
		w.t.Fatalf("%s was not signed in: %d %s", username, page.Status, page.Text())
	}
	return b, page
}

func (b *browser) open(path string) *robot.Page {
	b.w.t.Helper()
	page, err := b.Get(b.w.t.Context(), b.w.base+path)
	must(b.w.t, err)
	return page
}

// press fills in the decision form of a page and presses a button.
func (b *browser) press(page *robot.Page, id canon.ID, button string, values map[string]string) *robot.Page {
	b.w.t.Helper()
	next, err := b.Submit(b.w.t.Context(), page, decisionsPath(id), values, button)
	must(b.w.t, err)
	return next
}

func decisionsPath(id canon.ID) string { return requestPath(id) + "/decisions" }
func requestPath(id canon.ID) string   { return "/requests/" + string(id) }

// cookieHeader is the session cookie that the browser would send, empty if it has
// none. (The provider's cookies lie beside it: cookies do not tell ports apart.)
func (b *browser) cookieHeader() string {
	b.w.t.Helper()
	cookies, err := b.Cookies(b.w.base + "/")
	must(b.w.t, err)
	for _, c := range cookies {
		if c.Name == "sallyport-"+b.w.port() {
			return c.Name + "=" + c.Value
		}
	}
	return ""
}

// post sends a hand-made form with the browser's cookies.
func (b *browser) post(path string, form url.Values, header http.Header) reply {
	b.w.t.Helper()
	h := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Cookie": {b.cookieHeader()}}
	for name, values := range header {
		h[name] = values
	}
	return b.w.send(http.MethodPost, path, h, strings.NewReader(form.Encode()))
}

// ownPage are the headers of a form that our own page sent.
func (w *world) ownPage() http.Header {
	return http.Header{"Origin": {w.base}, "Sec-Fetch-Site": {"same-origin"}}
}

func hidden(t testing.TB, page *robot.Page, id canon.ID, name string) string {
	t.Helper()
	form, err := page.Form(decisionsPath(id))
	must(t, err)
	for _, f := range form.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	t.Fatalf("the form has no field %s", name)
	return ""
}

func contains(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Errorf("%q is not in:\n%s", word, text)
		}
	}
}

func names(form *robot.Form) string {
	var out []string
	for _, b := range form.Buttons {
		out = append(out, fmt.Sprintf("%s=%s", b.Name, b.Value))
	}
	return strings.Join(out, " ")
}
