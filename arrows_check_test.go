package sallyport_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// checkImports parses every package below root, whatever its build constraints, and reports imports that the table
// does not allow and packages that have no row.
func checkImports(root string) ([]string, error) {
	packages, err := parse(root)
	if err != nil {
		return nil, err
	}
	var violations []string
	for _, pkg := range slices.Sorted(maps.Keys(packages)) {
		allowed, ok := row(pkg)
		if !ok {
			violations = append(violations, pkg+" has no row in the import table of arrows_test.go: decide what it may import")
			continue
		}
		seen := map[string]bool{}
		for _, file := range packages[pkg] {
			for _, spec := range file.ast.Imports {
				to, ours := strings.CutPrefix(unquote(spec), module+"/")
				if !ours || seen[to] || allows(allowed, pkg, to) {
					continue
				}
				seen[to] = true
				violations = append(violations, fmt.Sprintf("%s imports %s, which the import table of arrows_test.go does not allow (%s)", pkg, to, file.name))
			}
		}
	}
	return violations, nil
}

// row finds the row of a package: its own, else the nearest "above/..." one; helpers of tests have their parent's.
func row(pkg string) ([]string, bool) {
	if allowed, ok := imports[pkg]; ok {
		return allowed, true
	}
	parent := path.Dir(pkg)
	if forTests(pkg) {
		allowed, ok := row(parent)
		return append([]string{parent}, allowed...), ok
	}
	for ; parent != "."; parent = path.Dir(parent) {
		if allowed, ok := imports[parent+"/..."]; ok {
			return allowed, true
		}
	}
	return nil, false
}

// forTests tells whether a package holds helpers for tests.
func forTests(pkg string) bool { return strings.HasSuffix(pkg, "test") }

func allows(allowed []string, from, to string) bool {
	switch {
	case slices.Contains(allowed, anything):
		return true
	case forTests(to):
		return forTests(from)
	case to == "canon":
		return from != "ca/krl" // the one package that stands wholly by itself
	}
	return slices.ContainsFunc(allowed, func(pattern string) bool { return matches(pattern, to) })
}

// matches tells whether pkg is the pattern, or lies below it if the pattern ends in "/...".
func matches(pattern, pkg string) bool {
	above, ok := strings.CutSuffix(pattern, "/...")
	return pkg == above || ok && strings.HasPrefix(pkg, above+"/")
}

// checkPure reports what would make the answer of a pure package depend on more than its arguments.
func checkPure(root string) ([]string, error) {
	packages, err := parse(root)
	if err != nil {
		return nil, err
	}
	var violations []string
	for _, pkg := range pure {
		for _, file := range packages[pkg] {
			note := func(pos token.Pos, format string, args ...any) {
				violations = append(violations, fmt.Sprintf("%s:%d: ", file.name, file.set.Position(pos).Line)+fmt.Sprintf(format, args...))
			}
			clock := "" // what package time is called in this file
			for _, spec := range file.ast.Imports {
				name := unquote(spec)
				for bad, instead := range impure {
					if matches(bad+"/...", name) && name != "net/url" && name != "net/netip" {
						note(spec.Pos(), "imports %s, but %s is pure: %s", name, pkg, instead)
					}
				}
				switch {
				case name != "time":
				case spec.Name == nil:
					clock = "time"
				case spec.Name.Name == ".":
					note(spec.Pos(), "imports time with a dot, which hides its clock: name it")
				default:
					clock = spec.Name.Name
				}
			}
			ast.Inspect(file.ast, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.GoStmt:
					note(n.Pos(), "starts a goroutine, but %s is pure: let the caller decide", pkg)
				case *ast.SelectorExpr:
					if x, ok := n.X.(*ast.Ident); ok && clock != "" && x.Name == clock && slices.Contains(clocks, n.Sel.Name) {
						note(n.Pos(), "uses time.%s, but %s is pure: take `now time.Time` as an argument", n.Sel.Name, pkg)
					}
				}
				return true
			})
		}
	}
	return violations, nil
}

// source is a parsed file that is no test.
type source struct {
	name string // from the root, with slashes
	set  *token.FileSet
	ast  *ast.File
}

// parse reads the packages of the module at root, by path from there.
func parse(root string) (map[string][]source, error) {
	packages := map[string][]source{}
	err := filepath.WalkDir(root, func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			_, noModule := os.Lstat(filepath.Join(file, "go.mod"))
			if file != root && (strings.HasPrefix(d.Name(), ".") || strings.HasPrefix(d.Name(), "_") || d.Name() == "testdata" || noModule == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		rel, err := filepath.Rel(root, file)
		if err != nil {
			return err
		}
		s := source{name: filepath.ToSlash(rel), set: token.NewFileSet()}
		if s.ast, err = parser.ParseFile(s.set, file, nil, parser.SkipObjectResolution); err != nil {
			return err
		}
		pkg := path.Dir(s.name)
		packages[pkg] = append(packages[pkg], s)
		return nil
	})
	return packages, err
}

func unquote(spec *ast.ImportSpec) string {
	name, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return name
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Standard   bool
	CgoFiles   []string
	Deps       []string
}

// checkReach asks go, without network, what is linked into each package that has a row in reach.
func checkReach(root string) ([]string, error) {
	cmd := exec.Command("go", "list", "-e", "-deps", "-json=ImportPath,Standard,CgoFiles,Deps", "./...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOPROXY=off", "GOWORK=off", "CGO_ENABLED=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w: %s", err, stderr.Bytes())
	}
	all := map[string]listed{}
	for in := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := in.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		all[p.ImportPath] = p
	}
	var violations []string
	for name, p := range all {
		pkg, ours := strings.CutPrefix(name, module+"/")
		for pattern, bans := range reach {
			if !ours || !matches(pattern, pkg) {
				continue
			}
			for _, ban := range bans {
				if bad, ok := firstBanned(all, p.Deps, ban); ok {
					violations = append(violations, fmt.Sprintf("%s is linked with %s, but %s", pkg, bad, ban.why))
				}
			}
		}
	}
	return violations, nil
}

func firstBanned(all map[string]listed, deps []string, ban banned) (string, bool) {
	for _, dep := range deps {
		if ban.path == "cgo" {
			if p := all[dep]; !p.Standard && len(p.CgoFiles) > 0 {
				return dep, true
			}
		} else if matches(ban.path+"/...", dep) {
			return dep, true
		}
	}
	return "", false
}
