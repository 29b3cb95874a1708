package main

import (
	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newBundle(env client.Env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bundle",
		Short: "Look at, sign and verify what the hosts of a contract pin",
		Example: `  sally bundle show bundle-2.json
  sally bundle sign bundle-2.json --key ~/.ssh/root
  sally bundle verify bundle-2.json --after bundle-1.json`,
		Args: onlyVerbs,
		// Runnable, so that a misspelled verb is an error and not a help page.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newBundleShow(env), newBundleSign(env), newBundleVerify(env))
	return cmd
}

const bundlePath = 4096

func newBundleShow(env client.Env) *cobra.Command {
	o := client.BundleOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "show FILE",
		Short: "Show what a trust bundle says, and which roots have signed it",
		Long: `Reads a trust bundle that "sallyd hosts bundle" has made, and shows whom its hosts
believe: keys, cosigners, witnesses, and the roots that sign the next bundle. It
needs no server. Whether a host takes it, "sally bundle verify" tells.

With --text it prints the text that roots sign, and nothing else, for
ssh-keygen -Y sign -n sallyport-bundle.`,
		Example: `  sally bundle show bundle-1.json
  sally bundle show --text bundle-1.json >bundle-1.txt`,
		Args: oneArgument("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.File = args[0]
			}
			return client.BundleShow(o)
		},
	}
	addSwitch(cmd, &o.Text, "text", "print the text that is signed, and nothing else")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newBundleSign(env client.Env) *cobra.Command {
	o := client.BundleOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "sign FILE",
		Short: "Sign a trust bundle with a root key",
		Long: `Adds the signature of a root key to a trust bundle's file. ssh-keygen makes it, with
the key in the file, in an ssh-agent or in a security key, or has made it before,
where the root key lies.

Look at the bundle first: who signs it says that the hosts of the contract are to
believe the keys in it. A root that only the bundle before names signs with --after.`,
		Example: `  sally bundle sign bundle-2.json --key ~/.ssh/root
  sally bundle sign bundle-2.json --signature bundle-2.txt.sig`,
		Args: oneArgument("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.File = args[0]
			}
			return client.BundleSign(cmd.Context(), o)
		},
	}
	addText(cmd, &o.Key, "key", bundlePath, "`FILE` of the root key, with FILE.pub beside it, or FILE.pub of a key in an ssh-agent")
	addText(cmd, &o.Signature, "signature", bundlePath, "`FILE` that ssh-keygen -Y sign -n sallyport-bundle has written")
	addText(cmd, &o.After, "after", bundlePath, "`FILE` with the bundle before, for a root that only that one names")
	return cmd
}

func newBundleVerify(env client.Env) *cobra.Command {
	o := client.BundleOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "verify FILE",
		Short: "Tell whether a host takes a trust bundle",
		Long: `Holds a trust bundle to the rules by which hosts take one: the first by its digest,
each later one after the bundle before, signed by enough roots of every party in
both. It needs no server.`,
		Example: `  sally bundle verify bundle-1.json --digest tJ8s6XBf4fHmQZbXqHfVwGJp0Jb0uTqFqJ1a9mQ2o5E
  sally bundle verify bundle-2.json --after bundle-1.json`,
		Args: oneArgument("FILE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.File = args[0]
			}
			return client.BundleVerify(o)
		},
	}
	addText(cmd, &o.Digest, "digest", 43, "`DIGEST` of the first bundle, from those who made it")
	addText(cmd, &o.After, "after", bundlePath, "`FILE` with the bundle before")
	addJSON(cmd, &o.JSON)
	return cmd
}
