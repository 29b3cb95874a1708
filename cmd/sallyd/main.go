// Command sallyd is the authority: it keeps the ledger, serves the API and the
// pages, and has certificates signed.
package main

import (
	"context"
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
	usage := true // until a verb runs, what goes wrong is the command line
	root.PersistentPreRun = func(*cobra.Command, []string) { usage = false }
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return exitOK
	case usage:
		_, _ = fmt.Fprintf(stderr, "sallyd: %v; see `sallyd --help`\n", err)
		return exitUsage
	default:
		_, _ = fmt.Fprintf(stderr, "sallyd: %v\n", err)
		return exitFailed
	}
}

func command() *cobra.Command {
	root := &cobra.Command{
		Use: "sallyd", Short: "SSH certificate authority with just-in-time issuance under signed access contracts",
		SilenceErrors: true, SilenceUsage: true, Version: version, Args: cobra.NoArgs,
	}
	dir := root.PersistentFlags().String("dir", os.Getenv("SALLYD_DIR"), "the server's folder (environment: SALLYD_DIR)")
	root.AddCommand(initCommand(), contractCommand(dir), hostsCommand(dir), serveCommand(dir))
	return root
}
