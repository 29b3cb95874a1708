package contract_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/contract/contracttest"
)

// manyFullRoles are the terms that use every key with 200 roles.
func manyFullRoles(t testing.TB) []byte {
	t.Helper()
	text := string(read(t, "full/terms.yaml"))
	start, end := strings.Index(text, "  prod-operator:\n"), strings.Index(text, "  pci-db:\n")
	var out strings.Builder
	out.WriteString(text[:end])
	for i := range 198 {
		out.WriteString(strings.Replace(text[start:end], "prod-operator:", fmt.Sprintf("prod-operator-%d:", i), 1))
	}
	out.WriteString(text[end:])
	return []byte(out.String())
}

// BenchmarkParseTerms reads terms of 200 roles; the budget of a lint of them is a second.
func BenchmarkParseTerms(b *testing.B) {
	text := manyFullRoles(b)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		terms, err := contract.ParseTerms(text)
		if err != nil || len(terms.Roles) != 200 {
			b.Fatal(err)
		}
	}
}

// BenchmarkCompare compares terms of 200 roles that differ in one of them, and in the
// guard of all but one.
func BenchmarkCompare(b *testing.B) {
	old, err := contract.ParseTerms(manyFullRoles(b))
	if err != nil {
		b.Fatal(err)
	}
	one, all := contracttest.Clone(old), contracttest.Clone(old)
	one.Roles[0].Grant.Max -= time.Minute
	guards := 0
	for i := range all.Roles {
		if p := &all.Roles[i].Paths[0]; p.When != "" {
			p.When = strings.Replace(p.When, "3600", "7200", 1)
			guards++
		}
	}
	for _, bb := range []struct {
		name    string
		new     *contract.Terms
		changes int
	}{{"one limit", one, 1}, {"every guard", all, guards}} {
		b.Run(bb.name, func(b *testing.B) {
			for b.Loop() {
				if got := contract.Compare(old, bb.new); len(got.Changes) != bb.changes || guards < 198 {
					b.Fatalf("%d changes", len(got.Changes))
				}
			}
		})
	}
}
