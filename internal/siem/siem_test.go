package siem

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

var update = flag.Bool("update", false, "write the golden file instead of comparing with it")

const origin = "ledger.example/test"

// entries are those of the published bundle, a leaf of every kind.
func entries(t *testing.T) (out []store.Entry) {
	t.Helper()
	f, err := os.Open(filepath.Join("..", "..", "audit", "testdata", "bundle.jsonl"))
	must(t, err)
	defer func() { must(t, f.Close()) }()
	r, err := audit.NewReader(f)
	must(t, err)
	for {
		e, err := r.Next()
		if errors.Is(err, io.EOF) {
			return out
		}
		must(t, err)
		leaf, err := ledger.ParseLeaf(e.Text)
		must(t, err)
		facts, err := record.ParseFacts(leaf.Kind, e.Opening.Facts)
		must(t, err)
		out = append(out, store.Entry{Index: e.Index, At: facts.When(), Leaf: leaf, Text: e.Text, Opening: store.Opening{
			FactsSalt: e.Opening.FactsSalt, Facts: e.Opening.Facts, PersonSalt: e.Opening.PersonSalt, Person: e.Opening.Person,
		}})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lines are the events of entries.
func lines(t *testing.T, list []store.Entry) []byte {
	t.Helper()
	var out []byte
	for _, e := range list {
		event, err := NewEvent(origin, e)
		must(t, err)
		line, err := event.Line()
		must(t, err)
		out = append(append(out, line...), '\n')
	}
	return out
}

// TestEvents compares the events of the published bundle with a golden file: their
// form is documented, and SIEMs have rules for it.
func TestEvents(t *testing.T) {
	have := lines(t, entries(t))
	golden := filepath.Join("testdata", "events.jsonl")
	if *update {
		must(t, os.WriteFile(golden, have, 0o600))
	}
	want, err := os.ReadFile(golden)
	must(t, err)
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the code makes; it is documented, so mend the code unless the change is meant (go test -update)", golden)
	}
}

// strings of a JSON text.
func stringsOf(t *testing.T, text []byte) (out []string) {
	t.Helper()
	var v any
	must(t, json.Unmarshal(text, &v))
	var walk func(any)
	walk = func(v any) {
		switch v := v.(type) {
		case string:
			out = append(out, v)
		case []any:
			for _, e := range v {
				walk(e)
			}
		case map[string]any:
			for _, e := range v {
				walk(e)
			}
		}
	}
	walk(v)
	return out
}

// TestPromiseP15_EventsTellFactsAlone looks in the events for everything that a
// person part has, for the texts of contracts, for documents and their signatures.
func TestPromiseP15_EventsTellFactsAlone(t *testing.T) {
	t.Parallel()
	list := entries(t)
	told := string(lines(t, list))
	parts := 0
	for _, e := range list {
		var hidden []string
		if e.Opening.Person != nil {
			hidden = stringsOf(t, e.Opening.Person)
			parts++
		}
		facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
		must(t, err)
		switch f := facts.(type) {
		case record.ContractPropose:
			for _, file := range f.Files {
				hidden = append(hidden, file.Text[:40])
			}
		case record.ContractSign:
			hidden = append(hidden, f.Statement, f.Signature)
		case record.RequestSubmit:
			hidden = append(hidden, f.Document, f.Signature)
		case record.CertificateIssue:
			hidden = append(hidden, f.Document, f.DeviceSig, f.Possession, f.TBS)
		}
		for _, text := range hidden {
			quoted, err := json.Marshal(text)
			must(t, err)
			if strings.Contains(told, strings.Trim(string(quoted), `"`)) {
				t.Errorf("leaf %d (%s): %.60q is told", e.Index, e.Leaf.Kind, text)
			}
		}
		if e.Opening.FactsSalt.String() != "" && strings.Contains(told, e.Opening.FactsSalt.String()) {
			t.Errorf("leaf %d: its salt is told", e.Index)
		}
	}
	if parts == 0 {
		t.Fatal("the bundle hides nothing about anybody")
	}
}

// TestPromiseP16_EventsAreInert puts what identity providers may write into a login:
// each event is one line of printable ASCII, and reads back as what was written.
func TestPromiseP16_EventsAreInert(t *testing.T) {
	t.Parallel()
	var login store.Entry
	for _, e := range entries(t) {
		if e.Leaf.Kind == ledger.PersonLogin {
			login = e
		}
	}
	facts, err := record.ParseFacts(ledger.PersonLogin, login.Opening.Facts)
	must(t, err)
	f := facts.(record.PersonLogin)
	f.GroupsKnown = true
	tried := 0
	for _, p := range payloads.All() {
		f.Groups = []string{p.Text}
		text, err := canon.Marshal(f)
		if err != nil {
			continue // no leaf has it
		}
		tried++
		login.Opening.Facts = text
		line := lines(t, []store.Entry{login})
		for _, c := range line[:len(line)-1] {
			if c < ' ' || c > '~' {
				t.Errorf("%s: byte %#x", p.Name, c)
				break
			}
		}
		var back struct{ Facts struct{ Groups []string } }
		if err := json.Unmarshal(line, &back); err != nil || len(back.Facts.Groups) != 1 || back.Facts.Groups[0] != p.Text {
			t.Errorf("%s: read back as %q, %v", p.Name, back.Facts.Groups, err)
		}
	}
	if tried < 5 {
		t.Fatalf("only %d payloads can stand in a leaf", tried)
	}
}

// TestUnknownAndBroken: of a kind that this version does not know it tells that
// there is one; what can't be read stops, and is not passed over.
func TestUnknownAndBroken(t *testing.T) {
	t.Parallel()
	e := entries(t)[3]
	e.Leaf.Kind = "coffee.brew"
	event, err := NewEvent(origin, e)
	if err != nil || event.Facts != nil || event.Kind != "coffee.brew" {
		t.Errorf("an unknown kind: %+v, %v", event, err)
	}
	for _, text := range []string{"", "{}", `{"at":1}`} {
		for _, e := range entries(t) {
			e.Opening.Facts = []byte(text)
			if _, err := NewEvent(origin, e); !errors.Is(err, ErrEntry) {
				t.Errorf("leaf %d (%s) with facts %q: %v, want ErrEntry", e.Index, e.Leaf.Kind, text, err)
			}
		}
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// TestFile appends to a file that is rotated, torn and taken away.
func TestFile(t *testing.T) {
	t.Parallel()
	list := entries(t)
	path := filepath.Join(t.TempDir(), "events.jsonl")
	f := NewFile(origin, path)
	take := func(list ...store.Entry) {
		t.Helper()
		must(t, f.Take(t.Context(), list))
	}
	take(list[:3]...)
	take(list[3])
	if have := read(t, path); have != string(lines(t, list[:4])) {
		t.Errorf("after two batches: %s", have)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o137 != 0 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
	must(t, os.Rename(path, path+".1")) // as logrotate does
	take(list[4])
	if have := read(t, path); have != string(lines(t, list[4:5])) {
		t.Errorf("after a rotation: %s", have)
	}
	must(t, f.Close())
	must(t, os.WriteFile(path, append(lines(t, list[:2]), `{"v":"sallyport.event/v1","ori`...), 0o600))
	f = NewFile(origin, path)
	take(list[2])
	if have := read(t, path); have != string(lines(t, list[:3])) {
		t.Errorf("after a crash in the middle of a line: %s", have)
	}
	must(t, f.Close())
	must(t, os.WriteFile(path, []byte(`{"no":"line`), 0o600))
	f = NewFile(origin, path)
	take(list[0])
	if have := read(t, path); have != string(lines(t, list[:1])) {
		t.Errorf("after a crash in the first line: %s", have)
	}
	must(t, f.Close())
	if err := NewFile(origin, filepath.Join(t.TempDir(), "nowhere", "x")).Take(t.Context(), list[:1]); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without a folder: %v", err)
	}
}

// TestPromiseP14_AFullDiskTakesNoHalfLine fills the disk of the file: what did not
// fit is not there, and comes when there is room.
func TestPromiseP14_AFullDiskTakesNoHalfLine(t *testing.T) {
	t.Parallel()
	list := entries(t)
	dir := filepath.Join(t.TempDir(), "disk")
	disk, err := lab.NewSmallDisk(t.Context(), dir, 1<<20)
	must(t, err)
	defer func() { must(t, disk.Close()) }()
	path := filepath.Join(dir, "events.jsonl")
	f := NewFile(origin, path)
	must(t, f.Take(t.Context(), list[:1]))
	must(t, disk.Fill())
	var failed error
	took := 1
	for failed == nil && took < 100000 { // the page that it has takes some more
		if failed = f.Take(t.Context(), list); failed == nil {
			took += len(list)
		}
	}
	if failed == nil {
		t.Fatal("the disk never filled up")
	}
	have := read(t, path)
	if strings.Count(have, "\n") != took || !strings.HasSuffix(have, "\n") {
		t.Errorf("%d lines after %d entries, and the last ends with %q", strings.Count(have, "\n"), took, have[max(0, len(have)-10):])
	}
	must(t, disk.Free())
	must(t, f.Take(t.Context(), list[:2]))
	if have := read(t, path); strings.Count(have, "\n") != took+2 {
		t.Errorf("with room again: %d lines, want %d", strings.Count(have, "\n"), took+2)
	}
	must(t, f.Close())
}

// Whatever a login's groups are called, within what an ID token may have, the line
// fits a datagram: one entry that never goes out would hold up all behind it.
func TestLongestLoginFitsADatagram(t *testing.T) {
	t.Parallel()
	groups := make([]string, 45)
	for i := range groups {
		groups[i] = fmt.Sprintf("%02d", i) + strings.Repeat("<", 254)
	}
	facts, err := factsOf(record.PersonLogin{Flow: "code", Groups: groups})
	must(t, err)
	line, err := Event{V: EventVersion, Origin: origin, Facts: facts}.Line()
	must(t, err)
	if len(line) > maxDatagram/2 || !bytes.Contains(line, []byte("<<<")) {
		t.Errorf("%d bytes, at most %d go", len(line), maxDatagram)
	}
}

// TestOfflineLogin: whoever watches a SIEM is told which key opened which login where.
func TestOfflineLogin(t *testing.T) {
	t.Parallel()
	wire := sshcerttest.SKEd25519(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))[32:], "ssh:")
	facts, err := factsOf(record.LoginOffline{Session: "s", Host: "web-1.demo", Login: "ops", Key: canon.B64(wire), OpenedAt: 1})
	must(t, err)
	line, err := Event{V: EventVersion, Origin: "ledger.example/test", Kind: "login.offline", Facts: facts}.Line()
	must(t, err)
	key, err := ssh.ParsePublicKey(wire)
	must(t, err)
	want := `"facts":{"session":"s","host":"web-1.demo","login":"ops","key":"` + ssh.FingerprintSHA256(key) + `","opened_at":"1970-01-01T00:00:00.000001Z"}`
	if !strings.Contains(string(line), want) {
		t.Errorf("%s has no %s", line, want)
	}
}
