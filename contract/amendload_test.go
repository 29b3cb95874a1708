package contract_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
)

// Who signs an amendment as it is read from its files, its class found by Compare
// and everything else said by the terms of the version before.
func TestPromiseP10_AmendmentFilesSignedAsTheVersionBeforeSays(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	v1 := makeVersion(t, c.terms([]string{
		"issuers:", "effect: {unilateral_narrowing: [acme]}\nissuers:",
		`{cleo: "%cleo%"}}`, `{cleo: "%cleo%"}, only_if: [widening, mixed]}`,
	}))
	load := func(parent *contract.Version, old, with string) *contract.Version {
		t.Helper()
		files, err := contract.NewAmendment(map[string][]byte{
			contract.ProseFile: parent.Files[contract.ProseFile],
			contract.TermsFile: replace(t, parent.Files[contract.TermsFile], old, with),
		}, parent, nil)
		if err != nil {
			t.Fatal(err)
		}
		v, err := contract.LoadAmendment(files, parent)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	ada, fresh := c.people["ada"].line(), c.people["new"].line()
	rotated := load(v1, ada, fresh)
	for _, tt := range []struct {
		name   string
		v      *contract.Version
		signed string
		want   string
		says   string // of the statement
	}{
		{"widening", load(v1, "{max: 1h}", "{max: 2h}"), "ada | dora emil", wantDPO, ", a widening amendment of version 1, "},
		{"widening, signed", load(v1, "{max: 1h}", "{max: 2h}"), "ada cleo | dora emil", "", ""},
		{"narrowing by both", load(v1, "{max: 1h}", "{max: 30m}"), "ada | dora emil", "", ", a narrowing amendment of version 1, "},
		{"narrowing by acme alone", load(v1, "{max: 1h}", "{max: 30m}"), "bob cleo |", "", ""},
		{"narrowing by other alone", load(v1, "{max: 1h}", "{max: 30m}"), "| dora emil", wantCISO, ""},
		{"a title", load(v1, "title: Small", "title: Smaller"), "ada | dora emil", "", ", an equivalent amendment of version 1, "},
		{"who narrows alone", load(v1, "unilateral_narrowing: [acme]", "unilateral_narrowing: [acme, other]"), "ada cleo |", wantOfficer + "; " + wantOwner, ", a constitutional, "},
		{"a key", rotated, "cleo | dora emil", wantCISO, ", a constitutional, "},
		{"a key, by its line", rotated, "ada cleo | dora emil", "", ""},
		{"a key, by roots", rotated, "r1/roots r2/roots cleo | dora emil", "", ""},
		{"a key, by roots alone", rotated, "r1/roots r2/roots r3/roots |", wantDPO + "; " + wantOfficer + "; " + wantOwner, ""},
		{"a person for another, by roots", load(v1, `ada: "`+ada+`"`, `zoe: "`+fresh+`"`), "r1/roots r2/roots cleo | dora emil", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := missing(tt.v, c.signed(t, tt.v, tt.signed)); got != tt.want {
				t.Errorf("class %s, constitutional %t: missing %q, want %q", tt.v.Compared.Class, tt.v.Compared.Constitutional, got, tt.want)
			}
			text, err := contract.NewStatement(tt.v, "other", "dora")
			if err != nil || !strings.Contains(string(text), tt.says) {
				t.Errorf("statement %s, %v", text, err)
			}
		})
	}
	// The next amendment is signed with the new key, and not with the old one.
	third := load(rotated, "{max: 1h}", "{max: 2h}")
	text, err := contract.NewStatement(third, "acme", "ada")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := third.VerifySignature(text, c.people["new"].sign(t, "sallyport-contract", text)); err != nil {
		t.Error(err)
	}
	if _, err := third.VerifySignature(text, c.people["ada"].sign(t, "sallyport-contract", text)); err == nil || !strings.Contains(err.Error(), "it is a key that version 1 had for ada of acme") {
		t.Errorf("by the old key: %v", err)
	}
}

