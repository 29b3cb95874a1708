package client

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	examples "github.com/sallyport/sallyport/examples/contracts"
)

// ContractNewOptions are the settings of [ContractNew].
type ContractNewOptions struct {
	Env
	Dir      string
	Template string   // name of an example
	From     string   // folder of the version that the draft amends
	Keys     []string // party.signer=FILE.pub
}

// ContractNew makes a folder with the draft of a contract, from an example or from the
// version that is to be amended.
func ContractNew(o ContractNewOptions) error {
	if o.Dir == "" {
		return Usagef("name the DIR to make")
	}
	if (o.Template == "") == (o.From == "") {
		return Usagef("name --template and one of %s, or --from and the folder of the version to amend", strings.Join(examples.Names(), ", "))
	}
	files, err := o.draft()
	if err != nil {
		return err
	}
	terms, err := contract.ParseTerms(files[contract.TermsFile])
	if err != nil {
		return err
	}
	for _, given := range o.Keys {
		if files[contract.TermsFile], err = putKey(files[contract.TermsFile], terms, given); err != nil {
			return err
		}
	}
	if terms, err = contract.ParseTerms(files[contract.TermsFile]); err != nil {
		return fmt.Errorf("with the keys that you named: %w", err)
	}
	if err := os.Mkdir(o.Dir, 0o755); err != nil { //nolint:gosec // a contract is no secret
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already; nothing is replaced, so name another folder", o.Dir)
		}
		return err
	}
	d := &contractDir{path: o.Dir}
	for _, name := range draftFiles {
		if err := d.write(name, files[name]); err != nil {
			return err
		}
	}
	o.tellNext(terms)
	return o.print(o.Dir)
}

// draft returns contract.md and terms.yaml of the example or the version.
func (o ContractNewOptions) draft() (map[string][]byte, error) {
	if o.Template != "" {
		if !slices.Contains(examples.Names(), o.Template) {
			return nil, Usagef("--template %s: there is none of that name; there are %s", o.Template, strings.Join(examples.Names(), ", "))
		}
		return examples.Files(o.Template)
	}
	c, err := loadChain(o.From, nil)
	if err != nil {
		return nil, err
	}
	out := map[string][]byte{}
	for _, name := range draftFiles {
		out[name] = c.dir().files[name]
	}
	return out, nil
}

func (o ContractNewOptions) tellNext(terms *contract.Terms) {
	if o.From != "" {
		o.say("edit contract.md and terms.yaml, then run: sally contract propose %s --parent %s", canon.ShellWord(o.Dir), canon.ShellWord(o.From))
		return
	}
	for _, name := range exampleKeys(terms) {
		o.say("the key of %s is the example's; put theirs in", name)
	}
	o.say("edit contract.md and terms.yaml, look at them with sally contract lint, then run: sally contract propose %s", canon.ShellWord(o.Dir))
}

// putKey puts a key that somebody named in the place of the pinned one.
func putKey(text []byte, terms *contract.Terms, given string) ([]byte, error) {
	who, file, ok := strings.Cut(given, "=")
	if !ok || who == "" || file == "" {
		return nil, Usagef("--key %s: write PARTY.SIGNER=FILE.pub", given)
	}
	line, err := readPublicFile(file)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", given, err)
	}
	public, err := parsePublicLine(line)
	if err != nil {
		return nil, fmt.Errorf("--key %s: %w", given, err)
	}
	var names []string
	var pinned ssh.PublicKey
	eachKey(terms, func(name string, key ssh.PublicKey) {
		names = append(names, name)
		if name == who {
			pinned = key
		}
	})
	if pinned == nil {
		return nil, Usagef("--key %s: the terms have no key of %s; they have those of %s", given, who, strings.Join(names, ", "))
	}
	written := keyText(pinned)
	if strings.Count(string(text), written) != 1 {
		return nil, fmt.Errorf("--key %s: the key of %s does not stand in terms.yaml exactly once as %s; put it in by hand", given, who, written)
	}
	return []byte(strings.Replace(string(text), written, keyText(public), 1)), nil
}

// keyText is a key without a comment, as terms.yaml has it.
func keyText(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}
