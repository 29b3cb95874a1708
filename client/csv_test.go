package client

import (
	"bytes"
	"encoding/csv"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/api"
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
		if got := csvCell(tt.in, hidden); got != tt.want {
			t.Errorf("%q is %q, want %q", tt.in, got, tt.want)
		}
	}
}

// wantInert demands that a file has its rows and cells, each on one line, and that
// none is a formula to a reader that separates by commas or by semicolons.
func wantInert(t interface{ Errorf(string, ...any) }, text string, rows, columns int) {
	if !utf8.ValidString(text) || strings.ContainsFunc(strings.NewReplacer("\r\n", "").Replace(text), hidden) {
		t.Errorf("hidden characters in %q", text)
	}
	if n := strings.Count(text, "\r\n"); n != rows || strings.Count(text, "\n") != rows {
		t.Errorf("%d lines for %d rows: %q", n, rows, text)
	}
	cells, err := csv.NewReader(strings.NewReader(text)).ReadAll()
	if err != nil || len(cells) != rows {
		t.Errorf("read %d rows, want %d: %v in %q", len(cells), rows, err, text)
	}
	for _, row := range cells {
		if len(row) != columns {
			t.Errorf("%d cells, want %d, in %q", len(row), columns, row)
		}
		for _, cell := range row {
			wantNoFormula(t, cell)
		}
	}
	for line := range strings.SplitSeq(text, "\r\n") {
		for cell := range strings.SplitSeq(line, ";") { // a reader to whom quotes in the middle mean nothing
			wantNoFormula(t, cell)
		}
	}
}

func wantNoFormula(t interface{ Errorf(string, ...any) }, cell string) {
	cell = strings.TrimLeftFunc(cell, unicode.IsSpace)
	for _, sign := range []string{"=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠", "﹦", "﹢", "﹣", "﹫"} {
		if strings.HasPrefix(cell, sign) {
			t.Errorf("the cell %q is a formula", cell)
		}
	}
}

func TestPromiseP16_CSVRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rows := [][]string{{"what", "twice"}}
	for _, text := range payloads() {
		rows = append(rows, []string{text, text})
	}
	if err := w.printCSV(rows); err != nil {
		t.Fatal(err)
	}
	wantInert(t, w.stdout(), len(rows), 2)
	rapid.Check(t, func(t *rapid.T) {
		var b bytes.Buffer
		parts := rapid.SliceOf(rapid.SampledFrom(append(payloads(), ";", " ", `"`, ",", "x"))).Draw(t, "parts")
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
	all := payloads()
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
		if text := list(false, false); strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), hidden) || strings.Count(text, "\n") != len(all) {
			t.Errorf("the list for people has %d lines for %d requests: %q", strings.Count(text, "\n"), len(all), text)
		}
		if text := list(false, true); strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), hidden) {
			t.Errorf("hidden characters in %q", text)
		}
		wantInert(t, list(true, false), len(all)+1, len(csvRequests(nil)[0]))
	}
}

// What a server invents in the place of a ledger comes out inert too.
func TestPromiseP16_LedgerCSVIsInert(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	leaf := f.entries[0].Leaf
	for _, text := range payloads() {
		for _, lie := range []api.Entry{{Leaf: leaf, Kind: text}, {Leaf: text, Kind: text}, {Leaf: strings.Replace(leaf, "ledger.open", text, 1), Kind: text}} {
			lie.Index = int64(len(f.entries))
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
	if text := w.stdout(); strings.ContainsFunc(strings.ReplaceAll(text, "\n", ""), hidden) || strings.Count(text, "\n") != len(f.entries) {
		t.Errorf("%d lines for %d entries", strings.Count(text, "\n"), len(f.entries))
	}
}
