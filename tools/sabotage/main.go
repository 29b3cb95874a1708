// Command sabotage owns the proof that the tests can fail: it plants named faults, one at a time, in a copy of the
// tree and demands that `go test` turns red for each. A fault that no test notices is a promise that nothing guards.
//
//	go -C tools run ./sabotage -root .. [-only REGEXP]
//
// The faults stand in tools/sabotage/faults, one file each; the README there describes them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	root, faults string
	only         *regexp.Regexp
	parallel     int
	timeout      time.Duration
	check        bool
}

// run is main with its surroundings as arguments; it returns the exit code: 0 all caught, 1 not, 2 usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parse(args, stderr)
	if err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(stderr, "sabotage:", err)
		}
		return 2
	}
	faults, errs := LoadFaults(opts.faults)
	if len(errs) == 0 {
		faults = slices.DeleteFunc(faults, func(f Fault) bool { return !opts.only.MatchString(f.Name) })
		if len(faults) == 0 {
			errs = append(errs, fmt.Errorf("no fault to plant in %s", opts.faults))
		}
	}
	for _, f := range faults {
		if err := fits(opts.root, f); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", f.Name, err))
		}
	}
	if len(errs) > 0 {
		for _, err := range errs {
			fmt.Fprintln(stderr, "sabotage:", err)
		}
		return 1
	}
	if opts.check {
		fmt.Fprintf(stdout, "sabotage: %d faults apply\n", len(faults))
		return 0
	}
	caught, err := plantAll(ctx, opts, faults, stdout)
	if err != nil {
		fmt.Fprintln(stderr, "sabotage:", err)
		return 1
	}
	fmt.Fprintf(stdout, "sabotage: %d planted, %d caught\n", len(faults), caught)
	if caught != len(faults) {
		return 1
	}
	return 0
}

func parse(args []string, stderr io.Writer) (options, error) {
	var opts options
	var only string
	flags := flag.NewFlagSet("sabotage", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&opts.root, "root", ".", "the `folder` of the tree to copy")
	flags.StringVar(&opts.faults, "faults", "", "the `folder` of the fault files (default ROOT/tools/sabotage/faults)")
	flags.StringVar(&only, "only", "", "plant only faults whose name matches this `regexp`")
	flags.IntVar(&opts.parallel, "parallel", 2, "how many faults are tested at once")
	flags.DurationVar(&opts.timeout, "timeout", 3*time.Minute, "how long the tests of one package may take")
	flags.BoolVar(&opts.check, "check", false, "only check that every fault applies")
	if err := flags.Parse(args); err != nil {
		return opts, flag.ErrHelp // flags has said what is wrong
	}
	if flags.NArg() > 0 || opts.parallel < 1 || opts.timeout <= 0 {
		return opts, errors.New("no arguments are taken, -parallel is at least 1, -timeout positive")
	}
	var err error
	if opts.only, err = regexp.Compile(only); err != nil {
		return opts, err
	}
	if opts.root, err = filepath.Abs(opts.root); err != nil {
		return opts, err
	}
	if opts.faults == "" {
		opts.faults = filepath.Join(opts.root, "tools", "sabotage", "faults")
	}
	return opts, nil
}

// fits tells whether the fault can be planted in the tree at root, without planting it.
func fits(root string, f Fault) error {
	text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(f.File)))
	if err != nil {
		return fmt.Errorf("fault does not apply: %w", err)
	}
	_, err = f.Apply(text)
	return err
}

// plantAll runs all faults in a temporary copy, prints the table and returns how many were caught.
func plantAll(ctx context.Context, opts options, faults []Fault, stdout io.Writer) (caught int, err error) {
	temp, err := os.MkdirTemp("", "sallyport-sabotage-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(temp)) }()
	if rel, err := filepath.Rel(opts.root, temp); err == nil && filepath.IsLocal(rel) {
		return 0, fmt.Errorf("the folder for temporary files, %s, lies inside the tree; set TMPDIR to another", temp)
	}
	files, err := treeFiles(ctx, opts.root)
	if err != nil {
		return 0, err
	}
	// One snapshot for all, so that somebody at work in the tree does not change what is tested halfway.
	runner := Runner{
		Base: filepath.Join(temp, "base"), Work: filepath.Join(temp, "work"),
		Files: files, Parallel: opts.parallel, Timeout: opts.timeout,
	}
	if err := copyTree(runner.Base, opts.root, files); err != nil {
		return 0, err
	}
	width := 0
	for _, f := range faults {
		width = max(width, len(f.Name))
	}
	runner.Run(ctx, faults, func(r Result) {
		if r.Verdict == Caught {
			caught++
		}
		fmt.Fprintf(stdout, "%-9s  %s  %-*s  %5.1fs  %s\n", r.Verdict, r.Fault.Promise, width, r.Fault.Name, r.Elapsed.Seconds(), r.Why)
		for _, line := range r.Detail {
			if line = strings.TrimRight(line, "\n"); line != "" {
				fmt.Fprintf(stdout, "           | %s\n", line)
			}
		}
	})
	return caught, context.Cause(ctx)
}
