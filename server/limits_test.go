package server_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/server"
)

// drain calls until a rate limit is reached and returns how many calls were
// answered before.
func drain(t testing.TB, call func() reply) (int, reply) {
	t.Helper()
	for n := range 500 {
		if r := call(); r.status == http.StatusTooManyRequests {
			return n, r
		}
	}
	t.Fatal("there is no limit")
	return 0, reply{}
}

// wantLimit demands the refusal of a rate limit: a plain sentence and when to try
// again.
func (r reply) wantLimit(t testing.TB, words ...string) {
	t.Helper()
	r.wantProblem(t, http.StatusTooManyRequests, "rate", append(words, "what you asked for was not done; try again in ")...)
	if seconds, err := strconv.Atoi(r.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
}

// limitedWorld has limits so low that each token takes a while to come back.
func limitedWorld(t *testing.T, l server.Limits, trusted ...string) *world {
	t.Helper()
	return makeWorld(t, terms, func(c *server.Config) {
		c.Limits = l
		for _, p := range trusted {
			c.TrustedProxies = append(c.TrustedProxies, netip.MustParsePrefix(p))
		}
	})
}

func from(address string) http.Header { return http.Header{"X-Forwarded-For": {address}} }

// TestAddressLimit: whoever is not logged in is counted by address, whatever they
// ask for and bring; probes are not, and who is logged in is not kept out.
func TestAddressLimit(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Address: 30, Login: 1000}, "127.0.0.1/32")
	alice := w.logIn("alice")
	bob, _ := w.signIn("bob", "/")
	for _, tt := range []struct {
		name, method, path string
		header             http.Header
	}{
		{"the server", http.MethodGet, "/v1/server", nil},
		{"the checkpoint", http.MethodGet, "/checkpoint", nil},
		{"no such address", http.MethodGet, "/v1/nothing", nil},
		{"no such method", http.MethodPut, "/v1/server", nil},
		{"a page without cookie", http.MethodGet, "/", nil},
		{"a style sheet", http.MethodGet, "/static/none.css", nil},
		{"a login that none began", http.MethodGet, "/callback?state=" + canon.Digest{1}.String(), nil},
		{"without bearer", http.MethodGet, "/v1/hosts", nil},
		{"a made-up bearer", http.MethodGet, "/v1/hosts", http.Header{"Authorization": {"Bearer " + canon.Digest{2}.String()}}},
		{"a made-up bearer where none is needed", http.MethodGet, "/v1/server", http.Header{"Authorization": {"Bearer " + canon.Digest{2}.String()}}},
		{"a made-up cookie", http.MethodGet, "/", http.Header{"Cookie": {"sallyport-" + w.port() + "=" + canon.Digest{3}.String()}}},
		{"another host", http.MethodGet, "/v1/server", http.Header{"Host": {"evil.test"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			// A /64 of their own, so that the parts of the test do not meet.
			header := from("2001:db8:0:" + strconv.FormatInt(int64(len(tt.name)), 16) + strconv.FormatInt(int64(len(tt.path)), 16) + "::1")
			for name, v := range tt.header {
				header[name] = v
			}
			n, r := drain(t, func() reply { return w.send(tt.method, tt.path, header, nil) })
			if n < 30 || n > 33 {
				t.Errorf("%d were answered, want 30", n)
			}
			if strings.HasPrefix(tt.path, "/v1/") {
				r.wantLimit(t, "more than 30 requests a minute come from this address without a login")
			} else {
				contains(t, string(r.body), "Too much at once", "More than 30 requests a minute", "Wait a little")
			}
			header.Set("X-Forwarded-For", strings.Replace(header.Get("X-Forwarded-For"), "::1", "::ffff", 1))
			if r := w.send(tt.method, tt.path, header, nil); r.status != http.StatusTooManyRequests {
				t.Errorf("another address of the same /64: %d", r.status)
			}
			for range 50 {
				if r := w.send(http.MethodGet, "/healthz", header, nil); r.status != http.StatusOK {
					t.Fatalf("a probe: %d", r.status)
				}
			}
			// Who is logged in shares the address and goes on.
			header = from(header.Get("X-Forwarded-For"))
			header.Set("Authorization", "Bearer "+alice.bearer)
			if r := w.send(http.MethodGet, "/v1/hosts", header, nil); r.status != http.StatusOK {
				t.Errorf("Alice, from the same address: %d %s", r.status, r.body)
			}
			header.Set("Cookie", bob.cookieHeader())
			if r := w.send(http.MethodGet, "/", header, nil); r.status != http.StatusOK {
				t.Errorf("Bob, from the same address: %d", r.status)
			}
		})
	}
}

