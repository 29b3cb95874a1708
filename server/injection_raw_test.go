package server_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/sshcert"
)

// raw sends bytes as they are, which no HTTP client would, and reads what comes. An
// empty reply is a connection that was closed.
func (w *world) raw(method, target string, header ...string) reply {
	t := w.t
	t.Helper()
	host := strings.TrimPrefix(w.base, "http://")
	var dialer net.Dialer
	conn, err := dialer.DialContext(t.Context(), "tcp4", host)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	text := method + " " + target + " HTTP/1.1\r\nConnection: close\r\n"
	if !slices.ContainsFunc(header, func(h string) bool { return strings.HasPrefix(h, "Host: ") }) {
		text += "Host: " + host + "\r\n"
	}
	_, err = io.WriteString(conn, text+strings.Join(append(header, "", ""), "\r\n"))
	must(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return reply{}
	}
	body, err := io.ReadAll(resp.Body)
	must(t, errors.Join(err, resp.Body.Close()))
	return reply{resp.StatusCode, resp.Header, body}
}

// answerHeaders are those that answers of the server have.
var answerHeaders = []string{
	"Allow", "Cache-Control", "Connection", "Content-Length", "Content-Security-Policy", "Content-Type", "Cross-Origin-Opener-Policy",
	"Cross-Origin-Resource-Policy", "Date", "Location", "Referrer-Policy", "Retry-After", "Set-Cookie", "Www-Authenticate", "X-Content-Type-Options",
}

// ownAddress are the addresses of this server that it sends browsers to.
var ownAddress = regexp.MustCompile(`^/(login\?next=/)?([a-z0-9][a-z0-9/-]*)?$`)

