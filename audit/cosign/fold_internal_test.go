package cosign

import (
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// TestBadByHash puts leaves in any order, some with one text, some in the place of
// others, and holds what is found by hash to a search through all that do not
// stand.
func TestBadByHash(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 1))
	lineage := canon.Sum("lineage")
	f := newFold(lineage)
	for range 500 {
		// 20 texts at 50 places: many stand in several.
		l := &leaf{index: r.Int64N(50), hash: canon.Digest{byte(r.IntN(20))}, leaf: ledger.Leaf{Kind: ledger.RequestSubmit, Lineage: lineage}}
		if r.IntN(2) == 0 {
			l.facts, l.flaw = record.RequestSubmit{Claims: record.Claims{Login: canon.Digest{byte(r.IntN(20))}}}, errors.New("no good")
		}
		f.put(l)
		if r.IntN(3) > 0 {
			continue
		}
		f.run()
		want := make(map[canon.Digest]*leaf)
		for _, index := range slices.Backward(slices.Sorted(maps.Keys(f.bad))) {
			want[f.bad[index].hash] = f.bad[index]
		}
		if !maps.Equal(f.badByHash, want) {
			t.Fatalf("by hash %d leaves are found, %d there are, or others", len(f.badByHash), len(want))
		}
	}
	f.run()
	if len(f.bad) != 50 {
		t.Errorf("%d leaves do not stand, want 50", len(f.bad))
	}
	f.leaves[0].verdict = nil // as if it stood, and its undo were too far back
	f.rewind(0)
	if len(f.bad) != 0 || len(f.badByHash) != 0 {
		t.Errorf("folded anew, %d leaves do not stand, by hash %d", len(f.bad), len(f.badByHash))
	}
}
