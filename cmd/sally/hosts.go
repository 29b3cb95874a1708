package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newHosts(env client.Env) *cobra.Command {
	o := client.HostsOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "hosts [NAME]",
		Short: "List the hosts that you may ask for, or show one with its proof",
		Long: `Lists the hosts that you may ask for: for each role, its logins, the contract's
clause, the longest grant, and who decides.

With NAME it shows that host in full, and checks on this machine that the pinned
ledger says of it what the server says: address, port, host key, labels, contract.
The exit code is 1 if it does not.`,
		Example: `  sally hosts
  sally hosts web-1.example`,
		Args:              oneArgument("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			return client.Hosts(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}
