// Command bench measures what Sallyport promises to be quick at (DESIGN §11,
// docs/performance.md) and prints the figures as a Markdown table. `make bench`
// and `make bench-big` run it.
//
//	bench [-leaves N] [-dir DIR] [-only PART,...] [-cpuprofile FILE]
//
// It makes a ledger of so many leaves by the same write path and fold that
// sallyd uses, signatures included, and measures over it and over an empty one.
// The parts are "machine", "leaves", "ledger", "replay" and "hosts". Figures of two
// machines, or of two runs, say little beside each other; the ratios within one
// run do.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/pprof"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// settings are what the flags say.
type settings struct {
	leaves int64
	dir    string
	only   []string
	cpu    string // where the profile of the run goes
	size   sizes
}

// sizes are how much is measured for one figure.
type sizes struct {
	span     time.Duration // how long leaves are appended
	calls    int           // issue calls
	proofs   int
	replayed int // certificates in the bundle

	started int           // how often a program is started
	hosts   int           // that poll
	settle  time.Duration // in which they begin, and how long they come to rest
	polled  time.Duration // how long what they cost is looked at
}

func usual() sizes {
	return sizes{
		span: 4 * time.Second, calls: 300, proofs: 1000, replayed: 3008,
		started: 200, hosts: 500, settle: 75 * time.Second, polled: time.Minute,
	}
}

// part is one chapter of the figures.
type part struct {
	name    string
	measure func(ctx context.Context, b *bench) error
}

func parts() []part {
	return []part{{"machine", machine}, {"leaves", leaves}, {"ledger", bigLedger}, {"replay", replay}, {"hosts", polling}}
}

func run(ctx context.Context, args []string, out, log io.Writer) int {
	s, err := parse(args, log)
	if err != nil {
		fmt.Fprintln(log, "bench:", err)
		return 2
	}
	if s.cpu != "" {
		end, err := profile(s.cpu)
		if err != nil {
			fmt.Fprintln(log, "bench:", err)
			return 1
		}
		defer end()
	}
	if err := measure(ctx, s, out, log); err != nil {
		fmt.Fprintln(log, "bench:", err)
		return 1
	}
	return 0
}

// measure prints the figures.
func measure(ctx context.Context, s settings, out, log io.Writer) error {
	b, err := newBench(s, out, log)
	if err != nil {
		return err
	}
	for _, p := range parts() {
		if len(s.only) > 0 && !slices.Contains(s.only, p.name) {
			continue
		}
		if err = p.measure(ctx, b); err != nil {
			err = fmt.Errorf("%s: %w", p.name, err)
			break
		}
	}
	return errors.Join(err, b.close())
}

// profile writes a profile until its end is called.
func profile(path string) (end func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close() // a profile that is cut short says so when it is read
	}, nil
}

func parse(args []string, log io.Writer) (settings, error) {
	s := settings{size: usual()}
	var only string
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(log)
	flags.Int64Var(&s.leaves, "leaves", 100_000, "leaves of the big ledger")
	flags.StringVar(&s.dir, "dir", "", "folder for the big ledger, kept and used again by the next run; a temporary one if not given")
	flags.StringVar(&s.cpu, "cpuprofile", "", "file to write a profile of the processor's time to, for go tool pprof")
	flags.StringVar(&only, "only", "", "parts to measure, with commas between them")
	if err := flags.Parse(args); err != nil {
		return settings{}, err
	}
	if only != "" {
		s.only = strings.Split(only, ",")
	}
	for _, name := range s.only {
		if !slices.ContainsFunc(parts(), func(p part) bool { return p.name == name }) {
			return settings{}, fmt.Errorf("there is no part %q", name)
		}
	}
	switch {
	case flags.NArg() > 0:
		return settings{}, fmt.Errorf("%q is no flag", flags.Arg(0))
	case s.leaves < 1000:
		return settings{}, errors.New("-leaves: at least 1000")
	}
	return s, nil
}
