package server_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// unchanged fails the test if the ledger grows until the end of f.
func (w *world) unchanged(f func()) {
	w.t.Helper()
	before := w.size()
	f()
	if after := w.size(); after != before {
		w.t.Errorf("the ledger grew from %d to %d leaves", before, after)
	}
}

// TestBodies sends what is no body of the interface to each route that takes
// one.
func TestBodies(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	routes := []struct {
		path string
		body any
	}{
		{"/v1/challenges", api.ChallengeRequest{Purpose: "issue"}},
		{"/v1/sessions", api.SessionRequest{Issuer: "a", IDToken: "b", RZ: "c", DeviceKey: "d", Document: "e", Signature: "f"}},
		{"/v1/requests", alice.requestBody(nil)},
		{"/v1" + cancelPath(q.ID), api.CancelRequest{Document: "a", Signature: "b"}},
		{"/v1/grants/" + string(q.ID) + "/certificates", alice.issueBody(q, newKey(t))},
	}
	for _, route := range routes {
		good, err := json.Marshal(route.body)
		must(t, err)
		text := string(good)
		first := text[2:][:strings.Index(text[2:], `"`)] // the first member's name
		value := strings.Index(text, `":"`) + 2
		end := value + 1 + strings.Index(text[value+1:], `"`)
		for _, tt := range []struct {
			name, body string
			status     int
			slug       string
			words      []string
		}{
			{"no body", "", 400, "malformed", []string{"not one JSON object"}},
			{"no JSON", "purpose=issue", 400, "malformed", []string{"not one JSON object"}},
			{"an array", "[" + text + "]", 400, "malformed", []string{"not one JSON object"}},
			{"a cut object", text[:len(text)-1], 400, "malformed", []string{"not one JSON object"}},
			{"nothing in it", "{}", 400, "malformed", []string{first, "missing"}},
			{"something behind", text + " {}", 400, "malformed", []string{"follows"}},
			{"an unknown field", strings.TrimSuffix(text, "}") + `,"extra":"x"}`, 400, "malformed", []string{`"extra"`}},
			{"a field in capitals", strings.Replace(text, first, strings.ToUpper(first), 1), 400, "malformed", []string{strings.ToUpper(first)}},
			{"a field twice", strings.TrimSuffix(text, "}") + `,"` + first + `":"x"}`, 400, "malformed", []string{first, "twice"}},
			{"a number", text[:value] + "7" + text[end+1:], 400, "malformed", []string{first, "not a string"}},
			{"null", text[:value] + "null" + text[end+1:], 400, "malformed", []string{first, "not a string"}},
			{"an object", text[:value] + `{"x":{"y":[]}}` + text[end+1:], 400, "malformed", []string{first, "not a string"}},
			{"not UTF-8", strings.Replace(text, first, first+"\xff", 1), 400, "malformed", []string{"UTF-8"}},
			{"too large", `{"` + first + `":"` + strings.Repeat("x", 70<<10) + `"}`, 413, "too-large", []string{"64 KiB"}},
			{"a megabyte", `{"` + first + `":"` + strings.Repeat("x", 1<<20) + `"}`, 413, "too-large", []string{"64 KiB"}},
		} {
			t.Run(route.path+" "+tt.name, func(t *testing.T) {
				w.unchanged(func() { alice.call(route.path, tt.body).wantProblem(t, tt.status, tt.slug, tt.words...) })
			})
		}
		header := http.Header{"Authorization": {"Bearer " + alice.bearer}}
		for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "application/json; charset"} {
			if media != "" {
				header.Set("Content-Type", media)
			}
			w.send(http.MethodPost, route.path, header, strings.NewReader(text)).wantProblem(t, http.StatusUnsupportedMediaType, "malformed", "application/json")
		}
	}
}

