// Command sally is the engineer's side of Sallyport: it logs in, asks for a
// login on a host, waits for the answer, and connects with stock ssh. What it
// does is in package client; here are only the command lines. docs/cli.md
// describes each verb and the exit codes.
package main

import (
	"context"
	"crypto/rand"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv)) }

// run is the whole program. It returns the exit code.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer, getenv func(string) string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once

	env := client.Env{Out: stdout, Err: stderr, Getenv: getenv, Now: time.Now, Rand: rand.Reader}
	understood := false
	root := newRoot(env)
	root.PersistentPreRun = func(*cobra.Command, []string) { understood = true }
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !understood {
		// cobra's suggestions span several lines; an error is one.
		err = client.Usagef("%s; see %s --help", strings.Join(strings.Fields(err.Error()), " "), cmd.CommandPath())
	}
	return client.Report(env, err)
}

func newRoot(env client.Env) *cobra.Command {
	root := &cobra.Command{
		Use:   "sally",
		Short: "A login on a host for a few minutes, once the people that a signed contract names have said yes",
		Long: `sally asks a Sallyport server for a login on a host, waits for the people who
decide about it, and connects with stock ssh and a certificate that lives for
minutes. What it prints on standard output is the result; everything else goes
to standard error.

Environment:
  SALLY_SERVER   the server's URL, instead of the one of the last login
  SALLY_PIN      the pin file, instead of the one of the last login
  SALLY_STATE    the state folder; default $XDG_STATE_HOME/sallyport, else
                 ~/.local/state/sallyport
  NO_COLOR       no colour

Exit codes:
  0 done    1 failed    2 usage    3 denied, expired or cancelled
  4 log in first    5 waited long enough, the request is still open
  6 server unreachable    7 the contract forbids it    130 interrupted`,
		Example: `  sally login --server https://ca.example --pin sallyport.pin
  sally ssh ops@web-1.example --for 10m --because "INC-42 checkout latency"
  sally status`,
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newLogin(env), newWhoami(env), newLogout(env), newRequest(env), newStatus(env), newCancel(env),
		newSSH(env), newLedger(env), newWitness(env), newVersion(env))
	return root
}
