package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

func personCommand(dir *string) *cobra.Command {
	return group("person", "Record what is known of people, lock and erase them", personLinkCommand(dir), personLockCommand(dir), personUnlockCommand(dir), eraseDocumentCommand(dir), eraseCommand(dir))
}

func parsePerson(arg string) (canon.ID, error) {
	id, err := canon.ParseID(arg)
	if err != nil {
		return "", fmt.Errorf("person %q: an id is 26 characters a-z and 2-7, as sally whoami shows it", strictyaml.Clip(arg))
	}
	return id, nil
}

func personLinkCommand(dir *string) *cobra.Command {
	var because string
	cmd := &cobra.Command{
		Use:   "link PERSON PERSON --because TEXT",
		Short: "Record that two accounts are one human's",
		Long: `Records that two people of the ledger are one human with two accounts. They count as one wherever that denies: neither
decides on the other's request, and both together are one vote. Neither gets anything that it did not have. Links are
transitive, and stay.

A person's id is what "sally whoami" shows and what certificates name.`,
		Example: `  sallyd person link bbovf36kdyjd2alvf4d7a5grda mzxw6ytboi2dqmrvgm4tanrwge --because "HR: contractor became employee"`,
		Args:    exactly("PERSON", "PERSON"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			ids := make([]canon.ID, 2)
			for i, arg := range args {
				id, err := parsePerson(arg)
				if err != nil {
					return err
				}
				ids[i] = id
			}
			return runPersonLink(cmd, *dir, ids[0], ids[1], because)
		}),
	}
	cmd.Flags().StringVar(&because, "because", "", "how you know, one line of `TEXT` (required)")
	_ = cmd.MarkFlagRequired("because") // the flag is there
	return cmd
}

func runPersonLink(cmd *cobra.Command, dir string, one, other canon.ID, because string) (err error) {
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	all, err := f.auth.LinkPeople(cmd.Context(), one, other, because)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(cmd.OutOrStdout(), "one human, who counts once and decides on none of these accounts' requests:"); err != nil {
		return err
	}
	for _, id := range all {
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "person      %s\n", id); err != nil {
			return err
		}
	}
	return nil
}