// TestRequestInput submits requests that must be refused, each by a problem that
// names the field and its limit.
func TestRequestInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, eve, none := w.logIn("alice"), w.logIn("eve"), w.logIn("nil")
	other := newKey(t)
	for _, tt := range []struct {
		name   string
		who    *cli
		change func(*ask)
		body   func(*api.RequestRequest)
		status int
		slug   string
		words  []string
	}{
		{"a host that is not in the inventory", alice, func(a *ask) { a.Hosts[0] = "web-9.demo" }, nil, 403, "contract-forbids", []string{"hosts", "web-9.demo", "inventory"}},
		{"a host of another kind", alice, func(a *ask) { a.Hosts[0] = "db-1.demo" }, nil, 403, "contract-forbids", []string{"hosts", "db-1.demo", "env=demo", "§1"}},
		{"no host", alice, nil, func(b *api.RequestRequest) {
			b.Document = strings.Replace(b.Document, `"hosts":["web-1.demo"],`, "", 1)
			b.Signature = sign(t, alice.device, sshcert.NamespaceDevice, []byte(b.Document))
		}, 422, "field-refused", []string{"document"}},
		{"a host twice", alice, func(a *ask) { a.Hosts = append(a.Hosts, a.Hosts[0]) }, nil, 403, "contract-forbids", []string{"hosts", "twice"}},
		{"over the ceiling", alice, func(a *ask) { a.Seconds = 7200 }, nil, 403, "contract-forbids", []string{"for", "2h", "30m", "§1"}},
		{"a second over", alice, func(a *ask) { a.Seconds = 1801 }, nil, 403, "contract-forbids", []string{"for", "30m"}},
		{"no time", alice, func(a *ask) { a.Seconds = 0 }, nil, 403, "contract-forbids", []string{"for", "too short"}},
		{"a very long time", alice, func(a *ask) { a.Seconds = 1 << 50 }, nil, 422, "field-refused", []string{"for"}},
		{"an empty reason", alice, func(a *ask) { a.reason = "" }, nil, 422, "field-refused", []string{"reason", "empty"}},
		{"a reason of spaces", alice, func(a *ask) { a.reason = "   " }, nil, 422, "field-refused", []string{"reason", "empty"}},
		{"a reason of one word", alice, func(a *ask) { a.reason = "INC-42" }, nil, 403, "contract-forbids", []string{"reason", "2 or more words"}},
		{"a reason of two lines", alice, func(a *ask) { a.reason = "INC-42\nroot" }, nil, 422, "field-refused", []string{"reason", "U+000A"}},
		{"a reason that turns around", alice, func(a *ask) { a.reason = "INC-42 \u202etoor" }, nil, 422, "field-refused", []string{"reason", "U+202E"}},
		{"an escape in the reason", alice, func(a *ask) { a.reason = "INC-42 \x1b[2J" }, nil, 422, "field-refused", []string{"reason", "U+001B"}},
		{"a long reason", alice, func(a *ask) { a.reason = strings.Repeat("word ", 201) }, nil, 422, "field-refused", []string{"reason", "1005", "1000"}},
		{"another reason than signed", alice, nil, func(b *api.RequestRequest) { b.Reason = "something else" }, 422, "field-refused", []string{"reason"}},
		{"a login with a comma", alice, func(a *ask) { a.Logins[0] = "ops,root" }, nil, 422, "field-refused", []string{`"ops,root"`, "1 to 32"}},
		{"a login with a newline", alice, func(a *ask) { a.Logins[0] = "ops\nroot" }, nil, 422, "field-refused", []string{`"ops\nroot"`, "1 to 32"}},
		{"a wildcard login", alice, func(a *ask) { a.Logins[0] = "*" }, nil, 422, "field-refused", []string{`"*"`, "1 to 32"}},
		{"a wildcard host", alice, func(a *ask) { a.Hosts[0] = "*.demo" }, nil, 422, "field-refused", []string{`"*.demo"`}},
		{"a login of nobody's", alice, func(a *ask) { a.Logins[0] = "nobody" }, nil, 403, "contract-forbids", []string{"logins", "nobody", "deploy or ops"}},
		{"another role", alice, func(a *ask) { a.Role = "king" }, nil, 403, "contract-forbids", []string{"role", "king", "operator"}},
		{"a role of others", alice, func(a *ask) { a.Role, a.Logins[0] = "auditor", "audit" }, nil, 403, "contract-forbids", []string{"who", "security", "§3"}},
		{"somebody in no group", eve, nil, nil, 403, "contract-forbids", []string{"who", "engineers"}},
		{"somebody whose groups are unknown", none, nil, nil, 403, "groups-unknown", []string{"who", "engineers"}},
		{"another contract", alice, func(a *ask) { a.Contract[0] ^= 1 }, nil, 403, "contract-forbids", []string{"contract", "not in force"}},
		{"another server", alice, func(a *ask) { a.Origin = "evil.test" }, nil, 422, "field-refused", []string{"evil.test"}},
		{"another person", alice, func(a *ask) { a.Person = eve.Person }, nil, 422, "field-refused", []string{"another person"}},
		{"another version of documents", alice, func(a *ask) { a.V = "sallyport.request/v9" }, nil, 422, "field-refused", []string{"v9"}},
		{"expired", alice, func(a *ask) { a.ExpiresAt = w.clock.in(-time.Second) }, nil, 422, "field-refused", []string{"expired"}},
		{"dated ahead", alice, func(a *ask) { a.ExpiresAt = w.clock.in(time.Hour) }, nil, 422, "field-refused", []string{"clock"}},
		{"signed by another key", alice, nil, func(b *api.RequestRequest) {
			b.Signature = sign(t, other, sshcert.NamespaceDevice, []byte(b.Document))
		}, 422, "field-refused", []string{"signature"}},
		{"signed for something else", alice, nil, func(b *api.RequestRequest) {
			b.Signature = sign(t, alice.device, sshcert.NamespacePossession, []byte(b.Document))
		}, 422, "field-refused", []string{"signature"}},
		{"changed after signing", alice, nil, func(b *api.RequestRequest) {
			b.Document = strings.Replace(b.Document, `"for_seconds":600`, `"for_seconds":601`, 1)
		}, 422, "field-refused", []string{"signature"}},
		{"another salt", alice, nil, func(b *api.RequestRequest) { b.PersonSalt = ledger.Salt{1}.String() }, 422, "field-refused", []string{"reason"}},
		{"no salt", alice, nil, func(b *api.RequestRequest) { b.PersonSalt = "x" }, 422, "field-refused", []string{"person_salt"}},
		{"white space in the document", alice, nil, func(b *api.RequestRequest) { b.Document = " " + b.Document }, 422, "field-refused", []string{"document"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			body := tt.who.requestBody(tt.change)
			if tt.body != nil {
				tt.body(&body)
			}
			w.unchanged(func() {
				r := tt.who.call("/v1/requests", body)
				r.wantProblem(t, tt.status, tt.slug, tt.words...)
				if p := r.problem(t); strings.Contains(p.Detail, "INC-42") || strings.ContainsAny(p.Detail, "\n\x1b\u202e") {
					t.Errorf("the problem repeats the reason, or raw controls: %q", p.Detail)
				}
			})
		})
	}
	body := alice.requestBody(nil)
	if r := alice.call("/v1/requests", body); r.status != http.StatusCreated {
		t.Fatalf("the same without a fault: %d %s", r.status, r.body)
	}
	var doc record.RequestDoc
	must(t, canon.Unmarshal([]byte(body.Document), &doc))
	w.unchanged(func() {
		again := alice.requestBody(func(a *ask) { a.Request, a.Seconds = doc.Request, 300 })
		alice.call("/v1/requests", again).wantProblem(t, 422, "field-refused", "another content")
	})
}

func TestTooManyOpenRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	var last api.Request
	for range 20 {
		last = alice.submit(nil)
	}
	w.unchanged(func() {
		alice.call("/v1/requests", alice.requestBody(nil)).wantProblem(t, http.StatusTooManyRequests, "rate", "20", "sally cancel")
	})
	into[api.Request](t, alice.call("/v1"+cancelPath(last.ID), alice.cancelBody(last.ID, nil)), http.StatusOK)
	alice.submit(nil)
	w.unchanged(func() {
		alice.call("/v1/requests", alice.requestBody(nil)).wantProblem(t, http.StatusTooManyRequests, "rate", "20")
	})
}

// TestKeys posts keys that must not be certified or trusted: nothing is recorded.
func TestKeys(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	bob.press(page, q.ID, "Approve", nil)
	signer := newKey(t)
	type posted struct {
		name   string
		key    string
		status int
		slug   string
		words  string // about a certificate's key
	}
	list := []posted{{"nothing", canon.B64(nil), 422, "", ""}, {"a megabyte", canon.B64(make([]byte, 1<<20)), 413, "too-large", "64 KiB"}}
	for _, refused := range sshcerttest.RefusedKeys(t) {
		if n := len(refused.Wire); n > 0 && n < 30<<10 {
			list = append(list, posted{refused.Name, canon.B64(refused.Wire), 422, "key-refused", refused.Says})
		}
	}
	for _, tt := range list {
		t.Run("device "+tt.name, func(t *testing.T) {
			w.unchanged(func() {
				r := (&cli{w: w}).call("/v1/sessions", api.SessionRequest{Issuer: "acme/lab", IDToken: "x", RZ: canon.B64(make([]byte, 32)), DeviceKey: tt.key, Document: "{}", Signature: "x"})
				if r.status != tt.status {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if tt.slug != "" {
					r.wantProblem(t, tt.status, tt.slug, "")
				}
			})
		})
		t.Run("certificate "+tt.name, func(t *testing.T) {
			challenge := into[api.Challenge](t, alice.call("/v1/challenges", api.ChallengeRequest{Purpose: "issue"}), 200)
			doc := record.IssueDoc{
				V: record.IssueVersion, Origin: origin, Lineage: q.Contract.Lineage, Person: alice.Person, Grant: q.ID,
				Key: tt.key, Challenge: challenge.Challenge, ExpiresAt: w.clock.in(time.Minute),
			}
			document, err := json.Marshal(doc) // not canonical without a key, which is for the server to find out
			if tt.key != "" {
				document, err = canon.Marshal(doc)
			}
			if len(tt.key) > canon.MaxSize {
				document, err = json.Marshal(doc)
			}
			must(t, err)
			w.unchanged(func() {
				r := alice.call("/v1/grants/"+string(q.ID)+"/certificates", api.CertificateRequest{
					Document: string(document), DeviceSignature: sign(t, alice.device, sshcert.NamespaceDevice, document),
					PossessionSignature: sign(t, signer, sshcert.NamespacePossession, document),
				})
				if r.status != tt.status {
					t.Errorf("status %d: %s", r.status, r.body)
				}
				if tt.slug != "" {
					r.wantProblem(t, tt.status, tt.slug, tt.words)
				}
			})
		})
	}
	for _, own := range map[string]ssh.Signer{"the device key": alice.device} {
		w.unchanged(func() {
			alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, own)).wantProblem(t, 422, "field-refused", "a key of its own")
		})
	}
}

