package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newLogout(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use:   "logout",
		Short: "End the session and delete what the login left on this machine",
		Long: `Ends the session at the server and deletes the bearer, the device key, and the
certificates with their keys, in files and in the ssh-agent. Open requests and
grants stay as they are.`,
		Example: `  sally logout`,
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return client.Logout(cmd.Context(), client.LogoutOptions{Env: env})
		},
	}
}
