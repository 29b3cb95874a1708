package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// revokeFlags say what is revoked.
type revokeFlags struct{ serial, grant, request, person, role, host, contract, because string }

func revokeCommand(dir *string) *cobra.Command {
	var o revokeFlags
	cmd := &cobra.Command{
		Use:   "revoke {SERIAL | --grant ID | --request ID | --person ID | --role CONTRACT/ROLE | --host NAME} --because TEXT",
		Short: "Take away what was granted, by the operator's word",
		Long: `Takes away a certificate, a grant, a request, or all that was asked for until now by a person, in a role or on a host, for
good (docs/revocation.md). No certificate is made under it any more, and hosts refuse those that were once they have the next list of
revoked certificates. Of a person it is under every contract, unless --contract names one.

While the server runs, whoever holds an office of the contract does the same with "sally revoke".`,
		Example: `  sallyd revoke 421 --because "the laptop was stolen"
  sallyd revoke --host web-1.example --because "INC-42"`,
		Args: cobra.MaximumNArgs(1),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				o.serial = args[0]
			}
			t, err := o.target()
			if err != nil {
				return err
			}
			return runRevoke(cmd, *dir, t, o)
		}),
	}
	cmd.Flags().StringVar(&o.grant, "grant", "", "a grant, by the `ID` of its request")
	cmd.Flags().StringVar(&o.request, "request", "", "a request, pending or granted, by its `ID`")
	cmd.Flags().StringVar(&o.person, "person", "", "all that somebody asked for, by their `ID`")
	cmd.Flags().StringVar(&o.role, "role", "", "all that was asked for in a role: `CONTRACT/ROLE`")
	cmd.Flags().StringVar(&o.host, "host", "", "all that was asked for on a host, by its `NAME`")
	cmd.Flags().StringVar(&o.contract, "contract", "", "with --person: under the contract of this `ID` only")
	cmd.Flags().StringVar(&o.because, "because", "", "why, one line of `TEXT` (required)")
	_ = cmd.MarkFlagRequired("because") // the flag is there
	return cmd
}

// target reads what is revoked.
func (o *revokeFlags) target() (t record.Target, err error) {
	id := func(s string) (err error) {
		if t.ID, err = canon.ParseID(s); err != nil {
			err = fmt.Errorf("%q: an id is 26 characters a-z and 2-7", strictyaml.Clip(s))
		}
		return err
	}
	named := 0
	for _, one := range []struct {
		text string
		kind record.TargetType
		read func(string) error
	}{
		{o.serial, record.TargetCertificate, func(s string) (err error) {
			if t.Serial, err = strconv.ParseUint(s, 10, 64); err != nil || t.Serial == 0 || t.Serial > record.MaxSerial {
				err = fmt.Errorf("%q is no serial of a certificate; sshd's log shows it", strictyaml.Clip(s))
			}
			return err
		}},
		{o.grant, record.TargetGrant, id},
		{o.request, record.TargetRequest, id},
		{o.person, record.TargetPerson, id},
		{o.role, record.TargetRole, func(s string) error {
			of, role, ok := strings.Cut(s, "/")
			if !ok || of == "" || role == "" || o.contract != "" && o.contract != of {
				return fmt.Errorf("--role %q: write CONTRACT/ROLE, and no other --contract", strictyaml.Clip(s))
			}
			o.contract, t.Role = of, role
			return nil
		}},
		{o.host, record.TargetHost, func(s string) (err error) {
			t.Host, err = sshcert.ParseHost(s)
			return err
		}},
	} {
		if one.text == "" {
			continue
		}
		if named++; named > 1 {
			break
		}
		t.Type = one.kind
		if err := one.read(one.text); err != nil {
			return t, err
		}
	}
	if named != 1 {
		return t, errors.New("name one thing to revoke: a certificate's serial, --grant, --request, --person, --role or --host")
	}
	return t, nil
}

func runRevoke(cmd *cobra.Command, dir string, t record.Target, o revokeFlags) (err error) {
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	lineages, err := lineagesOf(cmd.Context(), f.auth.Store(), t, o.contract)
	if err != nil {
		return err
	}
	for _, lineage := range lineages {
		done, err := f.auth.RevokeAs(cmd.Context(), lineage, t, o.because)
		if err != nil {
			return fmt.Errorf("%s: %w", t, err)
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "revoked     %s\nentry       %d\n", t, done.Index); err != nil {
			return err
		}
	}
	return nil
}

// lineagesOf returns under which contracts something is revoked; the zero digest
// stands for the one that the ledger knows.
func lineagesOf(ctx context.Context, s *store.Store, t record.Target, contract string) (out []canon.Digest, err error) {
	if t.Type != record.TargetPerson && t.Type != record.TargetRole {
		return []canon.Digest{{}}, nil
	}
	err = s.Read(ctx, func(r *store.Reader) error {
		rows, err := authority.Contracts(r)
		if err != nil {
			return err
		}
		seen := make(map[canon.Digest]bool)
		for _, row := range rows {
			if row.InForceAt != 0 && !seen[row.Lineage] && (contract == "" || row.ID == contract) {
				seen[row.Lineage] = true
				out = append(out, row.Lineage)
			}
		}
		return nil
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("contract %s: none of that name was ever in force; GET /v1/server and the pages name those that are", strictyaml.Clip(contract))
	}
	return out, err
}

func personLockCommand(dir *string) *cobra.Command {
	return lockCommand(dir, "lock", "Keep somebody from asking, deciding and being issued anything, and end what they have",
		`Locks an account, and all that are known to be the same human's. It asks for nothing, decides nothing and is issued nothing, under
any contract, until "sallyd person unlock". What it asked for until now is revoked and stays so: hosts refuse its certificates once
they have the next list of revoked certificates.`,
		"locked", (*authority.Authority).LockPerson)
}

func personUnlockCommand(dir *string) *cobra.Command {
	return lockCommand(dir, "unlock", "Let somebody who was locked act again",
		`Unlocks an account, and all that are known to be the same human's. What was revoked by the lock stays revoked: whoever it is asks again.`,
		"unlocked", (*authority.Authority).UnlockPerson)
}

func lockCommand(dir *string, use, short, long, did string, do func(*authority.Authority, context.Context, canon.ID, string) ([]canon.ID, error)) *cobra.Command {
	var because string
	cmd := &cobra.Command{
		Use: use + " PERSON --because TEXT", Short: short, Long: long,
		Example: "  sallyd person " + use + ` mzxw6ytboi2dqmrvgm4tanrwge --because "HR: left on Friday"`,
		Args:    exactly("PERSON"),
		RunE: verb(func(cmd *cobra.Command, args []string) (err error) {
			id, err := parsePerson(args[0])
			if err != nil {
				return err
			}
			f, err := openFolder(cmd.Context(), *dir, folderOptions{})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.close()) }()
			done, err := do(f.auth, cmd.Context(), id, because)
			if err != nil {
				return err
			}
			if len(done) == 0 {
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "person      %s was %s before\n", id, did)
				return err
			}
			for _, person := range done {
				if _, err := fmt.Fprintf(cmd.OutOrStdout(), "%-11s %s\n", did, person); err != nil {
					return err
				}
			}
			return nil
		}),
	}
	cmd.Flags().StringVar(&because, "because", "", "why, one line of `TEXT` (required)")
	_ = cmd.MarkFlagRequired("because") // the flag is there
	return cmd
}
