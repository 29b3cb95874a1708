package client

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/record"
)

// withLedger fills the fake's ledger: 0 ledger.open, 1 person.login with a
// person part, 2 certificate.issue, 3 another certificate.issue.
func withLedger(t *testing.T) (*fake, *world) {
	t.Helper()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.append(f.log, record.LedgerOpen{At: canon.At(time.Now()), Ledger: newID(t), Origin: testOrigin, LogKey: f.pin.LogKey, UserCA: canon.B64(f.ca.PublicKey().Marshal())}, nil)
	f.append(f.log, record.PersonLogin{At: canon.At(time.Now()), Login: newID(t), Person: f.person, Issuer: "https://idp.example", Client: "x", Flow: "code", ClaimsAt: canon.At(time.Now())},
		record.LoginPerson{Subject: "u-1", Name: "Alice", IDToken: "eyJhbGciOi.secret.token", RZ: "the-rz"})
	for range 2 {
		q := f.granted(time.Hour, "web-1.demo")
		f.issue(&q, newSigner(t).PublicKey())
	}
	return f, w
}

func TestLedgerShowVerifiesACertificate(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Serial: "3"}); err != nil {
		t.Fatal(err)
	}
	out := w.stdout()
	for _, want := range []string{
		"✓ leaf: six lines in the ledger's one form, kind certificate.issue\n",
		"✓ answer: entry 2, as asked for\n",
		"✓ inclusion: hash ", "is leaf 2 of the 4 under a checkpoint of ledger.test/prod, signed by the pinned log key\n",
		"✓ facts: ", "✓ person: the leaf has no person part\n", "✓ recorded: ", "✓ certificate: one canonical form: ops@web-1.demo from ",
		"✓ reference: ", "✓ serial: 3, ", "✓ authority: the certificate is signed by the pinned CA SHA256:", "✓ proof: ",
		"\nleaf\n  sallyport.ledger/v1\n  certificate.issue\n", "\nfacts\n  {\n    \"at\": ", "\ncertificate\n  ssh-ed25519-cert-v01@openssh.com ",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Contains(out, "✗") || strings.Contains(out, "?") {
		t.Errorf("not everything passed:\n%s", out)
	}
	if !strings.Contains(out, f.entries[2].Certificate) {
		t.Error("the certificate is not shown")
	}
}

func TestLedgerShowOtherEntries(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	f.entries[3].Facts, f.entries[3].FactsSalt, f.entries[3].Certificate = "", "", "" // somebody else's
	for leaf, want := range map[string]string{
		"0": "✓ facts: they are what the leaf commits to",
		"1": "✓ person: the person part is what the leaf commits to",
		"3": "? facts: they are not shown to you",
	} {
		if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Leaf: leaf}); err != nil {
			t.Errorf("leaf %s: %v", leaf, err)
		}
		if !strings.Contains(w.stdout(), want) {
			t.Errorf("leaf %s: no %q in\n%s", leaf, want, w.stdout())
		}
	}
	if !strings.Contains(w.stdout(), "? certificate: it is not shown to you, or was never signed") {
		t.Errorf("no word about the certificate in\n%s", w.stdout())
	}
}

