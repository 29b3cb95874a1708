package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newLogin(env client.Env) *cobra.Command {
	o := client.LoginOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "login",
		Short: "Log in through the identity provider that the contract names",
		Long: `Logs in through the browser. The first time, name the server and the pin file
that you were given by other means than the server; later both are remembered.

The server must be the one that the pin file is for. Plain http is accepted only
for a server on this machine.`,
		Example: `  sally login --server https://ca.example --pin sallyport.pin
  sally login`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.Login(cmd.Context(), o) },
	}
	cmd.Flags().StringVar(&o.Server, "server", "", "URL of the server")
	cmd.Flags().StringVar(&o.Pin, "pin", "", "pin `FILE` of the server")
	cmd.Flags().StringVar(&o.Issuer, "issuer", "", "identity provider, where there are several (CONTRACT/ISSUER)")
	cmd.Flags().IntVar(&o.RedirectPort, "redirect-port", 0, "port on 127.0.0.1 for the answer, where the identity provider wants a fixed `PORT`")
	cmd.Flags().BoolVar(&o.NoBrowser, "no-browser", false, "only print the page to open")
	return cmd
}
