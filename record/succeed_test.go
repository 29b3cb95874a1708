package record_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// TestPromiseP11_ASuccessorNamesItsPredecessor bends leaf 1 in every way: what a
// ledger says that it goes on from, the other ledger's log key has signed.
func TestPromiseP11_ASuccessorNamesItsPredecessor(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	appendAll(t, m, plain(w.Open(m)))
	honest, other := plain(w.Succeed(m, 1)), w.Succeed(m, 0)
	own, err := ledger.NewLogSigner(w.LogPrivate)
	if err != nil {
		t.Fatal(err)
	}
	itself, err := own.Sign(ledger.Checkpoint{Origin: own.Origin(), Size: 3, Root: tlog.Hash(w.Digest())})
	if err != nil {
		t.Fatal(err)
	}
	bend := func(f func(*record.LedgerSucceed)) recordtest.Draft { return bent(honest, f) }
	kept := honest.Facts.(record.LedgerSucceed).Kept
	refuses(t, m, honest, []refusal{
		{"itself", bend(func(f *record.LedgerSucceed) {
			f.Origin, f.LogKey, f.Checkpoint, f.Kept = recordtest.Origin, w.LogKey, string(itself), ""
		}), record.ErrEvent},
		{"its own origin", bend(func(f *record.LedgerSucceed) { f.Origin = recordtest.Origin }), record.ErrEvent},
		{"a ledger of its own log key", bend(func(f *record.LedgerSucceed) { f.LogKey = w.LogKey }), record.ErrEvent},
		{"another origin than the log key's", bend(func(f *record.LedgerSucceed) { f.Origin = "older.example" }), record.ErrEvent},
		{"no log key", bend(func(f *record.LedgerSucceed) { f.LogKey = "x" }), record.ErrEvent},
		{"a checkpoint of another log key", bend(func(f *record.LedgerSucceed) { f.Checkpoint = other.Checkpoint }), record.ErrEvent},
		{"a checkpoint that was changed", bend(func(f *record.LedgerSucceed) { f.Checkpoint = strings.Replace(f.Checkpoint, "\n3\n", "\n4\n", 1) }), record.ErrEvent},
		{"no checkpoint", bend(func(f *record.LedgerSucceed) { f.Checkpoint = "x" }), record.ErrEvent},
		{"kept, of another log key", bend(func(f *record.LedgerSucceed) { f.Kept = other.Checkpoint }), record.ErrEvent},
		{"more kept than there was", bend(func(f *record.LedgerSucceed) { f.Checkpoint, f.Kept = kept, f.Checkpoint }), record.ErrEvent},
		{"as much kept as there was", bend(func(f *record.LedgerSucceed) { f.Kept = f.Checkpoint }), record.ErrEvent},
	})
	if err := m.Check(plain(w.Propose(m, w.Version))); err != nil {
		t.Errorf("most ledgers succeed none: %v", err)
	}
	if _, err := record.Succeeds(m); !errors.Is(err, record.ErrNotFound) {
		t.Errorf("before: %v, want ErrNotFound", err)
	}
	appendAll(t, m, honest)
	row, err := record.Succeeds(m)
	if err != nil || row.Size != 3 || row.Kept != 2 || row.Origin != "old.example" {
		t.Errorf("%+v, %v", row, err)
	}
	if err := m.Check(plain(w.Succeed(m, 0))); !errors.Is(err, record.ErrEvent) {
		t.Errorf("as leaf 2: %v, want ErrEvent", err)
	}
}

func successorPath() string { return filepath.Join("testdata", "successor.json") }

// TestSuccessorVectors makes the file again, reads it, replays it, and has the
// independent checker read it.
func TestSuccessorVectors(t *testing.T) {
	w := recordtest.New(t, "successor")
	m := w.NewMap()
	appendAll(t, m, plain(w.Open(m)), plain(w.Succeed(m, 1)))
	v := vectors{
		Note:   "A ledger that succeeds another one, of which 2 of 3 leaves are kept. Written as vectors.json.",
		Origin: recordtest.Origin, LogKey: w.LogKey, UserCA: line(w.CA), Documents: []documentVector{}, Refused: []documentVector{},
	}
	var hashes []tlog.Hash
	for _, e := range m.Entries {
		leaf := leafOf(t, e)
		hashes = append(hashes, tlog.Hash(leaf.Hash))
		v.Leaves = append(v.Leaves, leaf)
	}
	v.Root = rootOf(t, hashes)
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(successorPath(), buf.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(successorPath())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(buf.Bytes(), have) {
		t.Errorf("%s is not what the code makes. The format is frozen: mend the code, unless the change is meant (go test -update).", successorPath())
	}
	var read vectors
	if err := json.Unmarshal(have, &read); err != nil {
		t.Fatal(err)
	}
	again := recordtest.New(t, "reader").NewMap()
	for i, l := range read.Leaves {
		leaf, err := ledger.ParseLeaf([]byte(l.Text))
		if err != nil {
			t.Fatal(err)
		}
		if hash, err := leaf.Hash(); err != nil || canon.Digest(hash) != l.Hash {
			t.Errorf("leaf %d has hash %s, %v", i, hash, err)
		}
		if err := again.Replay(leaf, l.Facts.Salt, []byte(l.Facts.JSON), ledger.Salt{}, nil); err != nil {
			t.Fatalf("leaf %d: %v", i, err)
		}
	}
	if row, err := record.Succeeds(again); err != nil || row.Kept != 2 {
		t.Errorf("%+v, %v", row, err)
	}
	checker := filepath.Join("..", "ledger", "testdata", "check_vector.py")
	out, err := exec.CommandContext(t.Context(), "python3", checker, successorPath()).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok: ") {
		t.Errorf("check_vector.py: %v\n%s", err, out)
	}
}
