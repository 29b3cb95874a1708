package recordtest

import (
	"maps"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Amend is the version that amends parent, with what stands in its terms replaced:
// pairs of old and new text, the old one in it once.
func (w *World) Amend(parent *contract.Version, pairs ...string) *contract.Version {
	w.t.Helper()
	text := string(parent.Files[contract.TermsFile])
	for i := 0; i+1 < len(pairs); i += 2 {
		if n := strings.Count(text, pairs[i]); n != 1 {
			w.t.Fatalf("%q stands %d times in the terms", pairs[i], n)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	files := map[string][]byte{contract.ProseFile: parent.Files[contract.ProseFile], contract.TermsFile: []byte(text)}
	all, err := contract.NewAmendment(files, parent, nil)
	if err != nil {
		w.t.Fatalf("amendment of %s: %v", parent.Manifest.Contract, err)
	}
	v, err := contract.LoadAmendment(maps.Clone(all), parent)
	if err != nil {
		w.t.Fatalf("amendment of %s: %v", parent.Manifest.Contract, err)
	}
	return v
}

// act is a signed act of one of "chris" and "dana".
func (w *World) act(v *contract.Version, kind contract.ActKind, signer, condition string, cause bool) (text, signature string) {
	w.t.Helper()
	b, err := contract.NewAct(v, kind, "acme", signer, condition, cause)
	if err != nil {
		w.t.Fatalf("%s by %s: %v", kind, signer, err)
	}
	return string(b), w.Signature(w.signatory(signer), sshcert.NamespaceContract, string(b))
}

func (w *World) signatory(name string) ssh.Signer {
	if name == "dana" {
		return w.Dana
	}
	return w.Chris
}

// Withdraw is the leaf with which a signatory withdraws a version.
func (w *World) Withdraw(l Ledger, v *contract.Version, signer string) record.ContractWithdraw {
	f := record.ContractWithdraw{At: l.Now(), Contract: v.Digest, Lineage: v.Lineage()}
	f.Statement, f.Signature = w.act(v, contract.ActWithdraw, signer, "", false)
	return f
}

// Meet is the leaf with which a signatory says that a condition of a version is met.
func (w *World) Meet(l Ledger, v *contract.Version, signer, condition string) record.ContractCondition {
	f := record.ContractCondition{At: l.Now(), Contract: v.Digest, Lineage: v.Lineage(), Condition: condition}
	f.Statement, f.Signature = w.act(v, contract.ActCondition, signer, condition, false)
	return f
}

// Terminate is the leaf with which a signatory ends a contract by the version in force.
func (w *World) Terminate(l Ledger, v *contract.Version, signer string, cause bool) record.ContractTerminate {
	f := record.ContractTerminate{At: l.Now(), Contract: v.Digest, Lineage: v.Lineage(), EndsAt: record.TerminationEnd(v, cause, l.Now())}
	f.Statement, f.Signature = w.act(v, contract.ActTerminate, signer, "", cause)
	return f
}

// Carry is the leaf that carries a grant from the version that it is under to another.
func (w *World) Carry(l Ledger, id canon.ID, to *contract.Version) record.GrantCarry {
	w.t.Helper()
	r := w.Request(l, id)
	return record.GrantCarry{
		At: l.Now(), Carry: w.ID(), Lineage: r.Lineage, Grant: r.ID, GrantLeaf: r.GrantLeaf(), From: r.Contract, To: to.Digest,
	}
}

// PutInForceAgain proposes an amendment and has both sign it, unless it is proposed.
func (w *World) PutInForceAgain(l Ledger, v *contract.Version) {
	w.t.Helper()
	if _, err := record.Contract(l, v.Digest); err != nil {
		w.must(l.Append(Draft{Facts: w.Propose(l, v)}))
	}
	for _, signer := range []string{"chris", "dana"} {
		w.must(l.Append(Draft{Facts: w.Sign(l, v, signer)}))
	}
}
