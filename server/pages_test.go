package server_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/robot"
)

// yes is the form of an approval of what the page showed.
func yes(t testing.TB, page *robot.Page, id canon.ID) url.Values {
	t.Helper()
	return url.Values{"verdict": {"approve"}, "minutes": {"10"}, "words": {""}, "shown": {hidden(t, page, id, "shown")}}
}

// TestPromiseP03_OwnRequest: the requester, who is in the deciding group, gets no
// form, and a hand-made post is refused.
func TestPromiseP03_OwnRequest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	b, page := w.signIn("alice", requestPath(q.ID))
	contains(t, page.Text(), "Your request waits", "Nobody decides on their own request")
	if _, err := page.Form(decisionsPath(q.ID)); err == nil {
		t.Error("the requester is shown the form")
	}
	_, others := w.signIn("bob", requestPath(q.ID)) // what somebody else was shown, to post exactly that
	good := yes(t, others, q.ID)
	for _, change := range []func(url.Values){
		func(url.Values) {},
		func(f url.Values) { f.Set("verdict", "deny") },
		func(f url.Values) { f.Del("shown") },
		func(f url.Values) { f.Set("shown", "x") },
		func(f url.Values) { f.Set("minutes", "5") },
	} {
		form := url.Values{}
		for name, values := range good {
			form[name] = values
		}
		change(form)
		w.unchanged(func() {
			r := b.post(decisionsPath(q.ID), form, w.ownPage())
			if r.status != http.StatusForbidden || !strings.Contains(string(r.body), "Nobody decides on their own request") {
				t.Errorf("%v: %d\n%s", form, r.status, r.body)
			}
		})
	}
	if n := w.decisions(q.ID); n != 0 {
		t.Errorf("%d decisions", n)
	}
	if list := into[api.Requests](t, alice.call("/v1/requests?scope=waiting", nil), 200).Requests; len(list) != 0 {
		t.Errorf("her own request waits for her: %+v", list)
	}
	inbox := b.open("/").Text()
	contains(t, inbox, "Waiting for you\nNothing.", "Your requests")
}

// TestPromiseP04_OnePersonOnce: a quorum of two and then one more, by two
// sessions of one person, in parallel, and by the others.
func TestPromiseP04_OnePersonOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" })
	state := func() api.Request {
		t.Helper()
		return into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200)
	}
	bob, page := w.signIn("bob", requestPath(q.ID))
	again, _ := w.signIn("bob", requestPath(q.ID))
	form := yes(t, page, q.ID)
	var wait sync.WaitGroup
	statuses := make([]int, 8)
	for i := range statuses {
		wait.Go(func() {
			who := bob
			if i%2 == 1 {
				who = again
			}
			statuses[i] = who.post(decisionsPath(q.ID), form, w.ownPage()).status
		})
	}
	wait.Wait()
	count := map[int]int{}
	for _, s := range statuses {
		count[s]++
	}
	if count[http.StatusSeeOther] != 1 || count[http.StatusConflict] != len(statuses)-1 {
		t.Errorf("statuses %v", statuses)
	}
	if r := again.post(decisionsPath(q.ID), form, w.ownPage()); r.status != http.StatusConflict || !strings.Contains(string(r.body), "You have decided") {
		t.Errorf("a second vote: %d", r.status)
	}
	if now := state(); now.State != "pending" || now.Need != 1 || now.Stage != "leads" || len(now.Decisions) != 1 {
		t.Errorf("after one person: %+v", now)
	}
	contains(t, again.open(requestPath(q.ID)).Text(), "1 of 2 approvals", "You have decided; one person counts once.", "approved by Bob")

	sam, page := w.signIn("sam", requestPath(q.ID)) // of the second stage: sees it, and does not decide yet
	contains(t, page.Text(), "This request waits", "Stage leads is decided by leads")
	if r := sam.post(decisionsPath(q.ID), url.Values{"verdict": {"approve"}, "shown": {shownOf(t, w, "carol", q.ID)}}, w.ownPage()); r.status != http.StatusForbidden {
		t.Errorf("out of turn: %d", r.status)
	}
	carol, page := w.signIn("carol", requestPath(q.ID))
	carol.press(page, q.ID, "Approve", nil)
	if now := state(); now.State != "pending" || now.Stage != "security" || now.Need != 1 {
		t.Errorf("after two leads: %+v", now)
	}
	after := sam.press(sam.open(requestPath(q.ID)), q.ID, "Approve", nil)
	contains(t, after.Text(), "Granted")
	if now := state(); now.State != "granted" || len(now.Decisions) != 3 {
		t.Errorf("after all: %+v", now)
	}
}

