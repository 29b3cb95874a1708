package audit_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

var update = flag.Bool("update", false, "write the test vectors instead of comparing with them")

// verdictVector is what a bundle's replay comes to.
type verdictVector struct {
	Note      string              `json:"note"`
	LogKey    string              `json:"log_key"`
	UserCA    string              `json:"user_ca"`
	Contracts []string            `json:"contracts"`
	Closed    []int64             `json:"closed"`
	Report    audit.Report        `json:"report"`
	Closing   []audit.Certificate `json:"certificates_without_closed"`
	Refused   []refusedBundle     `json:"refused"`
}

// refusedBundle is a change of the bundle after which a reader refuses it.
type refusedBundle struct {
	Name string `json:"name"`
	Old  string `json:"old"`
	New  string `json:"new"`
	Line int64  `json:"line"` // that the refusal names
}

// refusedBundles are spellings that a reader refuses whatever the tree says.
func refusedBundles(bundle []byte) []refusedBundle {
	lines := strings.Split(string(bundle), "\n")
	last := int64(len(lines) - 1)
	size := fmt.Sprintf(`"size":%d`, last-2)
	return []refusedBundle{
		{"another version", `"v":"sallyport.export/v1"`, `"v":"sallyport.export/v2"`, 1},
		{"white space", `{"log_key":`, `{"log_key": `, 1},
		{"a member more in the first line", `{"log_key":`, `{"a":1,"log_key":`, 1},
		{"a member less in the first line", `"origin":"ledger.example/test",`, ``, 1},
		{"no leaves", size, `"size":0`, 1},
		{"a leaf less than the first line says", size, fmt.Sprintf(`"size":%d`, last-1), last},
		{"a log key that is none", `+AWUH`, `+BWUH`, 1},
		{"a member more in a leaf", `"index":0,`, `"index":0,"kind":"ledger.open",`, 2},
		{"no index", `"index":0,`, ``, 2},
		{"another index", `"index":0,`, `"index":1,`, 2},
		{"an index that is text", `"index":0,`, `"index":"0",`, 2},
		{"a salt without its opening", `"index":4,`, `"index":4,"person_salt":"` + strings.Repeat("A", 42) + `E",`, 6},
		{"the salt left out", `,"facts_salt"`, `,"facts_sale"`, 2},
		{"facts that are text", `"facts":{"at":`, `"facts":"x","unused":{"at":`, 2},
		{"another last line", `"v":"sallyport.export.end/v1"`, `"v":"sallyport.export/v1"`, last},
		{"a leaf more than the last line counts", fmt.Sprintf(`"leaves":%d`, last-2), `"leaves":9`, last},
		{"a certificate more than the last line counts", `{"certificates":2,`, `{"certificates":1,`, last},
	}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	b := wholeStory(t)
	entries := b.entries()
	bundle := b.bundle(entries)
	v := verdictVector{
		Note: "bundle.jsonl is a whole bundle. Report is what a replay of it comes to, with this log key, authority key and contract;" +
			" certificates_without_closed are the verdicts if the openings of the leaves in closed are left out. Each entry of refused" +
			" is a replacement, at its first place, after which a reader refuses the bundle and names the line.",
		LogKey: b.w.LogKey, UserCA: b.head(1).UserCA, Contracts: []string{b.w.Version.Digest.String()}, Closed: []int64{9},
		Report: b.verify(t, bundle), Refused: refusedBundles(bundle),
	}
	v.Closing = b.verify(t, b.bundle(shut(entries, v.Closed...))).Certificates
	text, err := json.MarshalIndent(v, "", "  ")
	must(t, err)
	for name, want := range map[string][]byte{"bundle.jsonl": bundle, "verdicts.json": append(text, '\n')} {
		path := filepath.Join("testdata", name)
		if *update {
			must(t, os.WriteFile(path, want, 0o644))
		}
		have, err := os.ReadFile(path)
		must(t, err)
		if !bytes.Equal(have, want) {
			t.Errorf("%s is not what is made; if that is meant, run the test with -update", path)
		}
	}
	for _, r := range v.Refused {
		if !bytes.Contains(bundle, []byte(r.Old)) {
			t.Errorf("%s: the bundle has no %q", r.Name, r.Old)
			continue
		}
		changed := bytes.Replace(bundle, []byte(r.Old), []byte(r.New), 1)
		_, err := read(bytes.NewReader(changed))
		if !errors.Is(err, audit.ErrBundle) || !strings.HasPrefix(err.Error(), "line "+json.Number(itoa(r.Line)).String()+":") {
			t.Errorf("%s: %v, want ErrBundle in line %d", r.Name, err, r.Line)
		}
	}
}

