package client

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/payloads"
)

// papers is a folder with contract folders whose signatories' keys are files.
type papers struct {
	t      *testing.T
	folder string
	env    *testEnv
}

// paperTerms is a contract of two parties: ada or ben sign for acme, cleo for other.
// ADA and so on stand for their keys.
const paperTerms = `terms: sallyport/v1
contract: {id: papers, title: "Access of Other to Acme"}
parties:
  acme: {name: Acme GmbH}
  other: {name: Other Inc.}
signatories:
  - {party: acme, capacity: ciso, need: 1, of: {ada: ADA, ben: BEN}, assurance: ssh}
  - {party: other, capacity: officer, need: 1, of: {cleo: CLEO}, assurance: ssh}
issuers:
  acme: {url: "https://login.acme.example", clients: {cli: sally}, algs: [ES256]}
groups: {sre: "oidc:acme/sre", leads: "oidc:acme/leads"}
ceilings: {grant: 8h}
roles:
  web:
    clause: §1
    who: [sre]
    hosts: {tier: [web]}
    logins: [ops]
    grant: {max: 4h}
    paths:
      - {id: normal, clause: §2, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}
`

const paperProse = "# Access\n\n## §1 Who asks\n\nEngineers of Acme.\n\n## §2 Who decides\n\nOne lead.\n"

func newPapers(t *testing.T) *papers {
	t.Helper()
	p := &papers{t: t, folder: t.TempDir(), env: newTestEnv()}
	terms := paperTerms
	for _, name := range []string{"ada", "ben", "cleo", "mallory"} {
		p.keygen("", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", p.path(name))
		terms = strings.Replace(terms, strings.ToUpper(name), strings.TrimSpace(string(p.read(name+".pub"))), 1)
	}
	p.write("1/terms.yaml", terms)
	p.write("1/contract.md", paperProse)
	return p
}

func (p *papers) path(name string) string { return filepath.Join(p.folder, filepath.FromSlash(name)) }

func (p *papers) read(name string) []byte {
	p.t.Helper()
	b, err := os.ReadFile(p.path(name))
	if err != nil {
		p.t.Fatal(err)
	}
	return b
}

func (p *papers) write(name, text string) {
	p.t.Helper()
	if err := os.MkdirAll(filepath.Dir(p.path(name)), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(p.path(name), []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
}

// keygen runs ssh-keygen with a text as its standard input.
func (p *papers) keygen(stdin string, args ...string) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), "ssh-keygen", args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("ssh-keygen %v: %v: %s", args, err, out)
	}
}

// manifest writes the manifest of version 1 and returns its digest.
func (p *papers) manifest() canon.Digest {
	p.t.Helper()
	d, err := readContractDir(p.path("1"))
	if err != nil {
		p.t.Fatal(err)
	}
	v, err := loadDraft(d)
	if err != nil {
		p.t.Fatal(err)
	}
	p.write("1/manifest.json", string(v.Files[contract.ManifestFile]))
	return v.Digest
}

func (p *papers) sign(as, key string) error {
	return ContractSign(p.t.Context(), ContractSignOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: p.path("1")}, As: as, Key: p.path(key)})
}

func (p *papers) verify(version1 string, dirs ...string) error {
	o := ContractVerifyOptions{Env: p.env.Env, Version1: version1}
	for _, dir := range dirs {
		o.Dirs = append(o.Dirs, p.path(dir))
	}
	p.env.out.Reset()
	return ContractVerify(o)
}

func (p *papers) printed(what ...string) {
	p.t.Helper()
	for _, want := range what {
		if !strings.Contains(p.env.out.String(), want) {
			p.t.Errorf("printed %q, without %q", p.env.out, want)
		}
	}
}

