package main

import (
	"bytes"
	"crypto/sha256"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// toldFolder is a server's folder with a ledger in it: a request that was granted,
// a signed certificate, a void one, a silence.
type toldFolder struct {
	t   *testing.T
	dir string
	w   *recordtest.World
	now time.Time
	s   *store.Store
}

func newToldFolder(t *testing.T) *toldFolder {
	t.Helper()
	return newToldFolderAt(t, recordtest.Start().Time())
}

// newToldFolderAt is one whose story begins at now.
func newToldFolderAt(t *testing.T, now time.Time) *toldFolder {
	t.Helper()
	f := &toldFolder{t: t, dir: t.TempDir(), w: recordtest.New(t, t.Name()), now: now}
	must(t, os.Chmod(f.dir, 0o700))
	f.w.SpeakIDTokens()
	engine, err := sqlite.Open(t.Context(), f.path(databaseFile))
	must(t, err)
	f.s, err = store.New(store.Config{Engine: engine, Now: func() time.Time { return f.now }, Rand: f.w.Rand()})
	must(t, err)
	var issued record.CertificateIssue
	var silent recordtest.Ask
	f.write(func(l storetest.Ledger) error {
		f.w.Setup(l)
		granted := f.w.Granted(l, 300)
		var err error
		issued, err = f.w.Issue(l, f.w.Alice, granted, f.w.Key())
		must(t, err)
		_, err = l.Append(recordtest.Draft{Facts: issued})
		must(t, err)
		void, err := f.w.Issue(l, f.w.Alice, granted, f.w.Key())
		must(t, err)
		_, err = l.Append(recordtest.Draft{Facts: void})
		must(t, err)
		row, err := record.Certificate(l, void.Serial)
		must(t, err)
		_, err = l.Append(recordtest.Draft{Facts: f.w.Void(l, row)})
		must(t, err)
		silent = f.w.Ask(l, f.w.Alice)
		_, err = l.Append(f.w.Submit(l, f.w.Alice, silent))
		return err
	})
	f.checkpoint()
	f.sign(issued)
	f.now = f.now.Add(16 * time.Minute)
	f.write(func(l storetest.Ledger) error {
		_, err := l.Append(recordtest.Draft{Facts: f.w.Expire(l, f.w.Request(l, silent.Doc.Request))})
		return err
	})
	note := f.checkpoint()
	must(t, os.WriteFile(f.path(markFile), note, 0o600))
	must(t, os.WriteFile(f.path(configFile), []byte(goodConfig), 0o600))
	must(t, os.WriteFile(f.path(pinFile), []byte(client.Pin{Origin: recordtest.Origin, LogKey: f.w.LogKey, CA: f.w.CA.PublicKey()}.String()), 0o600))
	return f
}

func (f *toldFolder) path(name string) string { return filepath.Join(f.dir, name) }

func (f *toldFolder) write(fn func(storetest.Ledger) error) {
	f.t.Helper()
	must(f.t, f.s.Write(f.t.Context(), func(tx *store.Tx) error { return fn(storetest.Ledger{Tx: tx}) }))
}

// checkpoint signs the head and keeps it.
func (f *toldFolder) checkpoint() []byte {
	f.t.Helper()
	signer, err := ledger.NewLogSigner(f.w.LogPrivate)
	must(f.t, err)
	var note []byte
	f.write(func(l storetest.Ledger) error {
		head, err := l.Head()
		must(f.t, err)
		root, err := head.Tree.Root()
		must(f.t, err)
		c := ledger.Checkpoint{Origin: recordtest.Origin, Size: head.Tree.Size, Root: root}
		note, err = signer.Sign(c)
		must(f.t, err)
		return l.PutCheckpoint(c, note)
	})
	return note
}

// sign makes the signed certificate of a recorded one.
func (f *toldFolder) sign(issued record.CertificateIssue) {
	f.t.Helper()
	tbs, err := canon.ParseB64(issued.TBS)
	must(f.t, err)
	cert, err := sshcert.ParseTBS(tbs)
	must(f.t, err)
	index := int64(issued.Serial) - 1
	f.write(func(l storetest.Ledger) error {
		entry, err := l.Entry(index)
		must(f.t, err)
		size, _, note, err := l.Checkpoint()
		must(f.t, err)
		proof, err := ledger.Prove(index, size, l, note, certproof.Extra(issued.Lineage, entry.Leaf.Facts))
		must(f.t, err)
		must(f.t, certproof.Embed(cert, proof))
		cert.Signature, err = f.w.CA.Sign(f.w.Rand(), sshcert.SignedBytes(cert))
		must(f.t, err)
		return l.PutCertificate(issued.Serial, issued.Grant, sha256.Sum256(cert.Key.Marshal()), cert.Marshal())
	})
}

// sallydIn runs a verb on a folder and returns what it prints and its exit code.
func sallydIn(dir string, args ...string) (out, errs string, code int) {
	var stdout, stderr bytes.Buffer
	code = run(append([]string{"--dir", dir}, args...), &stdout, &stderr)
	return stdout.String(), stderr.String(), code
}

// copied is the folder again, with one change made to its database past the
// server.
func (f *toldFolder) copied(t *testing.T, statement string, args ...any) string {
	t.Helper()
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o700))
	for _, name := range []string{databaseFile, markFile, pinFile, configFile} {
		text, err := os.ReadFile(f.path(name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	if statement == "" {
		return dir
	}
	db, err := sql.Open("sqlite3", filepath.Join(dir, databaseFile))
	must(t, err)
	result, err := db.ExecContext(t.Context(), statement, args...)
	must(t, errors.Join(err, db.Close()))
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		t.Fatalf("%s changed %d rows, %v", statement, n, err)
	}
	return dir
}

func TestPromiseP12_FsckFindsNothingInAHonestDatabase(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	// The store is open all along, as under a running server.
	out, errs, code := sallydIn(f.dir, "ledger", "fsck")
	if code != 0 || out != "ok          leaves 19, hashes 35, rows 28, list entries 29, mentions 79, signed certificates 1, checkpoints 2\n" {
		t.Fatalf("exit %d\n%s%s", code, out, errs)
	}
	must(t, f.s.Close())
	if out, errs, code := sallydIn(f.dir, "ledger", "fsck"); code != 0 {
		t.Errorf("with nobody else there: exit %d\n%s%s", code, out, errs)
	}
}

// Whatever is changed in a database, past the server, fsck names it.
func TestPromiseP12_FsckNamesEachDifference(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	must(t, f.s.Close())
	for _, tt := range []struct {
		name, statement string
		want            string // how one of the lines begins
	}{
		{"a leaf's kind", `UPDATE leaf SET kind = 'host.join' WHERE idx = 3`, "leaf 3: it is listed as host.join, its text says contract.sign"},
		{"a leaf's text", `UPDATE leaf SET body = (SELECT body FROM leaf WHERE idx = 4) WHERE idx = 5`, "leaf 5: "},
		{"a leaf that is none", `UPDATE leaf SET body = 'x' WHERE idx = 5`, "leaf 5: not a ledger leaf"},
		{"a leaf's hash", `UPDATE leaf SET hash = zeroblob(32) WHERE idx = 5`, "leaf 5: its stored hash is another text's"},
		{"a leaf's time", `UPDATE leaf SET at_us = at_us + 1 WHERE idx = 5`, "leaf 5: it is listed at "},
		{"a hash of the tree", `UPDATE node SET hash = zeroblob(32) WHERE idx = 2`, "hash 2: it is missing, or not what leaf 1"},
		{"a hash left out", `DELETE FROM node WHERE idx = 2`, "hash 2: it is missing, or not what leaf 1"},
		{"a hash too many", `INSERT INTO node (idx, hash) VALUES (1000, zeroblob(32))`, "hash 1000: no leaf is below it"},
		{"the head's size", `UPDATE head SET size = 18`, "head: "},
		{"the head's time", `UPDATE head SET at_us = at_us + 1`, "head: it is dated "},
		{"facts", `UPDATE opening SET facts = replace(facts, '"port":22', '"port":23') WHERE leaf = 4`, "leaf 4: the facts: it is not what the leaf commits to"},
		{"a salt", `UPDATE opening SET facts_salt = zeroblob(32) WHERE leaf = 4`, "leaf 4: the facts: it is not what the leaf commits to"},
		{"facts left out", `DELETE FROM opening WHERE leaf = 4`, "leaf 4: what it hides is gone"},
		{"a person part", `UPDATE person_part SET sealed = zeroblob(100) WHERE leaf = 6`, "leaf 6: its person part does not open"},
		{"a person part left out", `DELETE FROM person_part WHERE leaf = 6`, "leaf 6: its person part is gone"},
		{"a person's key", `DELETE FROM person_key`, "leaf 6: its person part does not open: the key of the person part is gone"},
		{"another's person part", `INSERT INTO person_part (leaf, person, sealed) SELECT 4, person, sealed FROM person_part WHERE leaf = 6`, "leaf 4: "},
		{"a row", `UPDATE state SET body = replace(body, '"port":22', '"port":23') WHERE tbl = 'host' AND id = 'web-1.demo'`, "row host web-1.demo: it is not what the leaves fold to"},
		{"a row left out", `DELETE FROM state WHERE tbl = 'expiry'`, "row expiry "},
		{"a row too many", `INSERT INTO state (tbl, id, body, leaf) VALUES ('host', 'web-9.demo', '{}', 4)`, "row host web-9.demo: no leaf makes it"},
		{"a row's writer", `UPDATE state SET leaf = 4 WHERE tbl = 'host' AND id = 'web-2.demo'`, "row host web-2.demo: it names leaf 4, leaf 5 wrote it"},
		{"a list", `UPDATE state_index SET val = 'granted' WHERE tbl = 'request' AND name = 'state' AND val = 'expired'`, "list state of request "},
		{"a list's beginning", `UPDATE state_index SET leaf = 4 WHERE tbl = 'host' AND id = 'web-2.demo' AND name = 'all'`, "list all of host web-2.demo: it says "},
		{"a list entry left out", `DELETE FROM state_index WHERE tbl = 'host' AND id = 'web-2.demo' AND name = 'all'`, "list all of host web-2.demo: it is missing"},
		{"a row that would speak to the terminal", "INSERT INTO state (tbl, id, body, leaf) VALUES ('host', 'x\x1b]0;y\x07', '{}', 4)", `row host x\x1b]0;y\x07: no leaf makes it`},
		{"a list entry too many", `INSERT INTO state_index (tbl, name, val, leaf, id) VALUES ('host', 'odd', '', 4, 'web-2.demo')`, "list odd of host web-2.demo: no leaf lists it"},
		{"a leaf found by nothing", `DELETE FROM mention WHERE leaf = 12`, "leaf 12: it is not found by what it is about"},
		{"a leaf not found by something", `DELETE FROM mention WHERE leaf = 12 AND term = (SELECT max(term) FROM mention WHERE leaf = 12)`, "leaf 12: it is not found by what it is about"},
		{"a leaf found by something else", `INSERT INTO mention (term, leaf) VALUES (7, 12)`, "leaf 12: it is not found by what it is about"},
		{"a leaf found as another", `UPDATE mention SET leaf = 4 WHERE leaf = 12 AND term NOT IN (SELECT term FROM mention WHERE leaf = 4)`, "leaf 4: it is not found by what it is about"},
		{"an index of leaves that are not there", `UPDATE mention SET leaf = 99 WHERE leaf = 12`, "index: "},
		{"an index ahead of the leaves", `UPDATE mentioned SET size = 99`, "index: it is said to be whole up to leaf 99, and there are 19 leaves"},
		{"a certificate", `UPDATE certificate SET body = substr(body, 1, length(body) - 1) || x'00'`, "certificate 15: unjustified by leaf 14: "},
		{"a certificate's request", `UPDATE certificate SET request = 'x'`, "certificate 15: it is listed under request x"},
		{"a certificate's key", `UPDATE certificate SET key_hash = zeroblob(32)`, "certificate 15: it is listed under another key"},
		{"a certificate of another leaf", `UPDATE certificate SET serial = 17`, "certificate 17: leaf 16 is of kind certificate.void"},
		{"a certificate of no leaf", `UPDATE certificate SET serial = 99`, "certificate 99: there are 19 leaves"},
		{"a void certificate that is signed", `UPDATE certificate SET serial = 16`, "certificate 16: unjustified by leaf 15: the signed certificate is another leaf's"},
		{"a checkpoint", `UPDATE checkpoint SET note = replace(note, 'ledger', 'lodger') WHERE size = 19`, "checkpoint 19: "},
		{"a checkpoint's root", `UPDATE checkpoint SET root = zeroblob(32) WHERE size = 19`, "checkpoint 19: it is of 19 leaves"},
		{"a checkpoint of another size", `UPDATE checkpoint SET size = 17 WHERE size = 18`, "checkpoint 17: it is of 18 leaves"},
		{"a checkpoint of the future", `UPDATE checkpoint SET size = 99 WHERE size = 18`, "checkpoint 99: there are 19 leaves"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := sallydIn(f.copied(t, tt.statement), "ledger", "fsck")
			if code != 1 || !slices.ContainsFunc(strings.Split(out, "\n"), func(line string) bool { return strings.HasPrefix(line, tt.want) }) {
				t.Errorf("exit %d, no line %q in\n%s%s", code, tt.want, out, errs)
			}
			if !strings.Contains(errs, "put a good copy back") {
				t.Errorf("it does not say what to do: %s", errs)
			}
		})
	}
}

