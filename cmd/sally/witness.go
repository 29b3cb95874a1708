package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newWitness(env client.Env) *cobra.Command {
	o := client.WitnessOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "witness",
		Short: "Be a witness: cosign what a ledger says while it only grows",
		Long: `Answers a ledger's server, which asks for a cosignature of each checkpoint (C2SP
tlog-witness), until it is interrupted. It signs a checkpoint only if that follows
from the one that it signed before, so a ledger can't show others another history
than it has shown to you. It needs no login and learns no names.

The first start makes the witness's key. Its public key is the one line on
standard output: the ledger's operator puts it into config.yaml, with the address.
The folder is the witness's memory. One that was lost or put back from a backup
must not be used again: make a new witness, with a new name.`,
		Example: `  sally witness --dir ~/witness --name witness.example/w1 --pin sallyport.pin`,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return client.Witness(cmd.Context(), o) },
	}
	addText(cmd, &o.Dir, "dir", 4096, "the witness's `FOLDER`")
	addText(cmd, &o.Name, "name", 200, "what it calls itself, such as witness.example/w1; needed once")
	addText(cmd, &o.Pin, "pin", 4096, "pin `FILE` of the ledger to watch")
	addText(cmd, &o.Listen, "listen", 300, "`HOST:PORT` to answer on; 127.0.0.1:7380 unless told otherwise")
	addText(cmd, &o.Certificate, "tls-cert", 4096, "PEM `FILE` of the TLS certificate, where it answers on other than loopback addresses")
	addText(cmd, &o.Key, "tls-key", 4096, "PEM `FILE` of its key")
	return cmd
}