// No entry that was changed anywhere passes.
func TestLedgerShowFindsEachLie(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		index  int64
		serial bool
		lie    func(*testing.T, *fake, *api.EntryProof)
		failed []string
	}{
		{"leaf: a facts commitment", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) {
			e.Leaf = changeLine(e.Leaf, 4, canon.Sum("x", nil).String())
		}, []string{"inclusion", "facts", "proof"}},
		{"leaf: the lineage", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) {
			e.Leaf = changeLine(e.Leaf, 2, canon.Sum("x", nil).String())
		}, []string{"inclusion", "recorded", "proof"}},
		{"leaf: the reference", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) {
			e.Leaf = changeLine(e.Leaf, 3, canon.Sum("x", nil).String())
		}, []string{"inclusion", "recorded", "reference", "proof"}},
		{"leaf: not in the one form", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Leaf += "\n" }, []string{"leaf"}},
		{"leaf: empty", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Leaf = "" }, []string{"leaf"}},
		{"answer: another entry", 2, true, func(_ *testing.T, f *fake, e *api.EntryProof) { *e = f.entry(3) }, []string{"answer", "inclusion", "recorded", "serial", "proof"}},
		{"answer: another entry under this index", 2, true, func(_ *testing.T, f *fake, e *api.EntryProof) {
			*e = f.entry(3)
			e.Index = 2
		}, []string{"inclusion", "recorded", "serial", "proof"}},
		{"answer: another kind", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Kind = "host.join" }, []string{"answer"}},
		{"answer: a serial of no certificate", 0, true, func(*testing.T, *fake, *api.EntryProof) {}, []string{"answer"}},
		{"inclusion: no proof", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Proof = "" }, []string{"inclusion"}},
		{"inclusion: the proof of another leaf", 2, true, func(_ *testing.T, f *fake, e *api.EntryProof) { e.Proof = f.entry(3).Proof }, []string{"inclusion"}},
		{"inclusion: a log of that name with another key", 0, false, func(t *testing.T, _ *fake, e *api.EntryProof) {
			e.Proof = string(proveElsewhere(t, testOrigin, e.Leaf))
		}, []string{"inclusion"}},
		{"inclusion: another log", 0, false, func(t *testing.T, _ *fake, e *api.EntryProof) {
			e.Proof = string(proveElsewhere(t, "other.test", e.Leaf))
		}, []string{"inclusion"}},
		{"facts: changed", 0, false, func(_ *testing.T, _ *fake, e *api.EntryProof) {
			e.Facts = strings.Replace(e.Facts, testOrigin, "other.test", 1)
		}, []string{"facts"}},
		{"facts: another salt", 0, false, func(_ *testing.T, f *fake, e *api.EntryProof) { e.FactsSalt = f.entries[1].FactsSalt }, []string{"facts"}},
		{"facts: no salt", 0, false, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.FactsSalt = "" }, []string{"facts"}},
		{"facts: another time beside them", 0, false, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.At++ }, []string{"facts"}},
		{"person: changed", 1, false, func(_ *testing.T, _ *fake, e *api.EntryProof) {
			e.Person = strings.Replace(e.Person, "Alice", "Mallory", 1)
		}, []string{"person"}},
		{"person: another salt", 1, false, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.PersonSalt = e.FactsSalt }, []string{"person"}},
		{"person: no salt", 1, false, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.PersonSalt = "" }, []string{"person"}},
		{"person: one that the leaf does not have", 0, false, func(_ *testing.T, f *fake, e *api.EntryProof) {
			e.Person, e.PersonSalt = f.entries[1].Person, f.entries[1].PersonSalt
		}, []string{"person"}},
		{"certificate: another one", 2, true, func(_ *testing.T, f *fake, e *api.EntryProof) { e.Certificate = f.entries[3].Certificate }, []string{"reference", "serial", "proof"}},
		{"certificate: one outside the ledger", 2, true, func(_ *testing.T, f *fake, e *api.EntryProof) { e.Certificate = keyLine(f.bareCertificate()) }, []string{"reference", "serial", "proof"}},
		{"certificate: another signature", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Certificate = flipLastByte(e.Certificate) }, []string{"proof"}},
		{"certificate: junk", 2, true, func(_ *testing.T, _ *fake, e *api.EntryProof) { e.Certificate = "x" }, []string{"certificate"}},
		{"authority: another CA signed", 4, true, func(t *testing.T, f *fake, e *api.EntryProof) {
			f.signer = newSigner(t)
			q := f.granted(time.Hour, "web-1.demo")
			f.issue(&q, newSigner(t).PublicKey())
			*e = f.entry(4)
		}, []string{"authority"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, _ := withLedger(t)
			var e api.EntryProof
			if tt.index < int64(len(f.entries)) {
				e = f.entry(tt.index)
			}
			tt.lie(t, f, &e)
			v := verification{pin: f.pin, entry: e, index: tt.index, bySerial: tt.serial}
			if err := v.run(); err != nil {
				t.Fatal(err)
			}
			var failed []string
			for _, c := range v.checks {
				if c.Result == Failed {
					failed = append(failed, c.Name)
				}
			}
			if !slices.Equal(failed, tt.failed) {
				t.Errorf("failed are %v, want %v\n%v", failed, tt.failed, v.checks)
			}
		})
	}
}

