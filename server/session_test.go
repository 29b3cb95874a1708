package server_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

// signedIn reports whether the browser's cookies open the inbox.
func (b *browser) signedIn() bool {
	b.w.t.Helper()
	return b.w.send(http.MethodGet, "/", http.Header{"Cookie": {b.cookieHeader()}}, nil).status == http.StatusOK
}

func TestBrowserSessionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	idle, _ := w.signIn("bob", "/")
	used, _ := w.signIn("bob", "/")
	for n := range 12 * 60 / 14 {
		w.clock.advance(14 * time.Minute)
		if !used.signedIn() {
			t.Fatalf("out after %d minutes, though it was in use", (n+1)*14)
		}
		if n == 0 && !idle.signedIn() {
			t.Fatal("out after 14 minutes")
		}
	}
	if idle.signedIn() {
		t.Error("in, though not used for hours")
	}
	w.clock.advance(6 * time.Minute)
	if used.signedIn() {
		t.Error("in after twelve hours")
	}
	r := w.send(http.MethodGet, "/requests/abc", http.Header{"Cookie": {used.cookieHeader()}}, nil)
	if r.status != http.StatusSeeOther || r.header.Get("Location") != "/login?next=/requests/abc" {
		t.Errorf("%d to %s", r.status, r.header.Get("Location"))
	}
}

func TestBrowserSessionIdles(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b, _ := w.signIn("bob", "/")
	w.clock.advance(15*time.Minute - 5*time.Second)
	if !b.signedIn() {
		t.Fatal("out before 15 minutes")
	}
	w.clock.advance(15 * time.Minute)
	if b.signedIn() {
		t.Error("in after 15 minutes without use")
	}
}

func TestCLISessionEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice"), w.logIn("bob")
	if got := alice.ExpiresAt.Time().Sub(w.clock.Now()); got > 12*time.Hour || got < 12*time.Hour-time.Minute {
		t.Errorf("lives %s", got)
	}
	w.clock.advance(11*time.Hour + 59*time.Minute)
	if r := alice.call("/v1/sessions/current", nil); r.status != 200 {
		t.Errorf("out before its time: %d", r.status)
	}
	if r := bob.call("/v1/sessions/current", nil); r.status != 200 {
		t.Errorf("out before its time: %d", r.status)
	}
	if r := w.send(http.MethodDelete, "/v1/sessions/current", http.Header{"Authorization": {"Bearer " + bob.bearer}}, nil); r.status != http.StatusNoContent {
		t.Errorf("logout: %d", r.status)
	}
	bob.call("/v1/sessions/current", nil).wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	w.clock.advance(time.Minute)
	r := alice.call("/v1/sessions/current", nil)
	r.wantProblem(t, http.StatusUnauthorized, "unauthenticated")
	if r.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("no WWW-Authenticate: %v", r.header)
	}
}

// TestBearers sends what opens no session to every route that wants one.
func TestBearers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	b, _ := w.signIn("alice", "/")
	cookie := b.cookieHeader()
	_, value, _ := strings.Cut(cookie, "=")
	id := strings.Repeat("a", 26)
	for _, route := range []struct{ method, path string }{
		{"GET", "/v1/sessions/current"},
		{"DELETE", "/v1/sessions/current"},
		{"GET", "/v1/hosts"},
		{"GET", "/v1/roles"},
		{"POST", "/v1/requests"},
		{"GET", "/v1/requests?scope=mine"},
		{"GET", "/v1/requests/" + id},
		{"POST", "/v1/grants/" + id + "/certificates"},
		{"GET", "/v1/ledger/entries"},
		{"GET", "/v1/ledger/entries/0"},
	} {
		for name, header := range map[string]http.Header{
			"nothing":            {},
			"a cookie":           {"Cookie": {cookie}},
			"a cookie as bearer": {"Authorization": {"Bearer " + value}},
			"no bearer":          {"Authorization": {"Basic " + alice.bearer}},
			"a short one":        {"Authorization": {"Bearer x"}},
			"another":            {"Authorization": {"Bearer " + canon.Digest{1}.String()}},
			"two":                {"Authorization": {"Bearer " + alice.bearer, "Bearer " + alice.bearer}},
			"in the address":     {"X-Path": {"?access_token=" + alice.bearer}},
		} {
			r := w.send(route.method, route.path, header, nil)
			if p := r.problem(t); p.Status != 401 || p.Type != "/problems/unauthenticated" || r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s %s with %s: %d %s", route.method, route.path, name, p.Status, p.Type)
			}
		}
	}
	(&cli{w: w}).call("/v1/challenges", api.ChallengeRequest{Purpose: "issue"}).wantProblem(t, 401, "unauthenticated", "sally login")
	alice.call("/v1/challenges", api.ChallengeRequest{Purpose: "king"}).wantProblem(t, 422, "field-refused", "purpose", "session or issue")
	r := w.send(http.MethodGet, "/", http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil)
	if r.status != http.StatusSeeOther {
		t.Errorf("a page took a bearer: %d", r.status)
	}
}

