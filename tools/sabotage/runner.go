package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/tools/gotest"
)

// Verdict says what became of a planted fault. Only Caught is good.
type Verdict int

// The verdicts.
const (
	Caught    Verdict = iota + 1 // a test turned red
	Survived                     // every test stayed green
	Invalid                      // the copy did not compile, so no test judged the fault
	TimedOut                     // no test turned red in time; a slow machine looks the same, so it does not count
	Unfounded                    // the tests are not green without the fault
	Broken                       // the runner could not do its work
)

// String is the word in the table.
func (v Verdict) String() string {
	switch v {
	case Caught:
		return "caught"
	case Survived:
		return "SURVIVED"
	case Invalid:
		return "INVALID"
	case TimedOut:
		return "TIMED OUT"
	case Unfounded:
		return "UNFOUNDED"
	case Broken:
		return "BROKEN"
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// Result is a row of the table.
type Result struct {
	Fault   Fault
	Verdict Verdict
	Why     string   // one line: the test that caught it, or what is wrong
	Detail  []string // lines that help to mend what is wrong
	Elapsed time.Duration
}

// Runner plants faults in copies of a tree and runs tests there.
type Runner struct {
	Base     string        // a copy of the tree that nobody changes
	Files    []string      // what is in it
	Work     string        // an empty folder of our own, for the copies that are changed
	Parallel int           // copies at work at once, at least 1
	Timeout  time.Duration // of each package's tests
}

// compileTime bounds what a run may take besides the tests: a cold build of everything with cgo.
const compileTime = 15 * time.Minute

// Run judges all faults; done is called for each as it is judged, from one goroutine at a time.
func (r *Runner) Run(ctx context.Context, faults []Fault, done func(Result)) {
	baselines := r.baselines(ctx, faults)
	r.each(faults, func(dir string, f Fault) Result {
		base := baselines[f.tests()]
		if base.Verdict == Survived {
			return r.judge(ctx, dir, f)
		}
		base.Fault, base.Elapsed = f, 0
		return base
	}, done)
}

// tests is what two faults must share to share a verdict without any fault.
func (f *Fault) tests() string { return f.Run + "\x00" + strings.Join(f.Packages, "\x00") }

// baselines runs the tests of all faults without any, and returns the results by what tests are: red proves something
// only where the same tests are green before. The tests of the same packages are run at once; where one of them is red,
// they are asked for each by itself, so that it speaks only against those that need it.
func (r *Runner) baselines(ctx context.Context, faults []Fault) map[string]Result {
	results := map[string]Result{}
	take := func(res Result) { results[res.Fault.tests()] = res }
	sets := byTests(faults)
	joined := map[string][]Fault{} // what was put together, by the tests of the whole
	var first, second []Fault
	for _, group := range together(sets) {
		whole := join(group)
		joined[whole.tests()] = group
		first = append(first, whole)
	}
	r.each(first, func(dir string, f Fault) Result { return r.baseline(ctx, dir, f) }, func(res Result) {
		group := joined[res.Fault.tests()]
		if res.Verdict != Survived && len(group) > 1 {
			second = append(second, group...)
			return
		}
		for _, f := range group {
			res.Fault = f
			take(res)
		}
	})
	r.each(second, func(dir string, f Fault) Result { return r.baseline(ctx, dir, f) }, take)
	return results
}

// byTests returns one fault of each that have the same tests, in order.
func byTests(faults []Fault) []Fault {
	seen := map[string]bool{}
	var sets []Fault
	for _, f := range faults {
		if !seen[f.tests()] {
			seen[f.tests()] = true
			sets = append(sets, f)
		}
	}
	return sets
}

// together groups those whose tests one run can have: of the same packages, and without a pattern of subtests, which
// has no "or" across its levels.
func together(sets []Fault) [][]Fault {
	place := map[string]int{}
	var groups [][]Fault
	for _, f := range sets {
		key := strings.Join(f.Packages, "\x00")
		if strings.Contains(f.Run, "/") {
			key = f.tests()
		}
		i, ok := place[key]
		if !ok {
			i = len(groups)
			place[key], groups = i, append(groups, nil)
		}
		groups[i] = append(groups[i], f)
	}
	return groups
}

// join is a fault that has the tests of all of a group.
func join(group []Fault) Fault {
	whole := group[0]
	var runs []string
	for _, f := range group {
		if f.Run == "" { // every test
			whole.Run = ""
			return whole
		}
		runs = append(runs, "("+f.Run+")")
	}
	if len(runs) > 1 {
		whole.Run = strings.Join(runs, "|")
	}
	return whole
}

// each calls work for all faults on Parallel goroutines, and done for the results, one at a time. Each goroutine keeps
// one folder: the build cache knows a package by where it lies, so a new folder each time would compile all anew.
func (r *Runner) each(faults []Fault, work func(dir string, f Fault) Result, done func(Result)) {
	jobs := make(chan Fault)
	var lock sync.Mutex // held while done runs
	var group sync.WaitGroup
	for n := range r.Parallel {
		dir := path.Join(r.Work, fmt.Sprint(n))
		group.Go(func() {
			for f := range jobs {
				begin := time.Now()
				res := work(dir, f)
				if res.Elapsed == 0 {
					res.Elapsed = time.Since(begin)
				}
				lock.Lock()
				done(res)
				lock.Unlock()
			}
		})
	}
	for _, f := range faults {
		jobs <- f
	}
	close(jobs)
	group.Wait()
}

// baseline runs the fault's tests without the fault: Survived is what it should be.
func (r *Runner) baseline(ctx context.Context, dir string, f Fault) Result {
	if err := copyTree(dir, r.Base, r.Files); err != nil {
		return broken(f, err)
	}
	packages, err := r.test(ctx, dir, f)
	if err != nil {
		return broken(f, err)
	}
	res := Result{Fault: f, Verdict: Survived}
	passed := 0
	for _, p := range packages {
		passed += p.Passed
		if p.Failed > 0 {
			res.Verdict = Unfounded
			res.Why = "red even without the fault: " + first(p)
			for _, t := range p.Troubles { // a subtest's words stand with the subtest
				res.Detail = append(res.Detail, t.Output...)
			}
		}
	}
	if res.Verdict == Survived && passed == 0 {
		res.Verdict, res.Why = Unfounded, "no test ran: "+strings.Join(f.Packages, " ")+" "+f.Run
	}
	return res
}

// judge plants the fault and runs its tests.
func (r *Runner) judge(ctx context.Context, dir string, f Fault) Result {
	if err := copyTree(dir, r.Base, r.Files); err != nil {
		return broken(f, err)
	}
	if err := plant(dir, f); err != nil {
		return broken(f, err)
	}
	if out, err := r.compile(ctx, dir, f); err != nil {
		return Result{Fault: f, Verdict: Invalid, Why: "does not compile", Detail: strings.SplitAfter(out, "\n")}
	}
	packages, err := r.test(ctx, dir, f)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return Result{Fault: f, Verdict: TimedOut, Why: "the run took longer than its tests and a cold build may"}
	case err != nil:
		return broken(f, err)
	}
	return verdict(f, packages)
}

// verdict reads the result of a run with the fault.
func verdict(f Fault, packages []gotest.Package) Result {
	res := Result{Fault: f, Verdict: Survived, Why: "every test stayed green: " + strings.Join(f.Packages, " ") + " " + f.Run}
	for _, p := range packages {
		for _, t := range p.Troubles {
			switch t.Kind {
			case gotest.Skipped:
			case gotest.Build:
				return Result{Fault: f, Verdict: Invalid, Why: "does not compile in " + p.Path, Detail: t.Output}
			case gotest.Failed:
				if res.Verdict != Caught {
					res = Result{Fault: f, Verdict: Caught, Why: first(p)}
				}
			case gotest.Unfinished, gotest.Process:
				switch {
				case res.Verdict == Caught:
				case p.TimedOut:
					res = Result{Fault: f, Verdict: TimedOut, Why: "hung: " + first(p) + "; let the test fail by itself", Detail: t.Output}
				default:
					res = Result{Fault: f, Verdict: Caught, Why: first(p)}
				}
			}
		}
	}
	return res
}

// first names the first plainly failing test of a package, else whatever else went wrong. A subtest says more than
// its parent, so the longest name of the first family is taken.
func first(p gotest.Package) string {
	best := ""
	for _, t := range p.Troubles {
		if t.Kind == gotest.Failed && (best == "" || strings.HasPrefix(t.Test, best+"/")) {
			best = t.Test
		}
	}
	if best == "" {
		for _, t := range p.Troubles {
			if t.Kind != gotest.Skipped {
				best = strings.TrimSpace(strings.ToLower(t.Kind.String()) + " " + t.Test)
				break
			}
		}
	}
	return best + " (" + p.Path + ")"
}

// compile builds the package of the changed file. The tests are compiled by their own run; but a test that builds and
// starts a program would mistake a compiler error for a fault that it caught.
func (r *Runner) compile(ctx context.Context, dir string, f Fault) (string, error) {
	if path.Ext(f.File) != ".go" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, compileTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "build", "-o", "/dev/null", "./"+path.Dir(f.File))
	cmd.Dir = dir
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

func (r *Runner) test(ctx context.Context, dir string, f Fault) ([]gotest.Package, error) {
	ctx, cancel := context.WithTimeout(ctx, compileTime+time.Duration(len(f.Packages))*r.Timeout)
	defer cancel()
	// No vet: a fault need not be pretty, and vet is no test. The first red is enough.
	args := []string{"-count=1", "-vet=off", "-failfast", "-p=1", "-timeout=" + r.Timeout.String()}
	if f.Run != "" {
		args = append(args, "-run="+f.Run)
	}
	// That a story was found which shows the fault is enough; the shortest one is for people.
	env := append(os.Environ(), "RAPID_SHRINKTIME=0s", "RAPID_NOFAILFILE=true")
	return gotest.Run(ctx, gotest.Config{Dir: dir, Args: append(args, f.Packages...), Env: env, Reap: true})
}

func broken(f Fault, err error) Result { return Result{Fault: f, Verdict: Broken, Why: err.Error()} }
