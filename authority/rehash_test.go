package authority

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

// A leaf whose bytes changed on disk is found at the next start, and named.
func TestPromiseP11_ChangedLeavesAreFoundAtStart(t *testing.T) {
	t.Parallel()
	node := func(level int, n int64) int64 { return tlog.StoredHashIndex(level, n) }
	tests := []struct {
		name   string
		damage func(w *world)
		want   string
	}{
		{"another text", func(w *world) {
			w.edit(`UPDATE leaf SET body = CAST(replace(CAST(body AS TEXT), 'person.login', 'person.logon') AS BLOB) WHERE idx = 5`)
		}, "leaf 5 "},
		{"another reference", func(w *world) { w.edit(`UPDATE leaf SET body = (SELECT body FROM leaf WHERE idx = 6) WHERE idx = 5`) }, "leaf 5 "},
		{"a text and the hash beside it", func(w *world) {
			w.edit(`UPDATE leaf SET hash = zeroblob(32) WHERE idx = 6`)
			w.edit(`UPDATE leaf SET body = (SELECT body FROM leaf WHERE idx = 6) WHERE idx = 5`)
		}, "leaf 5 "},
		{"no text", func(w *world) { w.edit(`UPDATE leaf SET body = zeroblob(1) WHERE idx = 0`) }, "leaf 0 "},
		{"another kind beside it", func(w *world) { w.edit(`UPDATE leaf SET kind = 'request.submit' WHERE idx = 5`) }, "leaf 5 "},
		{"another hash beside it", func(w *world) { w.edit(`UPDATE leaf SET hash = zeroblob(32) WHERE idx = 5`) }, "leaf 5 "},
		{"gone", func(w *world) { w.edit(`DELETE FROM leaf WHERE idx = 5`) }, "leaf 5 is missing"},
		{"the newest gone", func(w *world) { w.edit(`DELETE FROM leaf WHERE idx = (SELECT max(idx) FROM leaf)`) }, "is missing"},
		{"its node", func(w *world) { w.edit(`UPDATE node SET hash = zeroblob(32) WHERE idx = $1`, node(0, 5)) }, "leaf 5 "},
		{"a node above it", func(w *world) { w.edit(`UPDATE node SET hash = zeroblob(32) WHERE idx = $1`, node(1, 2)) }, "leaf 5 "},
		{"no node", func(w *world) { w.edit(`DELETE FROM node WHERE idx = $1`, node(0, 5)) }, "hashes are missing"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
			if _, err := alice.issue(alice.granted(bob, 0), newKey(t)); err != nil {
				t.Fatal(err)
			}
			if _, err := Open(t.Context(), w.config); err != nil {
				t.Fatalf("before: %v", err)
			}
			tt.damage(w)
			if _, err := Open(t.Context(), w.config); !errors.Is(err, ErrHalted) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want ErrHalted and %q", err, tt.want)
			}
		})
	}
}

// Of a long ledger the newest leaves are hashed again, over the stored hashes of
// the older ones.
func TestRehashTheNewest(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 3 {
		w.logIn("alice", []string{"engineers"})
	}
	size := w.size()
	for most := range size + 2 {
		if _, err := rehash(t.Context(), w.a.store, most); err != nil {
			t.Errorf("the newest %d of %d: %v", most, size, err)
		}
	}
	w.edit(`UPDATE leaf SET body = zeroblob(1) WHERE idx = 3`)
	for most := range size + 2 {
		if _, err := rehash(t.Context(), w.a.store, most); errors.Is(err, ErrHalted) != (most >= size-3) {
			t.Errorf("the newest %d of %d, leaf 3 changed: %v", most, size, err)
		}
	}
}
