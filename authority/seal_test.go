package authority

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// No word about a person lies readable in the database files.
func TestPromiseP13_PersonPartsAreSealed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice-canary", []string{"engineers"}), w.logIn("bob-canary", []string{"leads"})
	q := alice.newRequest()
	q.reason = "reason-canary INC-42"
	r, err := alice.submit(q)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Shown(r)
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.a.Decide(t.Context(), bob.session, Verdict{Request: r.ID, Verdict: "deny", Words: "words-canary", Shown: shown})
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(w.dir, "ledger.db*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(text, []byte("canary")) {
			t.Errorf("%s holds a person's words", filepath.Base(file))
		}
	}
	// Who may read them can.
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		name, err := Name(r, alice.session.Person)
		if name != "alice-canary" {
			t.Errorf("the name is %q", name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A sealed part opens under its own person's key at its own leaf, and nowhere
// else; without the key there is nothing to open and the facts stay.
func TestPromiseP13_ASealIsOfOnePersonAndLeaf(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, edit string
		want       error
		erased     bool
	}{
		{"another leaf's part", `UPDATE person_part SET sealed = (SELECT sealed FROM person_part ORDER BY leaf DESC LIMIT 1) WHERE leaf = (SELECT min(leaf) FROM person_part)`, store.ErrSealed, false},
		{"another person's part", `UPDATE person_part SET person = (SELECT person FROM person_part ORDER BY leaf DESC LIMIT 1) WHERE leaf = (SELECT min(leaf) FROM person_part)`, store.ErrSealed, false},
		{"a byte changed", `UPDATE person_part SET sealed = CAST(substr(sealed, 1, 40) || CASE substr(sealed, 41, 1) WHEN x'00' THEN x'01' ELSE x'00' END || substr(sealed, 42) AS BLOB) WHERE leaf = (SELECT min(leaf) FROM person_part)`, store.ErrSealed, false},
		{"the key destroyed", `DELETE FROM person_key`, nil, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.logIn("alice", []string{"engineers"})
			w.logIn("bob", []string{"leads"})
			tx, err := w.engine.Begin(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := tx.ExecContext(t.Context(), tt.edit); err != nil {
				t.Fatal(err)
			}
			if err := tx.Commit(); err != nil {
				t.Fatal(err)
			}
			err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
				list, err := r.Entries(1<<40, 1000)
				for _, e := range list {
					facts, err := record.ParseFacts(e.Leaf.Kind, e.Opening.Facts)
					if err != nil || ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts) != e.Leaf.Facts {
						t.Errorf("leaf %d: facts %v, %v", e.Index, facts, err)
					}
					if e.Leaf.Kind == ledger.PersonLogin && (e.Opening.Person == nil) != tt.erased {
						t.Errorf("leaf %d: person part %q", e.Index, e.Opening.Person)
					}
				}
				return err
			})
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
}