// changeLine replaces line n of a leaf, counted from 0.
func changeLine(leaf string, n int, text string) string {
	lines := strings.Split(leaf, "\n")
	lines[n] = text
	return strings.Join(lines, "\n")
}

// proveElsewhere proves a leaf in another log.
func proveElsewhere(t *testing.T, origin, leaf string) []byte {
	t.Helper()
	log := ledgertest.New(t, origin, "other")
	log.AppendHash(tlog.RecordHash([]byte(leaf)))
	return log.Prove(0, 1, nil)
}

func TestLedgerShowSaysWhatFailed(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	f.entries[2].Facts = strings.Replace(f.entries[2].Facts, `"at":1`, `"at":2`, 1)
	err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Serial: "3"})
	wantExit(t, err, ExitFailed, "entry 2 does not verify: 1 of 11 checks failed")
	if !strings.Contains(w.stdout(), "✗ facts: they are not what the leaf commits to\n") {
		t.Errorf("printed\n%s", w.stdout())
	}
}

func TestLedgerShowUsage(t *testing.T) {
	t.Parallel()
	for _, o := range []LedgerShowOptions{
		{},
		{Serial: "1", Leaf: "0"},
		{Serial: "0"},
		{Serial: "-1"},
		{Serial: "x"},
		{Serial: "18446744073709551615"},
		{Leaf: "-1"},
		{Leaf: "1e3"},
		{Leaf: "9007199254740992"},
	} {
		t.Run(fmt.Sprintf("serial %q leaf %q", o.Serial, o.Leaf), func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			o.Env = w.Env
			wantExit(t, LedgerShow(t.Context(), o), ExitUsage)
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

// A login's ID token and the secret of its nonce are the person's, but a
// terminal is no place for them.
func TestLedgerNeverPrintsIDTokens(t *testing.T) {
	t.Parallel()
	_, w := withLedger(t)
	for _, asJSON := range []bool{false, true} {
		if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Leaf: "1", JSON: asJSON}); err != nil {
			t.Fatal(err)
		}
		if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 10, JSON: asJSON}); err != nil {
			t.Fatal(err)
		}
	}
	out := w.stdout()
	if strings.Contains(out, "secret.token") || strings.Contains(out, "the-rz") || !strings.Contains(out, "[redacted]") || !strings.Contains(out, "Alice") {
		t.Errorf("printed\n%s", out)
	}
}

func TestLedgerShowJSON(t *testing.T) {
	t.Parallel()
	_, w := withLedger(t)
	if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Serial: "4", JSON: true}); err != nil {
		t.Fatal(err)
	}
	var out struct {
		OK     bool
		Checks []Check
		Entry  api.EntryProof
	}
	if err := json.Unmarshal([]byte(w.stdout()), &out); err != nil {
		t.Fatal(err)
	}
	cert, err := parseCertificateLine(out.Entry.Certificate)
	if err != nil || !out.OK || len(out.Checks) != 11 || cert.Serial != 4 {
		t.Errorf("printed %+v, %v", out, err)
	}
}

func TestLedgerList(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	const size = 450 // three pages
	for range size - 1 {
		f.append(f.log, record.LedgerOpen{At: canon.At(time.Now()), Ledger: newID(t), Origin: testOrigin, LogKey: f.pin.LogKey, UserCA: "x"}, nil)
	}
	q := f.granted(time.Hour, "web-1.demo")
	f.issue(&q, newSigner(t).PublicKey())
	for _, limit := range []int{1, 200, 201, size, size + 50} {
		w.out.Reset()
		if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: limit}); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSuffix(w.stdout(), "\n"), "\n")
		if len(lines) != min(limit, size) {
			t.Fatalf("limit %d gives %d lines", limit, len(lines))
		}
		for i, line := range lines {
			if fields := strings.Fields(line); fields[0] != fmt.Sprint(size-1-i) {
				t.Fatalf("line %d is %q", i, line)
			}
		}
		if !strings.HasSuffix(lines[0], "certificate.issue  serial 450") {
			t.Errorf("the newest is %q", lines[0])
		}
	}
	wantExit(t, LedgerList(t.Context(), LedgerListOptions{Env: w.Env}), ExitUsage, "--limit 0: 1 to 100000")
	wantExit(t, LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: MaxEntries + 1}), ExitUsage, "--limit 100001")
	wantExit(t, LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 1, CSV: true, JSON: true}), ExitUsage, "--csv and --json")
}

