package redocly_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/redocly"
)

// TestLintFindsFlaws: a document with planted flaws is no good one.
func TestLintFindsFlaws(t *testing.T) {
	t.Parallel()
	flaws, err := redocly.Lint(t.Context(), t.TempDir(), []byte(`{"openapi":"3.1.0","info":{"title":"x","version":"1"},"paths":{"/a/{id}":{"get":
		{"responses":{"200":{"description":"x","content":{"application/json":{"schema":{"$ref":"#/components/schemas/No"}}}}}}}}}`))
	if err != nil {
		t.Fatal(err)
	}
	all := strings.Join(flaws, "\n")
	for _, rule := range []string{"no-unresolved-refs", "path-parameters-defined", "operation-operationId", "security-defined"} {
		if !strings.Contains(all, rule) {
			t.Errorf("%s is not reported in:\n%s", rule, all)
		}
	}
}
