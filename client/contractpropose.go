package client

import (
	"fmt"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	examples "github.com/sallyport/sallyport/examples/contracts"
)

// ContractPropose makes a draft a version that can be signed: version 1, or one that
// amends the parent. It writes manifest.json, of an amendment amendment.json, and a
// statement for each signatory. What nobody should sign it refuses.
func ContractPropose(o ContractOptions) error {
	d, err := readContractDir(o.Dir)
	if err != nil {
		return err
	}
	parent, err := o.parent()
	if err != nil {
		return err
	}
	v, err := loadDraft(d, parent)
	if err != nil {
		return err
	}
	if names := exampleKeys(v.Terms); len(names) > 0 {
		return fmt.Errorf("%s: the keys of %s are those of the example, whose private halves nobody has; put theirs in", o.Dir, strings.Join(names, ", "))
	}
	findings := lintVersion(d, v, o.Now())
	for _, f := range findings {
		if f.Severity != contract.SeverityInfo {
			o.say("%s", lintWords(f))
		}
	}
	if contract.Blocking(findings) {
		return fmt.Errorf("%s has faults for which nobody should sign it, so nothing is written; mend them first", o.Dir)
	}
	if lacking := contract.Unenforced(v.Terms); len(lacking) > 0 {
		return fmt.Errorf("%s says what this release does not enforce, and servers refuse such terms, so nothing is written: %s", o.Dir, strings.Join(lacking, "; "))
	}
	if err := d.notSignedOtherwise(v); err != nil {
		return err
	}
	if err := writeVersion(d, v); err != nil {
		return err
	}
	made, err := readContractDir(o.Dir)
	if err != nil {
		return err
	}
	r := contractResult{contractVersion: describeVersion(made, v)}
	if o.JSON {
		return o.printJSON(r)
	}
	return o.printPairs(append(r.pairs(), [2]string{"next", fmt.Sprintf("sally contract sign %s --as PARTY.SIGNER --digest %s", canon.ShellWord(o.Dir), v.Digest)}))
}

// notSignedOtherwise refuses to make other bytes of what somebody has signed.
func (d *contractDir) notSignedOtherwise(v *contract.Version) error {
	have, ok := d.digest()
	if !ok || have == v.Digest {
		return nil
	}
	for _, s := range d.statements {
		if s.armored != nil {
			return fmt.Errorf("%s: %s is signed, as the version %s, and this would be %s; make the change in a new folder (`sally contract new --from`), or delete the signatures", d.path, s.name, have, v.Digest)
		}
	}
	return nil
}

// writeVersion writes what is made of a draft.
func writeVersion(d *contractDir, v *contract.Version) error {
	for _, line := range v.Required()[0].Lines {
		for _, k := range line.Of {
			path := contract.StatementPath(line.Party, k.Name)
			if d.hasSigned(path) {
				continue
			}
			statement, err := v.StatementOf(contract.Signing{Party: line.Party, Signer: k.Name, Capacity: line.Capacity})
			if err != nil {
				return err
			}
			if err := d.write(path, statement); err != nil {
				return err
			}
		}
	}
	if amendment, ok := v.Files[contract.AmendmentFile]; ok {
		if err := d.write(contract.AmendmentFile, amendment); err != nil {
			return err
		}
	}
	return d.write(contract.ManifestFile, v.Files[contract.ManifestFile]) // last: the folder is a draft until then
}

func (d *contractDir) hasSigned(name string) bool {
	for _, s := range d.statements {
		if s.name == name && s.armored != nil {
			return true
		}
	}
	return false
}

// exampleKeys names those whose pinned key is one of an example's.
func exampleKeys(terms *contract.Terms) []string {
	public := map[string]bool{}
	for _, name := range examples.Names() {
		files, err := examples.Files(name)
		if err != nil {
			continue
		}
		example, err := contract.ParseTerms(files[contract.TermsFile])
		if err != nil {
			continue
		}
		for _, k := range example.Pinned() {
			public[string(k.PublicKey.Marshal())] = true
		}
	}
	var out []string
	eachKey(terms, func(name string, key ssh.PublicKey) {
		if public[string(key.Marshal())] {
			out = append(out, name)
		}
	})
	return out
}

// eachKey calls f with each pinned key, as party.name.
func eachKey(terms *contract.Terms, f func(name string, key ssh.PublicKey)) {
	for _, p := range terms.Parties {
		if p.Roots != nil {
			for _, k := range p.Roots.Keys {
				f(p.ID+"."+k.Name, k.PublicKey)
			}
		}
	}
	for _, line := range terms.Signatories {
		for _, k := range line.Of {
			f(line.Party+"."+k.Name, k.PublicKey)
		}
	}
}
