package ledger_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

const origin = "ledger.example/test"

// leafHash is the hash of a distinct leaf for each i.
func leafHash(t testing.TB, i int) tlog.Hash {
	t.Helper()
	l := submitLeaf()
	l.Facts = digest(fmt.Sprint("facts ", i))
	h, err := l.Hash()
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func newLog(t testing.TB, seed string, size int) *ledgertest.Log {
	t.Helper()
	log := ledgertest.New(t, origin, seed)
	for i := range size {
		log.AppendHash(leafHash(t, i))
	}
	return log
}

func TestTreeGrowsAsTlogDoes(t *testing.T) {
	t.Parallel()
	const sizes = 300
	log := newLog(t, "a", 0)
	for i := range sizes {
		before := log.Tree()
		edge := slices.Clone(before.Edge)
		h := leafHash(t, i)
		want, err := tlog.StoredHashesForRecordHash(int64(i), h, log)
		if err != nil {
			t.Fatal(err)
		}
		log.AppendHash(h)
		if before.Size != int64(i) || !slices.Equal(before.Edge, edge) {
			t.Fatalf("appending leaf %d changed the tree it was appended to", i)
		}
		hashes := log.Hashes()
		if got := hashes[len(hashes)-len(want):]; !slices.Equal(got, want) || int64(len(hashes)) != tlog.StoredHashCount(int64(i)+1) {
			t.Fatalf("leaf %d stores %v, tlog stores %v", i, got, want)
		}
		root, err := log.Tree().Root()
		if err != nil {
			t.Fatal(err)
		}
		if tlogRoot, err := tlog.TreeHash(int64(i)+1, log); err != nil || root != tlogRoot {
			t.Fatalf("root at size %d is %v, tlog says %v (%v)", i+1, root, tlogRoot, err)
		}
		edgeNow, err := log.ReadHashes(torchwood.RightEdge(int64(i) + 1))
		if err != nil || !slices.Equal(edgeNow, log.Tree().Edge) {
			t.Fatalf("edge at size %d is %v, torchwood says %v (%v)", i+1, log.Tree().Edge, edgeNow, err)
		}
	}
}

func TestTreeForksShareNothing(t *testing.T) {
	t.Parallel()
	base := newLog(t, "a", 7).Tree()
	one, _, err := base.Append(leafHash(t, 100))
	if err != nil {
		t.Fatal(err)
	}
	wantOne, err := one.Root()
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := base.Append(leafHash(t, 200)); err != nil {
		t.Fatal(err)
	}
	if got, err := one.Root(); err != nil || got != wantOne {
		t.Errorf("appending to one tree changed another: %v, %v", got, err)
	}
}

func TestEmptyTree(t *testing.T) {
	t.Parallel()
	root, err := ledger.Tree{}.Root()
	want, wantErr := tlog.TreeHash(0, nil)
	if err != nil || wantErr != nil || root != want {
		t.Errorf("Root = %v, %v, want %v", root, err, want)
	}
	got, err := ledger.TreeFrom(0, newLog(t, "a", 0))
	if err != nil || got.Size != 0 || len(got.Edge) != 0 {
		t.Errorf("TreeFrom(0) = %v, %v", got, err)
	}
}

func TestTreeTextAndStoredFormAgree(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 300)
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(0, 300).Draw(t, "size")
		tree, err := ledger.TreeFrom(size, log)
		if err != nil {
			t.Fatal(err)
		}
		text, err := tree.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := ledger.ParseTree(text)
		if err != nil || got.Size != size || !slices.Equal(got.Edge, tree.Edge) {
			t.Fatalf("ParseTree(%q) = %v, %v", text, got, err)
		}
		root, err := got.Root()
		if want, wantErr := tlog.TreeHash(size, log); err != nil || wantErr != nil || root != want {
			t.Fatalf("root at size %d is %v, want %v", size, root, want)
		}
	})
}

