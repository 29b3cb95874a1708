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
		err = usageError(cmd, err)
	}
	if wantsJSON(cmd, args) {
		return client.ReportJSON(env, err)
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
to standard error.`,
		Example: `  sally login --server https://ca.example --pin sallyport.pin
  sally ssh ops@web-1.example --for 10m --because "INC-42 checkout latency"
  sally status`,
		Annotations:   map[string]string{"after": rootHelp},
		Args:          onlyVerbs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetFlagErrorFunc(flagError)
	root.AddGroup(&cobra.Group{ID: "in", Title: "Get in:"}, &cobra.Group{ID: "look", Title: "Look:"}, &cobra.Group{ID: "more", Title: "More:"})
	for _, verb := range []struct {
		group string
		cmd   *cobra.Command
	}{
		{"in", newLogin(env)},
		{"in", newSSH(env)},
		{"in", newRequest(env)},
		{"in", newWait(env)},
		{"in", newCancel(env)},
		{"in", newRevoke(env)},
		{"in", newLogout(env)},
		{"look", newStatus(env)},
		{"look", newList(env)},
		{"look", newHosts(env)},
		{"look", newWhoami(env)},
		{"look", newLedger(env)},
		{"look", newAudit(env)},
		{"more", newContract(env)},
		{"more", newBundle(env)},
		{"more", newWitness(env)},
		{"more", newCosign(env)},
		{"more", newVersion(env)},
		{"more", newCompletion()},
	} {
		verb.cmd.GroupID = verb.group
		root.AddCommand(verb.cmd)
	}
	setHelp(root)
	return root
}
