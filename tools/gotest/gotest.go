// Package gotest runs `go test -json` and folds its events into one verdict per package. It owns the question whether
// a test run was red, green or worth nothing, for the commands testreport and sabotage.
//
// The text that `go test -v` prints is not enough for that: a test that ends a line of its own without a newline hides
// the line that says it was skipped.
package gotest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Kind says why a Trouble was noted.
type Kind int

// The kinds of trouble.
const (
	Failed     Kind = iota + 1 // a test failed
	Unfinished                 // a test had begun and its process ended without a result for it: panic, timeout, exit
	Skipped                    // a test was skipped
	Build                      // the package or its tests did not compile, or could not be set up
	Process                    // the test process ended badly and no test says why
)

// String is the word for people.
func (k Kind) String() string {
	switch k {
	case Failed:
		return "FAIL"
	case Unfinished:
		return "UNFINISHED"
	case Skipped:
		return "SKIP"
	case Build:
		return "BUILD"
	case Process:
		return "PROCESS"
	}
	return fmt.Sprintf("Kind(%d)", int(k))
}

// Trouble is one thing that keeps a run from being good.
type Trouble struct {
	Kind   Kind
	Test   string   // full name, subtests after a slash; empty for Build and Process
	Output []string // what it printed, in lines that keep their newline
}

// Package is what one package's tests came to.
type Package struct {
	Path     string
	Elapsed  time.Duration
	Passed   int // tests and subtests
	Failed   int // tests and subtests, unfinished ones included; 1 if only the build or the process is to blame
	Skipped  int
	Troubles []Trouble // in the order in which the tests began
	TimedOut bool      // the test binary's own -timeout ended it
}

// OK tells whether nothing failed and nothing was skipped.
func (p Package) OK() bool { return p.Failed == 0 && p.Skipped == 0 }

// Empty tells whether the package ran no test at all and has nothing to report either.
func (p Package) Empty() bool { return p.Passed == 0 && p.OK() }

// Config is one run. Dir and Args are required.
type Config struct {
	Dir    string        // where go runs
	Args   []string      // behind `go test -json`
	Env    []string      // the child's whole environment; nil inherits ours
	Stderr io.Writer     // go's own remarks; nil discards them
	Each   func(Package) // called as each package ends; nil collects only

	// Reap kills, after the run, what the tests left running in their process group.
	Reap bool
}

// Run runs the tests and returns the packages in the order in which they ended. The error tells that go itself could
// not do its work or that ctx ended the run; red tests are no error, but if go ends with a bad exit status and no
// package explains it, that is one.
func Run(ctx context.Context, cfg Config) ([]Package, error) {
	cmd := exec.CommandContext(ctx, "go", append([]string{"test", "-json"}, cfg.Args...)...)
	cmd.Dir = cfg.Dir
	cmd.Env = cfg.Env
	cmd.Stderr = cfg.Stderr
	// A group of its own: an interrupt must reach the test binaries and what they started, not only go.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting go test: %w", err)
	}
	if cfg.Reap {
		defer func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }() // an empty group is what we hope for
	}

	packages, readErr := Fold(out, cfg.Each)
	waitErr := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return packages, fmt.Errorf("go test was ended: %w", context.Cause(ctx))
	case readErr != nil:
		return packages, readErr
	case waitErr != nil && !anyFailed(packages):
		return packages, fmt.Errorf("go test: %w, and no package says why", waitErr)
	}
	return packages, nil
}

func anyFailed(packages []Package) bool {
	for _, p := range packages {
		if p.Failed > 0 {
			return true
		}
	}
	return false
}

// event is a line of `go test -json` (go doc test2json, and go help buildjson for the build-… actions).
type event struct {
	Action      string
	Package     string
	ImportPath  string
	Test        string
	Output      string
	Elapsed     float64 // seconds
	FailedBuild string
}

// fold is the state between two events.
type fold struct {
	open   map[string]*running // by package path
	builds map[string][]string // compiler output by import path
	done   []Package
	each   func(Package)
}

// running is a package whose tests have not ended.
type running struct {
	Package
	order  []string
	tests  map[string]*test
	output []string // what belongs to no test
}

