package sallyport_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// pathPattern is a path of this tree as the documents write it: in backticks,
// with a folder that stands at the root.
var pathPattern = regexp.MustCompile("`((?:[a-z0-9_.-]+/)*[A-Za-z0-9_.-]+)`|\\]\\(([^)#]+)[^)]*\\)")

// TestDocumentsNameWhatIsThere holds README and docs to the tree: a file or
// folder that they point at exists, so that a reader finds it.
func TestDocumentsNameWhatIsThere(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	roots := rootNames(t)
	named := 0
	for _, doc := range append(files, "README.md", "CONTRIBUTING.md", "SECURITY.md") {
		text, err := os.ReadFile(doc)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pathPattern.FindAllStringSubmatch(string(text), -1) {
			path, from := m[1], "."
			if m[2] != "" { // a link is relative to its page
				path, from = m[2], filepath.Dir(doc)
				if strings.Contains(path, ":") {
					continue
				}
			} else if first, _, nested := strings.Cut(path, "/"); !roots[first] || !nested || strings.Contains(path, "NNNN") {
				continue // not a path of this tree, or the form of one
			}
			named++
			if _, err := os.Stat(filepath.Join(from, filepath.FromSlash(path))); err != nil {
				t.Errorf("%s names %s, which is not there", doc, path)
			}
		}
	}
	if named < 50 {
		t.Errorf("only %d paths were found in the documents; the pattern does not read them any more", named)
	}
}

// rootNames are the folders at the root of the tree.
func rootNames(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]bool)
	for _, e := range entries {
		if e.IsDir() && e.Name() != "bin" {
			out[e.Name()] = true
		}
	}
	return out
}
