package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newLedger(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "List the ledger's entries, or check one against the pin file",
		Example: `  sally ledger list --limit 10
  sally ledger show 42`,
		Args: cobra.NoArgs,
		// Runnable, so that a misspelled verb is an error and not a help page.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLedgerList(env), newLedgerShow(env))
	return cmd
}

func newLedgerList(env client.Env) *cobra.Command {
	o := client.LedgerListOptions{Env: env}
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the newest entries, as the server tells them",
		Example: `  sally ledger list --limit 10`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return client.LedgerList(cmd.Context(), o) },
	}
	cmd.Flags().IntVar(&o.Limit, "limit", 50, "how many entries at most")
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print a JSON array")
	return cmd
}

func newLedgerShow(env client.Env) *cobra.Command {
	o := client.LedgerShowOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "show [SERIAL]",
		Short: "Check one entry against the pin file and show it",
		Long: `Fetches one entry, by a certificate's serial or by --leaf, and checks it on this
machine against the pin file's keys: the leaf's form, its place in the ledger
under a signed checkpoint, what its commitments hide, and, for a certificate, its
signed bytes, its serial, its authority and the proof that it carries itself.

Each check is one line: passed, failed, or unknown where you are not shown what
it needs. The exit code is 1 if any check failed.`,
		Example: `  sally ledger show 42
  sally ledger show --leaf 0`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Serial = args[0]
			}
			return client.LedgerShow(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Leaf, "leaf", "", "`INDEX` of the entry, counted from 0, instead of SERIAL")
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object")
	return cmd
}
