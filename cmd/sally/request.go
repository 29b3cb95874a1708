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

Ctrl-C leaves the request open: sally status --wait ID goes on waiting, and
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
	cmd.Flags().BoolVar(&o.New, "new", false, "file another request where an open one or a grant would do")
	cmd.Flags().BoolVar(&o.NoWait, "no-wait", false, "return as soon as the request is filed")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 0, "wait at most this long; the request stays open (exit code 5)")
	cmd.Flags().BoolVar(&o.JSON, "json", false, "print the request as one JSON object, once the wait is over")
	return cmd
}

// addAskFlags adds the flags that say what is asked for.
func addAskFlags(cmd *cobra.Command, ask *client.Ask) {
	cmd.Flags().StringVar(&ask.For, "for", "", "for how long: a `DURATION` such as 90s, 10m or 1h30m")
	cmd.Flags().StringVar(&ask.Because, "because", "", "the `REASON`, for those who decide")
	cmd.Flags().StringVar(&ask.Role, "role", "", "role of the contract, where several would do")
	cmd.Flags().StringVar(&ask.Contract, "contract", "", "contract, where several would do")
}
