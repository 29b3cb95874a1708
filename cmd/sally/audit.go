package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/ledger"
)

func newAudit(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify an export of the ledger, without the server",
		Example: `  sally audit verify ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA
  sally audit explain 42 --bundle ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA`,
		Args: onlyVerbs,
		// Runnable, so that a misspelled verb is an error and not a help page.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newAuditVerify(env), newAuditExplain(env))
	return cmd
}

func newAuditVerify(env client.Env) *cobra.Command {
	o := client.AuditVerifyOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "verify BUNDLE",
		Short: "Replay a bundle and give a verdict on each certificate",
		Long: `Reads a bundle that "sally ledger export" or "sallyd ledger export" has made, and
needs nothing else: no server, no database, no network. It holds the tree to the
checkpoint, every opening to its leaf, and then replays every leaf by the same
rules by which the server decides.

Each certificate is one line with its verdict: proved, attested (the server's word
is needed), unknown (something is not in the bundle), unjustified (with the first
broken rule, and the leaf that breaks it). Unknown does not pass unless it is
waived by name: leaf:INDEX, kind:KIND, certificate:SERIAL, request:ID, person:ID, people.

Keys and digests come from people, not from the bundle.`,
		Example: `  sally audit verify ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA`,
		Args:    oneArgument("BUNDLE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Bundle = args[0]
			}
			return client.AuditVerify(cmd.Context(), o)
		},
	}
	addAuditFlags(cmd, &o.AuditOptions)
	return cmd
}

func newAuditExplain(env client.Env) *cobra.Command {
	o := client.AuditExplainOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "explain SERIAL",
		Short: "Tell the story of one certificate",
		Long: `Verifies the bundle and tells how one certificate came about: the clause of the
contract in its own words, the request, who decided, the certificate, each with
the leaf that says so and the verdict on it.

Without --bundle the server of the last login is asked for what you may see; the
pin file of that login counts then.`,
		Example:           `  sally audit explain 42 --bundle ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA`,
		Args:              oneArgument("SERIAL"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Serial = args[0]
			}
			return client.AuditExplain(cmd.Context(), o)
		},
	}
	addPeople(cmd, &o.People)
	addText(cmd, &o.Bundle, "bundle", 4096, "bundle `FILE`, instead of asking the server")
	addAuditFlags(cmd, &o.AuditOptions)
	return cmd
}

// addAuditFlags adds the flags that say against what a bundle is verified, and
// --json.
func addAuditFlags(cmd *cobra.Command, o *client.AuditOptions) {
	const path, keys, names = 4096, 8, 1000
	addText(cmd, &o.Pin, "pin", path, "pin `FILE` of the ledger")
	addTexts(cmd, &o.LogKeys, "log-key", keys, 1000, "`VKEY` that signs the ledger, instead of --pin")
	addTexts(cmd, &o.Contracts, "contract", names, 100, "`DIGEST` of version 1 of a contract that counts")
	addText(cmd, &o.Checkpoint, "checkpoint", path, "`FILE` with a signed checkpoint that you kept: the ledger must begin with what it signs")
	addTexts(cmd, &o.Cosigners, "cosigner", ledger.MaxCosigners, 1000, "`VKEY` of a party's cosigner, whose word the ledger must have")
	addTexts(cmd, &o.Witnesses, "witness", ledger.MaxCosigners, 1000, "`VKEY` of a witness; more than half of those must have confirmed the ledger")
	addTexts(cmd, &o.Waive, "waive", names, 100, "`NAME` of something unknown that you accept")
	addJSON(cmd, &o.JSON)
}
