package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newContractNew(env client.Env) *cobra.Command {
	o := client.ContractNewOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "new DIR",
		Short: "Make the draft of a contract from an example, or of an amendment",
		Long: `Makes a folder with contract.md, which people read, and terms.yaml, which says the
same for programs: from an example, or from the version that is to be amended. The
keys in an example are nobody's; --key puts real ones in.`,
		Example: `  sally contract new acme-prod/1 --template one-company --key example.ada=ada.pub
  sally contract new acme-prod/2 --from acme-prod/1`,
		Args: oneArgument("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractNew(o)
		},
	}
	addText(cmd, &o.Template, "template", 32, "`NAME` of an example: one-company, vendor-customer, hipaa or pci")
	addText(cmd, &o.From, "from", contractPath, "`DIR` of the version to amend")
	addTexts(cmd, &o.Keys, "key", 100, contractPath, "`PARTY.SIGNER=FILE.pub`: a public key in the place of the one in the draft")
	return cmd
}

func newContractLint(env client.Env) *cobra.Command {
	o := client.ContractLintOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "lint DIR...",
		Short: "Tell what cannot work in a contract, and what is dangerous in it",
		Long: `Looks at contracts as a careful reader does (docs/lints.md), and says what is wrong,
where, and what the smallest change is that mends it. It fails if there is a fault
for which nobody should sign. With --people it knows who is in which group; without,
what it cannot know is said to be unknown.`,
		Example: `  sally contract lint acme-prod/1
  sally contract lint acme-prod/2 --parent acme-prod/1 --people people.yaml`,
		Args: severalArguments("DIR", contractVersions),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Dirs = args
			return client.ContractLint(o)
		},
	}
	addText(cmd, &o.People, "people", contractPath, "`FILE` that says who is in which group")
	addTexts(cmd, &o.Parents, "parent", contractVersions, contractPath, "`DIR` of the version that a draft amends")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractDiff(env client.Env) *cobra.Command {
	o := client.ContractCompareOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "diff OLD NEW",
		Short: "Show what differs between two versions of a contract",
		Long: `Shows each change of the terms, as an amendment states it, and the lines of the prose
that are gone or new. The folders may be drafts. What a change allows, "sally
contract class" tells.`,
		Example: `  sally contract diff acme-prod/1 acme-prod/2`,
		Args:    severalArguments("OLD and NEW", 2),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Dirs = args
			return client.ContractDiff(o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractClass(env client.Env) *cobra.Command {
	o := client.ContractCompareOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "class OLD NEW",
		Short: "Tell whether an amendment allows more or less, and show a request for it",
		Long: `Computes what an amendment from the one version to the other does: equivalent,
narrowing, widening or mixed, and whether it is constitutional. That decides who has
to sign. Each change is shown, one that widens with a request that shows it.`,
		Example: `  sally contract class acme-prod/1 acme-prod/2`,
		Args:    severalArguments("OLD and NEW", 2),
		RunE: func(_ *cobra.Command, args []string) error {
			o.Dirs = args
			return client.ContractClass(o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newContractPropose(env client.Env) *cobra.Command {
	o := client.ContractOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "propose DIR",
		Short: "Make a draft a version that can be signed",
		Long: `Checks a draft, and writes manifest.json, of an amendment amendment.json, and a
statement for each signatory into sigs/. The draft is version 1 unless --parent names
the version that it amends. What nobody should sign, and what this release does not
enforce, it refuses.`,
		Example: `  sally contract propose acme-prod/1
  sally contract propose acme-prod/2 --parent acme-prod/1`,
		Args: oneArgument("DIR"),
		RunE: func(_ *cobra.Command, args []string) error {
			dirArgument(&o.Dir, args)
			return client.ContractPropose(o)
		},
	}
	addTexts(cmd, &o.Parents, "parent", contractVersions, contractPath, "`DIR` of the version that it amends, then those of versions before, if they are in no folder beside")
	addJSON(cmd, &o.JSON)
	return cmd
}
