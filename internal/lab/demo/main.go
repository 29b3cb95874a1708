// Command demo tells the story of a session through Sallyport on real parts:
// sallyd, sally, sally-host, four sshd, an identity provider, an engineer and an
// approver, on loopback and without a person. It prints each command, its raw answer and a
// tick for what was asserted. `make demo` runs it.
//
//	demo -bin DIR [-ca file|vault] [-keep] [-v]
//
// With -ca vault the CA key lies in a real Vault, which is sealed and unsealed in
// between.
//
// The last line is "demo: ok (N steps)" and the exit code 0, or a failing step
// is named and the exit code is 1. Either way nothing is left running.
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

	"golang.org/x/term"

	"github.com/sallyport/sallyport/internal/lab/site"
)

// storyTimeout bounds the whole story, which takes a minute and a half.
const storyTimeout = 5 * time.Minute

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(code)
}

// options are the command line.
type options struct {
	bin, ca       string
	keep, verbose bool
}

// run tells the story and returns the exit code.
func run(ctx context.Context, args []string, out io.Writer) int {
	var o options
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.bin, "bin", "bin", "folder of sally and sallyd")
	flags.StringVar(&o.ca, "ca", "file", "where the CA key lies: file or vault")
	flags.BoolVar(&o.keep, "keep", false, "leave the workspace in place until the next run")
	flags.BoolVar(&o.verbose, "v", false, "show long lines in full, and the logs of sallyd and sshd at the end")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || (o.ca != "file" && o.ca != "vault") {
		fmt.Fprintln(out, "usage: demo -bin DIR [-ca file|vault] [-keep] [-v]")
		return 2
	}
	p := &player{out: out, verbose: o.verbose, colour: os.Getenv("NO_COLOR") == "" && terminal(out)}
	if err := tell(ctx, p, o); err != nil {
		p.say("\n%v", err)
		return 1
	}
	p.say("\ndemo: ok (%d steps)", p.count())
	return 0
}

// tell sets the site up, plays the story and cleans up, whatever happens; a
// panic of ours comes through after the clean-up.
func tell(ctx context.Context, p *player, o options) (err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, storyTimeout, errors.New("the story takes too long"))
	defer cancel()
	s, err := site.Open(ctx, site.Config{Bin: o.bin, Tell: p, Keep: o.keep, Vault: o.ca == "vault", Cosigner: true})
	if err != nil {
		return fmt.Errorf("demo: FAILED before step 1: %w", err)
	}
	defer func() {
		if closeErr := s.Close(); closeErr != nil {
			err = errors.Join(err, fmt.Errorf("demo: cleaning up: %w", closeErr))
		}
	}()
	p.say("A session through Sallyport, on real parts. W=%s", s.Dir.Path())
	if o.keep {
		p.say("The workspace stays until the next run.")
	}
	if !joining() {
		p.say("You are not root, so the chapter of the hosts that join and end sessions is left out: only root has sshd open sessions of others.")
	}
	st := newStory(s, p, o.keep)
	err = p.play(ctx, st.steps())
	if err != nil || o.verbose {
		for _, log := range st.logs() {
			p.say("\n--- log of %s", log.Name)
			p.Answered(log.Text)
		}
	}
	return err
}

func terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}
