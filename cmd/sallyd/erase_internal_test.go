package main

import (
	"bytes"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// oldFolder is a whole server's folder whose story is two years old.
func oldFolder(t *testing.T) *toldFolder {
	t.Helper()
	f := newToldFolderAt(t, time.Now().Add(-2*366*24*time.Hour).Truncate(time.Microsecond))
	must(t, os.Mkdir(f.path("keys"), 0o700))
	must(t, os.WriteFile(f.path(logKeyFile), []byte(f.w.LogPrivate+"\n"), 0o600))
	must(t, f.s.Close())
	return f
}

// sign writes signatures over a document, as ssh-keygen does, and returns the
// flags that name them.
func signWith(t *testing.T, f *toldFolder, document string, signers map[string]ssh.Signer) []string {
	t.Helper()
	text, err := os.ReadFile(document)
	must(t, err)
	var flags []string
	for name, s := range signers {
		armored, err := sshcert.Sign(f.w.Rand(), s, sshcert.NamespaceErase, text)
		must(t, err)
		must(t, os.WriteFile(document+"."+name+".sig", []byte(armored), 0o600))
		flags = append(flags, "--signed", document+"."+name+".sig")
	}
	return flags
}

// An operator has somebody erased: the document, two signatures, the erasure; the
// database is sound afterwards, an export shows nobody, and a second time is no
// error.
func TestPromiseP13_ErasedByAnOperator(t *testing.T) {
	t.Parallel()
	f := oldFolder(t)
	alice := string(f.w.Alice.Person)
	document := filepath.Join(t.TempDir(), "erase it.json")
	out, errs, code := sallydIn(f.dir, "person", "erase-document", alice, "--ground", "request", "--out", document)
	if code != exitOK || !strings.Contains(out, "person      "+alice) || !strings.Contains(out, "contract    acme") ||
		!strings.Contains(out, "  ssh-keygen -Y sign -n sallyport-erase -f KEY-OF-DANA < '"+document+"' > '"+document+".dana.sig'") {
		t.Fatalf("%d %s%s", code, out, errs)
	}
	one := signWith(t, f, document, map[string]ssh.Signer{"chris": f.w.Chris})
	erase := func(flags ...string) (string, string, int) {
		return sallydIn(f.dir, append([]string{"person", "erase", alice, "--document", document}, flags...)...)
	}
	if out, errs, code := erase(one...); code != exitFailed || !strings.Contains(errs, "1 of those who sign contract acme signed, and one human counts once") {
		t.Fatalf("by one: %d %s%s", code, out, errs)
	}
	before, _, _ := sallydIn(f.dir, "ledger", "fsck")
	if !strings.HasPrefix(before, "ok ") {
		t.Fatalf("before: %s", before)
	}
	both := append(one, signWith(t, f, document, map[string]ssh.Signer{"dana": f.w.Dana})...)
	out, errs, code = erase(both...)
	if code != exitOK || !strings.HasPrefix(out, "erased      "+alice+"\nrecorded    in leaf ") {
		t.Fatalf("by two: %d %s%s", code, out, errs)
	}
	if out, errs, code := sallydIn(f.dir, "ledger", "fsck"); code != exitOK {
		t.Errorf("fsck: %d %s%s", code, out, errs)
	}
	again, errs, code := erase(both...)
	if code != exitOK || !strings.Contains(again, "the database was written anew once more") || !strings.HasPrefix(again, strings.TrimSuffix(out[:strings.Index(out, ", at ")], "\n")) {
		t.Errorf("once more: %d %s%s", code, again, errs)
	}
	if _, errs, code = sallydIn(f.dir, "person", "erase-document", alice, "--ground", "request", "--out", document+"2"); code != exitFailed || !strings.Contains(errs, "this person was erased at ") {
		t.Errorf("a document for somebody erased: %d %s", code, errs)
	}
	bundle := filepath.Join(t.TempDir(), "ledger.jsonl")
	if _, errs, code := sallydIn(f.dir, "ledger", "export", "--out", bundle); code != exitOK {
		t.Fatalf("export: %s", errs)
	}
	text, err := os.ReadFile(bundle)
	must(t, err)
	if bytes.Contains(text, []byte("Alice")) || bytes.Contains(text, []byte("alice")) || !bytes.Contains(text, []byte("bob")) || !bytes.Contains(text, []byte("person.erase")) {
		t.Error("the export shows her, or nobody")
	}
}

// What is missing without an erasure is a difference, and so is what an erasure
// destroyed and is there again.
func TestPromiseP13_FsckKnowsTheErased(t *testing.T) {
	t.Parallel()
	f := oldFolder(t)
	person, document := f.w.Alice.Person, filepath.Join(t.TempDir(), "erase.json")
	text, err := record.NewEraseDoc("ledger.example/test", []canon.ID{person}, record.GroundOrder, canon.At(time.Now().Add(time.Hour)))
	must(t, err)
	must(t, os.WriteFile(document, text, 0o600))
	flags := signWith(t, f, document, map[string]ssh.Signer{"chris": f.w.Chris, "dana": f.w.Dana})
	if out, errs, code := sallydIn(f.dir, append([]string{"person", "erase", string(person), "--document", document}, flags...)...); code != exitOK {
		t.Fatalf("%s%s", out, errs)
	}
	f.edit(`INSERT INTO person_key (person, secret) VALUES ('` + string(person) + `', zeroblob(32))`)
	if out, _, code := sallydIn(f.dir, "ledger", "fsck"); code != exitFailed || !strings.Contains(out, "person "+string(person)+": erased, and what shows who it was is there again") {
		t.Errorf("a key that is there again: %s", out)
	}
	f.edit(`DELETE FROM person_key`)
	if out, _, code := sallydIn(f.dir, "ledger", "fsck"); code != exitFailed || strings.Contains(out, "leaf 6:") || !strings.Contains(out, "does not open: the key of the person part is gone") {
		t.Errorf("everybody else's key gone: %s", out)
	}
}

// edit changes a database behind its ledger.
func (f *toldFolder) edit(statement string) {
	f.t.Helper()
	db, err := sql.Open("sqlite3", f.path(databaseFile))
	must(f.t, err)
	_, err = db.ExecContext(f.t.Context(), statement)
	must(f.t, errors.Join(err, db.Close()))
}