// A leaf that somebody put in past the rules, with all that belongs to it, is
// named by the replay.
func TestPromiseP12_FsckJudgesLeaves(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	// The decision becomes Alice's own; its facts, leaf, hashes and row are made to
	// fit, as far as somebody with the database can.
	var facts, salt []byte
	db, err := sql.Open("sqlite3", f.path(databaseFile))
	must(t, err)
	must(t, db.QueryRowContext(t.Context(), `SELECT facts, facts_salt FROM opening WHERE leaf = 13`).Scan(&facts, &salt))
	changed := bytes.ReplaceAll(facts, []byte(f.w.Bob.Person), []byte(f.w.Alice.Person))
	var text []byte
	must(t, db.QueryRowContext(t.Context(), `SELECT body FROM leaf WHERE idx = 13`).Scan(&text))
	leaf, err := ledger.ParseLeaf(text)
	must(t, err)
	leaf.Facts = ledger.FactsCommitment(ledger.Salt(salt), changed)
	text, err = leaf.Marshal()
	must(t, err)
	hash := tlog.RecordHash(text)
	for _, q := range []struct {
		query string
		args  []any
	}{{`UPDATE opening SET facts = $1 WHERE leaf = 13`, []any{changed}}, {`UPDATE leaf SET body = $1, hash = $2 WHERE idx = 13`, []any{text, hash[:]}}} {
		_, err := db.ExecContext(t.Context(), q.query, q.args...)
		must(t, err)
	}
	must(t, errors.Join(db.Close(), f.s.Close()))
	out, _, code := sallydIn(f.dir, "ledger", "fsck")
	if code != 1 || !strings.Contains(out, "\nleaf 13: request.decide may not stand there: nobody decides on their own request\n") ||
		!strings.Contains(out, "certificate 15: unjustified by leaf 13: nobody decides on their own request") {
		t.Errorf("exit %d\n%s", code, out)
	}
}

