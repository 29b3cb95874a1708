package authority

import (
	"bytes"
	"crypto/rand"
	"database/sql"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// erasing is a world with two signatories, in which Alice did everything that
// people do, and whose retention of ten minutes is over.
type erasing struct {
	*world
	second     ssh.Signer
	alice, bob user
}

func newErasing(t *testing.T) *erasing {
	t.Helper()
	w := &erasing{world: newLedgerAt(t, testStart), second: newKey(t)}
	files := w.contractFiles("20s")
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(w.second.PublicKey())))
	files[contract.TermsFile] = append(bytes.Replace(files[contract.TermsFile], []byte("of: {chris:"), []byte("of: {dana: "+line+", chris:"), 1),
		"retention: {clause: §1, period: 10m}\n"...)
	var err error
	if files[contract.ManifestFile], err = contract.NewManifest(map[string][]byte{
		contract.ProseFile: files[contract.ProseFile], contract.TermsFile: files[contract.TermsFile],
	}); err != nil {
		t.Fatal(err)
	}
	added, err := w.a.AddContract(t.Context(), files, w.signatures(files, w.signer))
	if err != nil {
		t.Fatal(err)
	}
	w.v = added.Version
	w.addHost("web-1.demo", map[string]string{"env": "demo"})
	w.alice, w.bob = w.logIn("alice-canary", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	r, err := w.alice.submit(w.alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Shown(r)
	if err != nil {
		t.Fatal(err)
	}
	r, err = w.a.Decide(t.Context(), w.bob.session, Verdict{Request: r.ID, Verdict: approval.Approve, Words: "go on, Alice", Shown: shown})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.alice.issue(r, newKey(t)); err != nil {
		t.Fatal(err)
	}
	w.pass(20*time.Minute + time.Second)
	return w
}

// document is what is signed, and the signatures of some signers over it.
func (w *erasing) document(signers ...ssh.Signer) (string, []string) {
	w.t.Helper()
	text, err := record.NewEraseDoc(testOrigin, []canon.ID{w.alice.session.Person}, record.GroundRequest, canon.At(w.clock().Add(24*time.Hour)))
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, s := range signers {
		armored, err := sshcert.Sign(rand.Reader, s, sshcert.NamespaceErase, text)
		if err != nil {
			w.t.Fatal(err)
		}
		out = append(out, armored)
	}
	return string(text), out
}

// secrets are Alice's key and everything that is sealed by it or written to her.
func (w *erasing) secrets() map[string][]byte {
	w.t.Helper()
	tx, err := w.engine.Read(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }() // it only reads
	out := make(map[string][]byte)
	rows, err := tx.QueryContext(w.t.Context(), `SELECT 'key', secret FROM person_key WHERE person = $1
		UNION ALL SELECT 'account', CAST(id AS BLOB) FROM state_index WHERE tbl = 'identity' AND val = $1
		UNION ALL SELECT 'session', id_hash FROM session WHERE person = $1
		UNION ALL SELECT 'part of leaf ' || p.leaf, p.sealed FROM person_part p JOIN leaf l ON l.idx = p.leaf WHERE p.person = $1 OR l.kind = 'request.decide'`,
		string(w.alice.session.Person))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }() // Err below tells what went wrong
	for rows.Next() {
		var name string
		var text []byte
		if err := rows.Scan(&name, &text); err != nil {
			w.t.Fatal(err)
		}
		out[name] = text
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// found returns which of the secrets stand in the files of the database.
func (w *erasing) found(file string, secrets map[string][]byte) []string {
	w.t.Helper()
	files, err := filepath.Glob(filepath.Join(w.dir, file+"*"))
	if err != nil || len(files) == 0 {
		w.t.Fatalf("%v, %v", files, err)
	}
	var out []string
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			w.t.Fatal(err)
		}
		for name, secret := range secrets {
			if bytes.Contains(text, secret) {
				out = append(out, name+" in "+filepath.Base(path))
			}
		}
	}
	slices.Sort(out)
	return out
}

