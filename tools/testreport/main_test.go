package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a throw-away module with one test file and returns its folder.
func module(t *testing.T, source string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{
		"go.mod":    "module x\n\ngo 1.26\n",
		"x_test.go": "package x\n\nimport \"testing\"\n\n" + source + "\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestLastLineAndExitCode(t *testing.T) {
	t.Parallel()
	green := "func TestA(t *testing.T) {}"
	tests := []struct {
		name    string
		sources []string // one module each
		args    []string
		code    int
		last    string
		says    string
	}{
		{name: "green in two modules", sources: []string{green, green}, last: "2 passed, 0 failed, 0 skipped", says: "ok    x  "},
		{name: "red in the first of two", sources: []string{"func TestB(t *testing.T) { t.Error(\"boom\") }", green}, code: 1, last: "1 passed, 1 failed, 0 skipped", says: "boom"},
		{name: "a skip is not good", sources: []string{green + "\nfunc TestB(t *testing.T) { t.Skip() }"}, code: 1, last: "1 passed, 0 failed, 1 skipped", says: "SKIP TestB"},
		{name: "nothing ran", sources: []string{green}, args: []string{"-run=TestNone", "."}, code: 1, last: "0 passed, 0 failed, 0 skipped", says: "no test ran"},
		{name: "go refuses", sources: []string{green}, args: []string{"-count=many"}, code: 1, last: "0 passed, 1 failed, 0 skipped", says: "FAIL  in "},
		{name: "does not compile", sources: []string{"func TestA(t *testing.T) { undefined() }"}, code: 1, last: "0 passed, 1 failed, 0 skipped", says: "undefined: undefined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var args []string
			for _, source := range tt.sources {
				args = append(args, "-in", module(t, source))
			}
			if tt.args == nil {
				tt.args = []string{"./..."}
			}
			args = append(append(args, "--"), tt.args...)

			var stdout, stderr bytes.Buffer
			code := run(t.Context(), args, &stdout, &stderr)
			if code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			lines := strings.Split(strings.TrimRight(stdout.String(), "\n"), "\n")
			if last := lines[len(lines)-1]; last != tt.last {
				t.Errorf("last line %q, want %q", last, tt.last)
			}
			if !strings.Contains(stdout.String(), tt.says) {
				t.Errorf("output lacks %q:\n%s%s", tt.says, stdout.String(), stderr.String())
			}
		})
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"-in", "."}, {"--", "./..."}, {"-what"}} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), args, &stdout, &stderr); code != 2 || stdout.Len() > 0 || stderr.Len() == 0 {
			t.Errorf("run(%q) = %d, stdout %q, stderr %q; want 2 and a word on stderr only", args, code, stdout.String(), stderr.String())
		}
	}
}
