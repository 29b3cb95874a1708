package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newCancel(env client.Env) *cobra.Command {
	o := client.CancelOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "cancel ID",
		Short: "Take back a request that nobody has decided yet",
		Long: `Takes back your own request while it is pending: it disappears from what waits for
the approvers, and nobody can approve it any more. Your device key signs it.

A granted request is not cancelled; the grant ends by itself.`,
		Example:           `  sally cancel mzxw6ytboi4dknrzgq2tmnzxgi`,
		Args:              oneArgument("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.ID = args[0]
			}
			return client.Cancel(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}
