package contract_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

var update = flag.Bool("update", false, "write the golden files")

// lintCase is a golden pair, testdata/lint/CODE.yaml: edits of the base that a
// lint speaks about, and the smallest ones about which it does not.
type lintCase struct{ Bad, Mended lintEdits }

type lintEdits struct {
	Terms, Prose, World [][2]string // old, which stands there once, and new
	Parent              *struct{ Terms, Prose [][2]string }
	Compared            []struct{ Path, Class, Old, New, Role, Was, Is string }
}

// lintWorld is what is known besides the contract, testdata/lint/base.world.yaml.
type lintWorld struct {
	Now      time.Time
	InForce  bool `yaml:"in_force"`
	Partial  bool
	NoPeople bool `yaml:"no_people"`
	People   []struct {
		ID, Issuer, Manager, Same, Owner, Party string
		Groups, Signs                           []string
		Silent, Left                            bool // Silent: the issuer does not say which groups
	}
	Groups []struct {
		Issuer, Claim string
		OwnerLeft     bool `yaml:"owner_left"`
	}
	Usage *struct{ Requests, Decisions, Acknowledged map[string]int }
	Hosts []struct {
		Name   string
		Labels map[string]string
	}
	Exceptions []struct {
		Host, Name string
		Until      time.Time
	}
	Watched []contract.Duty
	Beside  []struct {
		ID      string
		Parties map[string]string
	}
	SignedBy    []struct{ Party, Name string } `yaml:"signed_by"`
	ParentNamed string                         `yaml:"parent_named"`
}

func editText(t testing.TB, text []byte, edits [][2]string) []byte {
	t.Helper()
	for _, e := range edits {
		text = replace(t, text, e[0], e[1])
	}
	return text
}

