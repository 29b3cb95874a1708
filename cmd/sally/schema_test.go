package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/clischema"
)

// TestEveryJSONIsDescribed: docs/cli.schema.json has an entry for each verb with
// --json, and for no other. What a server is needed for is held to it in the lab.
func TestEveryJSONIsDescribed(t *testing.T) {
	t.Parallel()
	schema, err := clischema.Load("../../docs/cli.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"error"}
	eachVerb(newRoot(client.Env{}), func(c *cobra.Command) {
		verb := strings.TrimPrefix(c.CommandPath(), "sally ")
		if c.Flags().Lookup("json") == nil {
			return
		}
		want = append(want, verb)
		var out, stderr bytes.Buffer
		home := t.TempDir()
		run(append(strings.Fields(verb), "--json", "--json"), strings.NewReader(""), &out, &stderr, func(string) string { return home })
		if err := schema.Check("error", stderr.Bytes()); err != nil || out.Len() > 0 {
			t.Errorf("%s: %v, %q", verb, err, out.String())
		}
	})
	slices.Sort(want)
	if !slices.Equal(schema.Verbs, want) {
		t.Errorf("the schema describes %v, --json have %v", schema.Verbs, want)
	}
	var out, stderr bytes.Buffer
	if code := run([]string{"version", "--json"}, strings.NewReader(""), &out, &stderr, func(string) string { return "" }); code != 0 || stderr.Len() > 0 {
		t.Errorf("exit code %d, %q", code, stderr.String())
	}
	if err := schema.Check("version", out.Bytes()); err != nil {
		t.Error(err)
	}
}
