// Command testreport runs `go test` in one or more modules, prints a line per package and what failing and skipped
// tests printed, and ends with the line
//
//	N passed, N failed, N skipped
//
// counting tests and subtests. It exits 1 when a test failed, when one was skipped (a skipped test proves nothing) and
// when none ran.
//
//	testreport -in . -in tools -- -count=1 ./...
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/tools/gotest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main with its surroundings as arguments; it returns the exit code: 0, 1 not good, 2 usage.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var dirs []string
	flags := flag.NewFlagSet("testreport", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Func("in", "run in this `folder`, the root of a module; may be repeated", func(s string) error {
		dirs = append(dirs, s)
		return nil
	})
	if err := flags.Parse(args); err != nil {
		return 2
	}
	if len(dirs) == 0 || flags.NArg() == 0 {
		fmt.Fprintln(stderr, "usage: testreport -in DIR [-in DIR…] -- ARGUMENTS OF GO TEST")
		return 2
	}

	total := tally{out: stdout}
	for _, dir := range dirs {
		before := total.failed
		_, err := gotest.Run(ctx, gotest.Config{Dir: dir, Args: flags.Args(), Stderr: stderr, Each: total.add})
		if err != nil {
			fmt.Fprintf(stdout, "FAIL  in %s: %v\n", dir, err)
			if total.failed == before {
				total.failed++
			}
		}
	}
	return total.end()
}

// tally prints packages as they end and counts their tests.
type tally struct {
	out                     io.Writer
	passed, failed, skipped int
}

func (t *tally) add(p gotest.Package) {
	t.passed += p.Passed
	t.failed += p.Failed
	t.skipped += p.Skipped

	elapsed := p.Elapsed.Round(time.Millisecond)
	switch {
	case p.Empty():
		fmt.Fprintf(t.out, "-     %s  no tests\n", p.Path)
	case p.OK():
		fmt.Fprintf(t.out, "ok    %s  %s  %d passed\n", p.Path, elapsed, p.Passed)
	default:
		fmt.Fprintf(t.out, "FAIL  %s  %s  %d passed, %d failed, %d skipped\n", p.Path, elapsed, p.Passed, p.Failed, p.Skipped)
	}
	for _, trouble := range p.Troubles {
		fmt.Fprintf(t.out, "  %s %s\n", trouble.Kind, trouble.Test)
		for _, line := range trouble.Output {
			if strings.HasPrefix(line, "=== ") || strings.HasPrefix(line, "--- ") {
				continue // what the header above says already
			}
			fmt.Fprintf(t.out, "    %s\n", strings.TrimRight(line, "\n"))
		}
	}
}

// end prints the last line and returns the exit code.
func (t *tally) end() int {
	good := t.failed == 0 && t.skipped == 0
	if good && t.passed == 0 {
		fmt.Fprintln(t.out, "FAIL  no test ran")
		good = false
	}
	if t.skipped > 0 {
		fmt.Fprintln(t.out, "FAIL  a skipped test proves nothing: make it run or delete it")
	}
	fmt.Fprintf(t.out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	if !good {
		return 1
	}
	return 0
}
