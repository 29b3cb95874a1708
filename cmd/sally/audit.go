package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newAudit(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Verify an export of the ledger, without the server",
		Example: `  sally audit verify ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA
  sally audit explain 42 --bundle ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA`,
		Args: cobra.NoArgs,
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
waived by name: leaf:INDEX, kind:KIND, certificate:SERIAL, request:ID, person:ID.

Keys and digests come from people, not from the bundle.`,
		Example: `  sally audit verify ledger.jsonl --pin sallyport.pin --contract 3Nyu9hhNa3s3BjUnduAsuk3Xi3jR2poHtwLEbxJ-hbA`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Bundle = args[0]
			return client.AuditVerify(cmd.Context(), o)
		},
	}
	addAuditFlags(cmd, &o.AuditOptions)
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object, with what each certificate rests on")
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
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Serial = args[0]
			return client.AuditExplain(cmd.Context(), o)
		},
	}
	cmd.Flags().StringVar(&o.Bundle, "bundle", "", "bundle `FILE`, instead of asking the server")
	addAuditFlags(cmd, &o.AuditOptions)
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print one JSON object")
	return cmd
}

// addAuditFlags adds the flags that say against what a bundle is verified.
func addAuditFlags(cmd *cobra.Command, o *client.AuditOptions) {
	cmd.Flags().StringVar(&o.Pin, "pin", "", "pin `FILE` of the ledger")
	cmd.Flags().StringArrayVar(&o.LogKeys, "log-key", nil, "`VKEY` that signs the ledger, instead of --pin; may be given several times")
	cmd.Flags().StringArrayVar(&o.Contracts, "contract", nil, "`DIGEST` of version 1 of a contract that counts; may be given several times")
	cmd.Flags().StringVar(&o.Checkpoint, "checkpoint", "", "`FILE` with a signed checkpoint that you kept: the ledger must begin with what it signs")
	cmd.Flags().StringArrayVar(&o.Waive, "waive", nil, "`NAME` of something unknown that you accept; may be given several times")
}
