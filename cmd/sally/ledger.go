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
	addPeople(cmd, &o.People)
	addText(cmd, &o.Out, "out", 4096, "`FILE` to make; it must not be there")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newLedgerList(env client.Env) *cobra.Command {
	o := client.LedgerListOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Search the entries, as the server tells them",
		Long: `Lists the newest entries of the ledger, as the server tells them: index, time,
kind, and a certificate's serial or what else the entry is about. sally ledger show
checks one. With filters only those are listed for which all of them hold, as far
as you may see the entries.

An auditor whom a contract names sees the facts of everything in it. What is held
about people (names, reasons, words) is shown with --people; the ledger records
each such reading before it is answered.

With --csv the entries are those of one tree, which the last row names, from a
checkpoint that the pinned log key signed: how many rows there are, how many
entries the ledger has, and its root.`,
		Example: `  sally ledger list --limit 10
  sally ledger list --host web-1.prod --since 7d --kind certificate.issue
  sally ledger list --person alice@acme.example --people --since 2026-12-01
  sally ledger list --limit 10000 --csv >ledger.csv
  sally ledger list --follow --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.LedgerList(cmd.Context(), o) },
	}
	addFilter(cmd, &o.LedgerFilter)
	addNumber(cmd, &o.Limit, "limit", 50, "list at most `N` entries")
	addSwitch(cmd, &o.Follow, "follow", "go on with what is recorded later, oldest first")
	addJSON(cmd, &o.JSON)
	addSwitch(cmd, &o.CSV, "csv", "print comma-separated values (RFC 4180)")
	return cmd
}

// addFilter adds the flags by which entries are searched.
func addFilter(cmd *cobra.Command, f *client.LedgerFilter) {
	addText(cmd, &f.Person, "person", 254, "only what `WHO` did or what is about them: an id, me, a name or an address")
	addText(cmd, &f.Host, "host", 95, "only what is about `HOST`")
	addText(cmd, &f.Login, "login", 32, "only what is about `LOGIN`")
	addText(cmd, &f.Role, "role", 63, "only what was asked for by `ROLE`")
	addText(cmd, &f.Request, "request", 26, "only what belongs to the request `ID`")
	addText(cmd, &f.Contract, "contract", 43, "only what names the contract version `DIGEST`")
	addText(cmd, &f.Serial, "serial", 20, "only the certificate with this serial `N`")
	addText(cmd, &f.Key, "key", 50, "only what names the key `FINGERPRINT`, SHA256:…")
	addText(cmd, &f.Kind, "kind", 64, "only entries of `KIND`, such as certificate.issue")
	addText(cmd, &f.Since, "since", 40, "only entries since `TIME`: RFC 3339, a day, or how long ago (24h, 7d)")
	addText(cmd, &f.Until, "until", 40, "only entries before `TIME`")
	addText(cmd, &f.Text, "text", 800, "only entries in which `TEXT` stands, large or small; needs --since")
	addPeople(cmd, &f.People)
}

// addPeople adds the flag with which an auditor asks for what is held about people.
func addPeople(cmd *cobra.Command, into *bool) {
	addSwitch(cmd, into, "people", "show what is held about other people, as an auditor; it is recorded")
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
	addPeople(cmd, &o.People)
	addText(cmd, &o.Leaf, "leaf", 20, "`INDEX` of the entry, counted from 0, instead of SERIAL")
	addJSON(cmd, &o.JSON)
	return cmd
}
