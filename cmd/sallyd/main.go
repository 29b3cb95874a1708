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
	"syscall"

	"github.com/spf13/cobra"
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
	root := command()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitOK
	}
	_, _ = fmt.Fprintf(stderr, "sallyd: %v\n", err)
	if _, ok := errors.AsType[*verbError](err); ok {
		return exitFailed
	}
	_, _ = fmt.Fprintln(stderr, "sallyd: see `sallyd --help`")
	return exitUsage // it was the command line, no verb ran
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
		Use: use, Short: short,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("unknown command %q for %q", args[0], cmd.CommandPath())
			}
			return cmd.Help()
		},
	}
	cmd.AddCommand(below...)
	return cmd
}

func command() *cobra.Command {
	root := group("sallyd", "SSH certificate authority with just-in-time issuance under signed access contracts")
	root.SilenceErrors, root.SilenceUsage, root.Version = true, true, version
	dir := root.PersistentFlags().String("dir", os.Getenv("SALLYD_DIR"), "the server's folder (environment: SALLYD_DIR)")
	root.AddCommand(initCommand(), contractCommand(dir), hostsCommand(dir), personCommand(dir), serveCommand(dir))
	return root
}
