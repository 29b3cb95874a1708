package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/client"
)

func newHosts(env client.Env) *cobra.Command {
	o := client.HostsOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "hosts [NAME]",
		Short: "List the hosts that you may ask for, or show one with its proof",
		Long: `Lists the hosts that you may ask for: for each role, its logins, the contract's
clause, the longest grant, and who decides.

With NAME it shows that host in full, and checks on this machine that the pinned
ledger says of it what the server says: address, port, host key, labels, contract.
The exit code is 1 if it does not.

The verbs below are for those who look after hosts.`,
		Example: `  sally hosts
  sally hosts web-1.example
  sally hosts list`,
		Args:              oneArgument("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			return client.Hosts(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	cmd.AddCommand(newHostsList(env), newHostsShow(env), newHostsConfig(env), newHostsInvite(env), newHostsLabel(env), newHostsRelease(env), newHostsRetire(env))
	return cmd
}

func newHostsList(env client.Env) *cobra.Command {
	o := client.HostsOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the hosts, and whether they enforce the ledger",
		Long: `Lists the hosts of the contracts that concern you, with what each last said of
itself: whether it lets in only what the ledger holds, how many findings its doctor
has, which trust bundle and revocation list it uses. A host that never said a word
has stock sshd without sally-host and is shown as not enforcing. What hosts say is
their word.`,
		Example: `  sally hosts list
  sally hosts list --json`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error { return client.HostsFleet(cmd.Context(), o) },
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newHostsShow(env client.Env) *cobra.Command {
	o := client.HostsOptions{Env: env}
	cmd := &cobra.Command{
		Use:     "show NAME",
		Short:   "Show one host with its proof",
		Long:    "Does what sally hosts NAME does.",
		Example: `  sally hosts show web-1.example`,
		Args:    oneArgument("NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			if o.Name == "" {
				return client.Usagef("name the host to show; sally hosts list lists them")
			}
			return client.Hosts(cmd.Context(), o)
		},
	}
	addJSON(cmd, &o.JSON)
	return cmd
}

func newHostsConfig(env client.Env) *cobra.Command {
	o := client.HostConfigOptions{Env: env}
	cmd := &cobra.Command{
		Use:   "config NAME [--out DIR] [--at DIR]",
		Short: "Print the files of a host that has stock sshd alone",
		Long: `Prints the files by which stock sshd, without sally-host, accepts certificates for one
host: a fragment for sshd_config, the user CA of your pin file, a principals file for
each login that the contract names on the host, and the revocation list as it is now.
Labels and terms are held to the pinned ledger. With --out they are written to a folder;
root has to own them on the host.

Such a host does not ask for the ledger proof, ends no session, and gets a newer
revocation list only when you bring it one: run this again. It is shown as not enforcing.`,
		Example: `  sally hosts config web-1.prod
  sally hosts config web-1.prod --out ./web-1 --at /etc/ssh/sallyport`,
		Args:              oneArgument("NAME"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.Name = args[0]
			}
			return client.HostsConfig(cmd.Context(), o)
		},
	}
	addText(cmd, &o.Out, "out", 4096, "folder to write the files to, `DIR`")
	addText(cmd, &o.At, "at", 4096, "folder in which the host will have them, `DIR` (default: that of --out, else /etc/ssh/sallyport)")
	addJSON(cmd, &o.JSON)
	return cmd
}

// hostAdmin is a verb of host admins about the host NAME.
func hostAdmin(cmd *cobra.Command, o *client.HostAdminOptions, run func(context.Context, client.HostAdminOptions) error) *cobra.Command {
	cmd.Args = oneArgument("NAME")
	cmd.ValidArgsFunction = cobra.NoFileCompletions
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			o.Name = args[0]
		}
		return run(cmd.Context(), *o)
	}
	addText(cmd, &o.Contract, "contract", 64, "`ID` of the contract, if several are in force")
	addJSON(cmd, &o.JSON)
	return cmd
}

