package main

import (
	"flag"
	"testing"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/cmd/cmdtest"
)

var update = flag.Bool("update", false, "write the man pages")

// TestGeneratedManPages makes the man pages of sally, and compares them with what
// is checked in.
func TestGeneratedManPages(t *testing.T) {
	t.Parallel()
	pages, err := cmdtest.Manual(newRoot(client.Env{}), "../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := cmdtest.Keep("../../docs/man", "sally", pages, *update, "sally-host")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
