package contract_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/contract"
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