// TestPromiseP10_SignedByThoseItNames: a version is signed by the keys that it pins,
// in any other way nothing is written, and verify tells a signed version from one
// that is not.
func TestPromiseP10_SignedByThoseItNames(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	wantExit(t, p.sign("acme.ada", "ada"), ExitFailed, "has no manifest.json; `sally contract propose")
	digest := p.manifest().String()
	wantExit(t, p.verify(digest, "1"), ExitFailed, "version 1 is not signed by everybody who has to: missing is 1 of ada, ben, as ciso of acme")
	wantExit(t, p.sign("acme.ada", "mallory"), ExitFailed, "it was made by another key")
	wantExit(t, p.sign("other.ada", "ada"), ExitFailed, "not a signatory of the contract")
	wantExit(t, p.sign("ada", "ada"), ExitUsage, "--as PARTY.SIGNER")
	if _, err := os.Stat(p.path("1/sigs")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was written: %v", err)
	}
	wantExit(t, p.sign("acme.ada", "ada"), ExitOK)
	wantExit(t, p.verify(digest, "1"), ExitFailed, "missing is 1 of cleo, as officer of other")
	p.printed("signed    ada as ciso of acme\n", "state     not in force")
	wantExit(t, p.sign("other.cleo", "cleo"), ExitOK)
	if !strings.HasSuffix(p.env.err.String(), "sally: everybody who has to has signed\n") || !strings.Contains(p.env.err.String(), "sally: digest "+digest+"\n") {
		t.Errorf("said %q", p.env.err)
	}
	wantExit(t, p.verify(digest, "1"), ExitOK)
	p.printed("contract  papers, version 1: Access of Other to Acme\n", "digest    "+digest+"\n", "state     signed by everybody who has to; in force from the moment")

	wantExit(t, p.verify(canon.Sum("another").String(), "1"), ExitFailed, "this is another contract")
	asJSON := ContractVerifyOptions{Env: p.env.Env, Dirs: []string{p.path("1")}, Version1: digest, JSON: true}
	p.env.out.Reset()
	wantExit(t, ContractVerify(asJSON), ExitOK)
	wantSchema(t, "contract verify", p.env.out.String())
	p.printed(`"signed": true`, `"ok": true`)
	wantExit(t, p.verify("", "1"), ExitUsage, "--version1 DIGEST")
	wantExit(t, p.verify(digest), ExitUsage, "name the DIR of each version")

	// A signature that holds does not make up for one that does not.
	p.write("1/sigs/acme.ben.json", string(p.read("1/sigs/acme.ada.json")))
	p.write("1/sigs/acme.ben.json.sig", string(p.read("1/sigs/other.cleo.json.sig")))
	wantExit(t, p.verify(digest, "1"), ExitFailed, "version 1: sigs/acme.ben.json: the signature does not hold")
	p.printed("does not hold  sigs/acme.ben.json: ")
	if err := os.Remove(p.path("1/sigs/acme.ben.json.sig")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, p.verify(digest, "1"), ExitOK)

	p.write("1/contract.md", paperProse+"And all that Ada likes.\n")
	wantExit(t, p.verify(digest, "1"), ExitFailed, "manifest refused: contract.md has")
}

