package contract_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// chain is a contract of two parties, each with two signature lines and roots, and
// its people by name.
type chain struct {
	people map[string]person
	v1     *contract.Version
}

// chainTerms are smallTerms with parties that keep roots; each %NAME% is a key.
const chainTerms = `  - {party: acme, capacity: ciso, need: 1, of: {ada: "%ada%", bob: "%bob%"}}
  - {party: acme, capacity: dpo, need: 1, of: {cleo: "%cleo%"}}
  - {party: other, capacity: officer, need: 1, of: {dora: "%dora%"}}
  - {party: other, capacity: owner, need: 1, of: {emil: "%emil%"}}`

func newChain(t *testing.T) chain {
	t.Helper()
	c := chain{people: make(map[string]person)}
	for _, name := range []string{"ada", "bob", "cleo", "dora", "emil", "r1", "r2", "r3", "s1", "new", "new-root"} {
		c.people[name] = newPerson(t)
	}
	c.v1 = makeVersion(t, c.terms(nil))
	return c
}

// terms writes the terms, in which change replaces a text by another.
func (c chain) terms(change []string) string {
	text := strings.Replace(smallTerms, "%SIGNATORIES%", chainTerms, 1)
	text = strings.Replace(text, "parties: {acme: {name: Acme}, other: {name: Other}}",
		`parties:
  acme: {name: Acme, roots: {need: 2, keys: {r1: "%r1%", r2: "%r2%", r3: "%r3%"}}}
  other: {name: Other, roots: {need: 1, keys: {s1: "%s1%"}}}`, 1)
	text = strings.NewReplacer(change...).Replace(text)
	for name, p := range c.people {
		text = strings.ReplaceAll(text, "%"+name+"%", p.line())
	}
	return text
}

// amend makes the next version as a loader would, of a class that the test says.
func (c chain) amend(t *testing.T, parent *contract.Version, compared contract.Comparison, change ...string) *contract.Version {
	t.Helper()
	v := makeVersion(t, c.terms(change))
	v.Manifest.Version = parent.Manifest.Version + 1
	v.Manifest.Parent = parent.Digest
	v.Digest = canon.Sum("test/v1", fmt.Append(nil, v.Manifest.Version, parent.Digest, compared.Class, compared.Constitutional, change))
	v.Parent, v.Compared = parent, compared
	return v
}