// TestDeviceLogin posts logins that must open no session, and leave no leaf.
func TestDeviceLogin(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device := newKey(t)
	body := w.sessionBody("alice", device)
	for _, tt := range []struct {
		name   string
		change func(*api.SessionRequest)
		status int
		slug   string
	}{
		{"another device key than the nonce commits to", func(b *api.SessionRequest) {
			other := newKey(t)
			b.DeviceKey, b.Signature = canon.B64(other.PublicKey().Marshal()), sign(t, other, "sallyport-device", []byte(b.Document))
		}, 401, "unauthenticated"},
		{"another rz", func(b *api.SessionRequest) { b.RZ = canon.B64(make([]byte, 32)) }, 401, "unauthenticated"},
		{"a short rz", func(b *api.SessionRequest) { b.RZ = "x" }, 422, "field-refused"},
		{"no signature", func(b *api.SessionRequest) { b.Signature = "" }, 422, "field-refused"},
		{"another ID token than signed", func(b *api.SessionRequest) { b.IDToken += "x" }, 422, "field-refused"},
		{"an issuer of nobody's", func(b *api.SessionRequest) { b.Issuer = "acme/other" }, 422, "field-refused"},
		{"a document for elsewhere", func(b *api.SessionRequest) {
			b.Document = strings.Replace(b.Document, origin, "evil.test", 1)
			b.Signature = sign(t, device, "sallyport-device", []byte(b.Document))
		}, 422, "field-refused"},
		{"a challenge of nobody's", func(b *api.SessionRequest) {
			i := strings.Index(b.Document, `"challenge":"`) + len(`"challenge":"`)
			b.Document = b.Document[:i] + canon.Digest{7}.String() + b.Document[i+43:]
			b.Signature = sign(t, device, "sallyport-device", []byte(b.Document))
		}, 422, "field-refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := body
			tt.change(&b)
			w.unchanged(func() { (&cli{w: w}).call("/v1/sessions", b).wantProblem(t, tt.status, tt.slug) })
		})
	}
	into[api.Session](t, (&cli{w: w}).call("/v1/sessions", body), http.StatusCreated)
	w.unchanged(func() { (&cli{w: w}).call("/v1/sessions", body).wantProblem(t, 422, "field-refused", "challenge") })
	w.clock.advance(10 * time.Minute)
	w.unchanged(func() { (&cli{w: w}).call("/v1/sessions", body).wantProblem(t, 401, "unauthenticated") })
}

// TestLoginTooOld: the contract wants claims of at most 15 minutes for a
// decision, and of an hour for a certificate.
func TestLoginTooOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	w.clock.advance(10 * time.Minute)
	q := alice.submit(func(a *ask) { a.Seconds = 1800 })
	form := yes(t, bob.open(requestPath(q.ID)), q.ID)
	w.clock.advance(6 * time.Minute)
	aged := bob.open(requestPath(q.ID))
	contains(t, aged.Text(), "This request waits", "You signed in more than 15 minutes ago", "Sign in again")
	w.unchanged(func() {
		r := bob.post(decisionsPath(q.ID), form, w.ownPage())
		if r.status != http.StatusUnauthorized {
			t.Errorf("a decision with old claims: %d", r.status)
		}
		contains(t, string(r.body), "/login?next=/requests/"+string(q.ID), "Sign in again")
	})

	w.clock.advance(43 * time.Minute)
	alice.submit(nil) // 59 minutes after the login
	w.clock.advance(time.Minute + 30*time.Second)
	w.unchanged(func() {
		alice.call("/v1/requests", alice.requestBody(nil)).wantProblem(t, http.StatusUnauthorized, "login-too-old", "1h")
	})
}

