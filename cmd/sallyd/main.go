// Command sallyd is the authority: it keeps the ledger, serves the API and the
// pages, and has certificates signed.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// version is set at build time.
var version = "dev"

// Exit codes of sallyd.
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
	root := command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	if _, ok := errors.AsType[*verbError](err); ok {
		// It may repeat what stands in somebody else's contract, or how a file of it
		// is called.
		_, _ = fmt.Fprintf(stderr, "sallyd: %s\n", canon.Visible(err.Error()))
		return exitFailed
	}
	// It was the command line, no verb ran. An error is one line.
	text := strings.Join(strings.Fields(err.Error()), " ")
	if !strings.HasSuffix(text, "?") {
		text += fmt.Sprintf("; see `%s --help`", cmd.CommandPath())
	}
	_, _ = fmt.Fprintf(stderr, "sallyd: %s\n", canon.Visible(text))
	return exitUsage
}

// verbError is what a verb returned; other errors are about the command line.
type verbError struct{ err error }

func (e *verbError) Error() string { return e.err.Error() }
func (e *verbError) Unwrap() error { return e.err }

// verb marks the errors of a verb.
func verb(fn func(cmd *cobra.Command, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		if err := fn(cmd, args); err != nil {
			return &verbError{err}
		}
		return nil
	}
}

// group is a command that only has others below it.
func group(use, short string, below ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{
		Use: use, Short: short, Args: cobra.ArbitraryArgs, RunE: onlyBelow,
	}
	cmd.AddCommand(below...)
	return cmd
}

// onlyBelow shows the help of a group, and refuses what is no verb of it.
func onlyBelow(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return unknownVerb(cmd, args[0])
	}
	return cmd.Help()
}

// exactly demands one argument for each name.
func exactly(names ...string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return fmt.Errorf("%s is missing", names[len(args)])
		case len(args) > len(names):
			return fmt.Errorf("%q is an argument too many", strictyaml.Clip(args[len(names)]))
		}
		return nil
	}
}

// unknownVerb refuses what is no verb below cmd.
func unknownVerb(cmd *cobra.Command, name string) error {
	var known []string
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() {
			known = append(known, sub.Name())
		}
	}
	return fmt.Errorf("unknown command %q for %q, %s", strictyaml.Clip(name), cmd.CommandPath(), strictyaml.Hint(name, known))
}

// helpCommand shows the help of a verb; cobra's own takes what is no verb for an
// invitation to show everything.
func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use: "help [VERB]", Short: "Show the flags of a verb and an example",
		RunE: func(cmd *cobra.Command, args []string) error {
			at := cmd.Root()
			for _, name := range args {
				i := slices.IndexFunc(at.Commands(), func(c *cobra.Command) bool { return c.Name() == name })
				if i < 0 {
					return unknownVerb(at, name)
				}
				at = at.Commands()[i]
			}
			at.InitDefaultHelpFlag()
			return at.Help()
		},
	}
}

func command() *cobra.Command {
	root := group("sallyd", "SSH certificate authority with just-in-time issuance under signed access contracts")
	root.SilenceErrors, root.SilenceUsage, root.Version = true, true, version
	root.Long = `sallyd is the authority: it keeps the ledger, serves the interface and the pages,
and has certificates signed. Its other verbs prepare what it serves.

Environment:
  SALLYD_DIR   the server's folder, where --dir does not name it

Exit codes:
  0 done    1 refused or failed, nothing was recorded    2 usage`
	root.SetHelpCommand(helpCommand())
	dir := root.PersistentFlags().String("dir", "", "the server's folder, `DIR` (environment: SALLYD_DIR)")
	root.PersistentPreRun = func(*cobra.Command, []string) {
		if *dir == "" {
			*dir = os.Getenv("SALLYD_DIR")
		}
	}
	root.AddCommand(initCommand(), contractCommand(dir), hostsCommand(dir), personCommand(dir), revokeCommand(dir), ledgerCommand(dir), migrateCommand(dir), serveCommand(dir), checkCommand(dir))
	root.InitDefaultCompletionCmd()
	if completion, _, err := root.Find([]string{"completion"}); err == nil {
		completion.Args, completion.RunE = cobra.ArbitraryArgs, onlyBelow
	}
	return root
}
