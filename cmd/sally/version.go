package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newVersion(env client.Env) *cobra.Command {
	o := client.VersionOptions{Env: env}
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Show which sally this is",
		Example: `  sally version`,
		Args:    noArguments,
		RunE:    func(*cobra.Command, []string) error { return client.Version(o) },
	}
	addJSON(cmd, &o.JSON)
	return cmd
}