// TestGroupsTaken: what a later login says about a person's groups counts at
// once, also for sessions from before.
func TestGroupsTaken(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice"), w.logIn("bob")
	q := alice.submit(nil)
	b, page := w.signIn("bob", requestPath(q.ID))
	if list := into[api.Requests](t, bob.call("/v1/requests?scope=waiting", nil), 200).Requests; len(list) != 1 || list[0].ID != q.ID {
		t.Fatalf("waiting is %+v", list)
	}
	must(t, w.idp.SetGroups("bob", []string{}))
	w.logIn("bob")
	w.unchanged(func() {
		if r := b.post(decisionsPath(q.ID), yes(t, page, q.ID), w.ownPage()); r.status != http.StatusForbidden {
			t.Errorf("a lead no more: %d", r.status)
		}
	})
	bob.call("/v1"+requestPath(q.ID), nil).wantProblem(t, 403, "groups-unknown")
	bob.call("/v1/requests?scope=waiting", nil).wantProblem(t, 403, "groups-unknown")
	contains(t, b.open("/").Text(), "It is not known which groups you are in now")
}

func TestLoginFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	start := func(b *browser) (authURL *url.URL, cookie string) {
		r := w.send(http.MethodGet, "/login?next=/requests/x", http.Header{"Cookie": {b.cookieHeader()}}, nil)
		u, err := url.Parse(r.header.Get("Location"))
		must(t, err)
		set := r.header.Get("Set-Cookie")
		for _, want := range []string{"HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=600", "=" + u.Query().Get("state")} {
			contains(t, set, want)
		}
		cookie, _, _ = strings.Cut(set, ";")
		return u, cookie
	}
	// The answer that a person's browser gets from the provider.
	answer := func(b *browser) string {
		r := w.send(http.MethodGet, "/login", nil, nil)
		page, err := b.LogIn(t.Context(), r.header.Get("Location"), "bob", "bob-pw")
		must(t, err)
		if page.Status != http.StatusUnauthorized { // the robot has not the cookie of that login
			t.Fatalf("a login without its cookie: %d", page.Status)
		}
		return page.URL.RequestURI()
	}
	callback := answer(w.newBrowser())
	u, cookie := start(w.newBrowser())
	state := u.Query().Get("state")
	for name, r := range map[string]reply{
		"somebody's answer in another browser":    w.send(http.MethodGet, callback, http.Header{"Cookie": {cookie}}, nil),
		"no cookie":                               w.send(http.MethodGet, callback, nil, nil),
		"a made-up state":                         w.send(http.MethodGet, "/callback?code=x&state="+canon.Digest{1}.String(), nil, nil),
		"a state that was never given out":        w.send(http.MethodGet, "/callback?code=x&state="+canon.Digest{1}.String(), http.Header{"Cookie": {strings.Replace(cookie, state, canon.Digest{1}.String(), 1)}}, nil),
		"no state":                                w.send(http.MethodGet, "/callback?code=x", http.Header{"Cookie": {cookie}}, nil),
		"two states":                              w.send(http.MethodGet, "/callback?code=x&state="+state+"&state="+state, http.Header{"Cookie": {cookie}}, nil),
		"a code of nobody's":                      w.send(http.MethodGet, "/callback?code=x&state="+state+"&iss="+url.QueryEscape(w.idp.URL()), http.Header{"Cookie": {cookie}}, nil),
		"the same login again after it was tried": w.send(http.MethodGet, "/callback?code=x&state="+state+"&iss="+url.QueryEscape(w.idp.URL()), http.Header{"Cookie": {cookie}}, nil),
	} {
		if r.status != http.StatusUnauthorized || strings.Contains(strings.Join(r.header.Values("Set-Cookie"), ""), "sallyport-"+w.port()+"=") {
			t.Errorf("%s: %d %v", name, r.status, r.header.Values("Set-Cookie"))
		}
	}
	// The same answer, with another value in the cookie of its login and with the right one.
	answered, err := url.Parse(callback)
	must(t, err)
	right := answered.Query().Get("state")
	name := "sallyport-" + w.port() + "-login-" + right[:8]
	for _, tt := range []struct {
		value  string
		status int
	}{{right[:8] + state[8:], http.StatusUnauthorized}, {right, http.StatusSeeOther}, {right, http.StatusUnauthorized}} {
		r := w.send(http.MethodGet, callback, http.Header{"Cookie": {name + "=" + tt.value}}, nil)
		if r.status != tt.status {
			t.Errorf("cookie %q of state %q: %d, want %d", tt.value, right, r.status, tt.status)
		}
		if gone := strings.Contains(strings.Join(r.header.Values("Set-Cookie"), "\n"), name+"=; Path=/; Max-Age=0"); gone != (tt.value == right) {
			t.Errorf("cookie %q: deleted %v", tt.value, gone)
		}
	}
	// Where a login leads to.
	id := strings.Repeat("a", 26)
	for next, want := range map[string]string{
		"/requests/" + id: "/requests/" + id, "//evil.test/x": "/", "/\\evil.test": "/", "https://evil.test": "/", "/\t/evil.test": "/", "": "/", "javascript:alert(1)": "/",
	} {
		b := w.newBrowser()
		page, err := b.LogIn(t.Context(), w.base+"/login?next="+url.QueryEscape(next), "bob", "bob-pw")
		must(t, err)
		if got := page.URL.String(); got != w.base+want {
			t.Errorf("next %q led to %s", next, got)
		}
	}
}

