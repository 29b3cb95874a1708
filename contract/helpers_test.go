package contract_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// goodFiles is the example contract as its folder has it, without signatures.
func goodFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := make(map[string][]byte)
	for _, name := range []string{contract.ManifestFile, contract.ProseFile, contract.TermsFile} {
		files[name] = read(t, "good/"+name)
	}
	return files
}

func goodVersion(t testing.TB) *contract.Version {
	t.Helper()
	v, err := contract.Load(goodFiles(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// makeVersion writes the manifest for terms whose every clause is §1.
func makeVersion(t testing.TB, terms string) *contract.Version {
	t.Helper()
	files := map[string][]byte{contract.TermsFile: []byte(terms), contract.ProseFile: []byte("# §1 All\n")}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	v, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// person is a signatory made for one test.
type person struct {
	ssh.Signer
}

func newPerson(t testing.TB) person {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	return person{signer}
}

func (p person) line() string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(p.PublicKey())))
}

func (p person) sign(t testing.TB, namespace string, message []byte) []byte {
	t.Helper()
	armored, err := sshcert.Sign(rand.Reader, p, namespace, message)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(armored)
}

// smallTerms are the shortest terms that pass; %SIGNATORIES% is to be replaced.
const smallTerms = `terms: sallyport/v1
contract: {id: small, title: Small}
parties: {acme: {name: Acme}, other: {name: Other}}
signatories:
%SIGNATORIES%
issuers: {idp: {url: "https://idp.example", clients: {cli: sally}, algs: [ES256]}}
groups: {dev: oidc:idp/dev, leads: oidc:idp/leads}
ceilings: {grant: 8h}
roles:
  operator:
    clause: §1
    who: [dev]
    hosts: {env: [prod]}
    logins: [ops]
    grant: {max: 1h}
    paths: [{id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]
`

// replace changes old, which has to stand in text exactly once, to new.
func replace(t testing.TB, text []byte, old, with string) []byte {
	t.Helper()
	if n := bytes.Count(text, []byte(old)); n != 1 {
		t.Fatalf("%q stands %d times in the text", old, n)
	}
	return bytes.Replace(text, []byte(old), []byte(with), 1)
}