// sign is the verified signature of somebody by their own key. A name may have a
// capacity behind it: r1/roots.
func (c chain) sign(t *testing.T, v *contract.Version, party, who string) contract.Signed {
	t.Helper()
	name, capacity, _ := strings.Cut(who, "/")
	text, err := v.StatementOf(contract.Signing{Party: party, Signer: name, Capacity: capacity})
	if err != nil {
		t.Fatal(err)
	}
	s, err := v.VerifySignature(text, c.people[name].sign(t, sshcert.NamespaceContract, text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// signed are signatures of acme: and other: people, such as "ada cleo | dora".
func (c chain) signed(t *testing.T, v *contract.Version, who string) []contract.Signed {
	t.Helper()
	var out []contract.Signed
	acme, other, _ := strings.Cut(who, "|")
	for _, name := range strings.Fields(acme) {
		out = append(out, c.sign(t, v, "acme", name))
	}
	for _, name := range strings.Fields(other) {
		out = append(out, c.sign(t, v, "other", name))
	}
	return out
}

func missing(v *contract.Version, have []contract.Signed) string {
	var out []string
	for _, m := range v.Missing(have) {
		out = append(out, fmt.Sprintf("%s/%s %d of %s", m.Party, m.Capacity, m.Need, strings.Join(m.Of, ",")))
	}
	return strings.Join(out, "; ")
}

const (
	wantCISO    = "acme/ciso 1 of ada,bob"
	wantDPO     = "acme/dpo 1 of cleo"
	wantOfficer = "other/officer 1 of dora"
	wantOwner   = "other/owner 1 of emil"
	wantAll     = wantCISO + "; " + wantDPO + "; " + wantOfficer + "; " + wantOwner
)

// Who has to sign an amendment, by its class, as the amended version says.
func TestPromiseP10_AmendmentSignedAsTheVersionBeforeSays(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	wide := []contract.Class{contract.Widening, contract.Mixed}
	for _, tt := range []struct {
		name         string
		class        contract.Class
		constitution bool
		only         map[string][]contract.Class // by capacity, in the amended version
		alone        []string                    // who narrows alone
		signed       string
		want         string
	}{
		{"widening, unsigned", contract.Widening, false, nil, nil, "", wantAll},
		{"widening, one party alone", contract.Widening, false, nil, nil, "ada cleo |", wantOfficer + "; " + wantOwner},
		{"widening, one party that may narrow alone", contract.Widening, false, nil, []string{"acme"}, "ada cleo |", wantOfficer + "; " + wantOwner},
		{"mixed, one party that may narrow alone", contract.Mixed, false, nil, []string{"acme"}, "ada cleo |", wantOfficer + "; " + wantOwner},
		{"equivalent, one party that may narrow alone", contract.Equivalent, false, nil, []string{"acme"}, "ada cleo |", wantOfficer + "; " + wantOwner},
		{"widening, all", contract.Widening, false, nil, nil, "bob cleo | dora emil", ""},
		{"narrowing without the lines of widenings", contract.Narrowing, false, map[string][]contract.Class{"dpo": wide, "owner": wide}, nil, "ada | dora", ""},
		{"widening with the lines of widenings", contract.Widening, false, map[string][]contract.Class{"dpo": wide, "owner": wide}, nil, "ada | dora", wantDPO + "; " + wantOwner},
		{"constitutional asks for every line", contract.Narrowing, true, map[string][]contract.Class{"dpo": wide, "owner": wide}, []string{"acme"}, "ada | dora", wantDPO + "; " + wantOwner},
		{"narrowing without a party that signs widenings only", contract.Narrowing, false, map[string][]contract.Class{"officer": wide, "owner": wide}, nil, "ada cleo |", ""},
		{
			"widening asks for every line of a party that signs narrowings only", contract.Widening, false,
			map[string][]contract.Class{"officer": {contract.Narrowing}, "owner": {contract.Narrowing}, "dpo": {contract.Narrowing}},
			nil, "", wantCISO + "; " + wantOfficer + "; " + wantOwner,
		},
		{
			"mixed asks for no line that has another of its party in its place", contract.Mixed, false,
			map[string][]contract.Class{"officer": {contract.Narrowing}, "owner": {contract.Mixed}},
			nil, "", wantCISO + "; " + wantDPO + "; " + wantOwner,
		},
		{
			"nobody asked for, so all are", contract.Equivalent, false,
			map[string][]contract.Class{"ciso": wide, "dpo": wide, "officer": wide, "owner": wide},
			nil, "", wantAll,
		},
		{"narrowed alone", contract.Narrowing, false, nil, []string{"acme"}, "ada cleo |", ""},
		{"narrowed alone needs all lines of the party", contract.Narrowing, false, map[string][]contract.Class{"dpo": wide}, []string{"acme"}, "ada |", wantDPO},
		{"narrowed alone by the other", contract.Narrowing, false, nil, []string{"acme"}, "| dora emil", wantCISO + "; " + wantDPO},
		{"narrowed by either", contract.Narrowing, false, nil, []string{"acme", "other"}, "ada | dora emil", ""},
		{"nearest way", contract.Narrowing, false, nil, []string{"acme", "other"}, "| emil", wantOfficer},
		{"nobody compared", "", false, nil, []string{"acme"}, "ada cleo | dora", wantOwner},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v1 := makeVersion(t, c.terms(nil))
			for i := range v1.Terms.Signatories {
				line := &v1.Terms.Signatories[i]
				line.OnlyIf = tt.only[line.Capacity]
			}
			v1.Terms.Effect.UnilateralNarrowing = tt.alone
			v2 := c.amend(t, v1, contract.Comparison{Class: tt.class, Constitutional: tt.constitution}, "max: 1h", "max: 30m")
			// What the amendment says of its own signing does not count.
			v2.Terms.Effect.UnilateralNarrowing = []string{"acme", "other"}
			for i := range v2.Terms.Signatories {
				v2.Terms.Signatories[i].OnlyIf = []contract.Class{contract.Equivalent}
			}
			if got := missing(v2, c.signed(t, v2, tt.signed)); got != tt.want {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
		})
	}
}

// Keys that are lost are replaced with the roots of version 1 in place of the lines
// that lost them.
func TestPromiseP10_RootsReplaceLostKeys(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	constitutional := contract.Comparison{Class: contract.Mixed, Constitutional: true}
	rotated := []string{"%ada%", "%new%"}
	newRoots := c.amend(t, c.v1, constitutional, "%s1%", "%new-root%", "need: 2, keys", "need: 1, keys")
	for _, tt := range []struct {
		name   string
		parent *contract.Version
		change []string
		signed string
		want   string
	}{
		{name: "two roots for the line that lost its key", change: rotated, signed: "r1/roots r3/roots cleo | dora emil"},
		{name: "one root is too few", change: rotated, signed: "r1/roots cleo | dora emil", want: wantCISO},
		{name: "the line itself still can", change: rotated, signed: "bob cleo | dora emil"},
		{name: "the party's other line signs too", change: rotated, signed: "r1/roots r2/roots | dora emil", want: wantDPO},
		{name: "the other party signs too", change: rotated, signed: "r1/roots r2/roots cleo |", want: wantOfficer + "; " + wantOwner},
		{name: "another person for one lost", change: []string{"ada: \"%ada%\"", "zoe: \"%new%\""}, signed: "r1/roots r2/roots cleo | dora emil"},
		{name: "both parties lost keys", change: append([]string{"%emil%", "%new-root%"}, rotated...), signed: "r1/roots r2/roots cleo | s1/roots dora"},
		{name: "roots are those of version 1", parent: newRoots, change: []string{"%ada%", "%new%", "%s1%", "%new-root%", "need: 2, keys", "need: 1, keys"}, signed: "r1/roots cleo | dora emil", want: wantCISO},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parent := tt.parent
			if parent == nil {
				parent = c.v1
			}
			v := c.amend(t, parent, constitutional, tt.change...)
			if got := missing(v, c.signed(t, v, tt.signed)); got != tt.want {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
		})
	}
}

// Roots sign nothing but that.
func TestPromiseP10_RootsSignNothingElse(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	constitutional := contract.Comparison{Class: contract.Mixed, Constitutional: true}
	for _, tt := range []struct {
		name   string
		parent *contract.Version
		change []string
		bend   func(*contract.Version)
		party  string
		signer string
		says   string
	}{
		{name: "version 1", signer: "r1", says: "these are: ada as ciso of acme"},
		{name: "a grant made longer", parent: c.v1, change: []string{"max: 1h", "max: 2h"}, signer: "r1", says: "roots sign only an amendment that changes nothing but who stands in their party's signature lines"},
		{name: "a key replaced and a grant made longer", parent: c.v1, change: []string{"%ada%", "%new%", "max: 1h", "max: 2h"}, signer: "r1", says: "roots sign only"},
		{name: "a key replaced and a root", parent: c.v1, change: []string{"%ada%", "%new%", "%r1%", "%new-root%"}, signer: "r1", says: "roots sign only"},
		{name: "a person more", parent: c.v1, change: []string{"cleo:", "new: \"%new%\", cleo:"}, signer: "r1", says: "roots sign only"},
		{name: "a person fewer", parent: c.v1, change: []string{", bob: \"%bob%\"", ""}, signer: "r1", says: "roots sign only"},
		{name: "a line renamed", parent: c.v1, change: []string{"capacity: ciso", "capacity: coo", "%ada%", "%new%"}, signer: "r1", says: "roots sign only"},
		{name: "a line weakened", parent: c.v1, change: []string{"%ada%", "%new%"}, bend: func(v *contract.Version) {
			v.Terms.Signatories[1].OnlyIf = []contract.Class{contract.Equivalent}
		}, signer: "r1", says: "roots sign only"},
		{name: "a key replaced and a word of the prose", parent: c.v1, change: []string{"%ada%", "%new%"}, bend: func(v *contract.Version) {
			v.Files[contract.ProseFile] = []byte("# §1 All of it\n")
		}, signer: "r1", says: "roots sign only"},
		{name: "a key of the other party replaced", parent: c.v1, change: []string{"%dora%", "%new%"}, signer: "r1", says: "roots sign only"},
		{name: "a root that version 1 does not have", parent: c.v1, change: []string{"%ada%", "%new%"}, signer: "new-root", says: "the roots that count are those of version 1"},
		{name: "nothing changed", parent: c.v1, signer: "r1", says: "roots sign only"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			v := makeVersion(t, c.terms(tt.change))
			if tt.parent != nil {
				v = c.amend(t, tt.parent, constitutional, tt.change...)
			}
			if tt.bend != nil {
				tt.bend(v)
			}
			if ways := v.Required(); len(ways) != 1 && tt.signer != "new-root" && tt.name != "a key of the other party replaced" {
				t.Errorf("ways %+v, want the ordinary one only", ways)
			}
			text := statementAs(t, v, "acme", contract.CapacityRoots, tt.signer)
			_, err := v.VerifySignature(text, c.people[tt.signer].sign(t, sshcert.NamespaceContract, text))
			if !errors.Is(err, contract.ErrNotSignatory) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want ErrNotSignatory that says %q", err, tt.says)
			}
		})
	}
}