func itoa(n int64) string {
	b, _ := json.Marshal(n)
	return string(b)
}

// read reads a bundle to its end.
func read(r io.Reader) ([]audit.Entry, error) {
	b, err := audit.NewReader(r)
	if err != nil {
		return nil, err
	}
	var out []audit.Entry
	for {
		e, err := b.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, e)
	}
}

// What is written is read back as it was, and written again the same.
func TestBundlesAreReadBack(t *testing.T) {
	t.Parallel()
	b := wholeStory(t)
	entries := shut(b.entries(), 3, 9)
	bundle := b.bundle(entries)
	for name, r := range map[string]io.Reader{"whole": bytes.NewReader(bundle), "byte by byte": iotest.OneByteReader(bytes.NewReader(bundle))} {
		back, err := read(r)
		must(t, err)
		for i := range entries {
			want := entries[i]
			if want.Opening.Person == nil {
				want.Opening.PersonSalt = ledger.Salt{}
			}
			if got := back[i]; got.Index != want.Index || !bytes.Equal(got.Text, want.Text) || !bytes.Equal(got.Certificate, want.Certificate) ||
				!bytes.Equal(got.Opening.Facts, want.Opening.Facts) || !bytes.Equal(got.Opening.Person, want.Opening.Person) ||
				got.Opening.FactsSalt != want.Opening.FactsSalt || got.Opening.PersonSalt != want.Opening.PersonSalt {
				t.Errorf("%s: leaf %d came back as %+v", name, i, got)
			}
		}
		if again := b.bundle(back); !bytes.Equal(again, bundle) {
			t.Errorf("%s: written again it is another text", name)
		}
	}
	head, end, err := audit.CheckTree(t.Context(), bytes.NewReader(bundle), b.config().LogKeys)
	must(t, err)
	if head.Size != int64(len(entries)) || end.Leaves != head.Size || end.Facts != head.Size-2 {
		t.Errorf("CheckTree = %+v, %+v", head, end)
	}
}

// The writer writes nothing that the reader would refuse.
func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	entries := b.entries()
	good := b.head(int64(len(entries)))
	bad := good
	bad.Size = 0
	if _, err := audit.NewWriter(io.Discard, bad); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("a ledger without leaves: %v", err)
	}
	if _, err := audit.NewWriter(iotestWriter{}, good); !errors.Is(err, errDisk) {
		t.Errorf("a full disk: %v", err)
	}
	start := func() *audit.Writer {
		w, err := audit.NewWriter(io.Discard, good)
		must(t, err)
		return w
	}
	if _, err := start().Close(nil); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("closed too early: %v", err)
	}
	for name, e := range map[string]audit.Entry{
		"a leaf out of order":          entries[1],
		"facts that are not canonical": {Text: entries[0].Text, Opening: record.Opening{Facts: []byte(`{"a": 1}`), FactsSalt: b.w.Salt()}},
		"facts that are no object":     {Text: entries[0].Text, Opening: record.Opening{Facts: []byte(`1`), FactsSalt: b.w.Salt()}},
		"a leaf that is too long":      {Text: entries[0].Text, Certificate: make([]byte, 3<<20)},
	} {
		if err := start().Leaf(e); !errors.Is(err, audit.ErrBundle) {
			t.Errorf("%s: %v, want ErrBundle", name, err)
		}
	}
	w := start()
	for _, e := range entries {
		must(t, w.Leaf(e))
	}
	if err := w.Leaf(audit.Entry{Index: int64(len(entries)), Text: entries[0].Text}); !errors.Is(err, audit.ErrBundle) {
		t.Errorf("a leaf too many: %v, want ErrBundle", err)
	}
}

var errDisk = errors.New("no space left")

type iotestWriter struct{}

func (iotestWriter) Write([]byte) (int, error) { return 0, errDisk }

