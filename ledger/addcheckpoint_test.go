package ledger_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/ledger"
)

func TestAddCheckpoint(t *testing.T) {
	t.Parallel()
	log := grown(t, 70)
	for _, from := range []int64{0, 1, 2, 63, 64, 69, 70} {
		proof, err := ledger.ProveConsistency(from, 70, log)
		if err != nil {
			t.Fatal(err)
		}
		body := ledger.AddCheckpoint{Old: from, Proof: proof, Checkpoint: log.Checkpoint(70)}.Marshal()
		ask, c, err := ledger.ParseAddCheckpoint(body)
		if err != nil || ask.Old != from || c != log.Head(70) || !bytes.Equal(ask.Marshal(), body) {
			t.Fatalf("from %d: %v, %v", from, c, err)
		}
		if err := ledger.CheckGrowth(log.Head(from), c, ask.Proof); err != nil {
			t.Errorf("from %d: %v", from, err)
		}
		if from > 0 && from < 70 {
			if err := ledger.CheckGrowth(log.Head(from), c, ask.Proof[1:]); !errors.Is(err, ledger.ErrForked) {
				t.Errorf("from %d with a hash less: %v, want ErrForked", from, err)
			}
		}
	}
	if _, err := ledger.ProveConsistency(71, 70, log); !errors.Is(err, ledger.ErrRewound) {
		t.Errorf("backwards: %v", err)
	}
}

// TestPromiseP11_GrowthIsShown holds what a witness checks to every way in which
// a log could take something back.
func TestPromiseP11_GrowthIsShown(t *testing.T) {
	t.Parallel()
	log, other := grown(t, 20), grown(t, 7)
	other.AppendHash([32]byte{200})
	for range 12 {
		other.AppendHash([32]byte{201})
	}
	honest, err := ledger.ProveConsistency(8, 20, log)
	if err != nil {
		t.Fatal(err)
	}
	forked, err := ledger.ProveConsistency(8, 20, other)
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := log.Head(20)
	elsewhere.Origin = "other.example"
	for _, tt := range []struct {
		name         string
		older, newer ledger.Checkpoint
		proof        []tlog.Hash
		want         error
	}{
		{"another eighth leaf, its own proof", log.Head(8), other.Head(20), forked, ledger.ErrForked},
		{"another eighth leaf, the honest proof", log.Head(8), other.Head(20), honest, ledger.ErrForked},
		{"no proof", log.Head(8), log.Head(20), nil, ledger.ErrForked},
		{"smaller", log.Head(20), log.Head(8), nil, ledger.ErrRewound},
		{"another root at the same size", log.Head(20), other.Head(20), nil, ledger.ErrForked},
		{"another log", log.Head(8), elsewhere, honest, ledger.ErrOrigin},
		{"a proof of nothing", log.Head(8), log.Head(8), honest, ledger.ErrAddCheckpoint},
		{"a proof from nothing", log.Head(0), log.Head(8), honest, ledger.ErrAddCheckpoint},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := ledger.CheckGrowth(tt.older, tt.newer, tt.proof); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}

func TestAddCheckpointRefusals(t *testing.T) {
	t.Parallel()
	log := grown(t, 9)
	proof, err := ledger.ProveConsistency(5, 9, log)
	if err != nil {
		t.Fatal(err)
	}
	good := string(ledger.AddCheckpoint{Old: 5, Proof: proof, Checkpoint: log.Checkpoint(9)}.Marshal())
	hash := proof[0].String() + "\n"
	for _, tt := range []struct{ name, body string }{
		{"empty", ""},
		{"no old line", strings.TrimPrefix(good, "old 5\n")},
		{"a sign", strings.Replace(good, "old 5", "old +5", 1)},
		{"a leading zero", strings.Replace(good, "old 5", "old 05", 1)},
		{"negative", strings.Replace(good, "old 5", "old -5", 1)},
		{"larger than the checkpoint", strings.Replace(good, "old 5", "old 10", 1)},
		{"carriage returns", strings.ReplaceAll(good, "\n", "\r\n")},
		{"a hash in loose base64", strings.Replace(good, hash, strings.TrimRight(hash, "=\n")+"\n", 1)},
		{"64 hashes", strings.Replace(good, hash, strings.Repeat(hash, 64), 1)},
		{"no checkpoint", good[:strings.Index(good, "\n\n")+2]},
		{"no signature", good[:strings.LastIndex(good, "\n\n")+2]},
		{"too long", good + strings.Repeat("x", ledger.MaxAddCheckpoint)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, _, err := ledger.ParseAddCheckpoint([]byte(tt.body))
			if !errors.Is(err, ledger.ErrAddCheckpoint) && !errors.Is(err, ledger.ErrCheckpoint) {
				t.Errorf("%v, want a refusal", err)
			}
		})
	}
}

func FuzzParseAddCheckpoint(f *testing.F) {
	log := grown(f, 9)
	proof, err := ledger.ProveConsistency(5, 9, log)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(ledger.AddCheckpoint{Old: 5, Proof: proof, Checkpoint: log.Checkpoint(9)}.Marshal())
	f.Add(ledger.AddCheckpoint{Checkpoint: log.Checkpoint(1)}.Marshal())
	f.Add([]byte("old 0\n\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		ask, _, err := ledger.ParseAddCheckpoint(body)
		if err == nil && !bytes.Equal(ask.Marshal(), body) {
			t.Fatal("a body that is not the one we would write was accepted")
		}
	})
}

func TestUnsigned(t *testing.T) {
	t.Parallel()
	log := grown(t, 4)
	for _, size := range []int64{0, 4} {
		c := log.Head(size)
		if got, err := ledger.ParseUnsigned(c.Unsigned()); err != nil || got != c {
			t.Errorf("size %d: %v, %v", size, got, err)
		}
	}
	if ledger.EmptyCheckpoint(origin) != log.Head(0) {
		t.Error("the empty checkpoint is not that of a log without leaves")
	}
	text := string(log.Head(4).Unsigned())
	for _, bad := range []string{"", text + text, strings.TrimSuffix(text, "\n"), text + "\n", strings.ReplaceAll(text, "4", "04"), strings.Repeat("x", 1<<15)} {
		if _, err := ledger.ParseUnsigned([]byte(bad)); !errors.Is(err, ledger.ErrCheckpoint) {
			t.Errorf("%.60q: %v, want ErrCheckpoint", bad, err)
		}
	}
}
