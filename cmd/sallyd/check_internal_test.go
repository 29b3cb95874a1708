package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/sshcert"
)

const checkTerms = `terms: sallyport/v1
contract: {id: acme, title: Acme}
parties: {acme: {name: Acme}}
signatories: [{party: acme, capacity: owner, need: 1, of: {owner: "KEY"}}]
issuers: {lab: {url: "ISSUER", clients: {cli: sally-cli, web: sallyport-web}, algs: [ES256]}}
groups: {all: "oidc:lab/all"}
ceilings: {grant: 1h}
roles:
  ops:
    clause: "§1"
    who: [all]
    hosts: {env: [demo]}
    logins: [ops]
    grant: {max: 1h}
    paths: [{id: one, clause: "§1", stages: [{id: one, from: [all], quorum: 1, timeout: 15m}]}]
`

// sallyd runs a command line that must succeed.
func sallyd(t *testing.T, args ...string) string {
	t.Helper()
	var out, errs bytes.Buffer
	if code := run(args, &out, &errs); code != exitOK {
		t.Fatalf("sallyd %s: exit code %d: %s%s", strings.Join(args, " "), code, out.String(), errs.String())
	}
	return out.String()
}

// papers makes a contract folder, signed or not, that names an identity provider.
func papers(t *testing.T, issuer string, signed bool) string {
	t.Helper()
	dir := t.TempDir()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "contract.md"), "# §1 All\n")
	write(t, filepath.Join(dir, "terms.yaml"), strings.NewReplacer("KEY", authorizedKey(signer.PublicKey()), "ISSUER", issuer).Replace(checkTerms))
	sallyd(t, "contract", "prepare", dir)
	if signed {
		file := filepath.Join(dir, "sigs", "acme.owner.json")
		armored, err := sshcert.Sign(rand.Reader, signer, sshcert.NamespaceContract, []byte(read(t, file)))
		if err != nil {
			t.Fatal(err)
		}
		write(t, file+".sig", armored)
	}
	return dir
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// checkFolder makes a server's folder with a contract, signed or not.
func checkFolder(t *testing.T, issuer string, signed bool) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	sallyd(t, "init", dir, "--origin", "x.example")
	sallyd(t, "--dir", dir, "contract", "add", papers(t, issuer, signed))
	return dir
}

// findings makes a checkup and returns its lines.
func findings(t *testing.T, dir string, online bool) string {
	t.Helper()
	c := &checkup{dir: dir, online: online, now: time.Now(), getenv: func(string) string { return "" }}
	c.run(t.Context())
	var out strings.Builder
	for _, f := range c.findings {
		fmt.Fprintf(&out, "%s %s: %s\n", sign(f.Result), f.Name, f.Text)
	}
	return out.String()
}

func says(t *testing.T, have string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(have, w) {
			t.Errorf("%q is not in:\n%s", w, have)
		}
	}
}

// TestCheckAsksProviders: an identity provider that answers, one that does not,
// and one that nobody asked.
func TestCheckAsksProviders(t *testing.T) {
	t.Parallel()
	provider, err := idp.Start(t.Context(), idp.Config{Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	dir := checkFolder(t, provider.URL(), true)
	says(t, findings(t, dir, false), "✓ contract acme: version 1 is in force since 20", "? issuer acme/lab: "+provider.URL()+" was not asked; --online asks\n")
	says(t, findings(t, dir, true), "✓ issuer acme/lab: "+provider.URL()+" answers with metadata and keys\n")
	if err := provider.Close(); err != nil {
		t.Fatal(err)
	}
	says(t, findings(t, dir, true), "✗ issuer acme/lab: the identity provider can't be reached: ")

	// What the settings call an issuer must be one.
	config := filepath.Join(dir, configFile)
	write(t, config, read(t, config)+"issuers: {acme/labs: {web_secret_file: pin.txt}}\n")
	says(t, findings(t, dir, false), "✗ issuers: issuers.acme/labs in config.yaml: no contract in force has it, did you mean acme/lab?\n")
}

// TestCheckTellsOfUnsigned: a contract without its signatures is recorded, and
// nothing can be done under it.
func TestCheckTellsOfUnsigned(t *testing.T) {
	t.Parallel()
	says(t, findings(t, checkFolder(t, "https://idp.example", false), false),
		"? contract acme: version 1 is recorded, but not signed by everybody it names\n", "? contracts: none is in force, so nobody can log in\n")
}

// TestCheckBesideAServer looks at a folder that is open for writing: nothing in
// it changes, and what was written a moment ago is seen.
func TestCheckBesideAServer(t *testing.T) {
	t.Parallel()
	dir := checkFolder(t, "https://idp.example", true)
	f, err := openFolder(t.Context(), dir, folderOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	}()
	before := read(t, filepath.Join(dir, databaseFile)) + read(t, filepath.Join(dir, databaseFile+"-wal")) + read(t, filepath.Join(dir, markFile))
	if lines := findings(t, dir, false); strings.Contains(lines, "✗") || !strings.Contains(lines, "✓ mark: signed for: 3; the database begins with these and has 3\n") {
		t.Errorf("beside a server:\n%s", lines)
	}
	if after := read(t, filepath.Join(dir, databaseFile)) + read(t, filepath.Join(dir, databaseFile+"-wal")) + read(t, filepath.Join(dir, markFile)); after != before {
		t.Error("it changed something")
	}
	if _, _, err := f.auth.Challenge(t.Context(), authority.PurposeSession); err != nil { // it writes a row
		t.Errorf("the server does not go on: %v", err)
	}
}

// TestCheckFindsChangedEntries: a text in the database that was changed, and a
// database put back to an older state.
func TestCheckFindsChangedEntries(t *testing.T) {
	t.Parallel()
	dir := checkFolder(t, "https://idp.example", false)
	file := filepath.Join(dir, databaseFile)
	older := read(t, file)
	db, err := sql.Open("sqlite3", "file:"+file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), "UPDATE leaf SET body = replace(CAST(body AS TEXT), 'contract.propose', 'contract.proposf') WHERE idx = 1"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	says(t, findings(t, dir, false), "✗ entries: ", "leaf 1 in the database is not the one that was recorded there")

	write(t, file, older)
	if lines := findings(t, dir, false); strings.Contains(lines, "✗") {
		t.Errorf("put back:\n%s", lines)
	}
	sallyd(t, "--dir", dir, "contract", "add", papers(t, "https://idp.example", false))
	write(t, file, older)
	says(t, findings(t, dir, false), "✗ mark: ", "this database is not the one that was signed for")
}
