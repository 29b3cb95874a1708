package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

func hostsPublishCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "publish FILE",
		Short: "Give hosts a trust bundle",
		Long: "Puts a trust bundle that `sallyd hosts bundle` made where hosts fetch it. The first one is named by every invitation from then on;\n" +
			"each later one must follow on the one before, signed by the roots of every party, or hosts would refuse it. One under which\n" +
			"this server's certificates would open nothing is refused.",
		Example: "  sallyd hosts publish bundle-1.json",
		Args:    exactly("FILE"),
		RunE: verb(func(cmd *cobra.Command, args []string) (err error) {
			file, err := readLimited(args[0])
			if err != nil {
				return err
			}
			f, err := openFolder(cmd.Context(), *dir, folderOptions{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.close()) }()
			b, err := f.auth.PublishBundle(cmd.Context(), file)
			if err != nil {
				return err
			}
			signed, err := trust.Parse(file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "bundle      %d of %s, until %s\nlineage     %s\ndigest      %s\n",
				b.Number, b.Origin, b.ExpiresAt.Time().Format(time.RFC3339), b.Lineage, signed.Digest())
			return err
		}),
	}
}

// invitationLife is how long an invitation is good unless something else is said.
const invitationLife = time.Hour

func hostsInviteCommand(dir *string) *cobra.Command {
	var o hostOptions
	var life time.Duration
	cmd := &cobra.Command{
		Use:   "invite NAME --addr HOST:PORT [--label NAME=VALUE]… [--alias NAME]… [--contract ID] [--for TIME]",
		Short: "Make an invitation by which a host joins, once",
		Long: "Prints one line, an invitation, by which `sally-host join` takes the host into the inventory: under this name, with these labels,\n" +
			"once, until it expires. It carries the digest of the trust bundle that the host is to pin. Whoever has the line can join as\n" +
			"this host: hand it over as a secret. Host admins do the same with `sally hosts invite`, beside a running server.",
		Example: "  sallyd hosts invite web-1.prod --addr 10.20.0.11:22 --label env=prod --for 15m",
		Args:    exactly("NAME"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			o.name = args[0]
			return runHostsInvite(cmd, *dir, o, life)
		}),
	}
	cmd.Flags().StringVar(&o.addr, "addr", "", "where ssh reaches the host, `HOST:PORT` (required)")
	cmd.Flags().StringArrayVar(&o.labels, "label", nil, "a label, `NAME=VALUE`; may be given several times")
	cmd.Flags().StringArrayVar(&o.aliases, "alias", nil, "another `NAME` of the host, which is no other host's; may be given several times")
	cmd.Flags().StringVar(&o.contract, "contract", "", "`ID` of the contract it belongs to; needed if several are in force")
	cmd.Flags().DurationVar(&life, "for", invitationLife, "how long it is good, `TIME` such as 15m; at most 168h")
	_ = cmd.MarkFlagRequired("addr") // the flag is there
	return cmd
}

func runHostsInvite(cmd *cobra.Command, dir string, o hostOptions, life time.Duration) (err error) {
	if life < time.Minute || life > record.MaxInvitation {
		return fmt.Errorf("--for %s: from 1m0s to %s", life, record.MaxInvitation)
	}
	h, err := o.parseInventory()
	if err != nil {
		return err
	}
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	// The digest of the bundle is known only inside of the write; the secret is drawn here.
	i, err := hostcall.NewInvitation(rand.Reader, f.auth.Origin(), canon.Digest{1})
	if err != nil {
		return err
	}
	invited, err := f.auth.InviteHost(cmd.Context(), authority.NewInvitation{
		ID: i.ID, Name: h.Name, Address: h.Address, Port: h.Port, Labels: h.Labels, Aliases: h.Aliases, Contract: h.Contract, Secret: record.InvitationSecret(i.Secret[:]), For: life,
	})
	if err != nil {
		return err
	}
	i.Bundle = invited.Bundle
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "host %s can join until %s, once, by the line below; whoever has it can, so hand it over as a secret\n",
		invited.Name, invited.ExpiresAt.Time().Format(time.RFC3339)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), i.Reveal())
	return err
}

func hostsRetireCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "retire NAME",
		Short: "Take a host out of the inventory",
		Long: "Retires a host: nobody can ask for it, what was granted on it gives no certificate any more, and it is believed no word. Its name\n" +
			"stays its own: it can join again with the labels that it had. Host admins do the same with `sally hosts retire`, beside a\n" +
			"running server.",
		Example: "  sallyd hosts retire web-1.prod",
		Args:    exactly("NAME"),
		RunE: verb(func(cmd *cobra.Command, args []string) (err error) {
			name, err := sshcert.ParseHost(args[0])
			if err != nil {
				return err
			}
			f, err := openFolder(cmd.Context(), *dir, folderOptions{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.close()) }()
			row, err := f.auth.RetireHost(cmd.Context(), name)
			if errors.Is(err, record.ErrNotFound) {
				return fmt.Errorf("%s is not in the inventory; `sallyd hosts list` shows what is", name)
			}
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "host        %s\nretired     %s\n", row.Name, row.RetiredAt.Time().Format(time.RFC3339))
			return err
		}),
	}
}