// shownOf is the digest that somebody's form carries.
func shownOf(t testing.TB, w *world, username string, id canon.ID) string {
	t.Helper()
	_, page := w.signIn(username, requestPath(id))
	return hidden(t, page, id, "shown")
}

// TestPromiseP07_NarrowNeverWiden posts what would widen, and decides on what is
// settled.
func TestPromiseP07_NarrowNeverWiden(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	_, carols := w.signIn("carol", requestPath(q.ID))
	for _, minutes := range []string{"11", "60", "527040", "0", "-5", "5.5", "ten", "05", "+5", "99999999999999999999", "1e1"} {
		form := yes(t, page, q.ID)
		form.Set("minutes", minutes)
		form.Set("words", "typed before")
		w.unchanged(func() {
			r := bob.post(decisionsPath(q.ID), form, w.ownPage())
			if r.status != http.StatusUnprocessableEntity {
				t.Errorf("%s minutes: %d", minutes, r.status)
			}
			contains(t, string(r.body), `role="alert"`, "typed before", `name="verdict"`)
		})
	}
	if n := w.decisions(q.ID); n != 0 {
		t.Fatalf("%d decisions", n)
	}
	contains(t, bob.press(page, q.ID, "Approve", map[string]string{"minutes": "3"}).Text(), "Granted", "for 3 minutes")
	carol, _ := w.signIn("carol", "/")
	late := carol.post(decisionsPath(q.ID), yes(t, carols, q.ID), w.ownPage())
	if late.status != http.StatusConflict {
		t.Errorf("a decision on what changed meanwhile: %d", late.status)
	}
	if got := into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200); got.Grant.End-got.Grant.Start != 180*1e6 || len(got.Decisions) != 1 {
		t.Errorf("the grant changed: %+v", got)
	}
	contains(t, carol.open(requestPath(q.ID)).Text(), "Granted", "approved by Bob")

	denied := alice.submit(nil)
	page = bob.open(requestPath(denied.ID))
	_, carols = w.signIn("carol", requestPath(denied.ID))
	contains(t, bob.press(page, denied.ID, "Deny", map[string]string{"words": "use the\r\nstaging host"}).Text(), "Denied", "denied by Bob", "use the staging host")
	if r := carol.post(decisionsPath(denied.ID), yes(t, carols, denied.ID), w.ownPage()); r.status != http.StatusConflict || w.decisions(denied.ID) != 1 {
		t.Errorf("a yes after the no: %d", r.status)
	}
}

// TestSilence decides on a request that nobody answered in time.
func TestSilence(t *testing.T) {
	t.Parallel()
	w := newWorldOf(t, strings.Replace(terms, "quorum: 1, timeout: 15m", "quorum: 1, timeout: 5m", 1))
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	form := yes(t, page, q.ID)
	w.clock.advance(5*time.Minute + time.Second)
	w.unchanged(func() {
		if r := bob.post(decisionsPath(q.ID), form, w.ownPage()); r.status != http.StatusConflict || !strings.Contains(string(r.body), "It is settled") {
			t.Errorf("a yes after the deadline: %d %s", r.status, r.body)
		}
	})
}

// TestShownMustBeCurrent decides with digests of something else (threat 24).
func TestShownMustBeCurrent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	one, other := alice.submit(nil), alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(one.ID))
	for name, shown := range map[string]string{
		"another request's": shownOf(t, w, "bob", other.ID), "none": "", "junk": "x", "zero": canon.Digest{}.String(),
	} {
		form := yes(t, page, one.ID)
		form.Set("shown", shown)
		w.unchanged(func() {
			if r := bob.post(decisionsPath(one.ID), form, w.ownPage()); r.status != http.StatusConflict || !strings.Contains(string(r.body), "changed") {
				t.Errorf("%s digest: %d", name, r.status)
			}
		})
	}
}

