package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newStatus(env client.Env) *cobra.Command {
	o := client.StatusOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "status [ID]",
		Short: "Show your open requests and grants, or one request in full",
		Example: `  sally status
  sally status --wait mzxw6ytboi4dknrzgq2tmnzxgi`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.ID = args[0]
			}
			return client.Status(cmd.Context(), o)
		},
	}
	cmd.Flags().BoolVar(&o.Wait, "wait", false, "wait until the request ID is settled; exit code 0 only if it was granted")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 0, "wait at most this long (exit code 5)")
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print JSON: an array, or one object for ID")
	return cmd
}