// TestGoodBearerIsNoFreePass: a bearer that opened a session lately passes where
// its address is used up, but not without end where no session is looked at, and
// not once the session is over.
func TestGoodBearerIsNoFreePass(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Address: 30, Person: 60, Login: 1000}, "127.0.0.1/32")
	alice := w.logIn("alice")
	header := from("192.0.2.1")
	drain(t, func() reply { return w.send(http.MethodGet, "/v1/server", header, nil) })
	mine := header.Clone()
	mine.Set("Authorization", "Bearer "+alice.bearer)
	n, r := drain(t, func() reply { return w.send(http.MethodGet, "/v1/server", mine, nil) })
	if n < 60 || n > 65 {
		t.Errorf("%d were answered, want 60", n)
	}
	r.wantLimit(t, "this address")
	if r := w.send(http.MethodDelete, "/v1/sessions/current", http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil); r.status != http.StatusNoContent {
		t.Fatalf("logging out: %d", r.status)
	}
	w.clock.advance(20 * time.Second)
	drain(t, func() reply { return w.send(http.MethodGet, "/v1/server", header, nil) })
	w.send(http.MethodGet, "/v1/hosts", mine, nil) // this time it opens none
	if r := w.send(http.MethodGet, "/v1/server", mine, nil); r.status != http.StatusTooManyRequests {
		t.Errorf("a bearer of a session that is over: %d", r.status)
	}
}

// TestPersonLimit: what a person does on the command line and in browsers is
// counted, each for itself, whatever address it comes from.
func TestPersonLimit(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Person: 12, Address: 1000, Login: 1000}, "127.0.0.1/32")
	alice, again := w.logIn("alice"), w.logIn("alice")
	calls := 0
	n, r := drain(t, func() reply {
		calls++
		header := from("192.0.2." + strconv.Itoa(calls))
		header.Set("Authorization", "Bearer "+alice.bearer)
		return w.send(http.MethodGet, "/v1/hosts", header, nil)
	})
	if n < 12 || n > 14 {
		t.Errorf("%d were answered, want 12", n)
	}
	r.wantLimit(t, "you ask more than 12 times a minute")
	for name, call := range map[string]func() reply{
		"in another session": func() reply { return again.call("/v1/hosts", nil) },
		"a request":          func() reply { return alice.call("/v1/requests", "{}") },
		"a challenge":        func() reply { return alice.call("/v1/challenges", api.ChallengeRequest{Purpose: "issue"}) },
		"a renewal's challenge": func() reply {
			return alice.call("/v1/challenges", api.ChallengeRequest{Purpose: "session"})
		},
		"a renewal": func() reply {
			return alice.call("/v1/sessions", api.SessionRequest{Issuer: "acme/lab", IDToken: "x", RZ: "x", DeviceKey: "x", Document: "x", Signature: "x"})
		},
	} {
		r := call()
		if r.status != http.StatusTooManyRequests {
			t.Errorf("%s: %d %s", name, r.status, r.body)
			continue
		}
		r.wantLimit(t, "you ask more than 12 times a minute")
	}
	if _, page := w.signIn("alice", "/"); page.Status != http.StatusOK {
		t.Errorf("her page: %d", page.Status)
	}
	if r := w.logIn("eve").call("/v1/hosts", nil); r.status != http.StatusOK {
		t.Errorf("somebody else: %d", r.status)
	}
	seconds, err := strconv.Atoi(r.header.Get("Retry-After"))
	must(t, err)
	w.clock.advance(time.Duration(seconds) * time.Second)
	if r := alice.call("/v1/hosts", nil); r.status != http.StatusOK {
		t.Errorf("after the time that it said: %d", r.status)
	}
}

// TestPromiseP14_ALimitKeepsNobodyFromDenying: Bob has used up everything that he
// may do on the command line and in browsers, and others what may come from his
// address. He can't approve, and denies; Alice cancels in the same way.
func TestPromiseP14_ALimitKeepsNobodyFromDenying(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Person: 6, Address: 30, Login: 1000}, "127.0.0.1/32")
	alice := w.logIn("alice")
	first, second := alice.submit(nil), alice.submit(nil)
	b, page := w.signIn("bob", requestPath(first.ID))
	approve, deny := yes(t, page, first.ID), url.Values{}
	for name, v := range yes(t, b.open(requestPath(second.ID)), second.ID) {
		deny[name] = v
	}
	deny.Set("verdict", "deny")
	cli := w.logIn("bob")
	drain(t, func() reply { return cli.call("/v1/hosts", nil) })
	drain(t, func() reply { return w.send(http.MethodGet, "/", http.Header{"Cookie": {b.cookieHeader()}}, nil) })
	address := from("192.0.2.1")
	drain(t, func() reply { return w.send(http.MethodGet, "/v1/server", address, nil) })
	for name, v := range w.ownPage() {
		address[name] = v
	}
	r := b.post(decisionsPath(first.ID), approve, address)
	if r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" || w.decisions(first.ID) != 0 {
		t.Errorf("approving: %d, %d decisions", r.status, w.decisions(first.ID))
	}
	contains(t, string(r.body), "You ask more than 6 times a minute")
	if r := b.post(decisionsPath(second.ID), deny, address); r.status != http.StatusSeeOther || w.decisions(second.ID) != 1 {
		t.Errorf("denying: %d, %d decisions", r.status, w.decisions(second.ID))
	}
	// Alice takes hers back on the command line.
	drain(t, func() reply { return alice.call("/v1/hosts", nil) })
	if q := into[api.Request](t, alice.call("/v1"+cancelPath(first.ID), alice.cancelBody(first.ID, nil)), http.StatusOK); q.State != "cancelled" {
		t.Errorf("cancelling: %+v", q)
	}
	// Denials have a limit of their own: a loop of them is no way to fill the lane.
	n, r := drain(t, func() reply { return b.post(decisionsPath(second.ID), deny, w.ownPage()) })
	if n > 8 {
		t.Errorf("%d denials were answered", n)
	}
	contains(t, string(r.body), "You deny or cancel more than 6 times a minute")
}

