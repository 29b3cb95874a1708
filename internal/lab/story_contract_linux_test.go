package lab_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
)

const paperTerms = `terms: sallyport/v1
contract: {id: papers, title: Access to papers}
parties: {acme: {name: Acme GmbH}}
signatories:
  - {party: acme, capacity: ciso, need: 1, of: {ada: ADA}, assurance: ssh}
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

// contracts types the verbs about a contract's folder, which need no server.
func (v *verbs) contracts() {
	v.t.Helper()
	key, dir := v.s.Alice.Home("signatory"), v.s.Alice.Home("papers")
	must(v.t, lab.KeyPair(v.ctx, key, "ada"))
	line, err := os.ReadFile(key + ".pub")
	must(v.t, err)
	must(v.t, os.Mkdir(dir, 0o700))
	files := map[string][]byte{
		contract.TermsFile: bytes.ReplaceAll([]byte(paperTerms), []byte("ADA"), bytes.TrimSpace(line)),
		contract.ProseFile: []byte("# Papers\n\n## §1 Who asks\n\nEngineers.\n\n## §2 Who decides\n\nA lead.\n"),
	}
	files[contract.ManifestFile], err = contract.NewManifest(files)
	must(v.t, err)
	version, err := contract.Load(files)
	must(v.t, err)
	for name, content := range files {
		must(v.t, os.WriteFile(filepath.Join(dir, name), content, 0o600))
	}
	draft := dir + "-2"
	must(v.t, os.Mkdir(draft, 0o700))
	must(v.t, os.WriteFile(filepath.Join(draft, contract.TermsFile), bytes.ReplaceAll(files[contract.TermsFile], []byte("max: 4h"), []byte("max: 2h")), 0o600))
	must(v.t, os.WriteFile(filepath.Join(draft, contract.ProseFile), files[contract.ProseFile], 0o600))
	v.words["$DRAFT"] = draft
	v.words["$PAPERS"], v.words["$SIGNATORY"], v.words["$VERSION1"] = dir, key, version.Digest.String()
	v.types([]typed{
		{verb: "contract new", code: 0, line: "sally contract new ~/fresh --template one-company", says: "the key of example.ada is the example's"},
		{verb: "contract new", code: 1, line: "sally contract new ~/fresh --template one-company", says: "is there already"},
		{verb: "contract new", code: 2, line: "sally contract new ~/fresh", says: "name --template"},
		{verb: "contract propose", code: 1, line: "sally contract propose ~/fresh", says: "are those of the example"},
		{verb: "contract propose", code: 2, line: "sally contract propose", says: "name the contract's DIR"},
		{verb: "contract lint", code: 0, line: "sally contract lint ~/fresh"},
		{verb: "contract lint", code: 1, line: "sally contract lint /nowhere", says: "no contract.md"},
		{verb: "contract lint", code: 2, line: "sally contract lint", says: "name the contract's DIR"},
		{verb: "contract show", code: 0, line: "sally contract show $PAPERS"},
		{verb: "contract show", code: 1, line: "sally contract show /nowhere", says: "no contract.md"},
		{verb: "contract show", code: 2, line: "sally contract show", says: "name the contract's DIR"},
		{verb: "contract verify", code: 1, line: "sally contract verify $PAPERS --version1 $VERSION1", says: "missing is 1 of ada, as ciso of acme"},
		{verb: "contract diff", code: 0, line: "sally contract diff $PAPERS $DRAFT"},
		{verb: "contract diff", code: 1, line: "sally contract diff $PAPERS /nowhere", says: "no contract.md"},
		{verb: "contract diff", code: 2, line: "sally contract diff $PAPERS", says: "OLD and NEW"},
		{verb: "contract class", code: 0, line: "sally contract class $PAPERS $DRAFT"},
		{verb: "contract class", code: 1, line: "sally contract class $PAPERS /nowhere", says: "no contract.md"},
		{verb: "contract class", code: 2, line: "sally contract class $PAPERS", says: "OLD and NEW"},
		{verb: "contract propose", code: 0, line: "sally contract propose $DRAFT --parent $PAPERS"},
		{verb: "contract sign", code: 0, line: "sally contract sign $PAPERS --as acme.ada --key $SIGNATORY --digest $VERSION1", says: "everybody who has to has signed"},
		{verb: "contract sign", code: 1, line: "sally contract sign $PAPERS --as acme.bob --key $SIGNATORY", says: "not a signatory of the contract"},
		{verb: "contract sign", code: 2, line: "sally contract sign $PAPERS", says: "--as PARTY.SIGNER"},
		{verb: "contract verify", code: 0, line: "sally contract verify $PAPERS --version1 $VERSION1"},
		{verb: "contract verify", code: 2, line: "sally contract verify $PAPERS", says: "--version1 DIGEST"},
		{verb: "contract export", code: 0, line: "sally contract export $PAPERS --out $(mktemp -u ~/papers.XXXXXX)"},
		{verb: "contract export", code: 1, line: "sally contract export $PAPERS --out ~/.", says: "is there already"},
		{verb: "contract export", code: 2, line: "sally contract export $PAPERS", says: "--out FILE"},
	})
	if signed, err := os.ReadFile(filepath.Join(dir, contract.StatementPath("acme", "ada")+".sig")); err != nil || !strings.Contains(string(signed), "BEGIN SSH SIGNATURE") {
		v.t.Errorf("%s, %v", signed, err)
	}
}

// amendments types the verbs about contracts that ask the server. The amendment is
// not in force before 2100, so it changes nothing in this story.
func (v *verbs) amendments() {
	v.t.Helper()
	files := map[string][]byte{}
	for _, name := range []string{contract.ManifestFile, contract.ProseFile, contract.TermsFile} {
		text, err := os.ReadFile(filepath.Join(v.s.ContractDir(), name))
		must(v.t, err)
		files[name] = text
	}
	parent, err := contract.Load(files)
	must(v.t, err)
	draft := map[string][]byte{
		contract.ProseFile: files[contract.ProseFile],
		contract.TermsFile: bytes.Replace(files[contract.TermsFile], []byte("\nceilings:"), []byte("\neffect: {not_before: \"2100-01-01T00:00:00Z\"}\nceilings:"), 1),
	}
	amendment, err := contract.NewAmendment(draft, parent, nil)
	must(v.t, err)
	version, err := contract.LoadAmendment(amendment, parent)
	must(v.t, err)
	dir := v.s.Alice.Home("amendment")
	must(v.t, os.MkdirAll(filepath.Join(dir, "sigs"), 0o700))
	for name, text := range amendment {
		must(v.t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	signatory := version.Required()[0].Lines[0]
	statement, err := contract.NewStatement(version, signatory.Party, signatory.Of[0].Name)
	must(v.t, err)
	file := filepath.Join(dir, contract.StatementPath(signatory.Party, signatory.Of[0].Name))
	must(v.t, os.WriteFile(file, statement, 0o600))
	_, err = v.s.Owner.Must(v.ctx, "ssh-keygen", "-Y", "sign", "-n", sshcert.NamespaceContract, "-f", v.s.SignatoryKey(), file)
	must(v.t, err)
	v.words["$AMENDMENT"], v.words["$INFORCE"], v.words["$SCHEDULED"] = dir, parent.Digest.String(), version.Digest.String()
	v.types([]typed{
		{verb: "contract send", code: 0, line: "sally contract send $AMENDMENT"},
		{verb: "contract send", code: 1, line: "sally contract send /nowhere", says: "no contract.md"},
		{verb: "contract send", code: 2, line: "sally contract send", says: "name the contract's DIR"},
		{verb: "contract status", code: 0, line: "sally contract status acme-demo"},
		{verb: "contract status", code: 1, line: "sally contract status elsewhere", says: "no contract elsewhere concerns you"},
		{verb: "contract status", code: 2, line: "sally contract status a b"},
		{verb: "contract history", code: 0, line: "sally contract history"},
		{verb: "contract history", code: 1, line: "sally contract history elsewhere", says: "no contract elsewhere concerns you"},
		{verb: "contract history", code: 2, line: "sally contract history a b"},
		{verb: "contract fetch", code: 0, line: "sally contract fetch $SCHEDULED $(mktemp -u ~/fetched.XXXXXX)"},
		{verb: "contract fetch", code: 1, line: "sally contract fetch $VERSION1 ~/never"},
		{verb: "contract fetch", code: 2, line: "sally contract fetch $SCHEDULED", says: "name the DIGEST and a DIR"},
		{verb: "contract plan", code: 0, line: "sally contract plan $AMENDMENT --days 1"},
		{verb: "contract plan", code: 1, line: "sally contract plan /nowhere", says: "no contract.md"},
		{verb: "contract plan", code: 2, line: "sally contract plan", says: "name the contract's DIR"},
	})
}

// askingVerbs are the lines of the verbs about contracts that ask the server.
func askingVerbs() []typed {
	return []typed{
		{verb: "contract send", line: "sally contract send $AMENDMENT"},
		{verb: "contract status", line: "sally contract status"},
		{verb: "contract history", line: "sally contract history"},
		{verb: "contract fetch", line: "sally contract fetch $SCHEDULED ~/never"},
		{verb: "contract plan", line: "sally contract plan $AMENDMENT"},
	}
}
