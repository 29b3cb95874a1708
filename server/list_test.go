package server_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// list gets one page of requests.
func (c *cli) list(query string) api.Requests {
	c.w.t.Helper()
	return into[api.Requests](c.w.t, c.call("/v1/requests?"+query, nil), http.StatusOK)
}

func ids(list []api.Request) []canon.ID {
	var out []canon.ID
	for _, q := range list {
		out = append(out, q.ID)
	}
	return out
}

// TestListRequests narrows the list of one's own requests by each filter.
func TestListRequests(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	on := func(host sshcert.Host) func(*ask) { return func(a *ask) { a.Hosts[0] = host } }
	granted := alice.submit(on("web-1.demo"))
	denied := alice.submit(on("web-2.demo"))
	bob := w.logIn("bob")
	b, page := w.signIn("bob", requestPath(granted.ID))
	b.press(page, granted.ID, "Approve", map[string]string{"minutes": "5"})
	b.press(b.open(requestPath(denied.ID)), denied.ID, "Deny", map[string]string{"words": "no"})
	mallory := w.logIn("mallory")
	expired := alice.submit(on("web-1.demo"))
	w.clock.advance(16 * time.Minute)
	both := alice.submit(func(a *ask) { a.Hosts = []sshcert.Host{"web-1.demo", "web-2.demo"} })
	hers := mallory.submit(nil)

	for _, tt := range []struct {
		name, query string
		want        []canon.ID
	}{
		{"all", "scope=mine", []canon.ID{both.ID, expired.ID, denied.ID, granted.ID}},
		{"pending", "scope=mine&state=pending", []canon.ID{both.ID}},
		{"granted", "scope=mine&state=granted", []canon.ID{granted.ID}},
		{"denied", "scope=mine&state=denied", []canon.ID{denied.ID}},
		{"expired", "scope=mine&state=expired", []canon.ID{expired.ID}},
		{"a host", "scope=mine&host=web-2.demo", []canon.ID{both.ID, denied.ID}},
		{"a host without requests", "scope=mine&host=web-3.demo", nil},
		{"a host and a state", "scope=mine&host=web-1.demo&state=expired", []canon.ID{expired.ID}},
		{"since one of them, itself included", fmt.Sprintf("scope=mine&since=%d", expired.SubmittedAt), []canon.ID{both.ID, expired.ID}},
		{"since right after it", fmt.Sprintf("scope=mine&since=%d", expired.SubmittedAt+1), []canon.ID{both.ID}},
		{"since tomorrow", fmt.Sprintf("scope=mine&since=%d", w.clock.in(24*time.Hour)), nil},
		{"two", "scope=mine&limit=2", []canon.ID{both.ID, expired.ID}},
		{"before all", "scope=mine&before=0", nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := ids(alice.list(tt.query).Requests); !slices.Equal(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
	for query, want := range map[string][]canon.ID{
		"scope=waiting": {hers.ID, both.ID}, "scope=waiting&host=web-2.demo": {both.ID}, "scope=waiting&limit=1": {hers.ID},
		fmt.Sprintf("scope=waiting&since=%d", hers.SubmittedAt): {hers.ID},
	} {
		if got := ids(bob.list(query).Requests); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

// TestListPages reads a list by pages while requests come and are decided: each
// one that was there at the beginning stands on one page, once.
func TestListPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	var want []canon.ID
	for range 5 {
		want = append([]canon.ID{alice.submit(nil).ID}, want...)
	}
	b, page := w.signIn("bob", requestPath(want[3]))
	var got []canon.ID
	next := int64(0)
	for n := 0; ; n++ {
		query := "scope=mine&limit=2"
		if n > 0 {
			query += "&before=" + itoa(next)
		}
		list := alice.list(query)
		got = append(got, ids(list.Requests)...)
		alice.submit(nil)
		if n == 0 {
			b.press(page, want[3], "Deny", map[string]string{"words": "no"})
		}
		if list.Next == 0 {
			break
		}
		if n > 0 && list.Next >= next {
			t.Fatalf("the next page begins before %d, this one began before %d", list.Next, next)
		}
		next = list.Next
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %v, want %v", got, want)
	}
}

// TestListQueries sends filters that are not accepted.
func TestListQueries(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, none := w.logIn("alice"), w.logIn("nil")
	for _, tt := range []struct {
		name, path string
		who        *cli
		status     int
		slug       string
		words      []string
	}{
		{"no scope", "/v1/requests", alice, 422, "field-refused", []string{"scope", "mine or waiting"}},
		{"another scope", "/v1/requests?scope=all", alice, 422, "field-refused", []string{"scope"}},
		{"two scopes", "/v1/requests?scope=mine&scope=waiting", alice, 422, "field-refused", []string{"scope", "2 times"}},
		{"waiting with unknown groups", "/v1/requests?scope=waiting", none, 403, "groups-unknown", nil},
		{"a scope of nothing", "/v1/requests?scope=", alice, 422, "field-refused", []string{"scope"}},
		{"a scope in capitals", "/v1/requests?scope=Mine", alice, 422, "field-refused", []string{"scope"}},
		{"a state that there is not", "/v1/requests?scope=mine&state=open", alice, 422, "field-refused", []string{"state", "pending, granted, denied, expired, cancelled, revoked or ended"}},
		{"a state of nothing", "/v1/requests?scope=mine&state=", alice, 422, "field-refused", []string{"state"}},
		{"two states", "/v1/requests?scope=mine&state=pending&state=granted", alice, 422, "field-refused", []string{"state", "2 times"}},
		{"the state of what waits", "/v1/requests?scope=waiting&state=granted", alice, 422, "field-refused", []string{"state", "leave it out"}},
		{"a host that is none", "/v1/requests?scope=mine&host=*.demo", alice, 422, "field-refused", []string{`"*.demo"`, "lower-case"}},
		{"a host of nothing", "/v1/requests?scope=mine&host=", alice, 422, "field-refused", []string{"host"}},
		{"a host with a newline", "/v1/requests?scope=mine&host=web%0a", alice, 422, "field-refused", []string{`"web\n"`}},
		{"two hosts", "/v1/requests?scope=mine&host=web-1.demo&host=web-2.demo", alice, 422, "field-refused", []string{"host", "2 times"}},
		{"since a word", "/v1/requests?scope=mine&since=yesterday", alice, 422, "field-refused", []string{"since", "whole number"}},
		{"since below zero", "/v1/requests?scope=mine&since=-1", alice, 422, "field-refused", []string{"since"}},
		{"since a fraction", "/v1/requests?scope=mine&since=1.5", alice, 422, "field-refused", []string{"since"}},
		{"since beyond numbers", "/v1/requests?scope=mine&since=99999999999999999999", alice, 422, "field-refused", []string{"since"}},
		{"since nothing", "/v1/requests?scope=mine&since=", alice, 422, "field-refused", []string{"since", "empty"}},
		{"a limit of nothing", "/v1/requests?scope=mine&limit=", alice, 422, "field-refused", []string{"limit", "empty"}},
		{"a place of nothing", "/v1/requests?scope=mine&before=", alice, 422, "field-refused", []string{"before", "empty"}},
		{"a list of nothing", "/v1/requests?scope=mine&limit=0", alice, 422, "field-refused", []string{"limit", "1 to 200"}},
		{"a long list", "/v1/requests?scope=mine&limit=201", alice, 422, "field-refused", []string{"limit", "1 to 200"}},
		{"a place below zero", "/v1/requests?scope=mine&before=-1", alice, 422, "field-refused", []string{"before"}},
		{"a place with a plus", "/v1/requests?scope=mine&before=%2b1", alice, 422, "field-refused", []string{"before"}},
		{"two places", "/v1/requests?scope=mine&before=1&before=2", alice, 422, "field-refused", []string{"before", "2 times"}},
		{"a filter that there is not", "/v1/requests?scope=mine&by=bob", alice, 400, "malformed", []string{`"by"`}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w.unchanged(func() { tt.who.call(tt.path, nil).wantProblem(t, tt.status, tt.slug, tt.words...) })
		})
	}
}
