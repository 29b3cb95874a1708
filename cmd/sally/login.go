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
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.Login(cmd.Context(), o) },
	}
	addText(cmd, &o.Server, "server", 2000, "`URL` of the server")
	addText(cmd, &o.Pin, "pin", 4096, "pin `FILE` of the server")
	addText(cmd, &o.Issuer, "issuer", 200, "identity provider, where there are several: `CONTRACT/ISSUER`")
	addNumber(cmd, &o.RedirectPort, "redirect-port", 0, "port on 127.0.0.1 for the answer, where the identity provider wants a fixed `PORT`")
	addSwitch(cmd, &o.NoBrowser, "no-browser", "only print the page to open")
	return cmd
}
