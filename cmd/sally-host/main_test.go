package main

import (
	"errors"
	"flag"
	"os/exec"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sallyport/sallyport/cmd/cmdtest"
)

var update = flag.Bool("update", false, "write the man pages")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"sally-host": main})
}

// TestScript runs the command lines in testdata/script. Beside testscript's own
// commands there is "exits CODE PROGRAM ARG...", which demands that exit code.
func TestScript(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:  "testdata/script",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		e, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		code = e.ExitCode()
	}
	if code != want {
		ts.Fatalf("exit code %d, want %d", code, want)
	}
}

// docs/sally-host.md has a section for each verb; its synopsis names the verb's
// flags and no others, and the verb's own help has an example.
func TestDocsNameEachVerbAndFlag(t *testing.T) {
	t.Parallel()
	faults, err := cmdtest.Check(newRoot(), "../../docs/sally-host.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}

// TestGeneratedManPages makes the man pages of sally-host, and compares them with
// what is checked in.
func TestGeneratedManPages(t *testing.T) {
	t.Parallel()
	pages, err := cmdtest.Manual(newRoot(), "../../docs/sally-host.md")
	if err != nil {
		t.Fatal(err)
	}
	faults, err := cmdtest.Keep("../../docs/man", "sally-host", pages, *update)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range faults {
		t.Error(f)
	}
}
