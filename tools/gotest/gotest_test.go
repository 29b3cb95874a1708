package gotest

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// module writes a throw-away module named x; names are paths in it.
func module(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files["go.mod"] = "module x\n\ngo 1.26\n"
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestRunSeesWhatHappened(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name                    string
		source                  string
		args                    []string
		passed, failed, skipped int
		troubles                []string // kind, test
		says                    string   // stands in the output of some trouble
		timedOut                bool
	}{
		{
			name:   "green, subtests count",
			source: `func TestA(t *testing.T) { t.Run("one", func(t *testing.T) {}) }`,
			passed: 2,
		},
		{
			name:     "red names the subtest and its parent",
			source:   `func TestA(t *testing.T) { t.Run("one", func(t *testing.T) { t.Error("boom") }) }; func TestB(t *testing.T) {}`,
			passed:   1,
			failed:   2,
			troubles: []string{"FAIL TestA", "FAIL TestA/one"},
			says:     "boom",
		},
		{
			name:     "a skip behind a line without its newline",
			source:   `func TestA(t *testing.T) { print("half a line"); os.Stdout.WriteString("half a line"); t.Skip("no reason") }`,
			skipped:  1,
			troubles: []string{"SKIP TestA"},
			says:     "no reason",
		},
		{
			name:     "an exit in the midst of a test",
			source:   `func TestA(t *testing.T) {}; func TestB(t *testing.T) { os.Exit(3) }`,
			passed:   1,
			failed:   1,
			troubles: []string{"UNFINISHED TestB"},
		},
		{
			name:     "a process that runs no test and ends badly",
			source:   `func TestMain(m *testing.M) { println("lab is down"); os.Exit(3) }`,
			failed:   1,
			troubles: []string{"PROCESS "},
			says:     "lab is down",
		},
		{
			name:     "what does not compile",
			source:   `func TestA(t *testing.T) { undefined() }`,
			failed:   1,
			troubles: []string{"BUILD "},
			says:     "undefined: undefined",
		},
		{
			name:     "an import that is nowhere",
			source:   `import _ "x/nowhere"`,
			failed:   1,
			troubles: []string{"BUILD "},
			says:     "x/nowhere",
		},
		{
			name:     "a test that hangs",
			source:   `func TestA(t *testing.T) { print("half a line"); select {} }; func TestB(t *testing.T) {}`,
			args:     []string{"-timeout=1s"},
			failed:   1,
			troubles: []string{"UNFINISHED TestA"},
			says:     "test timed out after 1s",
			timedOut: true,
		},
		{name: "no test at all", source: `var _ = os.Args`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			imports := "package a\nimport (\"testing\"; \"os\")\n"
			if strings.HasPrefix(tt.source, "import") {
				imports = "package a\n"
			}
			dir := module(t, map[string]string{"a/a_test.go": imports + tt.source + "\n" + keep(imports)})
			var seen []string
			packages, err := Run(t.Context(), Config{
				Dir:  dir,
				Args: append(slices.Clone(tt.args), "./..."),
				Each: func(p Package) { seen = append(seen, p.Path) },
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(packages) != 1 || packages[0].Path != "x/a" || !slices.Equal(seen, []string{"x/a"}) {
				t.Fatalf("packages %+v, seen %v, want x/a once", packages, seen)
			}
			p := packages[0]
			if p.Passed != tt.passed || p.Failed != tt.failed || p.Skipped != tt.skipped || p.TimedOut != tt.timedOut {
				t.Errorf("got %d passed, %d failed, %d skipped, timed out %t; want %d, %d, %d, %t",
					p.Passed, p.Failed, p.Skipped, p.TimedOut, tt.passed, tt.failed, tt.skipped, tt.timedOut)
			}
			var troubles []string
			var output strings.Builder
			for _, trouble := range p.Troubles {
				troubles = append(troubles, trouble.Kind.String()+" "+trouble.Test)
				output.WriteString(strings.Join(trouble.Output, ""))
			}
			if !slices.Equal(troubles, tt.troubles) {
				t.Errorf("troubles %q, want %q", troubles, tt.troubles)
			}
			if !strings.Contains(output.String(), tt.says) {
				t.Errorf("the output lacks %q:\n%s", tt.says, output.String())
			}
			if p.OK() != (tt.failed+tt.skipped == 0) || p.Empty() != (tt.passed+tt.failed+tt.skipped == 0) {
				t.Errorf("OK %t, Empty %t", p.OK(), p.Empty())
			}
		})
	}
}

// keep uses the imports of a source that may not.
func keep(imports string) string {
	if strings.Contains(imports, "os") {
		return "var _ = os.Args\nvar _ testing.TB\n"
	}
	return ""
}

func TestRunReportsWhatGoCannotDo(t *testing.T) {
	t.Parallel()
	dir := module(t, map[string]string{"a/a.go": "package a\n"})

	if _, err := Run(t.Context(), Config{Dir: dir, Args: []string{"-count=many"}}); err == nil {
		t.Error("a flag that go refuses brought no error")
	}
	if _, err := Run(t.Context(), Config{Dir: filepath.Join(dir, "gone"), Args: []string{"./..."}}); err == nil {
		t.Error("a folder that does not exist brought no error")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Run(ctx, Config{Dir: dir, Args: []string{"./..."}}); err == nil {
		t.Error("a cancelled context brought no error")
	}
}

func TestFoldFailsAPackageWithoutAResult(t *testing.T) {
	t.Parallel()
	events := `{"Action":"start","Package":"x/a"}
{"Action":"run","Package":"x/a","Test":"TestA"}
{"Action":"pass","Package":"x/a","Test":"TestA"}
`
	packages, err := Fold(strings.NewReader(events), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(packages) != 1 || packages[0].Failed != 1 || packages[0].Passed != 1 {
		t.Fatalf("got %+v, want x/a with one passed and one failed", packages)
	}
	if _, err := Fold(strings.NewReader("no event\n"), nil); err == nil {
		t.Error("a line that is no event was accepted")
	}
}
