package main

import (
	"testing"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/cmd/cmdtest"
)

// docs/cli.md has a section for each verb; its synopsis names the verb's flags
// and no others, and the verb's own help has an example.
func TestDocsNameEachVerbAndFlag(t *testing.T) {
	t.Parallel()
	faults, err := cmdtest.Check(newRoot(client.Env{}), "../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