func TestParseTreeRefuses(t *testing.T) {
	t.Parallel()
	good, err := newLog(t, "a", 5).Tree().Marshal()
	if err != nil {
		t.Fatal(err)
	}
	text := string(good)
	last := strings.LastIndex(strings.TrimSuffix(text, "\n"), "\n")
	for _, tt := range []namedText{
		{"nothing", ""},
		{"no newline at the end", strings.TrimSuffix(text, "\n")},
		{"a line more", text + "\n"},
		{"carriage returns", strings.ReplaceAll(text, "\n", "\r\n")},
		{"other version", strings.Replace(text, "/v1", "/v2", 1)},
		{"edge of another size", strings.Replace(text, "\n5\n", "\n7\n", 1)},
		{"a hash missing", text[:last+1]},
		{"a hash too many", text + text[last+1:]},
		{"padded hash", strings.TrimSuffix(text, "\n") + "=\n"},
		{"short hash", text[:len(text)-2] + "\n"},
		{"plus sign", strings.Replace(text, "\n5\n", "\n+5\n", 1)},
		{"leading zero", strings.Replace(text, "\n5\n", "\n05\n", 1)},
		{"negative size", strings.Replace(text, "\n5\n", "\n-5\n", 1)},
		{"size over the limit", "sallyport.tree/v1\n9007199254740992\n" + text[last+1:]},
		{"size over int64", "sallyport.tree/v1\n9223372036854775808\n" + text[last+1:]},
		{"no size", "sallyport.tree/v1\n"},
		{"too long", "sallyport.tree/v1\n5\n" + strings.Repeat(text[last+1:], 60)},
	} {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			if tree, err := ledger.ParseTree([]byte(tt.Text)); !errors.Is(err, ledger.ErrTree) {
				t.Errorf("ParseTree(%q) = %v, %v, want ErrTree", tt.Text, tree, err)
			}
		})
	}
}

func TestTreesThatAreNone(t *testing.T) {
	t.Parallel()
	full := ledger.Tree{Size: ledger.MaxSize, Edge: make([]tlog.Hash, 53)}
	if _, err := full.Root(); err != nil {
		t.Fatalf("the largest tree: %v", err)
	}
	if text, err := full.Marshal(); err != nil {
		t.Errorf("the largest tree: %v", err)
	} else if _, err := ledger.ParseTree(text); err != nil {
		t.Errorf("the largest tree: %v", err)
	}
	if _, _, err := full.Append(tlog.Hash{}); !errors.Is(err, ledger.ErrTree) {
		t.Errorf("a full tree grew: %v", err)
	}
	for _, tree := range []ledger.Tree{
		{Size: -1},
		{Size: 0, Edge: make([]tlog.Hash, 1)},
		{Size: 3, Edge: make([]tlog.Hash, 1)},
		{Size: 4, Edge: make([]tlog.Hash, 2)},
		{Size: ledger.MaxSize + 1, Edge: make([]tlog.Hash, 1)},
	} {
		if _, _, err := tree.Append(tlog.Hash{}); !errors.Is(err, ledger.ErrTree) {
			t.Errorf("Append to size %d with %d hashes: %v", tree.Size, len(tree.Edge), err)
		}
		if _, err := tree.Root(); !errors.Is(err, ledger.ErrTree) {
			t.Errorf("Root of size %d with %d hashes: %v", tree.Size, len(tree.Edge), err)
		}
		if _, err := tree.Marshal(); !errors.Is(err, ledger.ErrTree) {
			t.Errorf("Marshal of size %d with %d hashes: %v", tree.Size, len(tree.Edge), err)
		}
	}
	log := newLog(t, "a", 3)
	for _, size := range []int64{-1, ledger.MaxSize + 1} {
		if _, err := ledger.TreeFrom(size, log); !errors.Is(err, ledger.ErrTree) {
			t.Errorf("TreeFrom(%d) = %v, want ErrTree", size, err)
		}
	}
	if _, err := ledger.TreeFrom(4, log); err == nil {
		t.Error("a tree from hashes that are not there")
	}
	short := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil })
	if _, err := ledger.TreeFrom(3, short); err == nil {
		t.Error("a tree from a reader that returns too little")
	}
}

func TestSerial(t *testing.T) {
	t.Parallel()
	for index, want := range map[int64]uint64{-1: 0, 0: 1, 6: 7, ledger.MaxSize: 1 << 53} {
		if got := ledger.Serial(index); got != want {
			t.Errorf("Serial(%d) = %d, want %d", index, got, want)
		}
	}
}

func FuzzParseTree(f *testing.F) {
	for _, size := range []int{0, 1, 5, 7} {
		text, err := newLog(f, "a", size).Tree().Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		tree, err := ledger.ParseTree(text)
		if err != nil {
			return
		}
		again, err := tree.Marshal()
		if err != nil || !bytes.Equal(again, text) {
			t.Fatalf("%q reads as %q (%v)", text, again, err)
		}
		if _, err := tree.Root(); err != nil {
			t.Fatal(err)
		}
	})
}

// hashText is the form in which vectors hold hashes: unpadded base64url.
func hashText(h tlog.Hash) string { return canon.B64(h[:]) }