// Whoever may narrow alone narrows what the terms say, and not what the prose says
// beside them: all sign that.
func TestPromiseP10_ProseIsNotChangedAlone(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	const prose = "# §1 All\n\nAccess for at most {{roles.operator.grant.max: 1 hour}}, and {{ceilings.grant : 8h}} at most.\r\n\n```\n{{roles.operator.grant.max: 1h}}\n```\n"
	files := map[string][]byte{
		contract.ProseFile: []byte(prose),
		contract.TermsFile: []byte(c.terms([]string{"issuers:", "effect: {unilateral_narrowing: [acme]}\nissuers:"})),
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	v1, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	const all = wantOfficer + "; " + wantOwner
	const said = "{{roles.operator.grant.max: 1 hour}}"
	for _, tt := range []struct {
		name, old, with string // of the prose
		want            string // still missing when acme has signed
	}{
		{"the value that it says", said, "{{roles.operator.grant.max: 30m}}", ""},
		{"the value in other words", said, "{{roles.operator.grant.max: 30 minutes}}", ""},
		{"the value alone", said, "30m", all},
		{"another term that it says", said, "{{ceilings.grant: 8h}}", all},
		{"one term more", said, "{{roles.operator.grant.max: 30m}}{{ceilings.grant: 8h}}", all},
		{"another example", "1 hour}}, and {{ceilings.grant : 8h}} at most.\r\n\n```\n{{roles.operator.grant.max: 1h}}", "30m}}, and {{ceilings.grant : 8h}} at most.\r\n\n```\n{{roles.operator.grant.max: 30m}}", all},
		{"a duty of the other's", said + ", and", "{{roles.operator.grant.max: 30m}}. Other pays for it, and", all},
		{"a word fewer", said + ", and {{ceilings.grant : 8h}} at most", "{{roles.operator.grant.max: 30m}}, and {{ceilings.grant : 8h}}", all},
		{"a line break", said, "\n{{roles.operator.grant.max: 30m}}", all},
		{"a paragraph at the end", said + ", and {{ceilings.grant : 8h}} at most.\r\n\n```\n{{roles.operator.grant.max: 1h}}\n```\n", "{{roles.operator.grant.max: 30m}}, and {{ceilings.grant : 8h}} at most.\r\n\n```\n{{roles.operator.grant.max: 1h}}\n```\nAcme is right.\n", all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			files, err := contract.NewAmendment(map[string][]byte{
				contract.ProseFile: replace(t, []byte(prose), tt.old, tt.with),
				contract.TermsFile: replace(t, v1.Files[contract.TermsFile], "{max: 1h}", "{max: 30m}"),
			}, v1, nil)
			if err != nil {
				t.Fatal(err)
			}
			v2, err := contract.LoadAmendment(files, v1)
			if err != nil || v2.Compared.Class != contract.Narrowing {
				t.Fatalf("%+v, %v", v2, err)
			}
			if got := missing(v2, c.signed(t, v2, "ada cleo |")); got != tt.want {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
			if got := missing(v2, c.signed(t, v2, "ada cleo | dora emil")); got != "" {
				t.Errorf("signed by all: missing %q", got)
			}
		})
	}
}

// Who may narrow alone takes rights away and does nothing beside it: neither words of
// the law nor duties of the other party come in with a narrowing.
func TestPromiseP10_OnePartyAloneOnlyTakesRightsAway(t *testing.T) {
	t.Parallel()
	c := newChain(t)
	const role = "grant: {max: 1h}"
	files := map[string][]byte{
		contract.ProseFile: []byte("# §1 All\n"),
		contract.TermsFile: []byte(c.terms([]string{"issuers:", "effect: {unilateral_narrowing: [acme]}\nlaw: {governing: DE}\nretention: {clause: §1, period: 400d}\noffices: {auditor: [leads], reviewer: [leads]}\nissuers:"})),
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	v1, err := contract.Load(files)
	if err != nil {
		t.Fatal(err)
	}
	const all = wantOfficer + "; " + wantOwner
	for _, tt := range []struct {
		name, old, with string // of the terms, beside the narrowing
		want            string // still missing when acme has signed
	}{
		{"nothing else", role, role, ""},
		{"the law", "governing: DE", "governing: FR", all},
		{"a longer memory", "period: 400d", "period: 500d", all},
		{"no auditor", "auditor: [leads], ", "", all},
		{"the title", "title: Small", "title: Smaller", all},
		{"a duty", "issuers:", "obligations: {log: {clause: §1, duty: log, within: 60s, else: finding-high}}\nissuers:", all},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			terms := replace(t, v1.Files[contract.TermsFile], tt.old, tt.with)
			files, err := contract.NewAmendment(map[string][]byte{
				contract.ProseFile: v1.Files[contract.ProseFile],
				contract.TermsFile: replace(t, terms, role, "grant: {max: 30m}"),
			}, v1, nil)
			if err != nil {
				t.Fatal(err)
			}
			v2, err := contract.LoadAmendment(files, v1)
			if err != nil || v2.Compared.Class != contract.Narrowing || v2.Compared.Constitutional {
				t.Fatalf("%+v, %v", v2, err)
			}
			if got := missing(v2, c.signed(t, v2, "ada cleo |")); got != tt.want {
				t.Errorf("missing %q, want %q", got, tt.want)
			}
		})
	}
}