// TestForgedForms sends what no page of ours sends; nothing is decided.
func TestForgedForms(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	eve, _ := w.signIn("eve", "/")
	form := yes(t, page, q.ID)
	path := decisionsPath(q.ID)
	with := func(extra ...string) http.Header {
		h := w.ownPage()
		for i := 0; i < len(extra); i += 2 {
			if extra[i+1] == "" {
				h.Del(extra[i])
			} else {
				h.Set(extra[i], extra[i+1])
			}
		}
		return h
	}
	for _, tt := range []struct {
		name   string
		send   func() reply
		status int
	}{
		{"from another site", func() reply {
			return bob.post(path, form, with("Origin", "https://evil.test", "Sec-Fetch-Site", "cross-site"))
		}, 403},
		{"from another port", func() reply {
			return bob.post(path, form, with("Origin", "http://127.0.0.1:1", "Sec-Fetch-Site", "same-site"))
		}, 403},
		{"from nowhere", func() reply { return bob.post(path, form, nil) }, 403},
		{"from an opaque origin", func() reply { return bob.post(path, form, with("Origin", "null", "Sec-Fetch-Site", "")) }, 403},
		{"by GET", func() reply {
			return w.send(http.MethodGet, path+"?"+form.Encode(), http.Header{"Cookie": {bob.cookieHeader()}}, nil)
		}, 405},
		{"by HEAD", func() reply {
			return w.send(http.MethodHead, path+"?"+form.Encode(), http.Header{"Cookie": {bob.cookieHeader()}}, nil)
		}, 405},
		{"by GET with an override", func() reply {
			return w.send(http.MethodGet, path+"?_method=POST&"+form.Encode(), http.Header{"Cookie": {bob.cookieHeader()}, "X-Http-Method-Override": {"POST"}}, nil)
		}, 405},
		{"by PUT", func() reply {
			return w.send(http.MethodPut, path, http.Header{"Cookie": {bob.cookieHeader()}, "Origin": {w.base}}, strings.NewReader(form.Encode()))
		}, 405},
		{"as JSON", func() reply { return bob.post(path, form, with("Content-Type", "application/json")) }, 415},
		{"as text", func() reply { return bob.post(path, form, with("Content-Type", "text/plain")) }, 415},
		{"in the address", func() reply { return bob.post(path+"?"+form.Encode(), url.Values{}, w.ownPage()) }, 422},
		{"with a field more", func() reply { return bob.post(path, also(form, "person", "x"), w.ownPage()) }, 400},
		{"with a field twice", func() reply { return bob.post(path, also(form, "minutes", "5"), w.ownPage()) }, 422},
		{"with another verdict", func() reply { return bob.post(path, also(url.Values{}, "verdict", "maybe"), w.ownPage()) }, 422},
		{"without a session", func() reply { return w.newBrowser().post(path, form, w.ownPage()) }, 401},
		{"with a bearer", func() reply {
			return w.newBrowser().post(path, form, with("Authorization", "Bearer "+w.logIn("bob").bearer))
		}, 401},
		{"with a bearer as cookie", func() reply {
			name, _, _ := strings.Cut(bob.cookieHeader(), "=")
			return w.newBrowser().post(path, form, with("Cookie", name+"="+w.logIn("bob").bearer))
		}, 401},
		{"by somebody whom it does not concern", func() reply { return eve.post(path, form, w.ownPage()) }, 404},
		{"on what is not there", func() reply { return bob.post(decisionsPath(canon.ID(strings.Repeat("a", 26))), form, w.ownPage()) }, 404},
		{"to another host", func() reply { return bob.post(path, form, with("Host", "evil.test")) }, 421},
		{"too large", func() reply {
			return bob.post(path, also(url.Values{}, "words", strings.Repeat("x", 70<<10)), w.ownPage())
		}, 413},
		{"words that turn around", func() reply {
			return bob.post(path, also(url.Values{"verdict": {"deny"}, "shown": form["shown"]}, "words", "no\u202e"), w.ownPage())
		}, 422},
		{"words that are too long", func() reply {
			return bob.post(path, also(url.Values{"verdict": {"deny"}, "shown": form["shown"]}, "words", strings.Repeat("x", 1001)), w.ownPage())
		}, 422},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := tt.send()
			if r.status != tt.status {
				t.Errorf("status %d, want %d: %.300s", r.status, tt.status, r.body)
			}
			if n := w.decisions(q.ID); n != 0 {
				t.Fatalf("%d decisions", n)
			}
		})
	}
	if r := bob.post(path, form, w.ownPage()); r.status != http.StatusSeeOther || w.decisions(q.ID) != 1 {
		t.Fatalf("the same form, honestly: %d %s", r.status, r.body)
	}
}

func also(form url.Values, name, value string) url.Values {
	out := url.Values{}
	for n, values := range form {
		out[n] = values
	}
	out[name] = append(append([]string{}, out[name]...), value)
	return out
}