// statementAs is a statement that nobody may make of somebody, well-formed but for
// that: the words of another with their name and capacity.
func statementAs(t *testing.T, v *contract.Version, party, capacity, signer string) []byte {
	t.Helper()
	text, err := contract.NewStatement(v, "other", "emil")
	if err != nil {
		t.Fatal(err)
	}
	return []byte(strings.NewReplacer(`"emil"`, `"`+signer+`"`, `"owner"`, `"`+capacity+`"`, `"other"`, `"`+party+`"`,
		"I, emil,", "I, "+signer+",", "party other in the capacity of owner", "party "+party+" in the capacity of "+capacity).Replace(string(text)))
}

// One person does not sign for two parties: a root of one that signs for the other
// by now does not count, and is told so by name.
func TestPromiseP10_OnePersonForOneParty(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	constitutional := contract.Comparison{Class: contract.Mixed, Constitutional: true}
	// Version 2: the key of r1 left the roots of acme and signs for the other party.
	moved := []string{`r1: "%r1%", `, "", `dora: "%dora%"`, `romy: "%r1%"`}
	v2 := c.amend(t, c.v1, constitutional, moved...)
	v3 := c.amend(t, v2, constitutional, append([]string{"%ada%", "%new%"}, moved...)...)
	text := statementAs(t, v3, "acme", contract.CapacityRoots, "r1")
	_, err := v3.VerifySignature(text, c.people["r1"].sign(t, sshcert.NamespaceContract, text))
	if !errors.Is(err, contract.ErrNotSignatory) || !strings.Contains(err.Error(), "r1 of acme is also romy as officer of other, and one person signs for one party") {
		t.Errorf("VerifySignature = %v", err)
	}
	if got := missing(v3, c.signed(t, v3, "r2/roots r3/roots cleo | emil")); got != "other/officer 1 of romy" {
		t.Errorf("missing %q", got)
	}
	// And no version has one key for two parties at all.
	_, err = contract.ParseTerms([]byte(c.terms([]string{`dora: "%dora%"`, `dora: "%ada%"`})))
	if err == nil || !strings.Contains(err.Error(), "signatories[2].of.dora: the same key as signatories[0].of.ada; a key belongs to one person of one party") {
		t.Errorf("ParseTerms = %v", err)
	}
}

