package ledger_test

import (
	"errors"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/ledger"
)

func TestPromiseP11_CheckpointsThatForkOrRewindAreRefused(t *testing.T) {
	t.Parallel()
	const sizes = 40
	log := newLog(t, "a", sizes)
	for from := range int64(sizes + 1) {
		for to := from; to <= sizes; to++ {
			older, newer := log.Head(from), log.Head(to)
			if err := ledger.CheckConsistency(older, newer, log); err != nil {
				t.Fatalf("from %d to %d: %v", from, to, err)
			}
			if from == to {
				continue
			}
			if err := ledger.CheckConsistency(newer, older, log); !errors.Is(err, ledger.ErrRewound) {
				t.Fatalf("back from %d to %d: %v, want ErrRewound", to, from, err)
			}
			older.Root[from%32] ^= 1
			if err := ledger.CheckConsistency(older, newer, log); from > 0 && !errors.Is(err, ledger.ErrForked) {
				t.Fatalf("from another tree of %d to %d: %v, want ErrForked", from, to, err)
			}
		}
	}
}

func TestPromiseP11_OneChangedLeafIsAFork(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		from := rapid.IntRange(1, 60).Draw(r, "from")
		to := rapid.IntRange(from, 60).Draw(r, "to")
		changed := rapid.IntRange(0, from-1).Draw(r, "changed")
		honest, forked := newLog(t, "a", from), newLog(t, "a", changed)
		forked.AppendHash(leafHash(t, 1000))
		for i := changed + 1; i < to; i++ {
			forked.AppendHash(leafHash(t, i))
		}
		older, newer := honest.Head(int64(from)), forked.Head(int64(to))
		if err := ledger.CheckConsistency(older, newer, forked); !errors.Is(err, ledger.ErrForked) {
			r.Fatalf("leaf %d of %d changed, now %d leaves: %v, want ErrForked", changed, from, to, err)
		}
	})
}

func TestPromiseP11_ADamagedStoreIsNotTheTreeThatWasSigned(t *testing.T) {
	t.Parallel()
	log := newLog(t, "a", 21)
	head := log.Head(21)
	damaged := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := log.ReadHashes(indexes)
		if err == nil {
			hashes[0][0] ^= 1
		}
		return hashes, err
	})
	for from := range int64(22) {
		if err := ledger.CheckConsistency(log.Head(from), head, damaged); !errors.Is(err, ledger.ErrForked) {
			t.Errorf("from %d: %v, want ErrForked", from, err)
		}
	}
	unreadable := errors.New("disk gone")
	broken := tlog.HashReaderFunc(func([]int64) ([]tlog.Hash, error) { return nil, unreadable })
	if err := ledger.CheckConsistency(log.Head(3), head, broken); !errors.Is(err, unreadable) || errors.Is(err, ledger.ErrForked) {
		t.Errorf("an unreadable store: %v, want the reader's error and no fork", err)
	}
	other := head
	other.Origin = "other.example"
	if err := ledger.CheckConsistency(other, head, log); !errors.Is(err, ledger.ErrOrigin) {
		t.Errorf("two logs: %v, want ErrOrigin", err)
	}
	if err := ledger.CheckConsistency(ledger.Checkpoint{Origin: origin, Size: -1}, head, log); !errors.Is(err, ledger.ErrCheckpoint) {
		t.Errorf("negative size: %v, want ErrCheckpoint", err)
	}
}
