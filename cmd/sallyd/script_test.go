package main

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sallyd": func() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) },
	})
}

// TestScripts runs the verbs as an operator does; the scripts are the
// specification of the command line.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script", RequireExplicitExec: true, RequireUniqueNames: true,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"mode": mode, "cmpca": cmpCA, "pinkey": pinKey},
	})
}

// mode MODE FILE… demands the permissions of files.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args[1:] {
		info, err := os.Stat(ts.MkAbs(name))
		ts.Check(err)
		if have := strconv.FormatUint(uint64(info.Mode().Perm()), 8); have != args[0] {
			ts.Fatalf("%s has mode %s, not %s", name, have, args[0])
		}
	}
}

// cmpca PIN KEY demands that the pin file's ca line holds the public key.
func cmpCA(ts *testscript.TestScript, _ bool, args []string) {
	key := strings.Join(strings.Fields(ts.ReadFile(args[1]))[:2], " ")
	if pin := ts.ReadFile(args[0]); !strings.HasSuffix(pin, "\nca "+key+"\n") {
		ts.Fatalf("the pin file does not end with ca %s:\n%s", key, pin)
	}
}

// pinkey KEY FILE writes a public key in place of the word KEY.
func pinKey(ts *testscript.TestScript, _ bool, args []string) {
	key := strings.Join(strings.Fields(ts.ReadFile(args[0]))[:2], " ")
	text := strings.Replace(ts.ReadFile(args[1]), "KEY", key, 1)
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}
