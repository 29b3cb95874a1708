package main

import (
	"maps"
	"testing"

	"github.com/sallyport/sallyport/cmd/cmdtest"
)

// TestGeneratedManPages makes the man pages of sallyd and of its settings, and
// compares them with what is checked in.
func TestGeneratedManPages(t *testing.T) {
	t.Parallel()
	pages, err := cmdtest.Manual(command(), "../../docs/sallyd.md")
	if err != nil {
		t.Fatal(err)
	}
	settings, err := cmdtest.Page("sallyd-config", 5, "the settings of sallyd", configReference(t))
	if err != nil {
		t.Fatal(err)
	}
	maps.Copy(pages, map[string][]byte{"sallyd-config.5": settings})
	faults, err := cmdtest.Keep("../../docs/man", "sallyd", pages, *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