// TestLoginLimit: what leads to a login is counted by address, apart from the
// rest and more tightly, and all that anybody may cause to be written is counted
// together.
func TestLoginLimit(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Login: 6, Logins: 60, Address: 1000}, "127.0.0.1/32")
	alice := w.logIn("alice")
	challenge := func(address string) reply {
		header := from(address)
		header.Set("Content-Type", "application/json")
		return w.send(http.MethodPost, "/v1/challenges", header, strings.NewReader(`{"purpose":"session"}`))
	}
	n, r := drain(t, func() reply { return challenge("192.0.2.1") })
	if n < 6 || n > 8 {
		t.Errorf("%d challenges, want 6", n)
	}
	r.wantLimit(t, "more than 6 steps of logins a minute come from this address")
	body := api.SessionRequest{Issuer: "acme/lab", IDToken: "x", RZ: "x", DeviceKey: "x", Document: "x", Signature: "x"}
	state := canon.Digest{7}.String()
	for name, call := range map[string]func() reply{
		"a browser's": func() reply { return w.send(http.MethodGet, "/login", from("192.0.2.1"), nil) },
		"a browser that comes back": func() reply {
			header := from("192.0.2.1")
			header.Set("Cookie", "sallyport-"+w.port()+"-login-"+state[:8]+"="+state)
			return w.send(http.MethodGet, "/callback?code=x&state="+state, header, nil)
		},
		"the second step": func() reply {
			header := from("192.0.2.1")
			header.Set("Content-Type", "application/json")
			return w.send(http.MethodPost, "/v1/sessions", header, strings.NewReader(marshal(t, body)))
		},
	} {
		if r := call(); r.status != http.StatusTooManyRequests || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d %s", name, r.status, r.body)
		}
	}
	// A renewal is its person's, from whatever address.
	header := from("192.0.2.1")
	header.Set("Content-Type", "application/json")
	header.Set("Authorization", "Bearer "+alice.bearer)
	if r := w.send(http.MethodPost, "/v1/challenges", header, strings.NewReader(`{"purpose":"session"}`)); r.status != http.StatusOK {
		t.Errorf("a renewal: %d %s", r.status, r.body)
	}
	if r := w.send(http.MethodGet, "/v1/server", from("192.0.2.1"), nil); r.status != http.StatusOK {
		t.Errorf("what is no login: %d", r.status)
	}
	// From many addresses, together.
	next := 0
	n, r = drain(t, func() reply {
		next++
		return challenge("192.0.2." + strconv.Itoa(10+next))
	})
	if n > 60 {
		t.Errorf("%d challenges from different addresses, want at most 60", n)
	}
	r.wantLimit(t, "too many people are logging in at once")
	if r := alice.call("/v1/challenges", api.ChallengeRequest{Purpose: "issue"}); r.status != http.StatusOK {
		t.Errorf("who is logged in: %d %s", r.status, r.body)
	}
}

// TestForwardedForIsNotBelieved: without trusted proxies the header is of no
// account, and the operator reads so once.
func TestForwardedForIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := limitedWorld(t, server.Limits{Address: 12})
	next := 0
	n, _ := drain(t, func() reply {
		next++
		return w.send(http.MethodGet, "/v1/server", from("192.0.2."+strconv.Itoa(next)), nil)
	})
	if n > 14 {
		t.Errorf("%d were answered, want 12", n)
	}
	if log := w.logs.String(); strings.Count(log, "trusted_proxies") != 1 || strings.Contains(log, "192.0.2") {
		t.Errorf("the log does not say it once, or names the client:\n%s", log)
	}
}

// TestTooManyOpenIsNoRateLimit: its sentence names the limit and what to do, and
// waiting a while is no promise that it works.
func TestTooManyOpenIsNoRateLimit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	for range 20 {
		alice.submit(nil)
	}
	r := alice.call("/v1/requests", alice.requestBody(nil))
	r.wantProblem(t, http.StatusTooManyRequests, "rate", "too many open requests: 20 of yours are pending, at most 20 may be; wait until some are decided, or cancel some")
	if r.header.Get("Retry-After") != "" {
		t.Errorf("Retry-After is %q", r.header.Get("Retry-After"))
	}
}

// TestLimitsAreChecked refuses what can't be meant.
func TestLimitsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, err := server.New(server.Config{Authority: w.authority, BaseURL: w.base, Now: w.clock.Now, Rand: rand.Reader, Limits: server.Limits{Login: -1}})
	if err == nil || !strings.Contains(err.Error(), "login_per_minute") {
		t.Errorf("got %v", err)
	}
}

func marshal(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	must(t, err)
	return string(b)
}
