package server_test

import (
	"crypto/sha256"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/panva"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// startPanva starts the second identity provider.
func startPanva(t *testing.T) *panva.Server {
	t.Helper()
	p, err := panva.Start(t.Context(), t.TempDir(), panva.Config{Accounts: panva.Accounts(), WebSecret: webSecret})
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	return p
}

// tokens runs the code flow with a provider, as the CLI does.
func (w *world) tokens(i api.Issuer, username, nonce string) (*oidc.Provider, oidc.Tokens) {
	t := w.t
	t.Helper()
	p, err := oidc.New(oidc.Issuer{ID: i.ID, URL: i.URL, ClientID: i.ClientID, Algs: i.Algs, SubjectClaim: i.Subject, GroupsClaim: i.Groups, Offline: true}, time.Now)
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
	got, err := p.Redeem(t.Context(), pending, answer)
	must(t, err)
	return p, got
}

// loginBody brings an ID token as of an issuer.
func (w *world) loginBody(issuer, token string, rz [32]byte, device ssh.Signer) api.SessionRequest {
	t := w.t
	t.Helper()
	challenge := into[api.Challenge](t, (&cli{w: w}).call("/v1/challenges", api.ChallengeRequest{Purpose: "session"}), http.StatusOK)
	document, err := canon.Marshal(record.SessionDoc{
		V: record.SessionVersion, Origin: origin, Server: w.base, IDToken: sha256.Sum256([]byte(token)), Challenge: challenge.Challenge,
	})
	must(t, err)
	return api.SessionRequest{
		Issuer: issuer, IDToken: token, RZ: canon.B64(rz[:]), DeviceKey: canon.B64(device.PublicKey().Marshal()),
		Document: string(document), Signature: sign(t, device, sshcert.NamespaceDevice, document),
	}
}

func (w *world) issuers() map[string]api.Issuer {
	w.t.Helper()
	out := map[string]api.Issuer{}
	for _, i := range into[api.Server](w.t, w.send(http.MethodGet, "/v1/server", nil, nil), http.StatusOK).Issuers {
		out[i.ID] = i
	}
	return out
}

// TestSecondProvider: the whole way with an identity provider that others wrote;
// people whose groups it does not send are told so, and get nothing.
func TestSecondProvider(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, strings.ReplaceAll(terms, "ISSUER", startPanva(t).URL()))
	alice := w.logIn("alice")
	if alice.Name != "Alice of Panva" || !alice.GroupsKnown || len(alice.Groups) != 2 {
		t.Errorf("session is %+v", alice.Session)
	}
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	if after := bob.press(page, q.ID, "Approve", nil); after.Status != 200 {
		t.Fatalf("%d: %s", after.Status, after.Text())
	}
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)

	for _, username := range []string{"nogroups", "many"} {
		c := w.logIn(username)
		if c.GroupsKnown || len(c.Groups) != 0 {
			t.Errorf("%s: session is %+v", username, c.Session)
		}
		c.call("/v1/requests", c.requestBody(nil)).wantProblem(t, http.StatusForbidden, "groups-unknown", "groups")
		c.call("/v1/requests?scope=waiting", nil).wantProblem(t, http.StatusForbidden, "groups-unknown")
		b, page := w.signIn(username, "/")
		contains(t, page.Text(), "It is not known which groups you are in now", "ask whoever runs the identity provider to send your groups")
		other := alice.submit(nil)
		refused := b.open(requestPath(other.ID))
		if refused.Status != http.StatusForbidden {
			t.Errorf("%s: a request's page answers %d", username, refused.Status)
		}
		contains(t, refused.Text(), "Your groups are not known")
	}
}

// TestRefreshOverHTTP: a newer ID token renews the session of the bearer that
// comes with it, and never opens another.
func TestRefreshOverHTTP(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, strings.ReplaceAll(terms, "ISSUER", startPanva(t).URL()))
	c := &cli{w: w, device: newKey(t)}
	rz := [32]byte{9}
	p, got := w.tokens(w.issuers()["acme/lab"], "alice", oidc.DeviceNonce(rz, c.device.PublicKey().Marshal()))
	c.Session = into[api.Session](t, c.call("/v1/sessions", w.loginBody("acme/lab", got.ID, rz, c.device)), http.StatusCreated)
	if c.FreshUntil != c.ClaimsAt+canon.Micros(time.Hour.Microseconds()) {
		t.Errorf("fresh until %d, claims of %d", c.FreshUntil, c.ClaimsAt)
	}
	c.bearer = c.Bearer
	renewed, got := c.renew(p, got, rz)
	s := into[api.Session](t, renewed, http.StatusOK)
	if s.Bearer != "" || s.Person != c.Person || s.ExpiresAt != c.ExpiresAt || s.ClaimsAt <= c.ClaimsAt || s.FreshUntil <= c.FreshUntil {
		t.Errorf("renewed %+v, was %+v", s, c.Session)
	}
	size := w.size()
	next, err := p.Refresh(t.Context(), got.Refresh)
	must(t, err)
	body := w.loginBody("acme/lab", next.ID, rz, c.device)
	for name, bearer := range map[string]string{"none": strings.Repeat("x", 43), "malformed": "x"} {
		stranger := &cli{w: w, bearer: bearer}
		stranger.call("/v1/sessions", body).wantProblem(t, http.StatusUnauthorized, "unauthenticated")
		if w.size() != size {
			t.Errorf("%s: it was recorded", name)
		}
	}
}

