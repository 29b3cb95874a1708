// Command dev keeps one Sallyport installation up for a person with a terminal
// and a browser: sallyd, an identity provider with two accounts and two hosts
// with a real sshd, all on loopback. It prints addresses, passwords and the
// commands to try, and waits. `make dev` runs it.
//
//	dev -bin DIR
//
// Ctrl-C (or SIGTERM) ends everything and removes it; the exit code is 0 then.
// What a killed run leaves behind the next one removes. Several may run at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// setUpTime is far more than the second that setting up takes.
const setUpTime = time.Minute

// plan leaves a person time to read, think and try again.
var plan = site.Plan{CertTTL: 15 * time.Minute, Grant: 8 * time.Hour, Timeout: time.Hour}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// run keeps the installation up until ctx ends and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	var bin string
	flags := flag.NewFlagSet("dev", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&bin, "bin", "bin", "folder of sally and sallyd")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 {
		fmt.Fprintln(out, "usage: dev -bin DIR")
		return 2
	}
	if err := stay(ctx, bin, out); err != nil {
		fmt.Fprintln(out, "dev:", err)
		return 1
	}
	return 0
}

// stay sets up, tells the person, waits for the end and cleans up, whatever
// happens.
func stay(ctx context.Context, bin string, out io.Writer) (err error) {
	s, err := site.Open(ctx, site.Config{Bin: bin, Tell: silent{}, Plan: plan})
	if err != nil {
		return interrupted(ctx, err)
	}
	defer func() {
		fmt.Fprintln(out, "\ncleaning up")
		err = errors.Join(err, s.Close())
	}()
	if err := setUp(ctx, s); err != nil {
		return interrupted(ctx, err)
	}
	g, err := newGuide(s, bin)
	if err != nil {
		return err
	}
	if _, err := g.WriteTo(out); err != nil {
		return err
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.ServerDone():
		return errors.New("sallyd has ended:\n" + lab.Tail(s.Logs(20)[0].Text, 20))
	}
}

func setUp(ctx context.Context, s *site.Site) error {
	ctx, cancel := context.WithTimeoutCause(ctx, setUpTime, errors.New("setting up takes too long"))
	defer cancel()
	return s.SetUp(ctx)
}

// interrupted drops an error that only says that the person wants no more.
func interrupted(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// silent hears what is done to set up, and keeps it to itself.
type silent struct{}

// Typed hears nothing.
func (silent) Typed(string, string) {}

// Answered hears nothing.
func (silent) Answered(string) {}
