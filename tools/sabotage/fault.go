package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Fault is one named way to break the product. README.md beside the faults describes the file format.
type Fault struct {
	Name     string   // the file's name without .txt
	Promise  string   // the promise that it breaks, P01…
	File     string   // the file to change, slash-separated, from the root of the tree
	Packages []string // patterns whose tests must turn red, each with a leading ./
	Run      string   // go test's -run; empty for all
	Edits    []Edit   // at least one, applied in order
}

// Edit replaces whole lines. Old is never empty; both end in a newline unless New is empty.
type Edit struct{ Old, New string }

var (
	namePattern    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	promisePattern = regexp.MustCompile(`^P[0-9]{2}$`)
)

const (
	oldMark = "--- old"
	newMark = "--- new"
)

// LoadFaults reads all *.txt in dir, sorted by name, and reports what is wrong with every one of them.
func LoadFaults(dir string) ([]Fault, []error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, []error{err}
	}
	slices.Sort(paths)
	var faults []Fault
	var errs []error
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil {
			var f Fault
			if f, err = ParseFault(strings.TrimSuffix(filepath.Base(path), ".txt"), string(text)); err == nil {
				faults = append(faults, f)
				continue
			}
		}
		errs = append(errs, fmt.Errorf("%s: %w", path, err))
	}
	return faults, errs
}

// ParseFault reads one fault file.
func ParseFault(name, text string) (Fault, error) {
	f := Fault{Name: name}
	if !namePattern.MatchString(name) {
		return f, fmt.Errorf("the name %q is not lower-case words joined by hyphens", name)
	}
	lines := strings.SplitAfter(text, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	} else {
		lines[len(lines)-1] += "\n"
	}
	body := slices.IndexFunc(lines, isMark)
	if body < 0 {
		return f, fmt.Errorf("no line %q", oldMark)
	}
	if err := f.header(lines[:body]); err != nil {
		return f, err
	}
	return f, f.body(lines[body:])
}

func isMark(line string) bool {
	line = strings.TrimRight(line, "\n")
	return line == oldMark || line == newMark
}

// header reads the lines `key: value` above the first edit.
func (f *Fault) header(lines []string) error {
	seen := map[string]bool{}
	for i, line := range lines {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		key, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || value == "" {
			return fmt.Errorf("line %d: want `key: value`, got %q", i+1, line)
		}
		if seen[key] {
			return fmt.Errorf("line %d: %s stands twice", i+1, key)
		}
		seen[key] = true
		switch key {
		case "promise":
			f.Promise = value
		case "file":
			f.File = value
		case "test":
			f.Packages = strings.Fields(value)
		case "run":
			f.Run = value
		default:
			return fmt.Errorf("line %d: unknown key %q; known are promise, file, test, run", i+1, key)
		}
	}
	return f.check()
}

func (f *Fault) check() error {
	if !promisePattern.MatchString(f.Promise) {
		return fmt.Errorf("promise: want P01, P02…, got %q", f.Promise)
	}
	if !filepath.IsLocal(f.File) || strings.HasSuffix(f.File, "_test.go") {
		return fmt.Errorf("file: want a file of the product inside the tree, got %q", f.File)
	}
	if len(f.Packages) == 0 {
		return fmt.Errorf("test: want package patterns, got none")
	}
	for _, p := range f.Packages {
		if p != "." && !strings.HasPrefix(p, "./") {
			return fmt.Errorf("test: want patterns that begin with ./, got %q", p)
		}
	}
	if _, err := regexp.Compile(f.Run); err != nil {
		return fmt.Errorf("run: %w", err)
	}
	return nil
}

// body reads the edits; lines begins with a mark.
func (f *Fault) body(lines []string) error {
	var part *string // where the next lines belong
	for _, line := range lines {
		switch strings.TrimRight(line, "\n") {
		case oldMark:
			if part != nil && part != &f.Edits[len(f.Edits)-1].New {
				return fmt.Errorf("two times %q without %q between", oldMark, newMark)
			}
			f.Edits = append(f.Edits, Edit{})
			part = &f.Edits[len(f.Edits)-1].Old
		case newMark:
			if part == nil || part != &f.Edits[len(f.Edits)-1].Old {
				return fmt.Errorf("%q without %q before it", newMark, oldMark)
			}
			part = &f.Edits[len(f.Edits)-1].New
		default:
			*part += line
		}
	}
	if part != &f.Edits[len(f.Edits)-1].New {
		return fmt.Errorf("%q without %q behind it", oldMark, newMark)
	}
	for i, e := range f.Edits {
		switch {
		case strings.TrimSpace(e.Old) == "":
			return fmt.Errorf("edit %d: the old text is empty", i+1)
		case e.Old == e.New:
			return fmt.Errorf("edit %d: old and new text are the same", i+1)
		}
	}
	return nil
}

// Apply returns text with the fault in it, or an error that says why it does not fit.
func (f *Fault) Apply(text []byte) ([]byte, error) {
	// The newline in front makes the first line like every other: an edit fits only at the beginning of a line.
	text = append([]byte("\n"), text...)
	for i, e := range f.Edits {
		old := []byte("\n" + e.Old)
		if n := occurrences(text, old); n != 1 {
			return nil, fmt.Errorf("fault does not apply: the old text of edit %d stands %d times in %s, it must stand there exactly once", i+1, n, f.File)
		}
		text = bytes.Replace(text, old, []byte("\n"+e.New), 1)
	}
	return text[1:], nil
}

// occurrences counts overlapping ones as well, unlike bytes.Count.
func occurrences(text, part []byte) int {
	n := 0
	for {
		i := bytes.Index(text, part)
		if i < 0 {
			return n
		}
		n++
		text = text[i+1:]
	}
}
