package client

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// ContractLintOptions are the settings of [ContractLint].
type ContractLintOptions struct {
	Env
	Dirs    []string
	Parents []string // the first is what a draft amends
	People  string   // file that says who is in which group; empty: nobody is known
	JSON    bool
}

// lintResult is what --json prints.
type lintResult struct {
	OK        bool        `json:"ok"` // no finding is an error
	Contracts []lintedDir `json:"contracts"`
}

// lintedDir are the findings about one folder.
type lintedDir struct {
	Dir      string        `json:"dir"`
	Findings []lintFinding `json:"findings"`
}

// lintFinding is one finding.
type lintFinding struct {
	Code     string            `json:"code"`
	Name     string            `json:"name"`
	Severity contract.Severity `json:"severity"`
	Path     string            `json:"path,omitempty"`
	Line     int               `json:"line,omitempty"`
	Message  string            `json:"message"`
	Mend     string            `json:"mend,omitempty"`
	Unknown  bool              `json:"unknown,omitempty"`
}

// ContractLint says what a careful reader would say about contracts: what cannot
// work, what is dangerous, what to know. It fails if one has a fault for which nobody
// should sign it.
func ContractLint(o ContractLintOptions) error {
	if len(o.Dirs) == 0 {
		return Usagef("name the contract's DIR")
	}
	r := lintResult{OK: true, Contracts: []lintedDir{}}
	var rows [][]string
	for _, dir := range o.Dirs {
		findings, err := o.lint(dir)
		if err != nil {
			return err
		}
		r.OK = r.OK && !contract.Blocking(findings)
		one := lintedDir{Dir: dir, Findings: []lintFinding{}}
		for _, f := range findings {
			one.Findings = append(one.Findings, lintFinding{f.Code, f.Name, f.Severity, f.Path, f.Line, f.Message, f.Mend, f.Unknown})
			rows = append(rows, []string{f.Code, string(f.Severity), findingPlace(dir, f), f.Message, f.Mend})
		}
		r.Contracts = append(r.Contracts, one)
	}
	var err error
	if o.JSON {
		err = o.printJSON(r)
	} else {
		err = o.printTable(table{heading: []string{"code", "severity", "where", "what", "mend"}, rows: rows})
	}
	if err == nil && !r.OK {
		err = errors.New("there are faults for which nobody should sign (docs/lints.md)")
	}
	return err
}

// lint looks at one folder.
func (o ContractLintOptions) lint(dir string) ([]contract.Finding, error) {
	d, err := readContractDir(dir)
	if err != nil {
		return nil, err
	}
	in := lintInput(d, o.Now())
	terms, err := contract.ParseTerms(in.TermsText)
	if err != nil { // what it is refused for is the finding
		return contract.Lint(in), nil
	}
	in.Terms = terms
	if o.People != "" {
		if in.People, err = readPeople(o.People, terms); err != nil {
			return nil, err
		}
	}
	if in.Parent, err = o.parentOf(d); err != nil {
		return nil, err
	}
	if in.Parent != nil {
		compared := contract.Compare(in.Parent.Terms, terms)
		in.Compared = &compared
		if in.ParentNamed.IsZero() {
			in.ParentNamed = in.Parent.Digest
		}
	}
	return contract.Lint(in), nil
}

// parentOf is the version that the folder's amends, nil for version 1.
func (o ContractLintOptions) parentOf(d *contractDir) (*contract.Version, error) {
	if _, ok := d.digest(); !ok {
		return ContractOptions{Env: o.Env, Parents: o.Parents}.parent()
	}
	named, err := parentOf(d)
	if err != nil || named.IsZero() {
		return nil, err
	}
	before, err := findVersion(named, d.path, o.Parents)
	if err != nil {
		return nil, err
	}
	c, err := loadChain(before.path, o.Parents)
	if err != nil {
		return nil, err
	}
	return c.version(), nil
}

// lintInput is what a folder tells the lints.
func lintInput(d *contractDir, now time.Time) contract.LintInput {
	in := contract.LintInput{TermsText: d.files[contract.TermsFile], Prose: d.files[contract.ProseFile], Now: now}
	if _, ok := d.digest(); ok {
		if named, err := parentOf(d); err == nil {
			in.ParentNamed = named
		}
	}
	return in
}