// backUp copies the database as a backup does: the files while nobody writes.
func (w *erasing) backUp() {
	w.t.Helper()
	for _, end := range []string{"", "-wal"} {
		text, err := os.ReadFile(filepath.Join(w.dir, "ledger.db"+end))
		if err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, "backup.db"+end), text, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Not a byte of what is destroyed stands in the files of the database afterwards:
// keys, sealed parts, sessions, the account.
func TestPromiseP13_NothingOfItStays(t *testing.T) {
	t.Parallel()
	w := newErasing(t)
	person := w.alice.session.Person
	secrets := w.secrets()
	if want := []string{"account", "key", "part of leaf 4", "part of leaf 8", "part of leaf 9", "session"}; !slices.Equal(slices.Sorted(maps.Keys(secrets)), want) {
		t.Fatalf("the story has %q, want %q", slices.Sorted(maps.Keys(secrets)), want)
	}
	if found := w.found("ledger.db", secrets); len(found) < len(secrets) {
		t.Fatalf("the search finds only %q", found)
	}
	text, signatures := w.document(w.signer, w.second)
	done, err := w.a.ErasePerson(t.Context(), person, text, signatures)
	if err != nil || done.Before || !slices.Equal(done.People, []canon.ID{person}) || done.Leaf != w.size()-1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if found := w.found("ledger.db", secrets); len(found) > 0 {
		t.Errorf("still there: %q", found)
	}
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		name, err := Name(r, person)
		if name != "erased person "+string(person) {
			t.Errorf("she is shown as %q", name)
		}
		seen, err2 := Seen(r, w.v.Terms, []string{"engineers", "leads"})
		if !slices.Equal(seen, []canon.ID{w.bob.session.Person}) {
			t.Errorf("in the groups are %v", seen)
		}
		return errors.Join(err, err2)
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.alice.submit(w.alice.newRequest()); !errors.Is(err, record.ErrErased) {
		t.Errorf("she asks for something: %v", err)
	}
	// Once more is no error, and writes nothing.
	size := w.size()
	again, err := w.a.ErasePerson(t.Context(), person, text, signatures)
	if err != nil || !again.Before || again.Leaf != done.Leaf || again.At != done.At || w.size() != size {
		t.Errorf("once more: %+v, %v, %d leaves", again, err, w.size()-size)
	}
	// The account is somebody new's.
	if next := w.logIn("alice-canary", []string{"engineers"}); next.session.Person == person {
		t.Error("the account brings the person back")
	}
}

func TestPromiseP13_ErasingIsRefused(t *testing.T) {
	t.Parallel()
	w := newErasing(t)
	person := w.alice.session.Person
	text, both := w.document(w.signer, w.second)
	secrets, size := w.secrets(), w.size()
	for name, tt := range map[string]struct {
		person     canon.ID
		text       string
		signatures []string
		want       error
	}{
		"nobody signed":       {person, text, nil, record.ErrSigners},
		"one signed":          {person, text, both[:1], record.ErrSigners},
		"one signed twice":    {person, text, []string{both[0], both[0]}, record.ErrSigners},
		"for somebody else":   {w.bob.session.Person, text, both, ErrField},
		"no document":         {person, "{}", both, record.ErrDocument},
		"a changed document":  {person, strings.ReplaceAll(text, "request", "order"), both, record.ErrDocument},
		"something else than": {person, text, append([]string{"x"}, both...), record.ErrDocument},
	} {
		if _, err := w.a.ErasePerson(t.Context(), tt.person, tt.text, tt.signatures); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	again := w.logIn("alice-canary", []string{"engineers"})
	if _, err := w.a.ErasePerson(t.Context(), person, text, both); !errors.Is(err, record.ErrRetained) {
		t.Errorf("after another login: %v", err)
	}
	if again.session.Person != person || w.size() != size+1 || len(w.found("ledger.db", secrets)) < len(secrets) {
		t.Error("a refusal destroyed something")
	}
}

// Rows that come back by themselves, as when an operator puts back a table, are
// destroyed once more before the server serves.
func TestPromiseP13_RowsThatComeBackAreForgottenAtTheStart(t *testing.T) {
	t.Parallel()
	w := newErasing(t)
	secrets := w.secrets()
	w.backUp()
	w.pass(20 * time.Minute)
	text, signatures := w.document(w.signer, w.second)
	if _, err := w.a.ErasePerson(t.Context(), w.alice.session.Person, text, signatures); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite3", filepath.Join(w.dir, "ledger.db"))
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	for _, query := range []string{
		`ATTACH '` + filepath.Join(w.dir, "backup.db") + `' AS backup`,
		`INSERT OR IGNORE INTO person_key SELECT * FROM backup.person_key`,
		`INSERT OR IGNORE INTO person_part SELECT * FROM backup.person_part`,
	} {
		if _, err := db.ExecContext(t.Context(), query); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if found := w.found("ledger.db", secrets); len(found) == 0 {
		t.Fatal("nothing came back")
	}
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	if found := w.found("ledger.db", secrets); len(found) > 0 {
		t.Errorf("after the start: %q", found)
	}
}

// A backup that is put back is not signed for. Once it has the leaves since then
// again, what they say is destroyed is destroyed before anything else happens.
func TestPromiseP13_ARestoredBackupForgetsAgain(t *testing.T) {
	t.Parallel()
	w := newErasing(t)
	secrets := w.secrets()
	w.backUp()
	w.logIn("alice-canary", []string{"engineers"}) // of this the copy has no person part, and it needs none
	w.pass(20 * time.Minute)
	text, signatures := w.document(w.signer, w.second)
	if _, err := w.a.ErasePerson(t.Context(), w.alice.session.Person, text, signatures); err != nil {
		t.Fatal(err)
	}
	w.logIn("carol", []string{"engineers"})
	copied := w.mirror()
	if err := w.config.Store.Close(); err != nil {
		t.Fatal(err)
	}
	if found := w.found("backup.db", secrets); len(found) < len(secrets) {
		t.Fatalf("the backup has only %q", found)
	}
	w.openStore("backup.db")
	if _, err := Open(t.Context(), w.config); !errors.Is(err, ErrHalted) {
		t.Fatalf("over the backup alone: %v, want ErrHalted", err)
	}
	if _, err := Adopt(t.Context(), w.config, copied.copy()); err != nil {
		t.Fatal(err)
	}
	var err error
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	if found := w.found("backup.db", secrets); len(found) > 0 {
		t.Errorf("out of the backup: %q", found)
	}
	err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		_, err := record.Erased(r, w.alice.session.Person)
		return err
	})
	if err != nil {
		t.Error(err)
	}
}
