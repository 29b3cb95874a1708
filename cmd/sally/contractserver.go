package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newContractStatus(env client.Env) *cobra.Command {
	o := client.ContractListOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "status [ID]",
		Short: "Show which version is in force, and who has to sign what is proposed",
		Long: `Asks the server which versions of the contracts that concern you are in force, or can
come into force, and who has signed them and who has to sign still. It is the
server's word; contract fetch and contract verify hold it to the signatures.`,
		Example: `  sally contract status
  sally contract status acme-prod --json`,
		Args: oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirArgument(&o.ID, args)
			return client.ContractStatus(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractHistory(env client.Env) *cobra.Command {
	o := client.ContractListOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "history [ID]",
		Short: "Show every version of a contract that there was",
		Long: `Asks the server for every version of the contracts that concern you, newest first:
also those that were superseded, and those that can't come into force any more, with
why.`,
		Example: `  sally contract history acme-prod`,
		Args:    oneArgument("ID"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirArgument(&o.ID, args)
			return client.ContractHistory(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractSend(env client.Env) *cobra.Command {
	o := client.ContractOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "send DIR",
		Short: "Send an amendment and its signatures to the server",
		Long: `Sends the version in the folder, and every signature in its sigs/, to the server. Each
signature counts for who made it, whoever sends it; each must hold, or nothing is
recorded. Send it again when another signature has come. Version 1 is added by the
operator, with "sallyd contract add".`,
		Example: `  sally contract send acme-prod/2`,
		Args:    oneArgument("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractSend(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractFetch(env client.Env) *cobra.Command {
	o := client.ContractFetchOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "fetch DIGEST DIR",
		Short: "Fetch a contract version with its signatures into a new folder",
		Long: `Writes a version that the server has into a new folder, byte for byte as it was
proposed, with the signatures that it has: to be read, checked and signed. "sally
contract status" tells the digest. Whether the signatures hold, "sally contract
verify" tells.`,
		Example: `  sally contract fetch tJ8s6XBf4fHmQZbXqHfVwGJp0Jb0uTqFqJ1a9mQ2o5E acme-prod/2`,
		Args:    severalArguments("words, DIGEST and DIR", 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 2 {
				return client.Usagef("name the DIGEST and a DIR")
			}
			o.Digest, o.Dir = args[0], args[1]
			return client.ContractFetch(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractPlan(env client.Env) *cobra.Command {
	o := client.ContractPlanOptions{ContractOptions: client.ContractOptions{Env: env}}
	cmd := &cobra.Command{
		Use:   "plan DIR",
		Short: "Show what a draft would have changed of the last days' requests",
		Long: `The server decides each request of the last days again as the draft would have, on
what was known when it was made: which would be denied, asked or granted by a guard,
for how long, without which logins or hosts, and whether those who approved would
have sufficed; who gains or loses the power to decide; which live certificates would
not have been made; whose rights or duties change. What it cannot know it counts as
unknown. It is one step: that people would have asked for something else is beyond it.

It is for holders of an office of the contract. With --write the plan is kept in the
draft, and becomes part of what is signed.`,
		Example: `  sally contract plan acme-prod/2 --days 90
  sally contract plan acme-prod/2 --write`,
		Args: oneArgument("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractPlan(cmd.Context(), o)
		},
	}
	addNumber(cmd, &o.Days, "days", 90, "`N` days to look back, 1 to 366")
	addSwitch(cmd, &o.Write, "write", "keep it as plan.json in the draft, for those who sign")
	addJSON(cmd, &o.JSON)
	return cmd
}
