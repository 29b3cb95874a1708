package contract_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
)

// withCosigners is the example with a block of cosigners before its ceilings.
func withCosigners(t testing.TB, block string) (*contract.Terms, error) {
	t.Helper()
	return contract.ParseTerms([]byte(strings.Replace(string(read(t, "good/terms.yaml")), "ceilings:\n", "cosigners:\n"+block+"\nceilings:\n", 1)))
}

func TestCosigners(t *testing.T) {
	t.Parallel()
	if got := goodVersion(t).Terms.Cosigners; len(got) != 0 {
		t.Errorf("terms that name none have %v", got)
	}
	b, a := testCosigner("b.example/c"), testCosigner("a.example/c")
	terms, err := withCosigners(t, fmt.Sprintf("  second: {party: acme, key: %q}\n  first: {party: northwind, key: %q}\n", b, a))
	if err != nil {
		t.Fatal(err)
	}
	want := []contract.Cosigner{{ID: "first", Party: "northwind", Key: a}, {ID: "second", Party: "acme", Key: b}}
	if len(terms.Cosigners) != 2 || terms.Cosigners[0] != want[0] || terms.Cosigners[1] != want[1] {
		t.Errorf("cosigners %v, want %v", terms.Cosigners, want)
	}
	if name := terms.Cosigners[0].Name(); name != "a.example/c" {
		t.Errorf("named %s", name)
	}
}

func TestCosignerRefusals(t *testing.T) {
	t.Parallel()
	good := testCosigner("a.example/c")
	var many strings.Builder
	for i := range 9 {
		fmt.Fprintf(&many, "  c%d: {party: acme, key: %q}\n", i, testCosigner(fmt.Sprintf("c%d.example/c", i)))
	}
	for _, tt := range []struct{ name, block, want string }{
		{"none", "  {}", "cosigners: expected one or more cosigners by id"},
		{"no party", fmt.Sprintf("  x: {key: %q}", good), "cosigners.x.party: missing"},
		{"no key", "  x: {party: acme}", "cosigners.x.key: missing"},
		{"another party", fmt.Sprintf("  x: {party: acmee, key: %q}", good), `cosigners.x.party: no party "acmee" in parties, did you mean acme?`},
		{"a url", fmt.Sprintf("  x: {party: acme, key: %q, url: \"https://x\"}", good), "cosigners.x.url: unknown key"},
		{"a name", "  x: {party: acme, key: \"a.example/c\"}", "cosigners.x.key: expected the key of a cosigner, NAME+ID+KEY"},
		{"another's id", fmt.Sprintf("  x: {party: acme, key: %q}", strings.Replace(good, "a.example", "b.example", 1)), "cosigners.x.key: the id in the cosigner's key does not belong to it"},
		{"one name twice", fmt.Sprintf("  x: {party: acme, key: %q}\n  z: {party: northwind, key: %q}", good, good), "cosigners.z.key: cosigners.x is named a.example/c already"},
		{"too many", many.String(), "cosigners: 9 cosigners; at most 8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := withCosigners(t, tt.block)
			if !errors.Is(err, contract.ErrTerms) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestCosignerKeysAreThoseOfTheLedger holds the terms' reading of a vkey to that of
// package ledger, over keys with one thing changed.
func TestCosignerKeysAreThoseOfTheLedger(t *testing.T) {
	t.Parallel()
	good := testCosigner("a.example/c")
	name, rest, _ := strings.Cut(good, "+")
	id, key, _ := strings.Cut(rest, "+")
	raw, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	raw[0] = 1 // a log's key
	log := base64.StdEncoding.EncodeToString(raw)
	long, longest := strings.Repeat("x", 201), strings.Repeat("x", 200)
	for _, vkey := range []string{
		good, testCosigner(longest), "", "+", "++", name, name + "+" + id, good + " ", good + "=", good[:len(good)-1], strings.ToUpper(id) + good,
		name + "+" + strings.ToUpper(id) + "+" + key, name + "+" + id + "+" + log, "a example+" + id + "+" + key, long + "+" + id + "+" + key,
		name + "+0" + id + "+" + key, name + "+" + id + "+" + key + "AAAA", name + "+" + id + "+" + strings.TrimRight(key, "="),
	} {
		_, theirs := ledger.ParseCosignerKey(vkey)
		_, ours := withCosigners(t, fmt.Sprintf("  x: {party: acme, key: %q}", vkey))
		if (theirs == nil) != (ours == nil) {
			t.Errorf("%q: the ledger says %v, the terms say %v", vkey, theirs, ours)
		}
	}
}