// wantInert demands an answer with no header of somebody else's making: a page as
// the same call has with a plain word, a refusal in words, or plain text.
func (w *world) wantInert(what string, r, twin reply) {
	t := w.t
	t.Helper()
	if r.status >= 500 {
		t.Errorf("%s: %d %s", what, r.status, r.body)
	}
	for name, values := range r.header {
		text := strings.Join(values, " ")
		if _, found := payloads.Inside(text); found || !slices.Contains(answerHeaders, name) || payloads.Seen(text) != nil {
			t.Errorf("%s: the answer has the header %s: %q", what, name, values)
		}
	}
	if to := r.header.Get("Location"); to != "" && !strings.HasPrefix(to, w.idp.URL()+"/") && !ownAddress.MatchString(to) {
		t.Errorf("%s: it leads to %q", what, to)
	}
	switch kind := r.header.Get("Content-Type"); {
	case kind == "application/problem+json":
		wantRefusal(t, what, r)
	case strings.HasPrefix(kind, "text/html"):
		if err := payloads.Twin(string(r.body), string(twin.body)); err != nil && r.status == twin.status {
			t.Errorf("%s: %v", what, err)
		}
	default:
		if err := payloads.Seen(strings.ReplaceAll(string(r.body), "\n", " ")); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// Whatever stands in a request line and in headers, as bytes or as a browser writes
// it, the answer is inert, and the log has one line for it with the known members.
func TestPromiseP16_HeadersAndAddresses(t *testing.T) {
	t.Parallel()
	w := patientWorld(t)
	bob, _ := w.signIn("bob", "/")
	cookie := bob.cookieHeader()
	ignored := []string{"User-Agent", "Referer", "Accept", "Accept-Language", "X-Forwarded-For", "X-Forwarded-Host", "Forwarded", "X-Request-Id", "Traceparent", "If-None-Match"}
	targets := map[string]func(text string) reply{
		"path":       func(s string) reply { return w.raw("GET", "/"+s) },
		"API path":   func(s string) reply { return w.raw("GET", "/v1/"+s) },
		"request ID": func(s string) reply { return w.raw("GET", "/requests/"+s, "Cookie: "+cookie) },
		"static":     func(s string) reply { return w.raw("GET", "/static/"+s) },
		"next":       func(s string) reply { return w.raw("GET", "/login?next="+s) },
		"issuer":     func(s string) reply { return w.raw("GET", "/login?issuer="+s) },
		"parameter":  func(s string) reply { return w.raw("GET", "/login?"+s+"=x") },
		"state":      func(s string) reply { return w.raw("GET", "/callback?code=x&state="+s) },
	}
	headers := map[string]func(text string) reply{
		"method":         func(s string) reply { return w.raw(s, "/") },
		"session cookie": func(s string) reply { return w.raw("GET", "/", "Cookie: sallyport-"+w.port()+"="+s) },
		"bearer":         func(s string) reply { return w.raw("GET", "/v1/hosts", "Authorization: Bearer "+s) },
		"what is not read": func(s string) reply {
			return w.raw("GET", "/login?issuer=x", strings.Join(ignored, ": "+s+"\r\n")+": "+s)
		},
	}
	for _, name := range []string{"Origin", "Cookie", "Authorization", "Content-Type", "Host", "Sec-Fetch-Site"} {
		headers[name] = func(s string) reply { return w.raw("GET", "/login?issuer=x", name+": "+s) }
		headers["API "+name] = func(s string) reply { return w.raw("POST", "/v1/challenges", name+": "+s, "Content-Length: 0") }
	}
	twins := map[string]reply{}
	for _, calls := range []map[string]func(string) reply{targets, headers} {
		for name, call := range calls {
			twins[name] = call("x")
		}
	}
	for _, p := range payloads.All() {
		for name, call := range targets {
			for _, text := range []string{p.Text, url.QueryEscape(p.Text)} {
				w.wantInert(p.Name+" as "+name, call(text), twins[name])
			}
		}
		for name, call := range headers {
			w.wantInert(p.Name+" as "+name, call(p.Text), twins[name])
		}
	}
	if err := payloads.Log(w.logs.String(), logMembers()...); err != nil {
		t.Error(err)
	}
}

// logMembers are the members of a log line about one call.
func logMembers() []string {
	return []string{"time", "level", "msg", "method", "route", "status", "duration_us", "request_id", "problem"}
}

// An identity provider's answer, which anybody can make up who has a browser, is
// refused in words of ours.
func TestPromiseP16_AnswersOfProviders(t *testing.T) {
	t.Parallel()
	w := patientWorld(t)
	answer := func(values url.Values) reply {
		begun := w.send(http.MethodGet, "/login", nil, nil)
		to, err := url.Parse(begun.header.Get("Location"))
		must(t, err)
		cookie, _, _ := strings.Cut(begun.header.Get("Set-Cookie"), ";")
		values.Set("state", to.Query().Get("state"))
		if !values.Has("iss") {
			values.Set("iss", w.idp.URL())
		}
		return w.send(http.MethodGet, "/callback?"+values.Encode(), http.Header{"Cookie": {cookie}}, nil)
	}
	for name, with := range map[string]func(text string) url.Values{
		"error": func(s string) url.Values { return url.Values{"error": {s}} },
		"error_description": func(s string) url.Values {
			return url.Values{"error": {"access_denied"}, "error_description": {s}, "error_uri": {s}}
		},
		"code":           func(s string) url.Values { return url.Values{"code": {s}} },
		"iss":            func(s string) url.Values { return url.Values{"code": {"x"}, "iss": {s}} },
		"another member": func(s string) url.Values { return url.Values{"error": {"access_denied"}, s: {s}} },
	} {
		twin := answer(with("x"))
		for _, p := range payloads.All() {
			r := answer(with(p.Text))
			w.wantInert(p.Name+" as "+name, r, twin)
			if found, is := payloads.Inside(string(r.body)); r.status != http.StatusUnauthorized || is {
				t.Errorf("%s as %s: %d, and %s is in it", p.Name, name, r.status, found)
			}
		}
	}
	if err := payloads.Log(w.logs.String(), logMembers()...); err != nil {
		t.Error(err)
	}
}

// What a client puts into the fields of its documents is taken, or refused in
// words that are fit to be read.
func TestPromiseP16_FieldsOfDocuments(t *testing.T) {
	t.Parallel()
	w := patientWorld(t)
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	q := alice.submit(nil)
	page := bob.open(requestPath(q.ID))
	form := url.Values{"verdict": {"approve"}, "minutes": {"10"}, "words": {""}, "shown": {hidden(t, page, q.ID, "shown")}}
	twins := map[string]reply{}
	for _, field := range []string{"verdict", "minutes", "shown"} {
		twins[field] = bob.post(decisionsPath(q.ID), also(without(form, field), field, "x"), w.ownPage())
	}
	twins["a name"] = bob.post(decisionsPath(q.ID), also(form, "x", "x"), w.ownPage())
	size := w.size()
	for _, p := range payloads.All() {
		text := p.Text
		for field, change := range map[string]func(*ask){
			"role":   func(a *ask) { a.Role = text },
			"logins": func(a *ask) { a.Logins = []sshcert.Login{sshcert.Login(text)} },
			"hosts":  func(a *ask) { a.Hosts = []sshcert.Host{sshcert.Host(text)} },
			"v":      func(a *ask) { a.V = text },
			"origin": func(a *ask) { a.Origin = text },
		} {
			if canonical(text) && !wantRefusal(t, p.Name+" as "+field, alice.call("/v1/requests", alice.requestBody(change))) {
				t.Errorf("%s as %s is taken", p.Name, field)
			}
		}
		good := alice.requestBody(nil)
		for field, change := range map[string]func(*api.RequestRequest){
			"document":    func(r *api.RequestRequest) { r.Document = text },
			"signature":   func(r *api.RequestRequest) { r.Signature = text },
			"person_salt": func(r *api.RequestRequest) { r.PersonSalt = text },
			"reason":      func(r *api.RequestRequest) { r.Reason = text }, // of another commitment
			"ticket":      func(r *api.RequestRequest) { r.Ticket = "T" + text },
		} {
			body := good
			change(&body)
			if !wantRefusal(t, p.Name+" as "+field, alice.call("/v1/requests", body)) {
				t.Errorf("%s as %s is taken", p.Name, field)
			}
		}
		wantRefusal(t, p.Name+" as a body", alice.call("/v1/requests", text))
		wantRefusal(t, p.Name+" as a member", alice.call("/v1/challenges", `{`+strconv.Quote(text)+`:"session"}`))
		wantRefusal(t, p.Name+" as purpose", alice.call("/v1/challenges", api.ChallengeRequest{Purpose: text}))
		wantRefusal(t, p.Name+" as issuer", alice.call("/v1/sessions", api.SessionRequest{Issuer: text, IDToken: text, RZ: text, DeviceKey: text, Document: text, Signature: text}))
		for field, twin := range twins {
			if field == "minutes" && strings.TrimSpace(text) == "" {
				continue // as long as was asked
			}
			w.wantInert(p.Name+" as "+field, bob.post(decisionsPath(q.ID), also(without(form, field), map[bool]string{true: text, false: field}[field == "a name"], text), w.ownPage()), twin)
		}
	}
	if w.size() != size || w.decisions(q.ID) != 0 {
		t.Errorf("%d leaves, %d decisions", w.size()-size, w.decisions(q.ID))
	}
	if err := payloads.Log(w.logs.String(), logMembers()...); err != nil {
		t.Error(err)
	}
}