func decode(t testing.TB, text []byte, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// input makes what Lint gets of the base and the edits.
func (e lintEdits) input(t testing.TB) contract.LintInput {
	t.Helper()
	in := contract.LintInput{
		TermsText: editText(t, read(t, "lint/base.terms.yaml"), e.Terms),
		Prose:     editText(t, read(t, "lint/base.contract.md"), e.Prose),
	}
	var w lintWorld
	decode(t, editText(t, read(t, "lint/base.world.yaml"), e.World), &w)
	w.fill(&in)
	if e.Parent != nil {
		files := map[string][]byte{
			contract.TermsFile: editText(t, in.TermsText, e.Parent.Terms),
			contract.ProseFile: editText(t, in.Prose, e.Parent.Prose),
		}
		manifest, err := contract.NewManifest(files)
		if err != nil {
			t.Fatal(err)
		}
		files[contract.ManifestFile] = manifest
		if in.Parent, err = contract.Load(files); err != nil {
			t.Fatal(err)
		}
		in.ParentNamed = in.Parent.Digest
		if w.ParentNamed != "" {
			in.ParentNamed = canon.Sum("sallyport.test/v1", []byte(w.ParentNamed))
		}
		in.Compared = &contract.Comparison{}
		for _, c := range e.Compared {
			change := contract.Change{Path: c.Path, Class: contract.Class(c.Class), Old: c.Old, New: c.New}
			if c.Role != "" {
				change.Witness = &contract.Witness{Role: c.Role, Old: c.Was, New: c.Is}
			}
			in.Compared.Changes = append(in.Compared.Changes, change)
		}
	}
	return in
}

func (w lintWorld) fill(in *contract.LintInput) {
	in.Now, in.InForce = w.Now, w.InForce
	in.People = &contract.Directory{Partial: w.Partial}
	for _, p := range w.People {
		if p.Issuer == "" {
			p.Issuer = "https://login.acme.example"
		}
		person := contract.DirectoryPerson{
			ID: p.ID, Manager: p.Manager, Same: p.Same, Owner: p.Owner, Party: p.Party, Left: p.Left,
			Accounts: []contract.Subject{{Issuer: p.Issuer, Groups: p.Groups, GroupsKnown: !p.Silent}},
		}
		for _, s := range p.Signs {
			party, name, _ := strings.Cut(s, "/")
			person.Signs = append(person.Signs, contract.Signatures{Party: party, Name: name})
		}
		in.People.People = append(in.People.People, person)
	}
	for _, g := range w.Groups {
		in.People.Groups = append(in.People.Groups, contract.DirectoryGroup{Issuer: g.Issuer, Claim: g.Claim, OwnerLeft: g.OwnerLeft})
	}
	if w.NoPeople {
		in.People = nil
	}
	if w.Usage != nil {
		in.Usage = &contract.Usage{Requests: w.Usage.Requests, Decisions: w.Usage.Decisions, Acknowledged: w.Usage.Acknowledged}
	}
	for _, h := range w.Hosts {
		in.Hosts = append(in.Hosts, contract.HostLabels{Name: sshcert.Host(h.Name), Labels: h.Labels})
	}
	if w.Exceptions != nil {
		in.Exceptions = []contract.Exception{}
	}
	for _, x := range w.Exceptions {
		in.Exceptions = append(in.Exceptions, contract.Exception{Host: sshcert.Host(x.Host), Name: x.Name, Until: x.Until})
	}
	in.Watched = w.Watched
	if w.Beside != nil {
		in.Beside = []*contract.Terms{}
	}
	for _, b := range w.Beside {
		other := &contract.Terms{ID: b.ID}
		for id, name := range b.Parties {
			other.Parties = append(other.Parties, contract.Party{ID: id, Name: name})
		}
		slices.SortFunc(other.Parties, func(a, b contract.Party) int { return strings.Compare(a.ID, b.ID) })
		in.Beside = append(in.Beside, other)
	}
	for _, s := range w.SignedBy {
		in.SignedBy = append(in.SignedBy, contract.Signed{Party: s.Party, Signer: s.Name})
	}
}

func spellFindings(findings []contract.Finding) string {
	var b strings.Builder
	for _, f := range findings {
		fmt.Fprintf(&b, "%s %s %s %s:%d\n  %s\n  mend: %s\n", f.Code, f.Name, f.Severity, f.Path, f.Line, f.Message, f.Mend)
	}
	return b.String()
}

func ofCode(findings []contract.Finding, code string) []contract.Finding {
	return slices.DeleteFunc(slices.Clone(findings), func(f contract.Finding) bool { return f.Code != code })
}

// TestLintBase: of the base the lints have nothing to say, not even that they
// don't know.
func TestLintBase(t *testing.T) {
	if got := spellFindings(contract.Lint(lintEdits{}.input(t))); got != "" {
		t.Errorf("findings about the base:\n%s", got)
	}
}

// TestLint: each lint has a golden pair. It speaks about the one, in the words of
// CODE.want, and not about the other.
func TestLint(t *testing.T) {
	for _, row := range contract.Lints() {
		t.Run(row.Code, func(t *testing.T) {
			var c lintCase
			decode(t, read(t, "lint/"+row.Code+".yaml"), &c)
			got := ofCode(contract.Lint(c.Bad.input(t)), row.Code)
			if len(got) == 0 {
				t.Errorf("nothing said; all findings:\n%s", spellFindings(contract.Lint(c.Bad.input(t))))
			}
			for _, f := range got {
				if f.Severity != row.Severity || f.Name != row.Name || f.Unknown {
					t.Errorf("%+v is not as the table has it", f)
				}
			}
			golden := filepath.Join("testdata", "lint", row.Code+".want")
			if *update {
				if err := os.WriteFile(golden, []byte(spellFindings(got)), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if want := string(read(t, "lint/"+row.Code+".want")); spellFindings(got) != want {
				t.Errorf("got\n%swant\n%s", spellFindings(got), want)
			}
			if left := ofCode(contract.Lint(c.Mended.input(t)), row.Code); len(left) > 0 {
				t.Errorf("said about what is mended:\n%s", spellFindings(left))
			}
			if blocks := contract.Blocking(got); blocks != (row.Severity == contract.SeverityError) {
				t.Errorf("blocking: %t, severity %s", blocks, row.Severity)
			}
		})
	}
}
