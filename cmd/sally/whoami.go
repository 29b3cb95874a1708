package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newWhoami(env client.Env) *cobra.Command {
	o := client.WhoamiOptions{Env: env}
	cmd := &cobra.Command{
		Use:     "whoami",
		Short:   "Show who is logged in, with which groups and until when",
		Example: `  sally whoami`,
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return client.Whoami(cmd.Context(), o) },
	}
	addJSON(cmd, &o.JSON)
	return cmd
}