// A bundle that can't be read to its end is no bundle, and the cause is told.
func TestReadErrorsAreTold(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	bundle := b.bundle(b.entries())
	broken := io.MultiReader(bytes.NewReader(bundle[:len(bundle)/2]), iotest.ErrReader(errDisk))
	if _, err := audit.Verify(t.Context(), broken, b.config()); !errors.Is(err, errDisk) {
		t.Errorf("Verify = %v, want the reader's error", err)
	}
	long := slices.Concat(bundle[:bytes.IndexByte(bundle, '\n')+1], bytes.Repeat([]byte("x"), 3<<20))
	if _, err := read(bytes.NewReader(long)); !errors.Is(err, audit.ErrBundle) || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("a line without end: %v", err)
	}
}

// check_bundle.py reads the vector without any code of ours, and sees what was
// changed.
func TestPythonReadsTheBundle(t *testing.T) {
	t.Parallel()
	checker := filepath.Join("testdata", "check_bundle.py")
	bundle := filepath.Join("testdata", "bundle.jsonl")
	if out, err := exec.CommandContext(t.Context(), "python3", checker, bundle).CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "ok: ") {
		t.Fatalf("check_bundle.py: %v (it needs python3 with its standard library)\n%s", err, out)
	}
	text, err := os.ReadFile(bundle)
	must(t, err)
	for name, change := range map[string][2]string{
		"facts": {`"port":22`, `"port":23`}, "a leaf": {`\nhost.join\n`, `\nhost.left\n`}, "the person part": {`"reason":"INC`, `"reason":"INK`}, "the checkpoint": {`"checkpoint":"ledger.example/test\n`, `"checkpoint":"ledger.example/test\n1`},
	} {
		spoiled := filepath.Join(t.TempDir(), "bundle.jsonl")
		must(t, os.WriteFile(spoiled, bytes.Replace(text, []byte(change[0]), []byte(change[1]), 1), 0o600))
		if out, err := exec.CommandContext(t.Context(), "python3", checker, spoiled).CombinedOutput(); err == nil {
			t.Errorf("%s changed, yet check_bundle.py says: %s", name, out)
		}
	}
}

func FuzzReader(f *testing.F) {
	b := wholeStory(f)
	entries := b.entries()
	whole, signed := b.bundle(entries), map[string]bool{}
	for size := int64(1); size <= int64(len(entries)); size++ {
		root, err := tlog.TreeHash(size, hashesOf(f, entries))
		must(f, err)
		signed[root.String()] = true
	}
	f.Add(whole)
	for _, i := range []int{1, 3} {
		lines := bytes.SplitAfter(whole, []byte("\n"))
		f.Add(slices.Concat(append(slices.Clone(lines[:i]), lines[len(lines)-2])...))
	}
	for _, r := range refusedBundles(whole) {
		f.Add(bytes.Replace(whole, []byte(r.Old), []byte(r.New), 1))
	}
	f.Fuzz(func(t *testing.T, bundle []byte) {
		entries, err := read(bytes.NewReader(bundle))
		if err != nil {
			if !errors.Is(err, audit.ErrBundle) {
				t.Errorf("%v, want ErrBundle", err)
			}
		} else {
			writtenAgain(t, bundle, entries)
		}
		// Nobody here has the log key, which signed this ledger and its beginning.
		report, err := audit.Verify(t.Context(), bytes.NewReader(bundle), b.config())
		if err == nil && !signed[report.Root] {
			t.Errorf("%d leaves with a root that nobody signed pass", report.Size)
		}
	})
}

// writtenAgain holds a bundle that was read to the only text that it has.
func writtenAgain(t *testing.T, bundle []byte, entries []audit.Entry) {
	t.Helper()
	r, err := audit.NewReader(bytes.NewReader(bundle))
	must(t, err)
	for range entries {
		_, err := r.Next()
		must(t, err)
	}
	if _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w, err := audit.NewWriter(&out, r.Head())
	must(t, err)
	for _, e := range entries {
		must(t, w.Leaf(e))
	}
	_, err = w.Close([]byte(r.End().Checkpoint))
	must(t, err)
	if !bytes.Equal(out.Bytes(), bundle) {
		t.Errorf("a bundle has two texts:\n%s\n%s", bundle, out.Bytes())
	}
}
