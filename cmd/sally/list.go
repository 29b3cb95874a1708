package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newList(env client.Env) *cobra.Command {
	o := client.ListOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List your requests, or what waits for your decision",
		Long: `Lists your requests, newest first: id, state, when you asked, for how long, for
which logins on which hosts, and why. With --waiting it lists what waits for your
decision instead, each with the page where you decide.

On a terminal the list has a heading; elsewhere each line is a request. For
programs there are --json, and --csv for spreadsheets.`,
		Example: `  sally list --state granted --since 7d
  sally list --host web-1.example --limit 5
  sally list --waiting
  sally list --since 2026-11-01 --csv >requests.csv`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.List(cmd.Context(), o) },
	}
	addSwitch(cmd, &o.Waiting, "waiting", "list what waits for your decision")
	addText(cmd, &o.State, "state", 32, "only requests in this `STATE`: pending, granted, denied, expired or cancelled")
	addText(cmd, &o.Host, "host", 95, "only requests for this `HOST`")
	addText(cmd, &o.Since, "since", 40, "only requests from then on: a `TIME` such as 90m, 24h, 7d or 2026-11-25")
	addNumber(cmd, &o.Limit, "limit", 50, "list at most `N` requests")
	addJSON(cmd, &o.JSON)
	addSwitch(cmd, &o.CSV, "csv", "print comma-separated values (RFC 4180)")
	return cmd
}
