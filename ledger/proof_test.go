package ledger_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

// oracle is torchwood's own policy over the log's key, made without ours.
func oracle(t testing.TB, log *ledgertest.Log) torchwood.Policy {
	t.Helper()
	v, err := note.NewVerifier(log.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	return torchwood.ThresholdPolicy(2, torchwood.OriginPolicy(log.Origin()), torchwood.SingleVerifierPolicy(v))
}

func TestEveryProofVerifies(t *testing.T) {
	t.Parallel()
	const sizes = 33
	log := newLog(t, "a", sizes)
	policy, other := log.Policy(), oracle(t, log)
	for size := int64(1); size <= sizes; size++ {
		for index := range size {
			extra := []byte(fmt.Sprint("extra ", index))
			proof := log.Prove(index, size, extra)
			hash := leafHash(t, int(index))
			got, err := policy.VerifyProof(proof, hash)
			if err != nil || got.Index != index || got.Checkpoint != log.Head(size) || !bytes.Equal(got.Extra, extra) {
				t.Fatalf("leaf %d of %d: %+v, %v", index, size, got, err)
			}
			if err := torchwood.VerifyProof(other, hash, proof); err != nil {
				t.Fatalf("leaf %d of %d: torchwood refuses what we wrote: %v", index, size, err)
			}
			if _, err := policy.VerifyProof(proof, leafHash(t, int(index)+1)); !errors.Is(err, ledger.ErrNotIncluded) {
				t.Fatalf("leaf %d of %d proves another leaf: %v", index, size, err)
			}
		}
	}
}

func TestProofsOfLargerTrees(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 300)
	policy := log.Policy()
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 300).Draw(t, "size")
		index := rapid.Int64Range(0, size-1).Draw(t, "index")
		hashes, err := log.ReadHashes([]int64{tlog.StoredHashIndex(0, index)})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := policy.VerifyProof(log.Prove(index, size, nil), hashes[0]); err != nil || got.Index != index || got.Extra != nil {
			t.Fatalf("leaf %d of %d: %+v, %v", index, size, got, err)
		}
	})
}

// TestNoBitOfAProofIsFree flips single bits of the leaf and of the proof text,
// the checkpoint in it included.
func TestNoBitOfAProofIsFree(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 300)
	policy, other := log.Policy(), oracle(t, log)
	leaf := submitLeaf()
	leaf.Facts = digest("the leaf")
	text := mustMarshal(t, leaf)
	index := log.Append(leaf)
	for i := range 20 {
		log.AppendHash(leafHash(t, 1000+i))
	}
	extra := []byte("thirty-two bytes of extra data..")
	proof := log.Prove(index, log.Tree().Size, extra)
	rapid.Check(t, func(t *rapid.T) {
		bit := rapid.IntRange(0, 8*len(text)-1).Draw(t, "bit of the leaf")
		changed := bytes.Clone(text)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, err := policy.VerifyProof(proof, tlog.RecordHash(changed)); !errors.Is(err, ledger.ErrNotIncluded) {
			t.Fatalf("leaf with bit %d flipped: %v, want ErrNotIncluded", bit, err)
		}
	})
	for bit := range 8 * len(proof) {
		changed := bytes.Clone(proof)
		changed[bit/8] ^= 1 << (bit % 8)
		got, err := policy.VerifyProof(changed, tlog.RecordHash(text))
		if err != nil {
			continue
		}
		if bytes.Equal(got.Extra, extra) {
			t.Errorf("proof with bit %d flipped (%q) still verifies", bit, changed[bit/8:bit/8+1])
		}
		if err := torchwood.VerifyProof(other, tlog.RecordHash(text), changed); err != nil {
			t.Errorf("bit %d: torchwood refuses what we accept: %v", bit, err)
		}
	}
}

func TestExtraIsNotProved(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 3)
	proof := log.Prove(1, 3, []byte("one"))
	changed := strings.Replace(string(proof), base64.StdEncoding.EncodeToString([]byte("one")), base64.StdEncoding.EncodeToString([]byte("two")), 1)
	got, err := log.Policy().VerifyProof([]byte(changed), leafHash(t, 1))
	if err != nil || string(got.Extra) != "two" {
		t.Errorf("the doc comment says that extra data is not proved: %+v, %v", got, err)
	}
}

func TestPromiseP01_NoProofBeforeTheCheckpointCoversTheLeaf(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 9)
	for size := range int64(9) {
		signed := log.Checkpoint(size)
		for index := size; index < 9; index++ {
			if proof, err := ledger.Prove(index, size, log, signed, nil); !errors.Is(err, ledger.ErrNotIncluded) {
				t.Errorf("leaf %d under a checkpoint of %d: %q, %v, want ErrNotIncluded", index, size, proof, err)
			}
			// Nor by naming a size that nobody signed.
			if proof, err := ledger.Prove(index, 9, log, signed, nil); !errors.Is(err, ledger.ErrCheckpoint) {
				t.Errorf("leaf %d, size 9, checkpoint of %d: %q, %v, want ErrCheckpoint", index, size, proof, err)
			}
		}
	}
	// A verifier refuses such a proof as well, had somebody written one.
	forged := ledger.Proof{Index: 5, Checkpoint: log.Checkpoint(5)}.Marshal()
	if _, err := log.Policy().VerifyProof(forged, leafHash(t, 5)); !errors.Is(err, ledger.ErrNotIncluded) {
		t.Errorf("leaf 5 under a checkpoint of 5 leaves: %v, want ErrNotIncluded", err)
	}
}

func TestProveRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 9)
	signed := log.Checkpoint(9)
	damaged := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := log.ReadHashes(indexes)
		if err == nil {
			hashes[0][0] ^= 1
		}
		return hashes, err
	})
	gone := errors.New("disk gone")
	broken := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, gone })
	for _, tt := range []struct {
		name   string
		index  int64
		r      tlog.HashReader
		signed []byte
		extra  []byte
		want   error
	}{
		{"negative index", -1, log, signed, nil, ledger.ErrNotIncluded},
		{"index beyond the tree", 9, log, signed, nil, ledger.ErrNotIncluded},
		{"no checkpoint", 1, log, nil, nil, ledger.ErrCheckpoint},
		{"unsigned checkpoint", 1, log, bytes.SplitAfter(signed, []byte("\n\n"))[0], nil, ledger.ErrCheckpoint},
		{"checkpoint with an extension line", 1, log, []byte(sign(t, log, origin+"\n9\n"+log.Head(9).Root.String()+"\nmore\n")), nil, ledger.ErrCheckpoint},
		{"checkpoint of another tree", 1, log, newLog(t, "a", 8).Checkpoint(8), nil, ledger.ErrCheckpoint},
		{"checkpoint of a fork", 1, log, forkedCheckpoint(t), nil, ledger.ErrNotIncluded},
		{"damaged store", 1, damaged, signed, nil, ledger.ErrNotIncluded},
		{"unreadable store", 1, broken, signed, nil, gone},
		{"extra over the limit", 1, log, signed, make([]byte, ledger.MaxText), ledger.ErrProof},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if proof, err := ledger.Prove(tt.index, 9, tt.r, tt.signed, tt.extra); !errors.Is(err, tt.want) || proof != nil {
				t.Errorf("Prove = %q, %v, want %v", proof, err, tt.want)
			}
		})
	}
}

func TestProveFromAReaderThatReturnsTooLittle(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 1)
	short := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, nil })
	if proof, err := ledger.Prove(0, 1, short, log.Checkpoint(1), nil); err == nil {
		t.Errorf("Prove = %q from nothing", proof)
	}
}

// forkedCheckpoint is signed by the same key at the same size over other leaves.
func forkedCheckpoint(t testing.TB) []byte {
	t.Helper()
	fork := newLog(t, "a", 8)
	fork.AppendHash(leafHash(t, 1000))
	return fork.Checkpoint(9)
}

func TestParseProofRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 9)
	good := string(log.Prove(3, 9, []byte("extra data")))
	lines := strings.Split(good, "\n") // 0 header, 1 extra, 2 index, 3 and on hashes
	with := func(line int, text ...string) string {
		changed := slices.Concat(lines[:line], text, lines[line+1:])
		return strings.Join(changed, "\n")
	}
	long := slices.Repeat([]string{lines[3]}, ledger.MaxProofHashes+1)
	for _, tt := range []namedText{
		{"nothing", ""},
		{"no header", strings.Join(lines[1:], "\n")},
		{"other version", with(0, "c2sp.org/tlog-proof@v2")},
		{"the draft's form, without header and extra", strings.Join(lines[2:], "\n")},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n")},
		{"space before", " " + good},
		{"no checkpoint", strings.SplitAfter(good, "\n\n")[0][:20]},
		{"no index", with(2)},
		{"index before extra", with(1, lines[2], lines[1])},
		{"extra twice", with(1, lines[1], lines[1])},
		{"extra empty", with(1, "extra ")},
		{"extra without its space", with(1, "extra"+lines[1][6:])},
		{"extra unpadded", with(1, strings.TrimRight(lines[1], "="))},
		{"extra with unused bits set", with(1, loosen(lines[1]))},
		{"extra in two lines", with(1, lines[1][:12], lines[1][12:])},
		{"index with a sign", with(2, "index +3")},
		{"index with a zero before it", with(2, "index 03")},
		{"negative index", with(2, "index -3")},
		{"index in hex", with(2, "index 0x3")},
		{"index with a space after it", with(2, "index 3 ")},
		{"index over int64", with(2, "index 9223372036854775808")},
		{"index over the limit", with(2, "index 9007199254740992")},
		{"hash too short", with(3, lines[3][:40])},
		{"hash unpadded", with(3, strings.TrimRight(lines[3], "="))},
		{"hash with unused bits set", with(3, loosen(lines[3]))},
		{"hash in two lines", with(3, lines[3][:20], lines[3][20:])},
		{"hash with a carriage return inside", with(3, lines[3][:20]+"\r"+lines[3][20:])},
		{"too many hashes", with(3, long...)},
		{"too long", good + strings.Repeat("x", ledger.MaxText)},
	} {
		t.Run(tt.Name, func(t *testing.T) {
			t.Parallel()
			if p, err := ledger.ParseProof([]byte(tt.Text)); !errors.Is(err, ledger.ErrProof) {
				t.Errorf("ParseProof(%q) = %+v, %v, want ErrProof", tt.Text, p, err)
			}
			if r, err := log.Policy().VerifyProof([]byte(tt.Text), leafHash(t, 3)); !errors.Is(err, ledger.ErrProof) {
				t.Errorf("VerifyProof(%q) = %+v, %v, want ErrProof", tt.Text, r, err)
			}
		})
	}
}