func TestPromiseP10_AmendmentSignatureRefused(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	widening := contract.Comparison{Class: contract.Widening, Constitutional: true}
	v2 := c.amend(t, c.v1, widening, "%ada%", "%new%", `cleo: "%cleo%"`, `carl: "%cleo%"`)
	v3 := c.amend(t, v2, widening, "%ada%", "%new%", `bob: "%bob%"`, `zoe: "%new-root%"`, `cleo: "%cleo%"`, `carl: "%cleo%"`)
	statement := func(v *contract.Version, party, signer string) []byte {
		text, err := contract.NewStatement(v, party, signer)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	by := func(name string, text []byte) []byte { return c.people[name].sign(t, sshcert.NamespaceContract, text) }
	ada, old := statement(v3, "acme", "ada"), statement(v2, "acme", "ada")
	zoe := statementAs(t, v3, "acme", "ciso", "zoe")
	cleo := statementAs(t, v3, "acme", "dpo", "cleo")
	narrowing := replace(t, ada, "a constitutional, widening amendment", "a narrowing amendment")
	if _, err := v3.VerifySignature(ada, by("new", ada)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name          string
		text, armored []byte
		is            error
		want          string
	}{
		{"by a key that an amendment removed", ada, by("ada", ada), contract.ErrBadSignature, "it is a key that version 1 had for ada of acme, and that version 2, which is amended, no longer has"},
		{"by a key that the amendment introduces", ada, by("new-root", ada), contract.ErrBadSignature, "it is a key of zoe of acme that only the amendment itself introduces, and version 2 says who signs it"},
		{"by somebody whom the amendment introduces", zoe, by("new-root", zoe), contract.ErrNotSignatory, "only the amendment itself, version 3, names them, and it is signed by those whom version 2 names; these are: ada as ciso of acme, bob as ciso of acme, carl as dpo of acme"},
		{"by somebody whom an amendment removed", cleo, by("cleo", cleo), contract.ErrNotSignatory, "version 1 named them, version 2, which is amended, does not"},
		{"by another signatory", ada, by("dora", ada), contract.ErrBadSignature, "it is the key of dora of other"},
		{"by a stranger", ada, newPerson(t).sign(t, sshcert.NamespaceContract, ada), contract.ErrBadSignature, "it was made by another key"},
		{"by a certificate", ada, c.people["new"].signAsCertificate(t, ada), contract.ErrBadSignature, "a certificate never signs a contract"},
		{"in another namespace", ada, c.people["new"].sign(t, sshcert.NamespaceErase, ada), contract.ErrBadSignature, `it was made in namespace "sallyport-erase"`},
		{"over other bytes", ada, by("new", old), contract.ErrBadSignature, "it was made over other bytes"},
		{"of the version before", old, by("ada", old), contract.ErrOtherContract, "it names " + v2.Digest.String() + ", which is version 2; this is version 3, " + v3.Digest.String()},
		{"of another class", narrowing, by("new", narrowing), contract.ErrStatement, "its intent is not the sentence"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := v3.VerifySignature(tt.text, tt.armored)
			if got != (contract.Signed{}) || !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %+v, %v\nwant %v: %s", got, err, tt.is, tt.want)
			}
		})
	}
}

