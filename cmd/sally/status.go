package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newStatus(env client.Env) *cobra.Command {
	o := client.StatusOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "status [ID]",
		Short: "Show whether you can ssh now and what is open, or one request in full",
		Long: `Shows on one look whether sally ssh works now, and if not, why: who is logged in and
until when, the certificates on this machine, active grants and open requests.

With ID it shows that request in full.`,
		Example: `  sally status
  sally status mzxw6ytboi4dknrzgq2tmnzxgi`,
		Args:              oneArgument("ID"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.ID = args[0]
			}
			return client.Status(cmd.Context(), o)
		},
	}
	addSwitch(cmd, &o.Wait, "wait", "wait until the request ID is settled, as sally wait does")
	addLength(cmd, &o.Timeout, "timeout", "with --wait: wait at most this long, a `DURATION` (exit code 5)")
	addJSON(cmd, &o.JSON)
	return cmd
}
