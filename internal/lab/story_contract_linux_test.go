package lab_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
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
	v.words["$PAPERS"], v.words["$SIGNATORY"], v.words["$VERSION1"] = dir, key, version.Digest.String()
	v.types([]typed{
		{verb: "contract show", code: 0, line: "sally contract show $PAPERS"},
		{verb: "contract show", code: 1, line: "sally contract show /nowhere", says: "no contract.md"},
		{verb: "contract show", code: 2, line: "sally contract show", says: "name the contract's DIR"},
		{verb: "contract verify", code: 1, line: "sally contract verify $PAPERS --version1 $VERSION1", says: "missing is 1 of ada, as ciso of acme"},
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