func TestStatementOfAmendment(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	for _, tt := range []struct {
		compared contract.Comparison
		want     string
	}{
		{contract.Comparison{Class: contract.Widening}, "a widening amendment"},
		{contract.Comparison{Class: contract.Equivalent}, "an equivalent amendment"},
		{contract.Comparison{Class: contract.Narrowing, Constitutional: true}, "a constitutional, narrowing amendment"},
	} {
		v2 := c.amend(t, c.v1, tt.compared, "max: 1h", "max: 2h")
		text, err := v2.StatementOf(contract.Signing{Party: "acme", Signer: "ada", Waives: []string{"W36", "W34"}})
		if err != nil {
			t.Fatal(err)
		}
		want := `{"capacity":"ciso","contract":"D","intent":"I, ada, sign version 2 of the access contract small, whose digest is D, CLASS of version 1, whose digest is P, for the party acme in the capacity of ciso. I have seen these warnings and let them stand: W34, W36.","party":"acme","signer":"ada","v":"sallyport.sign/v1","waives":["W34","W36"]}`
		if want = strings.NewReplacer("D", v2.Digest.String(), "P", c.v1.Digest.String(), "CLASS", tt.want).Replace(want); string(text) != want {
			t.Errorf("statement %s\nwant      %s", text, want)
		}
		signed, err := v2.VerifySignature(text, c.people["ada"].sign(t, sshcert.NamespaceContract, text))
		if err != nil || signed != (contract.Signed{Party: "acme", Capacity: "ciso", Signer: "ada", Waives: "W34 W36"}) {
			t.Errorf("VerifySignature = %+v, %v", signed, err)
		}
	}
}