// TestPromiseP16_PayloadsAreInert puts markup into every free text and compares
// the page's elements with those of a harmless one.
func TestPromiseP16_PayloadsAreInert(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	own, _ := w.signIn("alice", "/")
	elements := func(reason, words string) (int, string) {
		q := alice.submit(func(a *ask) { a.reason = "INC 42 " + reason })
		page := bob.open(requestPath(q.ID))
		contains(t, page.Text(), reason)
		after := bob.press(page, q.ID, "Deny", map[string]string{"words": words})
		contains(t, after.Text(), reason, words)
		contains(t, own.open("/").Text(), reason)
		return count(t, page) + count(t, after), after.Body
	}
	harmless, _ := elements("INC-42 checkout latency", "use staging")
	for _, payload := range []string{
		`<script>alert(1)</script> x`, `"><img src=x onerror=alert(1)> x`, `'><svg/onload=alert(1)> x`, `</blockquote><form action=//evil.test> x`,
		`</textarea><script>alert(1)</script> x`, `<style>*{display:none}</style> x`, `<base href=//evil.test> x`, `<meta http-equiv=refresh content=0> x`,
		`{{.}} ${7*7} x`, `javascript:alert(1) x`, `&lt;b&gt; &amp; x`, `<!-- x`, `]]> <![CDATA[ x`, "`-alert(1)-` x", `\u003cscript\u003e x`,
		`<a href="data:text/html,x">x</a> x`, `<iframe srcdoc="<script>alert(1)</script>"> x`, `<math><mtext></mtext></math> x`, `<input name=shown value=x> x`,
	} {
		n, body := elements(payload, payload)
		if n != harmless {
			t.Errorf("%s: %d elements, %d are harmless", payload, n, harmless)
		}
		if strings.Contains(body, payload) && strings.ContainsAny(payload, "<>") {
			t.Errorf("%s stands in the page as it is", payload)
		}
	}
}

// count returns how many elements and attributes a page has.
func count(t testing.TB, page *robot.Page) int {
	t.Helper()
	root, err := html.Parse(strings.NewReader(page.Body))
	must(t, err)
	n := 0
	for node := range root.Descendants() {
		if node.Type == html.ElementNode {
			n += 1 + len(node.Attr)
		}
	}
	return n
}

// inline finds script and style that stand in a page.
var inline = regexp.MustCompile(`(?i)<script[^>]*>[^<]|<style|\sstyle=|\son[a-z]+=|javascript:|<script(?: |>)(?:[^s]|s[^r])`)

// TestPages holds every page to what all have: headers, language, labels, a skip
// link, targets that exist, the one script of our own and nothing inline.
func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, request := w.signIn("bob", requestPath(q.ID))
	pages := map[string]*robot.Page{
		"request": request, "inbox": bob.open("/"), "logout": bob.open("/logout"), "signed out": w.newBrowser().open("/logout"),
		"not found": bob.open("/nothing"), "no request": bob.open("/requests/x"), "bad login": bob.open("/login?issuer=x/y"),
		"bad callback": bob.open("/callback?state=x"), "wrong method": bob.open(decisionsPath(q.ID)), "entry": bob.open("/ledger/0"), "ledger": bob.open("/ledger?host=web-1.demo"), "mistaken search": bob.open("/ledger?text=x"),
	}
	for name, page := range pages {
		h := page.Header
		for header, want := range map[string]string{
			"Content-Type":               "text/html; charset=utf-8",
			"Content-Security-Policy":    "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
			"X-Content-Type-Options":     "nosniff",
			"Referrer-Policy":            "same-origin",
			"Cross-Origin-Opener-Policy": "same-origin",
			"Cache-Control":              "no-store",
			"Server":                     "",
			"Strict-Transport-Security":  "",
		} {
			if got := h.Get(header); got != want {
				t.Errorf("%s: %s is %q", name, header, got)
			}
		}
		contains(t, page.Body, `<html lang="en">`, `<a class="skip" href="#main">`, `<main id="main"`, `name="viewport"`)
		if strings.Count(page.Body, "<h1") != 1 || strings.Count(page.Body, "<script ") != map[string]int{"entry": 2}[name]+map[bool]int{true: 1}[name != "entry"] || inline.MatchString(page.Body) || page.Title == "" {
			t.Errorf("%s: not one heading, or not one script, or something inline:\n%s", name, page.Body)
		}
		w.checkPage(name, page)
	}
	for name, status := range map[string]int{
		"request": 200, "inbox": 200, "logout": 200, "signed out": 200, "not found": 404, "no request": 404, "bad login": 422, "bad callback": 401, "wrong method": 405, "entry": 200, "ledger": 200, "mistaken search": 422,
	} {
		if pages[name].Status != status {
			t.Errorf("%s: status %d, want %d", name, pages[name].Status, status)
		}
	}
	form, err := request.Form(decisionsPath(q.ID))
	must(t, err)
	if got := names(form); got != "verdict=approve verdict=deny" { // the disabled one in front takes the Enter key
		t.Errorf("buttons are %s", got)
	}
	if at := strings.Index(request.Body, "<button type=\"submit\" disabled hidden>"); at < 0 || at > strings.Index(request.Body, `value="approve"`) {
		t.Error("the Enter key in a field would approve")
	}
}

