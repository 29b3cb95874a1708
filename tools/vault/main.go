// Command vault is HashiCorp Vault's server and command line, as its module has them: the tests and the demo run
// against the real thing. scripts/vault.sh builds it.
//
// Vault is under the Business Source License. This module of its own keeps it out of the product's: it is never linked
// into a binary of ours, nor shipped with one.
package main

import (
	"os"

	"github.com/hashicorp/vault/command"
)

func main() { os.Exit(command.Run(os.Args[1:])) }
