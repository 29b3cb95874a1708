package main

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

const hostileTerms = `terms: sallyport/v1
contract: {id: demo, title: TEXT}
parties: {demo: {name: TEXT}}
signatories: [{party: demo, capacity: owner, need: 1, of: {chris: KEY}}]
issuers: {local: {url: "https://login.demo.example", clients: {cli: cli}, algs: [ES256]}}
groups: {engineers: "oidc:local/engineers"}
ceilings: {grant: 2h}
roles:
  operator:
    clause: §1
    who: [engineers]
    hosts: {env: [demo]}
    logins: [ops]
    grant: {max: 1h}
    paths: [{id: normal, clause: §1, stages: [{id: lead, from: [engineers], quorum: 1, timeout: 15m}]}]
`

// inert runs a command line and holds what it prints to what a terminal may get.
func inert(t *testing.T, what string, args ...string) (code int) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	for _, output := range []string{out.String(), err.String()} {
		if err := payloads.Terminal(output); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	if code != exitOK && strings.Count(err.String(), "\n") != 1 {
		t.Errorf("%s: no one line: %q", what, err.String())
	}
	return code
}

// What another party writes into a contract, how it names the files of it, and
// what an operator pastes into a command line does nothing to the operator's
// terminal.
func TestPromiseP16_NothingReachesTheOperatorsTerminal(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "ca")
	if code := inert(t, "init", "init", dir, "--origin", "x.example"); code != exitOK {
		t.Fatal("no server's folder")
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	folder := func(name, title string) string {
		t.Helper()
		path := filepath.Join(top, name)
		terms := strings.NewReplacer("KEY", strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))), "TEXT", title).Replace(hostileTerms)
		if err := os.MkdirAll(filepath.Join(path, signaturesDir), 0o755); err != nil {
			t.Fatal(err)
		}
		for file, text := range map[string]string{contract.TermsFile: terms, contract.ProseFile: "# §1 " + title + "\n"} {
			if err := os.WriteFile(filepath.Join(path, file), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	prepared := folder("prepared", "Demo")
	if code := inert(t, "prepare", "contract", "prepare", prepared); code != exitOK {
		t.Fatal("not prepared")
	}
	for _, p := range payloads.All() {
		quoted, err := json.Marshal(p.Text)
		if err != nil {
			t.Fatal(err)
		}
		for _, title := range []string{p.Text, string(quoted)} {
			inert(t, p.Name+" as title", "contract", "prepare", folder("demo", title))
		}
		if name := p.Text; len(name) < 200 && !strings.ContainsAny(name, "/\x00") {
			path := folder("called "+name, `"Demo"`)
			inert(t, p.Name+" as folder", "contract", "prepare", path)
			inert(t, p.Name+" as folder of a broken contract", "contract", "add", filepath.Join(path, signaturesDir))
			file := filepath.Join(prepared, signaturesDir, name+".json")
			for _, f := range []string{file, file + ".sig"} {
				if err := os.WriteFile(f, []byte("x"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if code := inert(t, p.Name+" as file", "--dir", dir, "contract", "add", prepared); code != exitFailed {
				t.Errorf("%s as file: exit code %d", p.Name, code)
			}
			for _, f := range []string{file, file + ".sig"} {
				if err := os.Remove(f); err != nil {
					t.Fatal(err)
				}
			}
		}
		missing := filepath.Join(top, "missing", p.Text)
		for name, args := range map[string][]string{
			"verb":       {p.Text},
			"lower verb": {"hosts", p.Text},
			"flag":       {"hosts", "add", "--" + p.Text},
			"folder":     {"--dir", missing, "hosts", "list"},
			"check":      {"--dir", missing, "check"},
			"check JSON": {"--dir", missing, "check", "--json"},
			"serve":      {"--dir", missing, "serve"},
			"export":     {"--dir", missing, "ledger", "export", "--out=" + p.Text},
			"fsck":       {"--dir", missing, "ledger", "fsck"},
			"name":       {"hosts", "add", "--addr=a:22", "--host-key=x", "--", p.Text},
			"addr":       {"hosts", "add", "web", "--addr=" + p.Text, "--host-key=x"},
			"host key":   {"hosts", "add", "web", "--addr=a:22", "--host-key=" + missing},
			"label":      {"--dir", missing, "hosts", "add", "web", "--addr=a:22", "--host-key=x", "--label=" + p.Text},
			"config":     {"--dir", missing, "hosts", "config", "--", p.Text},
			"at":         {"--dir", missing, "hosts", "config", "web", "--at=" + p.Text},
			"person":     {"person", "link", "--because=x", "--", p.Text, p.Text},
			"origin":     {"init", dir, "--origin=" + p.Text},
			"url":        {"init", filepath.Join(top, "never"), "--origin=x.example", "--url=" + p.Text, "--listen=" + p.Text},
		} {
			if code := inert(t, p.Name+" as "+name, args...); code == exitOK {
				t.Errorf("%s as %s: it is taken", p.Name, name)
			}
		}
	}
}