// renew posts renewed ID tokens until one says something newer, which one of the
// same second does not.
func (c *cli) renew(p *oidc.Provider, got oidc.Tokens, rz [32]byte) (reply, oidc.Tokens) {
	t := c.w.t
	t.Helper()
	for {
		var err error
		got, err = p.Refresh(t.Context(), got.Refresh)
		must(t, err)
		r := c.call("/v1/sessions", c.w.loginBody("acme/lab", got.ID, rz, c.device))
		if r.status != http.StatusUnauthorized || !strings.Contains(string(r.body), "nothing newer") {
			return r, got
		}
	}
}

// twoIssuers is terms with a second identity provider for partners.
func twoIssuers(second string) string {
	t := strings.Replace(terms, "groups:\n", `  partner: {url: "`+second+`", clients: {cli: sally-cli, web: sallyport-web}, algs: [ES256]}
groups:
  partners: oidc:partner/leads
`, 1)
	return strings.Replace(t, "stages: [{id: lead, from: [leads]", "stages: [{id: lead, from: [leads, partners]", 1)
}

// TestTwoIssuers: people of two identity providers under one contract; which is
// chosen is shown, and an ID token of one is nothing at the other.
func TestTwoIssuers(t *testing.T) {
	t.Parallel()
	second := startPanva(t)
	w := newWorldOf(t, twoIssuers(second.URL()))
	issuers := w.issuers()
	if len(issuers) != 2 || issuers["acme/lab"].URL != w.idp.URL() || issuers["acme/partner"].URL != second.URL() {
		t.Fatalf("issuers: %+v", issuers)
	}
	// The sign-in page lets the person choose; its links lead to the one chosen.
	b := w.newBrowser()
	page := b.open("/login?next=/")
	contains(t, page.Text(), "Where is your account?", "acme/lab", "acme/partner", second.URL())
	to := w.send(http.MethodGet, "/login?issuer=acme/partner&next=/", nil, nil).header.Get("Location")
	if !strings.HasPrefix(to, second.URL()+"/") {
		t.Errorf("the partner's link leads to %s", to)
	}
	if r := w.send(http.MethodGet, "/login?issuer=acme/other&next=/", nil, nil); r.status != http.StatusUnprocessableEntity || !strings.Contains(string(r.body), "not an identity provider of a contract in force") {
		t.Errorf("an issuer that is not there: %d: %s", r.status, r.body)
	}

	alice := w.logInAt("acme/lab", "alice")
	q := alice.submit(nil)
	partner := w.newBrowser()
	page, err := partner.LogIn(t.Context(), w.base+"/login?issuer=acme/partner&next="+requestPath(q.ID), "bob", "bob-pw")
	must(t, err)
	after := partner.press(page, q.ID, "Approve", nil)
	contains(t, after.Text(), "approved by Bob of Panva")

	// Both have an alice: they are two people.
	other := w.logInAt("acme/partner", "alice")
	if other.Person == alice.Person {
		t.Error("the same username at two identity providers is one person")
	}
	// An engineer at the partner's is none here: the groups are the other issuer's.
	other.call("/v1/requests", other.requestBody(nil)).wantProblem(t, http.StatusForbidden, "contract-forbids", "engineers")
}

// logInAt is logIn with one of several issuers.
func (w *world) logInAt(issuer, username string) *cli {
	w.t.Helper()
	c := &cli{w: w, device: newKey(w.t)}
	rz := [32]byte{3}
	_, got := w.tokens(w.issuers()[issuer], username, oidc.DeviceNonce(rz, c.device.PublicKey().Marshal()))
	c.Session = into[api.Session](w.t, c.call("/v1/sessions", w.loginBody(issuer, got.ID, rz, c.device)), http.StatusCreated)
	c.bearer = c.Bearer
	return c
}

// TestMixUp offers what one identity provider gave as if it came from another.
func TestMixUp(t *testing.T) {
	t.Parallel()
	second := startPanva(t)
	w := newWorldOf(t, twoIssuers(second.URL()))
	device, rz := newKey(t), [32]byte{4}
	nonce := oidc.DeviceNonce(rz, device.PublicKey().Marshal())
	size := w.size()
	for from, as := range map[string]string{"acme/lab": "acme/partner", "acme/partner": "acme/lab"} {
		_, got := w.tokens(w.issuers()[from], "alice", nonce)
		(&cli{w: w}).call("/v1/sessions", w.loginBody(as, got.ID, rz, device)).wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	}
	if w.size() != size {
		t.Errorf("%d leaves were added", w.size()-size)
	}

	// A browser that started at one provider comes back with the other's answer.
	for name, tt := range map[string]struct{ answer, says string }{
		"names the other issuer":           {"&iss=" + second.URL(), "iss is missing or not issuer"},
		"a code that the first never gave": {"", "invalid_grant"},
	} {
		started := w.send(http.MethodGet, "/login?issuer=acme/lab&next=/", nil, nil)
		to, err := url.Parse(started.header.Get("Location"))
		must(t, err)
		cookie, _, _ := strings.Cut(started.header.Get("Set-Cookie"), ";")
		back := w.send(http.MethodGet, "/callback?state="+to.Query().Get("state")+"&code=stolen"+tt.answer, http.Header{"Cookie": {cookie}}, nil)
		if back.status != http.StatusUnauthorized || back.header.Get("Location") != "" || !strings.Contains(string(back.body), tt.says) {
			t.Errorf("%s: %d to %q: %s", name, back.status, back.header.Get("Location"), back.body)
		}
	}
}
