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