type test struct {
	output []string
	kind   Kind // Unfinished until a result comes; 0 once passed
}

// Fold reads the events of a run up to its end. each, unless nil, is called as each package ends. Packages whose
// result never comes count as failed.
func Fold(r io.Reader, each func(Package)) ([]Package, error) {
	f := fold{open: map[string]*running{}, builds: map[string][]string{}, each: each}
	in := bufio.NewReader(r)
	var order []string
	for {
		line, err := in.ReadString('\n')
		if text := strings.TrimSpace(line); text != "" {
			var e event
			if jsonErr := json.Unmarshal([]byte(text), &e); jsonErr != nil {
				return f.done, fmt.Errorf("go test printed a line that is no event: %q", text)
			}
			if e.Action == "start" {
				order = append(order, e.Package)
			}
			f.apply(e)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return f.done, fmt.Errorf("reading the events of go test: %w", err)
		}
	}
	for _, path := range order {
		if p, ok := f.open[path]; ok {
			f.finish(p, "fail", "")
		}
	}
	return f.done, nil
}

func (f *fold) apply(e event) {
	switch e.Action {
	case "build-output":
		f.builds[e.ImportPath] = append(f.builds[e.ImportPath], e.Output)
		return
	case "build-fail":
		return // the packages that needed it say so themselves
	}
	p, ok := f.open[e.Package]
	if !ok {
		p = &running{Package: Package{Path: e.Package}, tests: map[string]*test{}}
		f.open[e.Package] = p
	}
	if e.Test == "" {
		switch e.Action {
		case "output":
			p.note(e.Output)
		case "pass", "fail", "skip":
			p.Elapsed = seconds(e.Elapsed)
			f.finish(p, e.Action, e.FailedBuild)
		}
		return
	}
	t, ok := p.tests[e.Test]
	if !ok {
		t = &test{kind: Unfinished}
		p.tests[e.Test] = t
		p.order = append(p.order, e.Test)
	}
	switch e.Action {
	case "output":
		p.note(e.Output)
		t.output = append(t.output, e.Output)
	case "pass":
		p.Passed++
		t.kind, t.output = 0, nil
	case "fail":
		t.kind = Failed
	case "skip":
		t.kind = Skipped
	}
}

// note keeps what belongs to no test and recognises the sentence with which package testing ends a run that took too
// long, wherever it comes: it is printed in the midst of whichever test is running.
func (p *running) note(output string) {
	if strings.Contains(output, "panic: test timed out after ") {
		p.TimedOut = true
	}
	p.output = append(p.output, output)
	if len(p.output) > maxLoose {
		p.output = p.output[len(p.output)-maxLoose/2:]
	}
}

// maxLoose bounds the lines kept in case only the process is to blame; a goroutine dump fits in.
const maxLoose = 2000

// finish closes a package: action is the package's own result, failedBuild the import path that did not compile.
func (f *fold) finish(p *running, action, failedBuild string) {
	delete(f.open, p.Path)
	for _, name := range p.order {
		t := p.tests[name]
		if t.kind == 0 {
			continue
		}
		if t.kind == Skipped {
			p.Skipped++
		} else {
			p.Failed++
		}
		p.Troubles = append(p.Troubles, Trouble{Kind: t.kind, Test: name, Output: t.output})
	}
	if action == "fail" && p.Failed == 0 {
		p.Failed = 1
		trouble := Trouble{Kind: Process, Output: p.output}
		if failedBuild != "" || setupFailed(p.output) {
			trouble = Trouble{Kind: Build, Output: append(f.builds[failedBuild], p.output...)}
		}
		p.Troubles = append(p.Troubles, trouble)
	}
	f.done = append(f.done, p.Package)
	if f.each != nil {
		f.each(p.Package)
	}
}

// setupFailed recognises a package that go could not even load, which has no FailedBuild.
func setupFailed(output []string) bool {
	for _, line := range output {
		if strings.HasPrefix(line, "FAIL\t") && (strings.HasSuffix(line, "[setup failed]\n") || strings.HasSuffix(line, "[build failed]\n")) {
			return true
		}
	}
	return false
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }
