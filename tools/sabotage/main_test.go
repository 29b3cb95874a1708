package main

import (
	"bytes"
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// door is the product of a throw-away module: a gate, its tests, and code beside it that no test reaches.
var door = map[string]string{
	".gitignore": "ignored.go\n",
	"go.mod":     "module x\n\ngo 1.26\n",
	"door/door.go": `package door

import "errors"

var ErrShut = errors.New("shut")

func Open(asker, approver string) error {
	if asker == approver {
		return ErrShut
	}
	for {
		break
	}
	return nil
}

func Colour() string {
	return "green"
}
`,
	"door/ignored.go": "package door\n\nthis file is ignored and must not be copied\n",
	"door/door_test.go": `package door

import "testing"

func TestOpen(t *testing.T) {
	t.Run("own request", func(t *testing.T) {
		if Open("alice", "alice") == nil {
			t.Error("alice approved her own request")
		}
	})
	if err := Open("alice", "bob"); err != nil {
		t.Error(err)
	}
}
`,
	"red/red.go":      "package red\n\nconst One = 1\n",
	"red/red_test.go": "package red\n\nimport \"testing\"\n\nfunc TestRed(t *testing.T) { t.Error(\"always red\") }\n\nfunc TestOne(t *testing.T) {\n\tif One != 1 {\n\t\tt.Error(One)\n\t}\n}\n",
	"cmd/main.go":     "package main\n\nfunc main() {\n\tprintln(\"hello\")\n}\n",
	"cmd/main_test.go": `package main

import (
	"os/exec"
	"testing"
)

func TestBuild(t *testing.T) {
	if out, err := exec.Command("go", "build", "-o", t.TempDir(), "../tool").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
`,
	"tool/main.go": "package main\n\nfunc main() {\n\tprintln(\"hello\")\n}\n",
}

// The faults, by name.
var planted = map[string]string{
	"drop-the-check":   "promise: P03\nfile: door/door.go\ntest: ./door\n--- old\n\tif asker == approver {\n--- new\n\tif false {\n",
	"panic":            "promise: P03\nfile: door/door.go\ntest: ./door\n--- old\n\t\treturn ErrShut\n--- new\n\t\tpanic(ErrShut)\n",
	"repaint":          "promise: P16\nfile: door/door.go\ntest: ./door\n--- old\n\treturn \"green\"\n--- new\n\treturn \"red\"\n",
	"unused":           "promise: P03\nfile: door/door.go\ntest: ./door\n--- old\n\treturn \"green\"\n--- new\n\tx := 1\n\treturn \"green\"\n",
	"break-the-tests":  "promise: P03\nfile: door/door.go\ntest: ./door\n--- old\nfunc Open(asker, approver string) error {\n--- new\nfunc Shut(asker, approver string) error {\n",
	"hang":             "promise: P05\nfile: door/door.go\ntest: ./door\n--- old\n\t\tbreak\n--- new\n",
	"on-red":           "promise: P01\nfile: red/red.go\ntest: ./red\n--- old\nconst One = 1\n--- new\nconst One = 2\n",
	"beside-red":       "promise: P01\nfile: red/red.go\ntest: ./red\nrun: TestOne\n--- old\nconst One = 1\n--- new\nconst One = 2\n",
	"no-test":          "promise: P01\nfile: door/door.go\ntest: ./door\nrun: TestNone\n--- old\n\treturn \"green\"\n--- new\n\treturn \"red\"\n",
	"gone":             "promise: P01\nfile: door/door.go\ntest: ./door\n--- old\n\treturn \"blue\"\n--- new\n",
	"no-file":          "promise: P01\nfile: door/window.go\ntest: ./door\n--- old\n\treturn \"blue\"\n--- new\n",
	"no-compile-there": "promise: P01\nfile: tool/main.go\ntest: ./cmd\n--- old\n\tprintln(\"hello\")\n--- new\n\tprintln(hello)\n",
}

// tree writes the module and the named faults into a new git work tree.
func tree(t *testing.T, faults ...string) string {
	t.Helper()
	root := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(root, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range door {
		write(name, text)
	}
	for _, name := range faults {
		text, ok := planted[name]
		if !ok {
			t.Fatalf("no fault %q", name)
		}
		write("tools/sabotage/faults/"+name+".txt", text)
	}
	if out, err := exec.CommandContext(t.Context(), "git", "init", "-q", root).CombinedOutput(); err != nil {
		t.Fatalf("git init: %v: %s", err, out)
	}
	return root
}

// snapshot is the content of every file below root but git's own.
func snapshot(t *testing.T, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case d.IsDir():
			return nil
		}
		text, err := os.ReadFile(path)
		files[path] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestSabotage(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		faults []string
		args   []string
		code   int
		stdout []string // patterns, each must match
		stderr string   // part of it
	}{
		{
			name:   "caught, by a failing test and by a panic",
			faults: []string{"drop-the-check", "panic"},
			stdout: []string{`(?m)^caught     P03  drop-the-check .*TestOpen/own_request \(x/door\)$`, `(?m)^caught     P03  panic .*TestOpen`, `\nsabotage: 2 planted, 2 caught\n$`},
		},
		{
			name:   "one that no test notices",
			faults: []string{"drop-the-check", "repaint"},
			code:   1,
			stdout: []string{`(?m)^caught `, `(?m)^SURVIVED   P16  repaint `, `\nsabotage: 2 planted, 1 caught\n$`},
		},
		{name: "only some", faults: []string{"drop-the-check", "repaint"}, args: []string{"-only=^drop"}, stdout: []string{`\nsabotage: 1 planted, 1 caught\n$`}},
		{name: "does not compile", faults: []string{"unused"}, code: 1, stdout: []string{`(?m)^INVALID .*does not compile`, `declared and not used: x`, `1 planted, 0 caught\n$`}},
		{name: "its tests do not compile", faults: []string{"break-the-tests"}, code: 1, stdout: []string{`(?m)^INVALID .*does not compile in x/door`, `undefined: Open`}},
		{name: "a program that a test builds does not compile", faults: []string{"no-compile-there"}, code: 1, stdout: []string{`(?m)^INVALID .*does not compile`, `undefined: hello`}},
		{name: "hangs", faults: []string{"hang"}, args: []string{"-timeout=2s"}, code: 1, stdout: []string{`(?m)^TIMED OUT  P05 .*hung`, `1 planted, 0 caught\n$`}},
		{name: "tests red without it", faults: []string{"on-red"}, code: 1, stdout: []string{`(?m)^UNFOUNDED .*red even without the fault: TestRed`, `always red`}},
		{
			name: "red tests speak only against those that need them", faults: []string{"beside-red", "on-red"}, code: 1,
			stdout: []string{`(?m)^caught     P01  beside-red .*TestOne`, `(?m)^UNFOUNDED .*red even without the fault: TestRed`},
		},
		{
			name: "no test runs for one of two", faults: []string{"drop-the-check", "no-test"}, code: 1,
			stdout: []string{`(?m)^caught     P03  drop-the-check`, `(?m)^SURVIVED   P01  no-test .*TestNone`, `2 planted, 1 caught\n$`},
		},
		{name: "no test runs", faults: []string{"no-test"}, code: 1, stdout: []string{`(?m)^UNFOUNDED .*no test ran`}},
		{name: "does not apply", faults: []string{"drop-the-check", "gone"}, code: 1, stdout: []string{`^$`}, stderr: "gone: fault does not apply: the old text of edit 1 stands 0 times in door/door.go"},
		{name: "for a file that is not there", faults: []string{"no-file"}, code: 1, stderr: "no-file: fault does not apply: open "},
		{name: "none", code: 1, stdout: []string{`^$`}, stderr: "no fault to plant"},
		{name: "check only", faults: []string{"drop-the-check", "repaint"}, args: []string{"-check"}, stdout: []string{`^sabotage: 2 faults apply\n$`}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			root := tree(t, tt.faults...)
			before := snapshot(t, root)
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), append([]string{"-root", root}, tt.args...), &stdout, &stderr); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			for _, pattern := range tt.stdout {
				if !regexp.MustCompile(pattern).Match(stdout.Bytes()) {
					t.Errorf("stdout does not match %q", pattern)
				}
			}
			if !strings.Contains(stderr.String(), tt.stderr) || (tt.stderr == "" && stderr.Len() > 0) {
				t.Errorf("stderr should say %q", tt.stderr)
			}
			after := snapshot(t, root)
			for path, text := range before {
				if after[path] != text {
					t.Errorf("%s is changed: the tree itself must stay as it was", path)
				}
			}
			if len(after) != len(before) {
				t.Errorf("the tree has %d files, had %d", len(after), len(before))
			}
			if t.Failed() {
				t.Logf("stdout:\n%s\nstderr:\n%s", stdout.String(), stderr.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-nosuch"}, {"word"}, {"-parallel=0"}, {"-timeout=0s"}, {"-only=("}, {"-h"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != 2 || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("run(%q) = %d, stdout %q, stderr %q; want 2 and a word on stderr only", args, code, stdout.String(), stderr.String())
		}
	}
}

// TestInterrupted is not parallel: it looks for what a run leaves in the folder for temporary files.
func TestInterrupted(t *testing.T) {
	root := tree(t, "drop-the-check")
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"-root", root}, &stdout, &stderr); code != 1 {
		t.Errorf("exit code %d after an interrupt, want 1", code)
	}
	if left, err := filepath.Glob(filepath.Join(temp, "sallyport-*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %q, %v", left, err)
	}
}

func TestTemporaryFolderInsideTheTree(t *testing.T) {
	root := tree(t, "drop-the-check")
	t.Setenv("TMPDIR", root)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"-root", root}, &stdout, &stderr); code != 1 || !strings.Contains(stderr.String(), "lies inside the tree") {
		t.Errorf("exit code %d, stderr %q; want 1 and a word about TMPDIR", code, stderr.String())
	}
}