func newHostsInvite(env client.Env) *cobra.Command {
	o := client.HostAdminOptions{Env: env}
	cmd := hostAdmin(&cobra.Command{
		Use:   "invite NAME --addr HOST:PORT [--label NAME=VALUE]… [--alias NAME]… [--workload ISSUER --subject SUBJECT]",
		Short: "Make an invitation by which a host joins, once",
		Long: `Prints one line, an invitation, by which sally-host join takes the host into the
inventory: under this name, with these labels, once, until it expires. It carries
the digest of the trust bundle that the host is to pin, so the host need not believe
the server. Whoever has the line can join as this host: hand it over as a secret.

You need the office host-admin of the contract. A name stays what it was: it is
invited again only with the same labels and under the same contract.`,
		Example: `  sally hosts invite web-1.prod --addr 10.20.0.11:22 --label env=prod --label tier=web
  sally hosts invite web-1.prod --addr 10.20.0.11:22 --label env=prod --alias www.prod --for 15m`,
	}, &o, client.HostsInvite)
	addText(cmd, &o.Addr, "addr", 300, "where ssh reaches the host, `HOST:PORT`")
	addTexts(cmd, &o.Labels, "label", 64, 127, "a label, `NAME=VALUE`")
	addTexts(cmd, &o.Aliases, "alias", client.MaxAliases, 95, "another `NAME` of the host, which is no other host's; sally-host join needs the same")
	addText(cmd, &o.Workload, "workload", 255, "the `ISSUER` by whose identity token the host joins, in the place of a secret; the server has to know it")
	addText(cmd, &o.Subject, "subject", 255, "the `SUBJECT` that the token has to be for")
	addLength(cmd, &o.For, "for", "how long it is good, `TIME` such as 15m; at most 168h (default 1h)")
	return cmd
}

func newHostsLabel(env client.Env) *cobra.Command {
	o := client.HostAdminOptions{Env: env}
	cmd := hostAdmin(&cobra.Command{
		Use:   "label NAME [--label NAME=VALUE]… [--change ID]",
		Short: "Give a host other labels, with another host admin",
		Long: `Proposes labels for a host, all that it is to have, and prints the id of the change.
They hold once another host admin asks for the very same with --change ID. Labels say
which roles reach a host, so nobody changes them alone. What was granted is judged by
the new labels from then on.`,
		Example: `  sally hosts label web-1.prod --label env=prod --label tier=db
  sally hosts label web-1.prod --label env=prod --label tier=db --change mzxw6ytboi4dknrzgq2tmnzxgi`,
	}, &o, client.HostsLabel)
	addTexts(cmd, &o.Labels, "label", 64, 127, "a label, `NAME=VALUE`")
	addText(cmd, &o.Change, "change", 26, "the `ID` of the change that another host admin has proposed")
	return cmd
}

func newHostsRelease(env client.Env) *cobra.Command {
	o := client.HostAdminOptions{Env: env}
	cmd := hostAdmin(&cobra.Command{
		Use:   "release NAME --to CONTRACT",
		Short: "Let a host go to another contract",
		Long: `Releases a host from its contract to the one that --to names, by your signature. You
need the office host-admin of the contract that it leaves; nobody else can move it,
not the operator either. At once nobody can ask for it any more, and what was granted
on it gives no certificate. A host admin of the other contract invites it then, with
labels of that contract; the host joins by that invitation and pins that contract.
Until it has, its own contract can invite it back with the labels that it had.`,
		Example: `  sally hosts release web-1.prod --to harbour --contract acme-prod`,
	}, &o, client.HostsRelease)
	addText(cmd, &o.To, "to", 64, "the contract that the host may join, its `CONTRACT` id or the digest of its version 1")
	return cmd
}

func newHostsRetire(env client.Env) *cobra.Command {
	o := client.HostAdminOptions{Env: env}
	return hostAdmin(&cobra.Command{
		Use:   "retire NAME",
		Short: "Take a host out of the inventory",
		Long: `Retires a host: nobody can ask for it, what was granted on it gives no certificate
any more, and it is believed no word. Its name stays its own: it can be invited again
with the labels that it had.`,
		Example: `  sally hosts retire web-1.prod`,
	}, &o, client.HostsRetire)
}
