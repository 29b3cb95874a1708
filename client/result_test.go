package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
)

func TestVersioned(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		in   any
		want string // empty: refused
	}{
		{struct{}{}, `{"v":"sally/v1"}`},
		{requestsResult{[]api.Request{}}, `{"v":"sally/v1","requests":[]}`},
		{[]string{"a"}, ""},
		{nil, ""},
		{"text", ""},
		{func() {}, ""},
	} {
		got, err := versioned(tt.in)
		if string(got) != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%T is %s, %v; want %s", tt.in, got, err, tt.want)
		}
	}
}

// With --json an error is one JSON object on the last line of standard error.
func TestReportJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want errorDetail
	}{
		{Usagef("--limit 0: 1 to 10000"), errorDetail{Code: 2, Kind: "usage", Message: "--limit 0: 1 to 10000"}},
		{fail(ExitDenied, "denied"), errorDetail{Code: 3, Kind: "denied", Message: "denied"}},
		{fail(ExitTimeout, "x"), errorDetail{Code: 5, Kind: "timeout", Message: "x"}},
		{fail(ExitUnreachable, "x"), errorDetail{Code: 6, Kind: "unreachable", Message: "x"}},
		{problem(api.Problem{Type: "/problems/contract-forbids", Detail: "acme §3: at most 1h"}), errorDetail{Code: 7, Kind: "forbidden", Message: "acme §3: at most 1h", Problem: "contract-forbids"}},
		{problem(api.Problem{Type: "/problems/unauthenticated", Detail: "over"}), errorDetail{Code: 4, Kind: "login", Message: "over; log in: sally login", Problem: "unauthenticated"}},
		{fmt.Errorf("x: %w", context.Canceled), errorDetail{Code: 130, Kind: "interrupted", Message: "interrupted"}},
		{fmt.Errorf("a\x1b[2Jb\nc\u202e"), errorDetail{Code: 1, Kind: "failed", Message: "a\x1b[2Jb\nc\u202e"}},
	} {
		w := newWorld(t)
		w.say("something before")
		if code := ReportJSON(w.Env, tt.err); code != tt.want.Code {
			t.Errorf("%v: exit code %d, want %d", tt.err, code, tt.want.Code)
		}
		lines := strings.Split(strings.TrimSuffix(w.stderr(), "\n"), "\n")
		var got errorResult
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &got); err != nil || got.Error != tt.want || len(lines) != 2 || w.stdout() != "" {
			t.Errorf("said %q, %v; want %+v", lines, err, tt.want)
		}
		if strings.ContainsFunc(lines[1], canon.Hidden) {
			t.Errorf("hidden characters in %q", lines[1])
		}
	}
	w := newWorld(t)
	if code := ReportJSON(w.Env, nil); code != 0 || w.stderr() != "" {
		t.Errorf("nothing is %d, %q", code, w.stderr())
	}
}
