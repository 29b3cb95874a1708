package main

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// eraseDays is for how many days a document may be signed unless said otherwise.
const eraseDays = 14

func eraseDocumentCommand(dir *string) *cobra.Command {
	var ground, out string
	var days int
	cmd := &cobra.Command{
		Use:   "erase-document PERSON --ground CODE --out FILE",
		Short: "Write the document that two people sign to have somebody erased",
		Long: `Writes what two signatories of contracts sign so that "sallyd person erase" may erase somebody, and prints who can sign and
how. It refuses while a contract keeps the person, and says until when. It only reads, so it runs beside "sallyd serve".

Every account that is known of the human is erased with the one that is named ("sallyd person link").`,
		Example: "  sallyd person erase-document bbovf36kdyjd2alvf4d7a5grda --ground request --out erase.json",
		Args:    exactly("PERSON"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			id, err := parsePerson(args[0])
			if err != nil {
				return err
			}
			if limit := int(record.EraseLife.Hours() / 24); days < 1 || days > limit {
				return fmt.Errorf("--days %d: 1 to %d", days, limit)
			}
			return runEraseDocument(cmd, *dir, id, record.Ground(ground), time.Duration(days)*24*time.Hour, out)
		}),
	}
	cmd.Flags().StringVar(&ground, "ground", "", "why, as a `CODE`: request (the person asked for it), retention (nobody needs it any more), order (an authority demands it) (required)")
	cmd.Flags().StringVar(&out, "out", "", "the `FILE` to make; one that is there is not replaced (required)")
	cmd.Flags().IntVar(&days, "days", eraseDays, "for how many days, `N`, it can be signed and used, 1 to 31")
	_ = cmd.MarkFlagRequired("ground") // the flag is there
	_ = cmd.MarkFlagRequired("out")    // the flag is there
	return cmd
}

func eraseCommand(dir *string) *cobra.Command {
	var document string
	var signed []string
	cmd := &cobra.Command{
		Use:   "erase PERSON --document FILE --signed FILE --signed FILE",
		Short: "Destroy everything that shows who a person was",
		Long: `Destroys the person's key and with it name, e-mail address, handle, ID tokens and what they wrote, what approvers wrote to
them, their sessions and the row that knows their account, and records that. What they did stays in the ledger under their
id, and every proof goes on verifying. There is no way back but a backup.

Two people ask for it, each a signatory of a contract in force under which the person acted, and one for each of these
contracts: FILE is from "sallyd person erase-document", each --signed a signature over it. It is refused before the retention
of every contract is over, and while a request or a grant of theirs is open.

Afterwards the database is written anew, so that no deleted byte stays in it: with SQLite that needs twice its size free on disk.
If that fails, run it once more.`,
		Example: "  sallyd person erase bbovf36kdyjd2alvf4d7a5grda --document erase.json --signed erase.json.ada.sig --signed erase.json.bea.sig",
		Args:    exactly("PERSON"),
		RunE: verb(func(cmd *cobra.Command, args []string) error {
			id, err := parsePerson(args[0])
			if err != nil {
				return err
			}
			return runErase(cmd, *dir, id, document, signed)
		}),
	}
	cmd.Flags().StringVar(&document, "document", "", "the `FILE` that was signed (required)")
	cmd.Flags().StringArrayVar(&signed, "signed", nil, "a signature over it, as ssh-keygen writes it, a `FILE`; twice or more (required)")
	_ = cmd.MarkFlagRequired("document") // the flag is there
	_ = cmd.MarkFlagRequired("signed")   // the flag is there
	return cmd
}

func runEraseDocument(cmd *cobra.Command, dir string, id canon.ID, ground record.Ground, life time.Duration, out string) error {
	if err := isFolder(dir); err != nil {
		return err
	}
	var erasure record.Erasure
	var text []byte
	expires := canon.At(time.Now().Add(life))
	err := reading(cmd.Context(), dir, func(r *store.Reader) error {
		log, err := record.Log(r)
		if err != nil {
			return err
		}
		if erasure, err = record.Erasable(r, id, canon.At(time.Now())); err != nil {
			return err
		}
		text, err = record.NewEraseDoc(log.Origin, erasure.People, ground, expires)
		return err
	})
	if err != nil {
		return err
	}
	if err := newFile(out, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	}); err != nil {
		return err
	}
	return tellSigners(cmd.OutOrStdout(), erasure, out, expires)
}

// tellSigners says who can sign a document, and how.
func tellSigners(w io.Writer, e record.Erasure, out string, expires canon.Micros) error {
	var lines []string
	for _, id := range e.People {
		lines = append(lines, "person      "+string(id))
	}
	lines = append(lines, "wrote       "+canon.Visible(out), "good until  "+expires.Time().Format(time.RFC3339), "two people sign, at least one for each contract")
	for _, v := range e.About {
		lines = append(lines, "contract    "+v.Terms.ID)
		for _, line := range v.Terms.Signatories {
			for _, k := range line.Of {
				lines = append(lines, "  "+signingCommand(k, out))
			}
		}
	}
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}

func signingCommand(k contract.Key, file string) string {
	return canon.Visible(fmt.Sprintf("ssh-keygen -Y sign -n %s -f KEY-OF-%s < %s > %s",
		sshcert.NamespaceErase, strings.ToUpper(k.Name), canon.ShellWord(file), canon.ShellWord(file+"."+k.Name+".sig")))
}

func runErase(cmd *cobra.Command, dir string, id canon.ID, document string, signed []string) (err error) {
	text, err := readLimited(document)
	if err != nil {
		return err
	}
	var signatures []string
	for _, file := range signed {
		armored, err := readLimited(file)
		if err != nil {
			return err
		}
		signatures = append(signatures, string(armored))
	}
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	done, err := f.auth.ErasePerson(cmd.Context(), id, string(text), signatures)
	if err != nil {
		return err
	}
	return tellErased(cmd.OutOrStdout(), done)
}

func tellErased(w io.Writer, done authority.Erased) error {
	var lines []string
	for _, id := range slices.Sorted(slices.Values(done.People)) {
		lines = append(lines, "erased      "+string(id))
	}
	when := done.At.Time().Format(time.RFC3339)
	if done.Before {
		lines = append(lines, fmt.Sprintf("recorded    in leaf %d, at %s; the database was written anew once more", done.Leaf, when))
	} else {
		lines = append(lines, fmt.Sprintf("recorded    in leaf %d, at %s", done.Leaf, when))
	}
	lines = append(lines, "not erased  backups and exports from before, and what people and hosts have: see docs/erasure.md")
	_, err := fmt.Fprintln(w, strings.Join(lines, "\n"))
	return err
}
