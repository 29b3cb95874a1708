package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// TestLedgerFilter holds the command line's words to the server's.
func TestLedgerFilter(t *testing.T) {
	t.Parallel()
	id := strings.Repeat("a", 26)
	for _, tt := range []struct {
		filter LedgerFilter
		want   string
	}{
		{LedgerFilter{}, ""},
		{LedgerFilter{Person: id}, "person=" + id},
		{LedgerFilter{Person: "me"}, "person=me"},
		{LedgerFilter{Person: "alice@acme.example", People: true}, "people=1&who=alice%40acme.example"},
		{
			LedgerFilter{Host: "h", Login: "l", Role: "r", Request: "q", Contract: "c", Serial: "7", Key: "k", Kind: "d", Since: "7d", Until: "1h", Text: "50% _x"},
			"contract=c&host=h&key=k&kind=d&login=l&request=q&role=r&serial=7&since=7d&text=50%25+_x&until=1h",
		},
	} {
		if got := tt.filter.values().Encode(); got != tt.want {
			t.Errorf("%+v asks for %q, want %q", tt.filter, got, tt.want)
		}
	}
}

// TestLedgerListFilters: every page is asked for with the filters, and a table of
// values with the size of the tree that it is of.
func TestLedgerListFilters(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	o := LedgerListOptions{Env: w.Env, LedgerFilter: LedgerFilter{Host: "web-1.demo"}, Limit: 3, CSV: true}
	if err := LedgerList(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := f.searches[0]; got.Get("before") != "4" || got.Get("host") != "web-1.demo" || got.Get("limit") != "3" {
		t.Errorf("it asked for %v", got)
	}
	asked := len(f.searches)
	for _, o := range []LedgerListOptions{
		{Follow: true, CSV: true, Limit: 1},
		{Follow: true, Limit: 1, LedgerFilter: LedgerFilter{Until: "1h"}},
		{Follow: true, Limit: 1, LedgerFilter: LedgerFilter{Person: "alice@acme.example", People: true}}, // each look would be a reading
	} {
		o.Env = w.Env
		wantExit(t, LedgerList(t.Context(), o), ExitUsage, "--follow and --")
	}
	if len(f.searches) != asked {
		t.Errorf("it asked for %v all the same", f.searches[asked:])
	}
}

// TestLedgerListFollow follows a ledger that grows: from the newest on, each entry
// once, in order, with the cursor of the page before.
func TestLedgerListFollow(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	ctx, cancel := context.WithCancel(t.Context())
	out, in := io.Pipe()
	env := w.Env
	env.Out = in
	ended := make(chan error, 1)
	go func() {
		err := LedgerList(ctx, LedgerListOptions{Env: env, Limit: 2, JSON: true, Follow: true})
		ended <- errors.Join(err, in.Close())
	}()
	grow := func() {
		f.append(f.log, record.PersonLogin{At: canon.At(time.Now()), Login: newID(t), Person: newID(t), Issuer: "x", Client: "x", Flow: "code", ClaimsAt: 1}, nil)
	}
	var got []int64
	read := json.NewDecoder(out)
	for len(got) < 5 {
		var page struct {
			Size    int64
			Entries []api.Entry
		}
		if err := read.Decode(&page); err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Entries {
			got = append(got, e.Index)
		}
		if len(got) == 2 {
			for range 3 {
				grow()
			}
		}
	}
	cancel()
	go func() { _, _ = io.Copy(io.Discard, out) }()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
	if !slices.Equal(got, []int64{2, 3, 4, 5, 6}) {
		t.Errorf("it told of %v", got)
	}
	asked := slices.IndexFunc(f.searches, func(v url.Values) bool { return v.Get("order") == "oldest" })
	if first := f.searches[asked]; first.Get("from") != "4" {
		t.Errorf("it began to follow with %v", first)
	}
}