// TestIssueInput posts issue calls that must not give a certificate.
func TestIssueInput(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, eve := w.logIn("alice"), w.logIn("eve")
	pending, q := alice.submit(nil), alice.submit(nil)
	bob, page := w.signIn("bob", requestPath(q.ID))
	bob.press(page, q.ID, "Approve", nil)
	denied := alice.submit(nil)
	bob.press(bob.open(requestPath(denied.ID)), denied.ID, "Deny", nil)
	key := newKey(t)
	path := func(q api.Request) string { return "/v1/grants/" + string(q.ID) + "/certificates" }
	for _, tt := range []struct {
		name   string
		send   func() reply
		status int
		slug   string
	}{
		{"not granted yet", func() reply { return alice.call(path(pending), alice.issueBody(pending, key)) }, 409, "not-granted"},
		{"denied", func() reply { return alice.call(path(denied), alice.issueBody(denied, key)) }, 409, "not-granted"},
		{"somebody else's grant", func() reply { return eve.call(path(q), eve.issueBody(q, key)) }, 404, "not-found"},
		{"a grant that is not there", func() reply {
			return alice.call("/v1/grants/"+strings.Repeat("a", 26)+"/certificates", alice.issueBody(q, key))
		}, 404, "not-found"},
		{"no id", func() reply { return alice.call("/v1/grants/1/certificates", alice.issueBody(q, key)) }, 404, "not-found"},
		{"a document for another grant", func() reply { return alice.call(path(q), alice.issueBody(pending, key)) }, 422, "field-refused"},
		{"possession not shown", func() reply {
			b := alice.issueBody(q, key)
			b.PossessionSignature = b.DeviceSignature
			return alice.call(path(q), b)
		}, 422, "field-refused"},
		{"signed by another device", func() reply {
			b := alice.issueBody(q, key)
			b.DeviceSignature = sign(t, eve.device, sshcert.NamespaceDevice, []byte(b.Document))
			return alice.call(path(q), b)
		}, 422, "field-refused"},
		{"a bearer alone", func() reply {
			stolen := &cli{w: w, bearer: alice.bearer, device: newKey(t), Session: alice.Session}
			return stolen.call(path(q), stolen.issueBody(q, key))
		}, 422, "field-refused"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.unchanged(func() { tt.send().wantProblem(t, tt.status, tt.slug) })
		})
	}
	unknown := q
	unknown.ID = canon.ID(strings.Repeat("a", 26))
	theirs, none := eve.call(path(q), eve.issueBody(q, key)).problem(t), eve.call(path(unknown), eve.issueBody(unknown, key)).problem(t)
	theirs.Instance, none.Instance = "", "" // the log's own number of each
	if theirs != none || theirs.Detail != "no such request" {
		t.Errorf("somebody else's grant is answered %+v, none %+v", theirs, none)
	}
	body := alice.issueBody(q, key)
	into[api.Certificate](t, alice.call(path(q), body), 200)
	w.unchanged(func() { alice.call(path(q), body).wantProblem(t, 422, "field-refused", "challenge") })
	if now := into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200); !now.Grant.Active {
		t.Errorf("the grant is not active: %+v", now.Grant)
	}
	w.clock.advance(10*time.Minute + time.Second)
	w.unchanged(func() { alice.call(path(q), alice.issueBody(q, key)).wantProblem(t, http.StatusGone, "grant-over") })
	if over := into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200); over.State != "granted" || over.Grant.Active {
		t.Errorf("after its end: %+v", over.Grant)
	}
	contains(t, bob.open(requestPath(q.ID)).Text(), "it is over")
	w.clock.advance(5 * time.Minute)
	if late := into[api.Request](t, alice.call("/v1"+requestPath(pending.ID), nil), 200); late.State != "expired" || late.ExpiresAt == 0 || late.ExpiresAt > w.clock.micros() {
		t.Errorf("unanswered: %+v", late)
	}
	contains(t, bob.open(requestPath(pending.ID)).Text(), "Expired unanswered", "it can be asked for again")
}

