package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newWait(env client.Env) *cobra.Command {
	o := client.WaitOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "wait ID",
		Short: "Wait until a request is settled",
		Long: `Waits until the request is granted, denied, expired or cancelled, and prints it
then. The exit code says how it ended: 0 granted, 3 denied, expired or cancelled,
5 still open after --timeout.

Ctrl-C leaves the request open and prints the command that goes on waiting.`,
		Example: `  sally wait mzxw6ytboi4dknrzgq2tmnzxgi
  sally wait mzxw6ytboi4dknrzgq2tmnzxgi --timeout 10m && sally ssh ops@web-1.example`,
		Args:              oneArgument("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.ID = args[0]
			}
			return client.Wait(cmd.Context(), o)
		},
	}
	addLength(cmd, &o.Timeout, "timeout", "wait at most this long, a `DURATION`; the request stays open (exit code 5)")
	addJSON(cmd, &o.JSON)
	return cmd
}