// Waivers are of warnings, and a signer has read them.
func TestWaivers(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	for name, waives := range map[string][]string{
		"an error": {"E01"}, "a hint": {"I50"}, "twice": {"W34", "W34"}, "no code": {"W3"}, "words": {"W34\n"}, "all": {"*"},
	} {
		if text, err := c.v1.StatementOf(contract.Signing{Party: "acme", Signer: "ada", Waives: waives}); !errors.Is(err, contract.ErrStatement) {
			t.Errorf("%s: %s, %v", name, text, err)
		}
	}
	text, err := c.v1.StatementOf(contract.Signing{Party: "acme", Signer: "ada", Waives: []string{"W34", "W36"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, bent := range map[string][]byte{
		"a waiver more":     replace(t, text, `["W34",`, `["W33","W34",`),
		"none":              replace(t, text, `,"waives":["W34","W36"]`, ""),
		"an empty list":     replace(t, text, `["W34","W36"]`, "[]"),
		"out of order":      replace(t, text, `["W34","W36"]`, `["W36","W34"]`),
		"silent":            replace(t, text, " I have seen these warnings and let them stand: W34, W36.", ""),
		"an error waived":   []byte(strings.ReplaceAll(string(text), "W34", "E34")),
		"another sentence":  replace(t, text, "W34, W36.", "W36, W34."),
		"null":              replace(t, text, `["W34","W36"]`, "null"),
		"as a string":       replace(t, text, `["W34","W36"]`, `"W34 W36"`),
		"a member in front": replace(t, text, `{"capacity"`, `{"aaa":1,"capacity"`),
	} {
		if got, err := c.v1.VerifySignature(bent, c.people["ada"].sign(t, sshcert.NamespaceContract, bent)); !errors.Is(err, contract.ErrStatement) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestRequired(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	describe := func(v *contract.Version) []string {
		var out []string
		for _, w := range v.Required() {
			line := string(w.Basis) + " " + w.Party + ":"
			for _, s := range w.Lines {
				line += " " + s.Party + "/" + s.Capacity
			}
			out = append(out, line)
		}
		return out
	}
	const all = "lines : acme/ciso acme/dpo other/officer other/owner"
	v1 := makeVersion(t, c.terms(nil))
	v1.Terms.Effect.UnilateralNarrowing = []string{"acme"}
	for name, tt := range map[string]struct {
		v    *contract.Version
		want []string
	}{
		"version 1": {c.v1, []string{all}},
		"narrowing": {c.amend(t, v1, contract.Comparison{Class: contract.Narrowing}, "max: 1h", "max: 30m"), []string{all, "unilateral-narrowing acme: acme/ciso acme/dpo"}},
		"widening":  {c.amend(t, v1, contract.Comparison{Class: contract.Widening}, "max: 1h", "max: 2h"), []string{all}},
		"rotation": {c.amend(t, c.v1, contract.Comparison{Class: contract.Mixed, Constitutional: true}, "%ada%", "%new%", "%dora%", "%new-root%"), []string{
			all, "recovery acme: acme/dpo other/officer other/owner acme/roots", "recovery other: acme/ciso acme/dpo other/owner other/roots",
			"recovery : acme/dpo other/owner acme/roots other/roots",
		}},
	} {
		if got := describe(tt.v); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q, want %q", name, got, tt.want)
		}
	}
}
