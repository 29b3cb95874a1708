package authority

import (
	"testing"

	"github.com/sallyport/sallyport/internal/store"
)

// What one look at the ledger found stays found when another, which began before
// it, asks for less of it.
func TestLaterLeavesOutliveAnOlderLook(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 60) // its decision is the newest leaf
	size := w.size()
	var later laterLeaves
	at := func(size, signed int64) []int64 {
		t.Helper()
		var out []int64
		err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
			rows, err := later.at(r, 0, size, signed)
			out = rows.of(requestKey(grant.ID), 0)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	if got := at(size, size); len(got) != 1 || got[0] != size-1 {
		t.Fatalf("decisions %v, want leaf %d", got, size-1)
	}
	span := later.span
	if got := at(size-1, size-1); len(got) != 0 {
		t.Errorf("decisions %v, in a ledger that ends before", got)
	}
	if later.span != span || span.high != size {
		t.Error("what was found is forgotten")
	}
	// A ledger without what was signed is another one.
	if got := at(size-1, size); len(got) != 0 || later.span == span {
		t.Errorf("decisions %v of a ledger that was rewound, with what another one had", got)
	}
}