// checkPage follows what a page names, and holds each field to a label.
func (w *world) checkPage(name string, page *robot.Page) {
	t := w.t
	root, err := html.Parse(strings.NewReader(page.Body))
	must(t, err)
	labels, ids := map[string]bool{}, map[string]bool{}
	attrs := func(n *html.Node) map[string]string {
		out := map[string]string{}
		for _, a := range n.Attr {
			out[a.Key] = a.Val
		}
		return out
	}
	for n := range root.Descendants() {
		a := attrs(n)
		labels[a["for"]] = true
		if a["id"] != "" && ids[a["id"]] {
			t.Errorf("%s: the id %s stands twice", name, a["id"])
		}
		ids[a["id"]] = true
	}
	for n := range root.Descendants() {
		a := attrs(n)
		if (n.Data == "input" && a["type"] != "hidden" || n.Data == "textarea") && !labels[a["id"]] {
			t.Errorf("%s: the field %s has no label", name, a["name"])
		}
		if d := a["aria-describedby"]; d != "" && !ids[d] {
			t.Errorf("%s: nothing has the id %s", name, d)
		}
		if src := a["src"] + a["href"]; n.Data == "link" || n.Data == "img" || n.Data == "script" {
			r := w.send(http.MethodGet, src, nil, nil)
			if r.status != 200 || r.header.Get("Cache-Control") != "public, max-age=31536000, immutable" || !strings.Contains("text/css; charset=utf-8 image/svg+xml text/javascript; charset=utf-8", r.header.Get("Content-Type")) {
				t.Errorf("%s: %s: %d %v", name, src, r.status, r.header)
			}
			if _, ok := a["alt"]; n.Data == "img" && !ok {
				t.Errorf("%s: an image without alt", name)
			}
		}
	}
}

// TestReadingChangesNothing visits every address by GET and HEAD.
func TestReadingChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, _ := w.signIn("bob", "/")
	alice.call("/v1/ledger/entries/0", nil) // a checkpoint over all there is
	w.unchanged(func() {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			for _, path := range []string{"/", requestPath(q.ID), decisionsPath(q.ID), "/login", "/callback", "/logout", "/static/x.css", "/healthz", "/checkpoint"} {
				r := w.send(method, path, http.Header{"Cookie": {bob.cookieHeader()}}, nil)
				if r.status >= 500 || method == http.MethodHead && len(r.body) > 0 {
					t.Errorf("%s %s: %d, %d bytes", method, path, r.status, len(r.body))
				}
			}
			for _, path := range []string{"/v1/server", "/v1/challenges", "/v1/sessions", "/v1/sessions/current", "/v1/hosts", "/v1/requests?scope=mine", "/v1" + requestPath(q.ID), "/v1/ledger/entries"} {
				w.send(method, path, http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil)
			}
		}
	})
	if r := w.send(http.MethodGet, requestPath(q.ID), http.Header{"Cookie": {bob.cookieHeader()}}, nil); r.status != 200 {
		t.Errorf("GET /logout signed out: %d", r.status)
	}
}

// Two accounts that call themselves the same are told apart, in the inbox, on the
// page and in its details.
func TestAccountsOfOneName(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, mallory := w.logIn("alice"), w.logIn("mallory")
	real, fake := alice.submit(nil), mallory.submit(nil)
	if real.ByName != fake.ByName || real.ByAccount != "alice@acme.test" || fake.ByAccount != "user mallory" {
		t.Fatalf("%q %q and %q %q", real.ByName, real.ByAccount, fake.ByName, fake.ByAccount)
	}
	b, inbox := w.signIn("bob", "/")
	contains(t, inbox.Text(), "Alice Ampère (alice@acme.test) asks for", "Alice Ampère (user mallory) asks for")
	contains(t, b.open(requestPath(real.ID)).Text(), "Alice Ampère (alice@acme.test) asks for", "Alice Ampère, alice@acme.test, person "+string(alice.Person))
	page := b.open(requestPath(fake.ID))
	contains(t, page.Text(), "Alice Ampère (user mallory) asks for", "Alice Ampère, user mallory, person "+string(mallory.Person))
	contains(t, b.press(page, fake.ID, "Deny", nil).Text(), "denied by Bob", "bob@acme.test")
}
