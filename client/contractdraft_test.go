package client

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
	examples "github.com/sallyport/sallyport/examples/contracts"
)

// TestExamplesAreSigned: each example, with real keys put in by `new`, has no fault
// for lint, with its people known, and can be proposed, signed and verified.
func TestExamplesAreSigned(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	for _, name := range examples.Names() {
		o := ContractNewOptions{Env: p.env.Env, Dir: p.path(name), Template: name}
		wantExit(t, ContractNew(o), ExitOK)
		wantExit(t, ContractPropose(ContractOptions{Env: p.env.Env, Dir: p.path(name)}), ExitFailed, "are those of the example, whose private halves nobody has")
		wantExit(t, ContractNew(o), ExitFailed, "is there already")

		files, err := examples.Files(name)
		if err != nil {
			t.Fatal(err)
		}
		p.write(name+".people.yaml", string(files["people.yaml"]))
		p.env.out.Reset()
		lint := ContractLintOptions{Env: p.env.Env, Dirs: []string{p.path(name)}, People: p.path(name + ".people.yaml"), JSON: true}
		wantExit(t, ContractLint(lint), ExitOK)
		wantSchema(t, "contract lint", p.env.out.String())
		if strings.Contains(p.env.out.String(), `"severity": "warning"`) {
			t.Errorf("%s: lint warns: %s", name, p.env.out)
		}

		terms, err := contract.ParseTerms(files[contract.TermsFile])
		if err != nil {
			t.Fatal(err)
		}
		o.Dir = p.path(name + "-signed")
		for _, who := range exampleKeys(terms) {
			key := p.path(name + "." + who)
			p.keygen("", "-q", "-t", "ed25519", "-N", "", "-f", key)
			o.Keys = append(o.Keys, who+"="+key+".pub")
		}
		wantExit(t, ContractNew(o), ExitOK)
		wantExit(t, ContractPropose(ContractOptions{Env: p.env.Env, Dir: o.Dir}), ExitOK)
		c, err := loadChain(o.Dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range c.version().Terms.Signatories {
			as := line.Party + "." + line.Of[0].Name
			sign := ContractSignOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: o.Dir}, As: as, Key: p.path(name + "." + as)}
			wantExit(t, ContractSign(t.Context(), sign), ExitOK)
		}
		wantExit(t, p.verify(c.version().Digest.String(), name+"-signed"), ExitOK)
	}
	for _, tt := range []struct {
		o    ContractNewOptions
		code int
		want string
	}{
		{ContractNewOptions{Dir: "x"}, ExitUsage, "name --template and one of one-company,"},
		{ContractNewOptions{Dir: "x", Template: "none"}, ExitUsage, "there is none of that name"},
		{ContractNewOptions{Template: "pci"}, ExitUsage, "name the DIR to make"},
		{ContractNewOptions{Dir: p.path("x"), Template: "pci", Keys: []string{"ada"}}, ExitUsage, "write PARTY.SIGNER=FILE.pub"},
		{ContractNewOptions{Dir: p.path("x"), Template: "pci", Keys: []string{"ada=" + p.path("ada.pub")}}, ExitUsage, "they have those of hosting.counsel,"},
		{ContractNewOptions{Dir: p.path("x"), Template: "pci", Keys: []string{"merchant.ada=" + p.path("ada")}}, ExitFailed, "public key file"},
	} {
		tt.o.Env = p.env.Env
		wantExit(t, ContractNew(tt.o), tt.code, tt.want)
	}
	if _, err := os.Stat(p.path("x")); err == nil {
		t.Error("a folder was made by a command that failed")
	}
}

// amend makes version 2 of the papers: engineers get half the time.
func (p *papers) amend(old, with string) ContractOptions {
	p.t.Helper()
	wantExit(p.t, ContractNew(ContractNewOptions{Env: p.env.Env, Dir: p.path("2"), From: p.path("1")}), ExitOK)
	text := string(p.read("2/terms.yaml"))
	if !strings.Contains(text, old) {
		p.t.Fatalf("no %q in the terms", old)
	}
	p.write("2/terms.yaml", strings.Replace(text, old, with, 1))
	return ContractOptions{Env: p.env.Env, Dir: p.path("2"), Parents: []string{p.path("1")}}
}

// TestPromiseP10_AmendmentsAreSignedAsTheVersionBeforeSays: from the folders alone an
// amendment is proposed, signed with the keys of the version before, and verified from
// version 1 on; a key that it brings itself signs nothing.
func TestPromiseP10_AmendmentsAreSignedAsTheVersionBeforeSays(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	digest := p.manifest().String()
	for _, as := range []string{"acme.ada", "other.cleo"} {
		_, key, _ := strings.Cut(as, ".")
		wantExit(t, p.sign(as, key), ExitOK)
	}
	cleo := strings.Join(strings.Fields(string(p.read("cleo.pub")))[:2], " ")
	mallory := strings.Join(strings.Fields(string(p.read("mallory.pub")))[:2], " ")
	o := p.amend(cleo, mallory)
	p.env.out.Reset()
	wantExit(t, ContractPropose(o), ExitOK)
	p.printed("contract  papers, version 2", "amends    "+digest, "constitutional: all parties sign", "missing   1 of cleo, as officer of other")

	sign := func(as, key string) error {
		return ContractSign(t.Context(), ContractSignOptions{ContractOptions: ContractOptions{Env: p.env.Env, Dir: p.path("2")}, As: as, Key: p.path(key)})
	}
	wantExit(t, sign("other.cleo", "mallory"), ExitFailed)
	wantExit(t, sign("acme.ada", "ada"), ExitOK)
	wantExit(t, p.verify(digest, "2"), ExitFailed, "version 2 is not signed by everybody who has to: missing is 1 of cleo")
	wantExit(t, sign("other.cleo", "cleo"), ExitOK)
	wantExit(t, p.verify(digest, "2"), ExitOK)
	wantExit(t, p.verify(digest, "1", "2"), ExitOK)
	p.printed("version 1", "version 2")

	// Alone, without the version that it amends, it says nothing.
	if err := os.Rename(p.path("1"), p.path("far")); err != nil {
		t.Fatal(err)
	}
	p.write("elsewhere/x", "")
	if err := os.Rename(p.path("far"), p.path("elsewhere/1")); err != nil {
		t.Fatal(err)
	}
	wantExit(t, p.verify(digest, "2"), ExitFailed, "which is in no folder beside it; name its folder with --parent")
	wantExit(t, p.verify(digest, "elsewhere/1", "2"), ExitOK)

	// It is signed: nobody makes other bytes of it.
	p.write("2/contract.md", string(p.read("2/contract.md"))+"\nMore.\n")
	o.Parents = []string{p.path("elsewhere/1")}
	wantExit(t, ContractPropose(o), ExitFailed, "is signed, as the version ")
}

