// Command sally-host is what runs on a host: sshd asks it whether a certificate
// opens a login. What it does is in package host; here are only the command
// lines. docs/sally-host.md describes each verb, docs/hosts.md what a host checks.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/canon"
)

// Exit codes of sally-host. `sally-host principals` ends with exitOK whatever it
// says.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() { os.Exit(run(os.Args[1:], os.Stdout, os.Stderr)) }

// run is what main and the tests call: it owns signals, output and the one
// error line.
func run(args []string, stdout, stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	root := newRoot()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*verbError](err); ok {
		_, _ = fmt.Fprintf(stderr, "sally-host: %s\n", canon.Visible(err.Error()))
		return exitFailed
	}
	// It was the command line, no verb ran. An error is one line.
	text := strings.Join(strings.Fields(err.Error()), " ")
	_, _ = fmt.Fprintf(stderr, "sally-host: %s; see `%s --help`\n", canon.Visible(text), cmd.CommandPath())
	if asksForPrincipals(args) {
		return misused(err)
	}
	return exitUsage
}

func newRoot() *cobra.Command {
	root := group("sally-host", "Keeps a host to what the ledger says: who gets in, and until when")
	root.SilenceErrors, root.SilenceUsage = true, true
	root.Long = `sally-host runs on a host beside stock sshd, which asks it whether a certificate
opens a login. It answers from files that only root can write, without network.

Exit codes:
  0 done    1 refused or failed    2 usage`
	root.SetHelpCommand(helpCommand())
	root.AddCommand(joinCommand(), setupCommand(), leaveCommand(), doctorCommand(), agentCommand(), principalsCommand(), sessionCommand(), versionCommand())
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = cobra.ArbitraryArgs, onlyBelow
	}
	return root
}