// TestChooseIssuer signs in where the contract names two providers, and looks at
// what is said where it names none for browsers.
func TestChooseIssuer(t *testing.T) {
	t.Parallel()
	const one = `  lab: {url: "ISSUER", clients: {cli: sally-cli, web: sallyport-web}, algs: [ES256]}`
	w := newWorldOf(t, strings.Replace(terms, one, one+"\n"+`  other: {url: "https://idp.other.test", clients: {web: sallyport}, algs: [RS256]}`, 1))
	b := w.newBrowser()
	page := b.open("/requests/abc")
	contains(t, page.Text(), "Where is your account?", "acme/lab", "acme/other", "https://idp.other.test")
	var to string
	for _, l := range page.Links {
		if strings.Contains(l.Text, "acme/lab") {
			to = l.URL.String()
		}
	}
	after, err := b.LogIn(t.Context(), to, "bob", "bob-pw")
	must(t, err)
	if after.URL.Path != "/requests/abc" || !b.signedIn() {
		t.Errorf("landed on %s: %s", after.URL, after.Text())
	}
	if about := into[api.Server](t, w.send(http.MethodGet, "/v1/server", nil, nil), 200); len(about.Issuers) != 1 || about.Issuers[0].ID != "acme/lab" {
		t.Errorf("clients of the command line are told of %+v", about.Issuers)
	}

	none := newWorldOf(t, strings.Replace(terms, ", web: sallyport-web", "", 1))
	contains(t, none.newBrowser().open("/").Text(), "No contract in force names an identity provider for these pages")
	contains(t, none.newBrowser().open("/login?issuer=acme/lab").Text(), "A field is not accepted", "acme/lab")
}

func (w *world) port() string { return w.base[strings.LastIndex(w.base, ":")+1:] }

