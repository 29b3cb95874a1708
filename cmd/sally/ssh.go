package main

import (
	"fmt"
	"strings"

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
of mode 0600 in the state folder until then. --key-type makes a key of another
type than ed25519.

With -i the certificate is for a key of your own, such as one in a FIDO security
key: name its public key file. ssh-keygen proves that you have it, through your
ssh-agent or the file beside, and asks you to touch the security key.

What stands behind -- is given to ssh as it is. The exit code is ssh's.`,
		Example: `  sally ssh ops@web-1.example --for 10m --because "INC-42 checkout latency"
  sally ssh ops@web-1.example -- uptime
  sally ssh -i ~/.ssh/id_ed25519_sk ops@web-1.example
  sally ssh ops@web-1.example -- -N -L 8080:localhost:80`,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, name := range []string{"identity", "key-type"} { // a variable that is not set must not choose another key
				if f := cmd.Flags().Lookup(name); f.Changed && f.Value.String() == "" {
					return client.Usagef("--%s: it is empty; leave it out for a new ed25519 key", name)
				}
			}
			if len(args) > 0 {
				o.Principals, o.Args = args[:1], args[1:]
			}
			return client.SSH(cmd.Context(), o)
		},
	}
	addAskFlags(cmd, &o.Ask)
	addSwitch(cmd, &o.KeyFile, "key-file", "keep the key in a file, not in the ssh-agent")
	addText(cmd, &o.KeyType, "key-type", 32, "`TYPE` of the key that is made: "+strings.Join(client.KeyTypes(), ", "))
	addShortText(cmd, &o.Identity, "identity", "i", 4096, "public key `FILE` of a key of your own, instead of one that is made")
	addLength(cmd, &o.Timeout, "timeout", "wait at most this long for a decision, a `DURATION` (exit code 5)")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; options and commands for ssh stand behind --", flagError(cmd, err))
	})
	return cmd
}