// The last row of the comma-separated values names the tree, so that a reader sees
// whether rows are missing and which ledger it was.
func TestLedgerListCSV(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 2, CSV: true}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(w.stdout(), "\r\n")
	head := f.log.Head(4)
	want := "end,rows=2,size=4,root=" + canon.B64(head.Root[:]) + ",origin=" + testOrigin + ",,,,"
	if len(lines) != 5 || lines[0] != "index,time,kind,serial,reference,lineage,facts,person,leaf_hash" || lines[3] != want || lines[4] != "" {
		t.Fatalf("printed %q, want the last row %q", lines, want)
	}
	cells := strings.Split(lines[1], ",")
	hash := tlog.RecordHash([]byte(f.entries[3].Leaf))
	if cells[0] != "3" || cells[2] != "certificate.issue" || cells[3] != "4" || strings.TrimPrefix(cells[8], "'") != canon.B64(hash[:]) {
		t.Errorf("the newest row is %q", cells)
	}
	if at, err := time.Parse(time.RFC3339Nano, cells[1]); err != nil || canon.At(at) != f.entries[3].At {
		t.Errorf("its time is %q: %v", cells[1], err)
	}
	w.wantRoot(t, head.Root)
	other := ledgertest.New(t, testOrigin, "another log key")
	for name, lie := range map[string]func([]byte) []byte{
		"cut":             func(b []byte) []byte { return b[:len(b)-2] },
		"nothing":         func([]byte) []byte { return nil },
		"another log key": func([]byte) []byte { return other.Checkpoint(0) },
	} {
		f.lieNote = lie
		w.out.Reset()
		wantExit(t, LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 2, CSV: true}), ExitFailed, "the checkpoint of the server", "is refused")
		if w.stdout() != "" {
			t.Errorf("%s: printed %q", name, w.stdout())
		}
	}
}

// wantRoot makes the tree again from the hashes of all rows.
func (w *world) wantRoot(t *testing.T, root tlog.Hash) {
	t.Helper()
	w.out.Reset()
	if err := LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 10, CSV: true}); err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(strings.NewReader(w.stdout())).ReadAll()
	if err != nil || len(rows) != 6 {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	var tree ledger.Tree
	for _, row := range slices.Backward(rows[1:5]) {
		hash, err := canon.ParseB64(strings.TrimPrefix(row[8], "'"))
		if err != nil {
			t.Fatal(err)
		}
		if tree, _, err = tree.Append([32]byte(hash)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := tree.Root(); err != nil || got != root {
		t.Errorf("the rows make the root %s, %v; the last row names %s", got, err, root)
	}
}

// A server that lists in circles does not keep the client busy for ever.
func TestLedgerListOutOfOrder(t *testing.T) {
	t.Parallel()
	f, w := withLedger(t)
	for i := range f.entries {
		f.entries[i].Index = 7
	}
	wantExit(t, LedgerList(t.Context(), LedgerListOptions{Env: w.Env, Limit: 200}), ExitFailed, "out of order")
}

// The hash of a leaf that names a hostile text is still only a hash: what is
// printed of it is visible.
func TestPromiseP16_LedgerTextsAreVisible(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.append(f.log, record.ContractPropose{
		At: canon.At(time.Now()), Contract: f.contract.Digest, Lineage: f.contract.Lineage,
		Files: []record.ContractFile{{Path: "a\u202eb", Text: "x\u009b2J\u200b"}},
	}, record.LoginPerson{Subject: "\u2066s", IDToken: "t"})
	if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Leaf: "0"}); err != nil {
		t.Fatal(err)
	}
	if err := LedgerShow(t.Context(), LedgerShowOptions{Env: w.Env, Leaf: "0", JSON: true}); err != nil {
		t.Fatal(err)
	}
	out := w.stdout()
	if strings.ContainsFunc(strings.ReplaceAll(out, "\n", ""), canon.Hidden) || !strings.Contains(out, `\u202e`) || !strings.Contains(out, `\x9b2J`) {
		t.Errorf("printed %q", out)
	}
}
