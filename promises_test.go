package sallyport_test

import (
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var updatePromises = flag.Bool("update", false, "write the lists of docs/promises.md anew")

const promisesFile = "docs/promises.md"

// TestPromisesDocument holds the lists of docs/promises.md to the tests and
// planted faults that the tree has.
func TestPromisesDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(promisesFile)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := strings.Cut(string(text), "<!-- tests -->\n")
	if !ok {
		t.Fatalf("%s has no mark <!-- tests -->", promisesFile)
	}
	tests, faults := promiseTests(t), promiseFaults(t)
	want := head + "<!-- tests -->\n" + list(tests) + "\n## Planted faults\n\n<!-- faults -->\n" + list(faults)
	if *updatePromises {
		if err := os.WriteFile(promisesFile, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if want != string(text) {
		t.Errorf("%s is stale; run go test . -run TestPromisesDocument -update", promisesFile)
	}
	for promise := range tests {
		if len(faults[promise]) == 0 {
			t.Errorf("%s has tests and no planted fault: nothing shows that they can fail", promise)
		}
	}
}

// promiseTests finds the tests named after a promise, by promise.
func promiseTests(t *testing.T) map[string][]string {
	t.Helper()
	name := regexp.MustCompile(`^TestPromise(P[0-9]{2})_`)
	out := make(map[string][]string)
	walk(t, "_test.go", func(path string) {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			f, ok := decl.(*ast.FuncDecl)
			if !ok || f.Recv != nil {
				continue
			}
			if m := name.FindStringSubmatch(f.Name.Name); m != nil {
				out[m[1]] = append(out[m[1]], fmt.Sprintf("`%s` in %s", f.Name.Name, filepath.ToSlash(filepath.Dir(path))))
			}
		}
	})
	return out
}

// promiseFaults finds the planted faults, by promise.
func promiseFaults(t *testing.T) map[string][]string {
	t.Helper()
	promise := regexp.MustCompile(`(?m)^promise: (P[0-9]{2})$`)
	out := make(map[string][]string)
	files, err := filepath.Glob("tools/sabotage/faults/*.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range files {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m := promise.FindSubmatch(text)
		if m == nil {
			t.Errorf("%s names no promise", path)
			continue
		}
		out[string(m[1])] = append(out[string(m[1])], strings.TrimSuffix(filepath.Base(path), ".txt"))
	}
	return out
}

func walk(t *testing.T, suffix string, visit func(path string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "bin"):
			return filepath.SkipDir
		case !d.IsDir() && strings.HasSuffix(path, suffix):
			visit(path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func list(byPromise map[string][]string) string {
	var b strings.Builder
	for _, promise := range slices.Sorted(maps.Keys(byPromise)) {
		slices.Sort(byPromise[promise])
		_, _ = fmt.Fprintf(&b, "\n**%s**\n", promise)
		for _, entry := range byPromise[promise] {
			_, _ = fmt.Fprintf(&b, "- %s\n", entry)
		}
	}
	return b.String()
}
