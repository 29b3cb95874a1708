package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newSSH(env client.Env) *cobra.Command {
	o := client.SSHOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "ssh LOGIN@HOST [-- SSH-OPTION... | COMMAND...]",
		Short: "Connect with a certificate, asking for one where needed",
		Long: `Connects to LOGIN@HOST with stock ssh. It uses the certificate that it has; else
it has one issued under your open grant; else it joins your open request or makes
a new one, with --for and --because, and waits for the decision.

The certificate and its key become one entry of your ssh-agent that ends with the
certificate. Where no agent takes it, or with --key-file, the key lies in a file
of mode 0600 in the state folder until then.

What stands behind -- is given to ssh as it is. The exit code is ssh's.`,
		Example: `  sally ssh ops@web-1.example --for 10m --because "INC-42 checkout latency"
  sally ssh ops@web-1.example -- uptime
  sally ssh ops@web-1.example -- -N -L 8080:localhost:80`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				o.Principals, o.Args = args[:1], args[1:]
			}
			return client.SSH(cmd.Context(), o)
		},
	}
	addAskFlags(cmd, &o.Ask)
	cmd.Flags().BoolVar(&o.KeyFile, "key-file", false, "keep the key in a file, not in the ssh-agent")
	cmd.Flags().DurationVar(&o.Timeout, "timeout", 0, "wait at most this long for a decision (exit code 5)")
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return fmt.Errorf("%w; options and commands for ssh stand behind --", err)
	})
	return cmd
}
