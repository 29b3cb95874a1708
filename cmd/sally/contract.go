package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newContract(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "contract",
		Short: "Read, sign and check access contracts and their amendments",
		Example: `  sally contract new acme-prod/1 --template one-company
  sally contract propose acme-prod/1
  sally contract sign acme-prod/1 --as acme.a-lang
  sally contract verify acme-prod/1 acme-prod/2 --version1 tJ8s6XBf4fHmQZbXqHfVwGJp0Jb0uTqFqJ1a9mQ2o5E`,
		Args: onlyVerbs,
		// Runnable, so that a misspelled verb is an error and not a help page.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newContractNew(env), newContractShow(env), newContractLint(env), newContractDiff(env), newContractClass(env), newContractPlan(env),
		newContractPropose(env), newContractSign(env), newContractVerify(env), newContractExport(env),
		newContractStatus(env), newContractHistory(env), newContractSend(env), newContractFetch(env),
	)
	return cmd
}

// Limits of what is named on these command lines.
const (
	contractPath     = 4096 // bytes of a path
	contractVersions = 100  // folders
)

// dirArgument is the folder that a verb is about.
func dirArgument(into *string, args []string) {
	if len(args) == 1 {
		*into = args[0]
	}
}

// severalArguments allows as many words as there may be, none of them empty.
func severalArguments(what string, most int) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) > most {
			return fmt.Errorf("%s takes at most %d %s, not %d", cmd.CommandPath(), most, what, len(args))
		}
		for _, arg := range args {
			if arg == "" {
				return fmt.Errorf("%s: one is empty; name it or leave it out", what)
			}
		}
		return nil
	}
}

func addParents(cmd *cobra.Command, into *[]string) {
	addTexts(cmd, into, "parent", contractVersions, contractPath, "`DIR` of a version before, if it is in no folder beside this one")
}

func newContractShow(env client.Env) *cobra.Command {
	o := client.ContractShowOptions{ContractOptions: client.ContractOptions{Env: env}}
	cmd := &cobra.Command{
		Use:   "show DIR",
		Short: "Show a contract version: what it allows, its digest, who has signed",
		Long: `Reads the folder of a contract version, checks that its files belong together, and
shows what it allows, its digest, whose signatures hold, and who has to sign still.
It needs no server. A draft, which has no manifest yet, is shown too.`,
		Example: `  sally contract show acme-prod/1
  sally contract show acme-prod/1 --prose`,
		Args: oneArgument("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractShow(o)
		},
	}
	addSwitch(cmd, &o.Prose, "prose", "print contract.md instead of the summary")
	addSwitch(cmd, &o.Terms, "terms", "print the terms in their canonical form instead of the summary")
	addParents(cmd, &o.Parents)
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractSign(env client.Env) *cobra.Command {
	o := client.ContractSignOptions{ContractOptions: client.ContractOptions{Env: env}}
	cmd := &cobra.Command{
		Use:   "sign DIR",
		Short: "Sign a contract version as one of its signatories",
		Long: `Shows what is signed (digest, class and changes of an amendment, the statement), then
writes the statement into sigs/ and signs it. ssh-keygen makes the signature, with
the key in the file, in an ssh-agent or in a security key, or has made it before,
where the key lies. Without --key the ssh-agent is asked for the key that the
contract pins.

Read the version first. With --digest nothing but the version that you have read is
signed.`,
		Example: `  sally contract sign acme-prod/1 --as acme.a-lang
  sally contract sign acme-prod/1 --as acme.a-lang --key ~/.ssh/contract`,
		Args: oneArgument("DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractSign(cmd.Context(), o)
		},
	}
	addText(cmd, &o.As, "as", 200, "`PARTY.SIGNER`: for which party who signs")
	addText(cmd, &o.Key, "key", contractPath, "`FILE` of the key, with FILE.pub beside it, or FILE.pub of a key in an ssh-agent")
	addText(cmd, &o.Signature, "signature", contractPath, "`FILE` that ssh-keygen -Y sign -n sallyport-contract has written")
	addText(cmd, &o.Digest, "digest", 43, "`DIGEST` of the version that you have read")
	addText(cmd, &o.Capacity, "capacity", 64, "`CAPACITY` in which to sign, where the contract names you in two: roots for a root")
	addTexts(cmd, &o.Waive, "waive", 32, 8, "`CODE` of a warning that you have seen and let stand, such as W34")
	addParents(cmd, &o.Parents)
	return cmd
}

func newContractVerify(env client.Env) *cobra.Command {
	o := client.ContractVerifyOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "verify DIR...",
		Short: "Check a contract from version 1 to its last version, without a server",
		Long: `Follows a contract from version 1, which you know by its digest, to the last of the
folders: every file by its digest, every signature by the rules of the version
before, the class of every amendment computed again. It believes no server. It fails
if a signature is missing or does not hold.

Versions before are found in the folders beside, so the last one is enough where they
lie side by side.`,
		Example: `  sally contract verify acme-prod/1 acme-prod/2 --version1 tJ8s6XBf4fHmQZbXqHfVwGJp0Jb0uTqFqJ1a9mQ2o5E`,
		Args:    severalArguments("DIR", contractVersions),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Dirs = args
			return client.ContractVerify(o)
		},
	}
	addText(cmd, &o.Version1, "version1", 43, "`DIGEST` of version 1, from those who signed it, not from the server")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractExport(env client.Env) *cobra.Command {
	o := client.ContractExportOptions{ContractOptions: client.ContractOptions{Env: env}}
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write a contract with all its signatures into one file that stock tools check",
		Long: `Writes a tar file with every version up to this one, the signatures, allowed_signers
for ssh-keygen -Y verify, SHA256SUMS, and a README that says how somebody checks it
who has nothing but OpenSSH and sha256sum. The same folders give the same bytes.`,
		Example: `  sally contract export acme-prod/2 --out acme-prod.tar`,
		Args:    oneArgument("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractExport(o)
		},
	}
	addText(cmd, &o.Out, "out", contractPath, "`FILE` to make; it must not be there")
	addParents(cmd, &o.Parents)
	addJSON(cmd, &o.JSON)
	return cmd
}
