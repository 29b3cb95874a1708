package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

// maxAccept is how many leaves one start accepts.
const maxAccept = 100

func newCosign(env client.Env) *cobra.Command {
	o := client.CosignOptions{WitnessOptions: client.WitnessOptions{Env: env}}
	cmd := &cobra.Command{
		Use:   "cosign",
		Short: "Be the cosigner of a party: confirm a ledger while your contract is kept",
		Long: `Answers a ledger's server, which asks for a cosignature of each checkpoint (C2SP
tlog-witness), until it is interrupted. Unlike a witness it is shown what belongs
to one contract, logins with their ID tokens included, replays it by the rules by
which the server decides, and signs only while every certificate under that
contract is justified. What is not it names, here and in its answer, and signs
again when that can do no harm any more. Without its word the server makes no
certificate under the contract, and hosts that ask for it let nobody in.

Without --contract it makes its key and prints it: the line that the contract has
to name under cosigners in its terms. The digest of the contract comes from those
who signed it, not from the server.

The folder is its memory. It holds no names and no ID tokens. One that was lost or
put back from a backup must not be used again: make a new cosigner, with a new
name, and have the contract name that.`,
		Example: `  sally cosign --dir ~/cosigner --name cosigner.example/1
  sally cosign --dir ~/cosigner --contract DIGEST --server https://ca.example --pin sallyport.pin
  sally cosign --dir ~/cosigner --contract DIGEST --server https://ca.example --pin sallyport.pin --accept 4711`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.Cosign(cmd.Context(), o) },
	}
	addText(cmd, &o.Dir, "dir", 4096, "the cosigner's `FOLDER`")
	addText(cmd, &o.Name, "name", 200, "what it calls itself, such as cosigner.example/1; needed once")
	addText(cmd, &o.Contract, "contract", 43, "`DIGEST` of version 1 of the contract, from those who signed it")
	addText(cmd, &o.Server, "server", 300, "`URL` of the ledger's server")
	addText(cmd, &o.Pin, "pin", 4096, "pin `FILE` of the ledger")
	addTexts(cmd, &o.LogKeys, "log-key", 8, 1000, "`VKEY` of the log, instead of a pin file")
	addText(cmd, &o.Listen, "listen", 300, "`HOST:PORT` to answer on; 127.0.0.1:7381 unless told otherwise")
	addText(cmd, &o.Certificate, "tls-cert", 4096, "PEM `FILE` of the TLS certificate, where it answers on other than loopback addresses")
	addText(cmd, &o.Key, "tls-key", 4096, "PEM `FILE` of its key")
	addTexts(cmd, &o.Accept, "accept", maxAccept, 16, "number of a `LEAF` that is not justified, or not shown, and is to hold up nothing any more")
	return cmd
}