func TestVerifyProofRefuses(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 9)
	proof := log.Prove(3, 9, nil)
	parsed, err := ledger.ParseProof(proof)
	if err != nil {
		t.Fatal(err)
	}
	with := func(change func(*ledger.Proof)) []byte {
		p := parsed
		p.Path = slices.Clone(p.Path)
		change(&p)
		return p.Marshal()
	}
	for _, tt := range []struct {
		name  string
		proof []byte
		want  error
	}{
		{"another index", with(func(p *ledger.Proof) { p.Index = 2 }), ledger.ErrNotIncluded},
		{"index beyond the tree", with(func(p *ledger.Proof) { p.Index = 9 }), ledger.ErrNotIncluded},
		{"the largest index", with(func(p *ledger.Proof) { p.Index = ledger.MaxSize }), ledger.ErrNotIncluded},
		{"a hash missing", with(func(p *ledger.Proof) { p.Path = p.Path[1:] }), ledger.ErrNotIncluded},
		{"a hash too many", with(func(p *ledger.Proof) { p.Path = append(p.Path, p.Path[0]) }), ledger.ErrNotIncluded},
		{"no hashes", with(func(p *ledger.Proof) { p.Path = nil }), ledger.ErrNotIncluded},
		{"hashes in another order", with(func(p *ledger.Proof) { slices.Reverse(p.Path) }), ledger.ErrNotIncluded},
		{"checkpoint of another size", with(func(p *ledger.Proof) { p.Checkpoint = log.Checkpoint(8) }), ledger.ErrNotIncluded},
		{"checkpoint of a fork", with(func(p *ledger.Proof) { p.Checkpoint = forkedCheckpoint(t) }), ledger.ErrNotIncluded},
		{"checkpoint of another key", with(func(p *ledger.Proof) { p.Checkpoint = newLog(t, "b", 9).Checkpoint(9) }), ledger.ErrUntrusted},
		{"checkpoint of another log", with(func(p *ledger.Proof) {
			p.Checkpoint = []byte(sign(t, log, "other.example\n9\n"+log.Head(9).Root.String()+"\n"))
		}), ledger.ErrOrigin},
		{"no checkpoint", with(func(p *ledger.Proof) { p.Checkpoint = nil }), ledger.ErrCheckpoint},
		{"bytes after the checkpoint", append(slices.Clone(proof), '\n'), ledger.ErrCheckpoint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if r, err := log.Policy().VerifyProof(tt.proof, leafHash(t, 3)); !errors.Is(err, tt.want) {
				t.Errorf("VerifyProof = %+v, %v, want %v", r, err, tt.want)
			}
		})
	}
}

// TestLargestTreeIsChecked holds verification at the end of the range to an end:
// without MaxSize, tlog's arithmetic would not come back.
func TestLargestTreeIsChecked(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 1)
	path := make([]tlog.Hash, 53)
	root := leafHash(t, 0)
	for i := range path {
		root = tlog.NodeHash(root, path[i])
	}
	size := fmt.Sprint(int64(ledger.MaxSize))
	signed := sign(t, log, origin+"\n"+size+"\n"+root.String()+"\n")
	proof := ledger.Proof{Index: 0, Path: path, Checkpoint: []byte(signed)}.Marshal()
	if got, err := log.Policy().VerifyProof(proof, leafHash(t, 0)); err != nil || got.Checkpoint.Size != ledger.MaxSize {
		t.Errorf("VerifyProof = %+v, %v", got, err)
	}
}

func FuzzVerifyProof(f *testing.F) {
	log := newLog(f, "a", 9)
	policy, other := log.Policy(), oracle(f, log)
	for index := range int64(9) {
		f.Add(log.Prove(index, 9, nil))
		f.Add(log.Prove(index, index+1, []byte("extra")))
	}
	hashes := make([]tlog.Hash, 9)
	for i := range hashes {
		hashes[i] = leafHash(f, i)
	}
	f.Fuzz(func(t *testing.T, proof []byte) {
		parsed, err := ledger.ParseProof(proof)
		if err != nil {
			return
		}
		for i, hash := range hashes {
			got, err := policy.VerifyProof(proof, hash)
			if err != nil {
				continue
			}
			if got.Index != int64(i) || got.Index != parsed.Index {
				t.Fatalf("leaf %d proved at index %d by %q", i, got.Index, proof)
			}
			if err := torchwood.VerifyProof(other, hash, proof); err != nil {
				t.Fatalf("torchwood refuses what we accept: %v: %q", err, proof)
			}
		}
	})
}