func TestFsckRefuses(t *testing.T) {
	t.Parallel()
	f := newToldFolder(t)
	must(t, f.s.Close())
	without := func(names ...string) string {
		dir := f.copied(t, "")
		for _, name := range names {
			must(t, os.Remove(filepath.Join(dir, name)))
		}
		return dir
	}
	otherPin := f.copied(t, "")
	_, other, err := ledger.NewLogKey(f.w.Rand(), recordtest.Origin)
	must(t, err)
	must(t, os.WriteFile(filepath.Join(otherPin, pinFile), []byte(client.Pin{Origin: recordtest.Origin, LogKey: other, CA: f.w.CA.PublicKey()}.String()), 0o600))
	for _, tt := range []struct{ name, dir, want string }{
		{"no folder", t.TempDir(), "is not a folder of sallyd"},
		{"no pin file", without(pinFile), "reading the pin file"},
		{"no mark file", without(markFile), "mark: "},
		{"another log's pin file", otherPin, "leaf 0 names the log key"},
		{"a leaf missing", f.copied(t, `DELETE FROM leaf WHERE idx = 9`), "leaf 9 is missing in the database"},
		{"another schema", f.copied(t, `INSERT INTO schema_version (version, oldest) VALUES (99, 99)`), "run a newer one"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			out, errs, code := sallydIn(tt.dir, "ledger", "fsck")
			if code != 1 || !strings.Contains(out+errs, tt.want) || strings.Contains(out, "ok  ") {
				t.Errorf("exit %d, want %q\n%s%s", code, tt.want, out, errs)
			}
		})
	}
	if _, errs, code := sallydIn(f.dir, "ledger", "fsck", "now"); code != 2 || !strings.Contains(errs, `"now" is an argument too many`) {
		t.Errorf("an argument too many: exit %d %s", code, errs)
	}
}