// TestSessionFixation: a planted session id never becomes valid, a login ends the
// session before it, and two cookies of one name are none.
func TestSessionFixation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	name := "sallyport-" + w.port()
	planted := canon.Digest{42}.String()
	for _, value := range []string{planted, "x", "", strings.Repeat("A", 43)} {
		if r := w.send(http.MethodGet, "/", http.Header{"Cookie": {name + "=" + value}}, nil); r.status != http.StatusSeeOther {
			t.Errorf("cookie %q: %d", value, r.status)
		}
	}
	b, _ := w.signIn("bob", "/")
	first := b.cookieHeader()
	page, err := b.LogIn(t.Context(), w.base+"/login", "bob", "bob-pw")
	must(t, err)
	if page.URL.Path != "/" || b.cookieHeader() == first || !b.signedIn() {
		t.Errorf("after a second login: %s, same cookie %v", page.URL, b.cookieHeader() == first)
	}
	for what, cookie := range map[string]string{"the session before": first, "both": first + "; " + b.cookieHeader(), "planted first": name + "=" + planted + "; " + b.cookieHeader(), "planted behind": b.cookieHeader() + "; " + name + "=" + planted} {
		if r := w.send(http.MethodGet, "/", http.Header{"Cookie": {cookie}}, nil); r.status != http.StatusSeeOther {
			t.Errorf("%s: %d", what, r.status)
		}
	}
	kept := b.cookieHeader()
	inbox := b.open("/")
	after, err := b.Submit(t.Context(), inbox, "/logout", nil, "Sign out")
	must(t, err)
	contains(t, after.Text(), "Signed out")
	if r := w.send(http.MethodGet, "/", http.Header{"Cookie": {kept}}, nil); r.status != http.StatusSeeOther {
		t.Errorf("the cookie after signing out: %d", r.status)
	}
	b, _ = w.signIn("bob", "/")
	if r := b.post("/logout", url.Values{}, http.Header{"Origin": {"https://evil.test"}}); r.status != http.StatusForbidden || !b.signedIn() {
		t.Errorf("signed out by another site: %d", r.status)
	}
}

// TestPromiseP15_NothingSecretIsLogged runs logins, requests, decisions and
// refusals and looks for every secret and free text in the log and in the
// answers to what was refused.
func TestPromiseP15_NothingSecretIsLogged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	device := newKey(t)
	rz := [32]byte{1, 2, 3}
	body := w.sessionBody("alice", device)
	alice := &cli{w: w, device: device}
	alice.Session = into[api.Session](t, alice.call("/v1/sessions", body), http.StatusCreated)
	alice.bearer = alice.Bearer
	q := alice.submit(func(a *ask) { a.reason = "reason-canary for the disk" })
	b, page := w.signIn("bob", requestPath(q.ID))
	cookie := b.cookieHeader()
	b.press(page, q.ID, "Approve", map[string]string{"words": "words-canary"})
	issue := alice.issueBody(q, newKey(t))
	alice.call("/v1/grants/"+string(q.ID)+"/certificates", issue)

	var refused []reply
	refused = append(refused,
		alice.call("/v1/sessions", body), // used up
		alice.call("/v1/requests", alice.requestBody(func(a *ask) { a.reason, a.Seconds = "reason-canary again", 9999 })),
		alice.call("/v1/requests", alice.requestBody(func(a *ask) { a.reason = "reason-canary\nagain" })),
		alice.call("/v1/grants/"+string(q.ID)+"/certificates", issue),
		b.post(decisionsPath(q.ID), url.Values{"verdict": {"approve"}, "words": {"words-canary"}}, w.ownPage()),
		w.send(http.MethodGet, "/callback?code=code-canary&state="+canon.Digest{9}.String(), nil, nil),
		w.send(http.MethodGet, "/v1/hosts?access_token=query-canary", http.Header{"Authorization": {"Bearer header-canary"}}, nil),
		w.send(http.MethodGet, "/path-canary", nil, nil),
	)
	_, value, _ := strings.Cut(cookie, "=")
	secrets := map[string]string{
		"bearer": alice.bearer, "cookie": value, "ID token": body.IDToken, "rz": body.RZ, "nonce": oidc.DeviceNonce(rz, device.PublicKey().Marshal()),
		"reason": "reason-canary", "words": "words-canary", "code": "code-canary", "query": "query-canary", "header": "header-canary",
		"path": "path-canary", "client secret": webSecret, "name": "Ampère", "address": "alice@acme.test",
	}
	log := w.logs.String()
	for name, secret := range secrets {
		if secret == "" || strings.Contains(log, secret) {
			t.Errorf("the log holds the %s", name)
		}
		for _, r := range refused {
			if r.status < 400 || strings.Contains(string(r.body), secret) {
				t.Errorf("the answer %d holds the %s: %s", r.status, name, r.body)
			}
		}
	}
	for _, want := range []string{
		`"route":"/v1/sessions","status":201`, `"route":"/requests/{id}/decisions","status":303`, `"route":"/v1/requests","status":403`,
		`"route":"/callback","status":303`, `"route":"none","status":404`, `"request_id":"`,
	} {
		contains(t, log, want)
	}
	if strings.Contains(log, string(q.ID)) {
		t.Error("the log holds an id of a path")
	}
}
