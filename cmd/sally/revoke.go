package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newRevoke(env client.Env) *cobra.Command {
	o := client.RevokeOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "revoke [SERIAL]",
		Short: "Take away a certificate, a grant, or all that was asked for by somebody, in a role or on a host",
		Long: `Takes away what was granted, for good: no certificate is made under it any more,
and hosts refuse those that were. Your device key signs it. One of these says what:
the SERIAL of a certificate, --grant, --request, --person, --role or --host. A
person, a role or a host stands for all that was asked for until now; what is asked
for later is not touched.

Your own is yours to revoke, and so is what you decided on or could decide on. The
contract's offices revoke more: operator and reviewer everything, host-admin a host.`,
		Example: `  sally revoke 421 --because "the laptop was stolen"
  sally revoke --grant mzxw6ytboi4dknrzgq2tmnzxgi --because "done early"
  sally revoke --host web-1.example --because "INC-42 it is not ours any more"`,
		Args:              oneArgument("SERIAL"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Serial = args[0]
			}
			return client.Revoke(cmd.Context(), o)
		},
	}
	addText(cmd, &o.Grant, "grant", 26, "a grant, by the `ID` of its request")
	addText(cmd, &o.Request, "request", 26, "a request, pending or granted, by its `ID`")
	addText(cmd, &o.Person, "person", 26, "all that a `PERSON` asked for, by their id; me for yourself")
	addText(cmd, &o.Role, "role", 129, "all that was asked for in a role: `CONTRACT/ROLE`")
	addText(cmd, &o.Host, "host", 255, "all that was asked for on a host, by its `NAME`")
	addText(cmd, &o.Contract, "contract", 64, "the contract that it is under, by its `ID`, where that does not follow")
	addText(cmd, &o.Because, "because", client.MaxReason, "the `REASON`, for those who look at it later")
	addJSON(cmd, &o.JSON)
	return cmd
}