// TestQueries sends parameters that are not accepted, and asks for what is not
// there.
func TestQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, eve, none := w.logIn("alice"), w.logIn("eve"), w.logIn("nil")
	for _, tt := range []struct {
		name, path string
		who        *cli
		status     int
		slug       string
		words      []string
	}{
		{"a host that is not there", "/v1/roles?login=ops&host=web-9.demo", alice, 422, "field-refused", []string{"web-9.demo is not in the inventory", "host admin"}},
		{"one of two hosts", "/v1/roles?login=ops&host=web-1.demo&host=web-9.demo", alice, 422, "field-refused", []string{"web-9.demo"}},
		{"no host", "/v1/roles?login=ops", alice, 422, "field-refused", []string{"host"}},
		{"no login", "/v1/roles?host=web-1.demo", alice, 422, "field-refused", []string{"login"}},
		{"a login with a comma", "/v1/roles?login=ops,root&host=web-1.demo", alice, 422, "field-refused", []string{`"ops,root"`, "1 to 32"}},
		{"a login with a newline", "/v1/roles?login=ops%0aroot&host=web-1.demo", alice, 422, "field-refused", []string{`"ops\nroot"`}},
		{"a wildcard", "/v1/roles?login=*&host=web-1.demo", alice, 422, "field-refused", []string{`"*"`}},
		{"another parameter", "/v1/roles?login=ops&host=web-1.demo&role=x", alice, 400, "malformed", []string{`"role"`}},
		{"parameters that can't be read", "/v1/roles?login=%zz", alice, 400, "malformed", nil},
		{"a login that no role has", "/v1/roles?login=nobody&host=web-1.demo", alice, 403, "contract-forbids", []string{"logins", "nobody"}},
		{"a host that no role has", "/v1/roles?login=ops&host=db-1.demo", alice, 403, "contract-forbids", []string{"db-1.demo", "env=demo", "§1"}},
		{"a role for others", "/v1/roles?login=audit&host=web-1.demo", alice, 403, "contract-forbids", []string{"who", "security"}},
		{"somebody in no group", "/v1/roles?login=ops&host=web-1.demo", eve, 403, "contract-forbids", []string{"who", "engineers"}},
		{"unknown groups", "/v1/roles?login=ops&host=web-1.demo", none, 403, "groups-unknown", nil},

		{"every role, with unknown groups", "/v1/roles", none, 403, "groups-unknown", nil},
		{"a login of nothing", "/v1/roles?login=&host=web-1.demo", alice, 422, "field-refused", []string{"login"}},

		{"no id", "/v1/requests/x", alice, 404, "not-found", nil},
		{"an id in capitals", "/v1/requests/" + strings.Repeat("A", 26), alice, 404, "not-found", nil},
		{"an id that is not there", "/v1/requests/" + strings.Repeat("a", 26), alice, 404, "not-found", nil},

		{"limit 0", "/v1/ledger/entries?limit=0", alice, 422, "field-refused", []string{"limit", "1 to 200"}},
		{"limit 201", "/v1/ledger/entries?limit=201", alice, 422, "field-refused", []string{"limit"}},
		{"limit in words", "/v1/ledger/entries?limit=ten", alice, 422, "field-refused", []string{"limit", "whole number"}},
		{"before below zero", "/v1/ledger/entries?before=-1", alice, 422, "field-refused", []string{"before"}},
		{"before in two ways", "/v1/ledger/entries?before=01", alice, 422, "field-refused", []string{"before"}},
		{"before beyond numbers", "/v1/ledger/entries?before=99999999999999999999", alice, 422, "field-refused", []string{"before"}},
		{"two limits", "/v1/ledger/entries?limit=1&limit=2", alice, 422, "field-refused", []string{"limit", "2 times"}},
		{"two befores", "/v1/ledger/entries?before=1&before=2", alice, 422, "field-refused", []string{"before", "2 times"}},
		{"an empty limit", "/v1/ledger/entries?limit=", alice, 422, "field-refused", []string{"limit", "leave it out"}},
		{"an index beyond the end", "/v1/ledger/entries/100000", alice, 404, "not-found", []string{"100000"}},
		{"an index in words", "/v1/ledger/entries/x", alice, 422, "field-refused", []string{"index"}},
		{"a negative index", "/v1/ledger/entries/-1", alice, 422, "field-refused", []string{"index"}},

		{"a parameter of requests", "/v1/requests?scope=mine&page=2", alice, 400, "malformed", []string{`"page"`}},
		{"a parameter of entries", "/v1/ledger/entries?after=2", alice, 400, "malformed", []string{`"after"`}},
		{"a parameter where there is none", "/v1/hosts?name=web-1.demo", alice, 400, "malformed", []string{`"name"`}},
		{"a parameter of the session", "/v1/sessions/current?x", alice, 400, "malformed", []string{`"x"`}},
		{"parameters that can't be read", "/v1/hosts?%zz", alice, 400, "malformed", []string{"parameters"}},

		{"another address", "/v1/tokens", alice, 404, "not-found", nil},
		{"an address with a slash more", "/v1/hosts/", alice, 404, "not-found", nil},
		{"an address that is not clean", "/v1//hosts", alice, 404, "not-found", nil},
		{"an address that climbs", "/v1/x/../hosts", alice, 404, "not-found", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.unchanged(func() { tt.who.call(tt.path, nil).wantProblem(t, tt.status, tt.slug, tt.words...) })
		})
	}
	for path, want := range map[string]string{"/v1/hosts": "GET, HEAD", "/v1/requests": "GET, HEAD, POST", "/v1/sessions": "POST", "/v1/sessions/current": "GET, HEAD, DELETE"} {
		r := w.send(http.MethodPatch, path, http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil)
		r.wantProblem(t, http.StatusMethodNotAllowed, "method-not-allowed")
		if got := r.header.Get("Allow"); got != want {
			t.Errorf("PATCH %s: Allow %q, want %q", path, got, want)
		}
	}
}