func TestContractDiffAndClass(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	p.manifest()
	p.amend("grant: {max: 4h}", "grant: {max: 2h}")
	p.write("2/contract.md", strings.Replace(paperProse, "Engineers of Acme.", "Engineers of Acme, for two hours.", 1))
	o := ContractCompareOptions{Env: p.env.Env, Dirs: []string{p.path("1"), p.path("2")}}
	p.env.out.Reset()
	wantExit(t, ContractDiff(o), ExitOK)
	if got, want := p.env.out.String(), "roles[web].grant.max_seconds: 14400 becomes 7200\n\n-Engineers of Acme.\n+Engineers of Acme, for two hours.\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
	p.env.out.Reset()
	wantExit(t, ContractClass(o), ExitOK)
	p.printed("narrowing\n", "roles.web.grant.max: narrowing: 4h becomes 2h\n")
	slices.Reverse(o.Dirs)
	p.env.out.Reset()
	wantExit(t, ContractClass(o), ExitOK)
	p.printed("widening\n", "roles.web.grant.max: widening: 2h becomes 4h\n")
	o.JSON = true
	p.env.out.Reset()
	wantExit(t, ContractClass(o), ExitOK)
	wantSchema(t, "contract class", p.env.out.String())
	p.env.out.Reset()
	wantExit(t, ContractDiff(o), ExitOK)
	wantSchema(t, "contract diff", p.env.out.String())
	o.Dirs = o.Dirs[:1]
	wantExit(t, ContractDiff(o), ExitUsage, "name two folders, OLD and NEW")
}

func TestChangedLines(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		before, after string
		want          []string
	}{
		{"a\nb\nc", "a\nb\nc", nil},
		{"a\nb\nc", "a\nc", []string{"-b"}},
		{"a\nc", "a\nb\nc", []string{"+b"}},
		{"a\nb\nc\nd", "x\nb\ny\nd", []string{"-a", "+x", "-c", "+y"}},
		{"", "a", []string{"-", "+a"}},
		{strings.Repeat("a\nb\n", 2000), strings.Repeat("c\nb\n", 1999) + "c\nd\n", nil},
	} {
		got := changedLines([]byte(tt.before), []byte(tt.after))
		if len(tt.before) > 100 { // too many to compare: all of them
			if len(got) < 7990 || got[0] != "-a" || got[len(got)-1] != "+d" {
				t.Errorf("%d lines, %q to %q", len(got), got[0], got[len(got)-1])
			}
			continue
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%q to %q: %q, want %q", tt.before, tt.after, got, tt.want)
		}
	}
}

func TestContractLint(t *testing.T) {
	t.Parallel()
	p := newPapers(t)
	p.write("people.yaml", "people:\n  - {id: dora, groups: [sre]}\n")
	o := ContractLintOptions{Env: p.env.Env, Dirs: []string{p.path("1")}, People: p.path("people.yaml")}
	wantExit(t, ContractLint(o), ExitFailed, "there are faults for which nobody should sign")
	p.printed("E02  ", p.path("1/terms.yaml")+":")
	for text, want := range map[string]string{
		"people:\n  - {id: dora, groups: [sales]}\n":         `dora is in the group "sales", which the terms do not have`,
		"people:\n  - {id: dora}\n  - {id: dora}\n":          "dora is there twice",
		"people:\n  - {id: dora, salary: 1}\n":               "salary",
		"people:\n  - {groups: [sre]}\n":                     "somebody has no id",
		"people:\n  - {id: dora, signs: [ada]}\n":            "write PARTY.SIGNER",
		"people: []\npeople: []\n":                           "people.yaml:2:1",
		"people: &a []\n":                                    "people.yaml:1:",
		"people:\n  - {id: dora, groups: [sre], left: si}\n": "cannot unmarshal !!str `si` into bool",
	} {
		p.write("people.yaml", text)
		err := ContractLint(o)
		if err == nil || ExitCode(err) != ExitFailed || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	o.People = ""
	p.write("1/terms.yaml", strings.Replace(string(p.read("1/terms.yaml")), "max: 4h", "max: 9h", 1))
	p.env.out.Reset()
	wantExit(t, ContractLint(o), ExitFailed, "there are faults")
	p.printed("9h is over ceilings.grant, 8h")
	o.Dirs = nil
	wantExit(t, ContractLint(o), ExitUsage, "name the contract's DIR")
}
