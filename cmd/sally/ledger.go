package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newLedger(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "List the ledger's entries, check one against the pin file, or export all",
		Example: `  sally ledger list --limit 10
  sally ledger show 42`,
		Args: onlyVerbs,
		// Runnable, so that a misspelled verb is an error and not a help page.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newLedgerList(env), newLedgerShow(env), newLedgerExport(env))
	return cmd
}

func newLedgerExport(env client.Env) *cobra.Command {
	o := client.LedgerExportOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Download the ledger as one file that can be verified offline",
		Long: `Downloads the whole ledger as an export bundle, with what you may see of each
entry, and checks it against the pin file: the tree, the checkpoint and every
opening. Whether everything in it was allowed, sally audit verify says.

The file holds what the ledger says about people: it is for your eyes (mode 0600).`,
		Example: `  sally ledger export --out ledger.jsonl`,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return client.LedgerExport(cmd.Context(), o) },
	}
	addText(cmd, &o.Out, "out", 4096, "`FILE` to make; it must not be there")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newLedgerList(env client.Env) *cobra.Command {
	o := client.LedgerListOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the newest entries, as the server tells them",
		Long: `Lists the newest entries of the ledger, as the server tells them: index, time,
kind, and a certificate's serial or what else the entry is about. sally ledger show
checks one.

With --csv the last row names the whole tree, from a checkpoint that the pinned log
key signed: how many rows there are, how many entries the ledger has, and its root.`,
		Example: `  sally ledger list --limit 10
  sally ledger list --limit 10000 --csv >ledger.csv`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.LedgerList(cmd.Context(), o) },
	}
	addNumber(cmd, &o.Limit, "limit", 50, "list at most `N` entries")
	addJSON(cmd, &o.JSON)
	addSwitch(cmd, &o.CSV, "csv", "print comma-separated values (RFC 4180)")
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
		Args:              oneArgument("SERIAL"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Serial = args[0]
			}
			return client.LedgerShow(cmd.Context(), o)
		},
	}
	addText(cmd, &o.Leaf, "leaf", 20, "`INDEX` of the entry, counted from 0, instead of SERIAL")
	addJSON(cmd, &o.JSON)
	return cmd
}
