package lab_test

import (
	"os"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
)

// bundles looks at a trust bundle and signs it. No server is needed.
func (v *verbs) bundles() {
	v.t.Helper()
	root, bundle := v.s.Alice.Home("root"), v.s.Alice.Home("bundle.json")
	must(v.t, lab.KeyPair(v.ctx, root, "root"))
	line, err := os.ReadFile(root + ".pub")
	must(v.t, err)
	public, _, _, _, err := ssh.ParseAuthorizedKey(line) //nolint:dogsled // that many
	must(v.t, err)
	key, err := trust.KeyOf(public)
	must(v.t, err)
	caFile := v.s.Alice.Home("someCA")
	must(v.t, lab.KeyPair(v.ctx, caFile, "ca"))
	line, err = os.ReadFile(caFile + ".pub")
	must(v.t, err)
	public, _, _, _, err = ssh.ParseAuthorizedKey(line) //nolint:dogsled // that many
	must(v.t, err)
	ca, err := trust.KeyOf(public)
	must(v.t, err)
	const origin = "ledger.example/bundles"
	contract := canon.Sum("a contract")
	text, err := trust.Make(trust.Bundle{
		Origin: origin, Lineage: contract, Contract: contract, Number: 1, MadeAt: canon.At(time.Now()), ExpiresAt: canon.At(time.Now().Add(time.Hour)),
		LogKeys: []string{ledgertest.New(v.t, origin, "log").PublicKey()}, UserCAs: []trust.Key{ca},
		Roots: []trust.Root{{Party: "acme", Need: 1, Keys: []trust.NamedKey{{Name: "safe", Key: key}}}},
	})
	must(v.t, err)
	file, err := trust.Signed{Text: text}.Marshal()
	must(v.t, err)
	must(v.t, os.WriteFile(bundle, file, 0o600))
	v.words["$BUNDLE"], v.words["$ROOT"], v.words["$TRUSTED"] = bundle, root, trust.Digest(text).String()
	v.types([]typed{
		{verb: "bundle show", code: 0, line: "sally bundle show $BUNDLE"},
		{verb: "bundle show", code: 1, line: "sally bundle show /nowhere", says: "no such file"},
		{verb: "bundle show", code: 2, line: "sally bundle show", says: "name the bundle's FILE"},
		{verb: "bundle sign", code: 0, line: "sally bundle sign $BUNDLE --key $ROOT", says: "root safe of acme has signed bundle 1 of " + origin},
		{verb: "bundle sign", code: 1, line: "sally bundle sign $BUNDLE --key $ROOT", says: "has signed it already"},
		{verb: "bundle sign", code: 2, line: "sally bundle sign $BUNDLE", says: "name --key"},
		{verb: "bundle verify", code: 0, line: "sally bundle verify $BUNDLE --digest $TRUSTED"},
		{verb: "bundle verify", code: 1, line: "sally bundle verify $BUNDLE --after $BUNDLE", says: "it has number 1, the host pins 1"},
		{verb: "bundle verify", code: 2, line: "sally bundle verify $BUNDLE", says: "name --digest"},
	})
	if signed, err := os.ReadFile(bundle); err != nil || !strings.Contains(string(signed), "BEGIN SSH SIGNATURE") {
		v.t.Errorf("%s, %v", signed, err)
	}
}