// TestContractSignElsewhere: with the digest that the signatory has read, a signature
// made by stock ssh-keygen where the key lies, and by a key that only an agent holds.
func TestContractSignElsewhere(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	digest := p.manifest()
	o := ContractSignOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: p.path("1")}, As: "acme.ben", Key: p.path("ben")}
	o.Digest = canon.Sum("another").String()
	wantExit(t, ContractSign(t.Context(), o), ExitFailed, "so nothing is signed")
	o.Digest = "short"
	wantExit(t, ContractSign(t.Context(), o), ExitUsage, "--digest")
	o.Digest, o.Signature = digest.String(), "x"
	wantExit(t, ContractSign(t.Context(), o), ExitUsage, "name --key or --signature")
	o.Key, o.Signature = "", ""
	wantExit(t, ContractSign(t.Context(), o), ExitUsage, "there is no ssh-agent; name --key and the file of the key SHA256:")

	c, err := loadChain(p.path("1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := contract.NewStatement(c.version(), "acme", "ben")
	if err != nil {
		t.Fatal(err)
	}
	p.write("statement", string(statement))
	p.keygen("", "-q", "-Y", "sign", "-n", "sallyport-contract", "-f", p.path("ben"), p.path("statement"))
	o.Signature = p.path("statement.sig")
	wantExit(t, ContractSign(t.Context(), o), ExitOK)

	socket := realAgent(t)
	add := exec.CommandContext(t.Context(), "ssh-add", "-q", p.path("cleo"))
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Remove(p.path("cleo")); err != nil {
		t.Fatal(err)
	}
	o.Signature, o.As = "", "other.cleo"
	o.Getenv = func(name string) string { return map[string]string{"SSH_AUTH_SOCK": socket}[name] }
	wantExit(t, ContractSign(t.Context(), o), ExitOK)
	wantExit(t, p.verify(digest.String(), "1"), ExitOK)
}

// TestContractExportIsChecked: by stock sha256sum and ssh-keygen with the commands of
// its README, and the same folder gives the same bytes.
func TestContractExportIsChecked(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	digest := p.manifest()
	wantExit(t, p.sign("acme.ada", "ada"), ExitOK)
	o := ContractExportOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: p.path("1")}}
	wantExit(t, ContractExport(o), ExitUsage, "--out FILE")
	for _, name := range []string{"a.tar", "b.tar"} {
		o.Out = p.path(name)
		wantExit(t, ContractExport(o), ExitOK)
	}
	wantExit(t, ContractExport(o), ExitFailed, "is there already")
	asJSON := o
	asJSON.Out, asJSON.JSON = p.path("c.tar"), true
	p.env.out.Reset()
	wantExit(t, ContractExport(asJSON), ExitOK)
	wantSchema(t, "contract export", p.env.out.String())
	p.printed(fmt.Sprintf("%x", sha256.Sum256(p.read("a.tar"))))
	if !bytes.Equal(p.read("a.tar"), p.read("b.tar")) {
		t.Error("two archives differ")
	}
	out := p.path("unpacked")
	names := unpack(t, p.read("a.tar"), out)
	if !slices.Contains(names, "version-1/sigs/acme.ada.json.sig") || !slices.IsSorted(names) {
		t.Errorf("the archive holds %v", names)
	}
	readme, err := os.ReadFile(filepath.Join(out, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "Missing: 1 of cleo, as officer of other.") {
		t.Errorf("the README is %s", readme)
	}
	ran := 0
	for line := range strings.Lines(string(readme)) {
		command, indented := strings.CutPrefix(line, "    ")
		if !indented || strings.HasPrefix(command, "sally ") {
			continue
		}
		cmd := exec.CommandContext(t.Context(), "bash", "-euo", "pipefail", "-c", command)
		cmd.Dir = out
		text, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v: %s", command, err, text)
		}
		if _, want, ok := strings.Cut(command, "# "); ok && !strings.Contains(string(text), strings.TrimSpace(want)) {
			t.Errorf("%s: %s", command, text)
		}
		if strings.Contains(command, "printf") && !strings.Contains(string(readme), "hexadecimal "+strings.Fields(string(text))[0]) {
			t.Errorf("%s: %s is not the digest %x", command, text, digest[:])
		}
		ran++
	}
	if ran != 5 { // sums, digest, two files, one signature
		t.Errorf("%d commands of the README were run: %s", ran, readme)
	}
	// Another byte, and stock ssh-keygen says no.
	statement := filepath.Join(out, "version-1/sigs/acme.ada.json")
	cmd := exec.CommandContext(t.Context(), "ssh-keygen", "-Y", "verify", "-n", "sallyport-contract", "-f", filepath.Join(out, "version-1/allowed_signers"),
		"-I", "acme.ben", "-s", statement+".sig")
	cmd.Stdin = strings.NewReader("x")
	if err := cmd.Run(); err == nil {
		t.Error("ssh-keygen took a signature by ada as ben's")
	}
}

// unpack writes the files of a tar archive into a folder, and returns their names.
func unpack(t *testing.T, archive []byte, folder string) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return names
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.IsZero() && header.ModTime.Unix() != 0 {
			t.Errorf("%s has a time: %s", header.Name, header.ModTime)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(folder, header.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
	}
}

// TestPromiseP16_ContractFolders: what others wrote into a folder (prose, names of
// files, statements) is shown without its control characters.
func TestPromiseP16_ContractFolders(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	digest := p.manifest()
	for _, payload := range payloads.All() {
		if strings.ContainsAny(payload.Text, "/\x00") || len(payload.Text) > 200 {
			continue
		}
		if err := os.RemoveAll(p.path("1/sigs")); err != nil {
			t.Fatal(err)
		}
		p.write("1/sigs/"+payload.Text+".json", payload.Text)
		p.write("1/sigs/"+payload.Text+".json.sig", payload.Text)
		for _, asJSON := range []bool{false, true} {
			p.env.out.Reset()
			p.env.err.Reset()
			o := ContractVerifyOptions{Env: p.env.Env, Dirs: []string{p.path("1")}, Version1: digest.String(), JSON: asJSON}
			Report(p.env.Env, ContractVerify(o))
			show := ContractShowOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: p.path("1"), JSON: asJSON}}
			p.env.out.Reset()
			show.Prose, show.Terms = asJSON, asJSON
			wantExit(t, ContractShow(show), ExitOK)
			if asJSON {
				wantSchema(t, "contract show", p.env.out.String())
			}
			for _, text := range []string{p.env.out.String(), p.env.err.String()} {
				if err := payloads.Terminal(text); err != nil {
					t.Errorf("%s: %v", payload.Name, err)
				}
			}
		}
	}
}
