package client

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

func TestCSVCell(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ in, want string }{
		{"", ""},
		{"INC-42 checkout latency", "INC-42 checkout latency"},
		{"a-b + c = d @ e", "a-b + c = d @ e"},
		{"Zoë, 日本", "Zoë, 日本"},
		{"=1+1", "'=1+1"},
		{"+1", "'+1"},
		{"-1", "'-1"},
		{"@x", "'@x"},
		{" =1", " '=1"},
		{"＝1", "'＝1"},
		{"a;=1", "a;'=1"},
		{"a; -1; b", "a; '-1; b"},
		{"'=1", "'=1"},
		{"\t=1", `\x09=1`},
		{"\r=1", `\x0d=1`},
		{"one\ntwo", `one\ntwo`},
		{"\u202e=1", `\u202e=1`},
		{"\x1b[2J", `\x1b[2J`},
	} {
		if got := csvCell(tt.in, canon.Hidden); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.in, got, tt.want)
		}
	}
}

// wantInert demands that a file has its rows and cells and runs nothing.
func wantInert(t interface{ Error(...any) }, text string, rows, columns int) {
	if err := payloads.CSV(text, rows, columns); err != nil {
		t.Error(err)
	}
}

func TestPromiseP16_CSVRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows := [][]string{{"what", "twice"}}
	for _, text := range payloads.Texts() {
		rows = append(rows, []string{text, text})
	}
	if err := w.printCSV(rows); err != nil {
		t.Fatal(err)
	}
	wantInert(t, w.stdout(), len(rows), 2)
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		parts := rapid.SliceOf(rapid.SampledFrom(append(payloads.Texts(), ";", " ", `"`, ",", "x"))).Draw(t, "parts")
		if err := (Env{Out: &b, Getenv: w.Getenv}).printCSV([][]string{{strings.Join(parts, ""), "x"}}); err != nil {
			t.Fatal(err)
		}
		wantInert(t, b.String(), 1, 2)
	})
}

// What people and identity providers write comes out of each list inert, in each
// form.
func TestPromiseP16_ListsAreInert(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	all := payloads.Texts()
	for _, text := range all {
		q := f.granted(0, "web-1.demo")
		p := f.requests[q.ID]
		p.Reason, p.ByName, p.ByAccount, p.Role, p.Clause, p.URL, p.Contract.ID = text, text, text, text, text, text, text
		p.Decisions[0].ByName, p.Decisions[0].Words = text, text
		p.From = []string{text}
	}
	for _, waiting := range []bool{false, true} {
		list := func(csv, json bool) string {
			t.Helper()
			w.out.Reset()
			if err := List(t.Context(), ListOptions{Env: w.Env, Limit: MaxListed, Waiting: waiting, CSV: csv, JSON: json}); err != nil {
				t.Fatal(err)
			}
			return w.stdout()
		}
		if text := list(false, false); payloads.Terminal(text) != nil || strings.Count(text, "\n") != len(all) {
			t.Errorf("the list for people has %d lines for %d requests: %v", strings.Count(text, "\n"), len(all), payloads.Terminal(text))
		}
		if err := payloads.Terminal(list(false, true)); err != nil {
			t.Error(err)
		}
		wantInert(t, list(true, false), len(all)+1, len(csvRequests(nil)[0]))
	}
}

// What a server invents in the place of a ledger comes out inert too.
func TestPromiseP16_LedgerCSVIsInert(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	leaf := f.entries[0].Leaf
	for _, text := range payloads.Texts() {
		for _, lie := range []api.Entry{{Leaf: leaf, Kind: text}, {Leaf: text, Kind: text}, {Leaf: strings.Replace(leaf, "ledger.open", text, 1), Kind: text}} {
			lie.Index = f.log.AppendHash(tlog.RecordHash([]byte(lie.Leaf)))
			f.entries = append(f.entries, api.EntryProof{Entry: lie})
		}
	}
	w.out.Reset()
	if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: MaxEntries, CSV: true}); err != nil {
		t.Fatal(err)
	}
	wantInert(t, w.stdout(), len(f.entries)+2, 9)
	w.out.Reset()
	if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: MaxEntries}); err != nil {
		t.Fatal(err)
	}
	if text := w.stdout(); payloads.Terminal(text) != nil || strings.Count(text, "\n") != len(f.entries) {
		t.Errorf("%d lines for %d entries: %v", strings.Count(text, "\n"), len(f.entries), payloads.Terminal(text))
	}
}

// What people wrote comes out inert beside their entries, too.
func TestPromiseP16_PeopleInAListAreInert(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	for _, text := range payloads.Texts() {
		part, err := json.Marshal(map[string]string{"reason": text, "id_token": "secret-canary"})
		if err != nil {
			t.Fatal(err)
		}
		e := f.entries[0].Entry
		e.Index = int64(len(f.entries))
		e.Person = string(part)
		f.entries = append(f.entries, api.EntryProof{Entry: e})
	}
	w.out.Reset()
	o := LedgerListOptions{Env: w.Env, LedgerFilter: LedgerFilter{People: true}, Limit: MaxEntries}
	if err := LedgerList(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if text := w.stdout(); payloads.Terminal(text) != nil || strings.Count(text, "\n") != len(f.entries) || strings.Contains(text, "secret-canary") {
		t.Errorf("%d lines for %d entries: %v", strings.Count(text, "\n"), len(f.entries), payloads.Terminal(text))
	}
	if f.searches[0].Get("people") != "1" {
		t.Errorf("it asked for %v", f.searches[0])
	}
	w.out.Reset()
	o.JSON = true
	if err := LedgerList(t.Context(), o); err != nil || strings.Contains(w.stdout(), "secret-canary") {
		t.Errorf("as JSON: %v, or a secret in it", err)
	}
}