// lintVersion looks at a loaded version; who is in which group is not known.
func lintVersion(d *contractDir, v *contract.Version, now time.Time) []contract.Finding {
	in := lintInput(d, now)
	in.Terms, in.Parent = v.Terms, v.Parent
	if v.Parent != nil {
		in.Compared, in.ParentNamed = &v.Compared, v.Parent.Digest
	}
	_, in.SignedBy = d.signatures(v)
	return contract.Lint(in)
}

func findingPlace(dir string, f contract.Finding) string {
	place := f.Path
	if f.Line > 0 {
		place = fmt.Sprintf("%s:%d %s", filepath.Join(dir, contract.TermsFile), f.Line, f.Path)
	}
	return strings.TrimSpace(place)
}

func lintWords(f contract.Finding) string {
	text := fmt.Sprintf("%s %s: %s", f.Code, f.Name, f.Message)
	if f.Path != "" {
		text = fmt.Sprintf("%s %s: %s: %s", f.Code, f.Name, f.Path, f.Message)
	}
	if f.Mend != "" {
		text += "; " + f.Mend
	}
	return text
}

// peopleFile is a file that says who is in which group, for the lints.
type peopleFile struct {
	People  []personEntry `yaml:"people"`
	Partial bool          `yaml:"partial"` // there are others
}

// personEntry is somebody in a people file.
type personEntry struct {
	ID      string   `yaml:"id"`
	Groups  []string `yaml:"groups"`  // ids of the terms' groups
	Manager string   `yaml:"manager"` // an id; "-" for who has none
	Same    string   `yaml:"same"`    // the id of another entry of the same human
	Owner   string   `yaml:"owner"`   // of a service identity: who runs it
	Party   string   `yaml:"party"`   // whom they work for
	Signs   []string `yaml:"signs"`   // as party.signer
	Left    bool     `yaml:"left"`
}

// readPeople reads a people file. Everybody in it has an account at every issuer of
// the terms, in the groups that the file names.
func readPeople(path string, terms *contract.Terms) (*contract.Directory, error) {
	text, err := readAtMost(path, maxContractFile)
	if err != nil {
		return nil, err
	}
	if flaw := strictyaml.CheckText(text, maxContractFile); flaw != nil {
		return nil, fmt.Errorf("%s:%w", path, flaw)
	}
	if _, flaw := strictyaml.Parse(text, strictyaml.Kind{Name: "people", Empty: "it is empty; list the people under people:"}); flaw != nil {
		return nil, fmt.Errorf("%s:%w", path, flaw)
	}
	var file peopleFile
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&file); err != nil { // yaml writes a line for each
		return nil, fmt.Errorf("%s: %s", path, strings.Join(strings.Fields(err.Error()), " "))
	}
	out := &contract.Directory{Partial: file.Partial}
	for _, p := range file.People {
		person, err := p.person(terms)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if slices.ContainsFunc(out.People, func(have contract.DirectoryPerson) bool { return have.ID == p.ID }) {
			return nil, fmt.Errorf("%s: %s is there twice; an id is one person's", path, p.ID)
		}
		out.People = append(out.People, person)
	}
	return out, nil
}

func (p personEntry) person(terms *contract.Terms) (contract.DirectoryPerson, error) {
	if p.ID == "" {
		return contract.DirectoryPerson{}, errors.New("somebody has no id")
	}
	out := contract.DirectoryPerson{ID: p.ID, Manager: p.Manager, Same: p.Same, Owner: p.Owner, Party: p.Party, Left: p.Left}
	claims := map[string][]string{}
	for _, id := range p.Groups {
		g, ok := terms.Group(id)
		if !ok {
			return contract.DirectoryPerson{}, fmt.Errorf("%s is in the group %q, which the terms do not have", p.ID, strictyaml.Clip(id))
		}
		claims[g.Issuer] = append(claims[g.Issuer], g.Claim)
	}
	for _, issuer := range terms.Issuers {
		out.Accounts = append(out.Accounts, contract.Subject{Issuer: issuer.URL, Groups: claims[issuer.ID], GroupsKnown: true})
	}
	for _, as := range p.Signs {
		party, name, ok := strings.Cut(as, ".")
		if !ok {
			return contract.DirectoryPerson{}, fmt.Errorf("%s signs as %q; write PARTY.SIGNER", p.ID, strictyaml.Clip(as))
		}
		out.Signs = append(out.Signs, contract.Signatures{Party: party, Name: name})
	}
	return out, nil
}