// TestAnswers reads what the routes answer when all is well.
func TestAnswers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	about := into[api.Server](t, w.send(http.MethodGet, "/v1/server", nil, nil), 200)
	if about.Origin != origin || about.Version != "test" || len(about.Contracts) != 1 || about.Contracts[0].Digest != w.version.Digest ||
		len(about.Issuers) != 1 || about.Issuers[0].ID != "acme/lab" || about.Issuers[0].ClientID != "sally-cli" || about.Issuers[0].URL != w.idp.URL() {
		t.Errorf("server is %+v", about)
	}
	hosts := into[[]api.Host](t, alice.call("/v1/hosts", nil), 200)
	if len(hosts) != 3 || hosts[0].Name != "db-1.demo" || hosts[1].Labels["env"] != "demo" || hosts[2].Port != 22 || hosts[0].Lineage != w.version.Lineage() {
		t.Errorf("hosts are %+v", hosts)
	}
	if _, _, _, rest, err := ssh.ParseAuthorizedKey([]byte(hosts[0].HostKey)); err != nil || len(rest) > 0 || strings.Count(hosts[0].HostKey, " ") != 1 {
		t.Errorf("host key %q: %v", hosts[0].HostKey, err)
	}
	for _, h := range hosts {
		e := into[api.EntryProof](t, alice.call("/v1/ledger/entries/"+strconv.FormatInt(h.Leaf, 10), nil), 200)
		if e.Kind != "host.join" || !strings.Contains(e.Facts, `"name":"`+string(h.Name)+`"`) || e.Proof == "" {
			t.Errorf("the leaf of %s is %+v", h.Name, e)
		}
	}
	roles := into[[]api.RoleOption](t, alice.call("/v1/roles?login=ops&host=web-1.demo&host=web-2.demo", nil), 200)
	if len(roles) != 1 || roles[0].Role != "operator" || roles[0].Clause != "§1" || roles[0].MaxSeconds != 1800 || roles[0].MinWords != 2 ||
		len(roles[0].Approvers) != 1 || roles[0].Approvers[0] != "leads" || roles[0].Contract.Digest != w.version.Digest {
		t.Errorf("roles are %+v", roles)
	}
	if r := into[[]api.RoleOption](t, alice.call("/v1/roles?login=ops&login=deploy&host=web-1.demo", nil), 200); len(r) != 1 {
		t.Errorf("roles for two logins are %+v", r)
	}
	first, second := alice.submit(nil), alice.submit(nil)
	mine := into[api.Requests](t, alice.call("/v1/requests?scope=mine", nil), 200).Requests
	if len(mine) != 2 || mine[0].ID != second.ID || mine[1].ID != first.ID {
		t.Errorf("mine are %+v", mine)
	}
	if got := string(w.logIn("eve").call("/v1/requests?scope=mine", nil).body); got != `{"requests":[]}`+"\n" {
		t.Errorf("no requests are %q", got)
	}
	if r := w.send(http.MethodGet, "/healthz", http.Header{"Host": {"10.0.0.1"}}, nil); r.status != 200 || string(r.body) != "ok\n" {
		t.Errorf("health: %d %q", r.status, r.body)
	}
	session := into[api.Session](t, alice.call("/v1/sessions/current", nil), 200)
	if session.Bearer != "" || session.Person != alice.Person || session.Name != alice.Name || session.DeviceKey != alice.DeviceKey {
		t.Errorf("session is %+v", session)
	}
}
