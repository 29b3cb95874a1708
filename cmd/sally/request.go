package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newRequest(env client.Env) *cobra.Command {
	o := client.RequestOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "request LOGIN@HOST...",
		Short: "Ask for a login on hosts and wait for the answer",
		Long: `Files a request, prints its id and the page where it is decided, and waits until
it is granted, denied, expired or cancelled. Several LOGIN@HOST make one request
for every named login on every named host.

An open request of yours for the same is joined, and a grant that you have is
used; with --new it files another all the same.

Ctrl-C leaves the request open: sally wait ID goes on waiting, and
sally ssh joins it.`,
		Example: `  sally request ops@web-1.example --for 10m --because "INC-42 checkout latency"
  sally request ops@web-1.example ops@web-2.example --for 1h --because "INC-42" --no-wait`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Principals = args
			return client.Request(cmd.Context(), o)
		},
	}
	addAskFlags(cmd, &o.Ask)
	addSwitch(cmd, &o.New, "new", "file another request where an open one or a grant would do")
	addSwitch(cmd, &o.NoWait, "no-wait", "return as soon as the request is filed")
	addLength(cmd, &o.Timeout, "timeout", "wait at most this long, a `DURATION`; the request stays open (exit code 5)")
	addJSON(cmd, &o.JSON)
	return cmd
}

// addAskFlags adds the flags that say what is asked for.
func addAskFlags(cmd *cobra.Command, ask *client.Ask) {
	addText(cmd, &ask.For, "for", 32, "for how long: a `DURATION` such as 90s, 10m or 1h30m")
	addText(cmd, &ask.Because, "because", client.MaxReason, "the `REASON`, for those who decide")
	addText(cmd, &ask.Ticket, "ticket", client.MaxReason, "`ID` of the ticket that it is for, where the role wants one")
	addText(cmd, &ask.Role, "role", 64, "`ROLE` of the contract, where several would do")
	addText(cmd, &ask.Contract, "contract", 64, "contract, where several would do: its `ID`")
}
