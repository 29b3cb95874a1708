package client

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
)

// What no server would accept is refused with the flag and its limit, before any
// call; the rest reaches the server as it takes it.
func TestListFilters(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.FixedZone("CET", 3600))
	for _, tt := range []struct {
		name  string
		o     ListOptions
		want  string // of the query, without limit
		error string
	}{
		{"own", ListOptions{Limit: 1}, "scope=mine", ""},
		{"waiting", ListOptions{Limit: 1, Waiting: true}, "scope=waiting", ""},
		{"all filters", ListOptions{Limit: MaxListed, State: "granted", Host: "web-1.demo", Since: "1h"}, "host=web-1.demo&scope=mine&since=1795600800000000&state=granted", ""},
		{"since a day", ListOptions{Limit: 1, Since: "2026-11-25"}, "scope=mine&since=1795561200000000", ""},
		{"since a moment", ListOptions{Limit: 1, Since: "2026-11-25T00:00:00Z"}, "scope=mine&since=1795564800000000", ""},
		{"since seven days", ListOptions{Limit: 1, Since: "7d"}, "scope=mine&since=1794999600000000", ""},
		{"a state that there is not", ListOptions{Limit: 1, State: "open"}, "", `--state "open": one of pending, granted, denied, expired, cancelled`},
		{"the state of what waits", ListOptions{Limit: 1, Waiting: true, State: "pending"}, "", "--waiting and --state"},
		{"two forms", ListOptions{Limit: 1, JSON: true, CSV: true}, "", "--csv and --json: choose one"},
		{"nothing", ListOptions{}, "", "--limit 0: 1 to 10000"},
		{"too many", ListOptions{Limit: MaxListed + 1}, "", "--limit 10001: 1 to 10000"},
		{"a pattern", ListOptions{Limit: 1, Host: "*.demo"}, "", `--host: host "*.demo": not a host name: a lower-case DNS name`},
		{"since a word", ListOptions{Limit: 1, Since: "yesterday"}, "", `--since "yesterday": write 90m, 24h or 7d`},
		{"since no days", ListOptions{Limit: 1, Since: "0d"}, "", "--since"},
		{"since too many days", ListOptions{Limit: 1, Since: "999999999999d"}, "", "--since"},
		{"since less than nothing", ListOptions{Limit: 1, Since: "-1h"}, "", "--since"},
		{"since tomorrow", ListOptions{Limit: 1, Since: "2026-11-26"}, "", "--since 2026-11-26: that is yet to come"},
		{"since long ago", ListOptions{Limit: 1, Since: "1969-12-31"}, "", "--since 1969-12-31: not before 1970"},
		{"since an hour of the day", ListOptions{Limit: 1, Since: "12:00"}, "", "--since"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.o.Env.Now = func() time.Time { return now }
			query, err := tt.o.filter()
			if tt.error != "" {
				wantExit(t, err, ExitUsage, tt.error)
			} else if err != nil || query.Encode() != tt.want {
				t.Errorf("asks %q, %v; want %q", query.Encode(), err, tt.want)
			}
		})
	}
}

// A list is read to its end or to the limit, page by page.
func TestListReadsOn(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	var want []string
	for i := range 7 {
		q := f.granted(time.Hour, fmt.Sprintf("web-%d.demo", i%2+1))
		want = append([]string{string(q.ID)}, want...)
	}
	for _, tt := range []struct {
		name string
		o    ListOptions
		want []string
	}{
		{"all", ListOptions{Limit: 50}, want},
		{"three", ListOptions{Limit: 3}, want[:3]},
		{"one host", ListOptions{Limit: 50, Host: "web-2.demo"}, []string{want[1], want[3], want[5]}},
		{"none", ListOptions{Limit: 50, State: "denied"}, nil},
	} {
		w.out.Reset()
		tt.o.Env = w.Env
		if err := List(t.Context(), tt.o); err != nil {
			t.Fatal(err)
		}
		var got []string
		for line := range strings.Lines(w.stdout()) {
			got = append(got, strings.Fields(line)[0])
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
	if !strings.Contains(w.stderr(), "no request of yours is like that") {
		t.Errorf("said %q", w.stderr())
	}
	if err := List(t.Context(), ListOptions{Env: w.Env, Limit: 50, State: "denied", JSON: true}); err != nil || w.stdout() != "{\n  \"v\": \"sally/v1\",\n  \"requests\": []\n}\n" {
		t.Errorf("nothing is %q, %v", w.stdout(), err)
	}
	f.lieList = func(page *api.Requests) { page.Requests, page.Next = nil, 5 }
	wantExit(t, List(t.Context(), ListOptions{Env: w.Env, Limit: 50}), ExitFailed, "out of order")
	f.lieList = func(page *api.Requests) { page.Requests, page.Next = nil, -5 }
	wantExit(t, List(t.Context(), ListOptions{Env: w.Env, Limit: 50}), ExitFailed, "out of order")
}

// A page that is longer than was asked for is cut.
func TestListTakesNoMoreThanAsked(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	f.lieList = func(page *api.Requests) { page.Requests = slices.Repeat(page.Requests[:1], 9) }
	if err := List(t.Context(), ListOptions{Env: w.Env, Limit: 3, JSON: true}); err != nil {
		t.Fatal(err)
	}
	var got requestsResult
	if err := json.Unmarshal([]byte(w.stdout()), &got); err != nil || len(got.Requests) != 3 {
		t.Errorf("%d requests, %v", len(got.Requests), err)
	}
}

func TestListWaiting(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	if err := List(t.Context(), ListOptions{Env: w.Env, Limit: 50, Waiting: true}); err != nil || w.stdout() != "" || !strings.Contains(w.stderr(), "nothing waits for you") {
		t.Errorf("%q, %q, %v", w.stdout(), w.stderr(), err)
	}
	q := pending(time.Now())
	q.By, q.Contract = f.person, f.contract
	q.ByName, q.ByAccount, q.Logins, q.Hosts, q.Seconds, q.Reason, q.URL = "Alice", "alice@acme.test", logins("ops"), hostsOf("web-1.demo"), 600, "INC-42", f.url+"/requests/"+string(q.ID)
	f.add(&q)
	if err := List(t.Context(), ListOptions{Env: w.Env, Limit: 50, Waiting: true}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Alice (alice@acme.test)  ops@web-1.demo  10m0s  ", "  INC-42  " + q.URL + "\n"} {
		if !strings.Contains(w.stdout(), want) {
			t.Errorf("no %q in %q", want, w.stdout())
		}
	}
	if scope, err := url.ParseQuery(f.queries[len(f.queries)-1]); err != nil || scope.Get("scope") != "waiting" {
		t.Errorf("asked %q", f.queries)
	}
}
