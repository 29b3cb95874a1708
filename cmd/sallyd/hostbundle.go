package main

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/trust"
)

// Limits of how long a trust bundle lasts.
const (
	bundleLasts   = 90 * 24 * time.Hour
	bundleLeast   = time.Hour
	bundleLongest = 5 * 366 * 24 * time.Hour
)

// bundleOptions are the flags of hosts bundle.
type bundleOptions struct {
	out, contract, after string
	lasts                time.Duration
}

func hostsBundleCommand(dir *string) *cobra.Command {
	var o bundleOptions
	cmd := &cobra.Command{
		Use:   "bundle --out FILE [--after FILE] [--contract ID] [--for TIME]",
		Short: "Write the trust bundle that the hosts of a contract pin",
		Long: `Writes what the hosts of a contract believe: the keys that the ledger names, the witnesses that the settings name, and the
cosigners and roots of the contract version in force. It only reads, so it runs beside "sallyd serve".

A host takes the first bundle by its digest, which people tell it. Each later one is made with --after, names the bundle
before, and counts once the roots of every party have signed it with "sally bundle sign".`,
		Example: "  sallyd hosts bundle --out bundle-1.json\n  sallyd hosts bundle --out bundle-2.json --after bundle-1.json",
		Args:    exactly(),
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return runHostsBundle(cmd, *dir, o) }),
	}
	cmd.Flags().StringVar(&o.out, "out", "", "`FILE` to make; it must not be there (required)")
	cmd.Flags().StringVar(&o.after, "after", "", "`FILE` with the bundle before")
	cmd.Flags().StringVar(&o.contract, "contract", "", "`ID` of the contract; needed if several are in force")
	cmd.Flags().DurationVar(&o.lasts, "for", bundleLasts, "how long it lasts, `TIME` such as 2160h")
	_ = cmd.MarkFlagRequired("out") // the flag is there
	return cmd
}

func runHostsBundle(cmd *cobra.Command, dir string, o bundleOptions) error {
	if o.lasts < bundleLeast || o.lasts > bundleLongest {
		return fmt.Errorf("--for %s: from %s to %s", o.lasts, bundleLeast, bundleLongest)
	}
	if err := isFolder(dir); err != nil {
		return err
	}
	before, err := bundleBefore(o.after)
	if err != nil {
		return err
	}
	quorum, err := witnessesOf(dir)
	if err != nil {
		return err
	}
	var b trust.Bundle
	err = reading(cmd.Context(), dir, func(r *store.Reader) (err error) {
		b, err = authority.TrustBundle(r, authority.NewBundle{Contract: o.contract, Witnesses: quorum, Now: time.Now(), For: o.lasts, After: before})
		return err
	})
	if err != nil {
		return err
	}
	text, err := trust.Make(b)
	if err != nil {
		return err
	}
	file, err := trust.Signed{Text: text}.Marshal()
	if err != nil {
		return err
	}
	if err := newFile(o.out, func(w io.Writer) error { _, err := w.Write(file); return err }); err != nil {
		return err
	}
	return tellBundle(cmd, o.out, b, text)
}

// bundleBefore reads the bundle that a new one comes after.
func bundleBefore(path string) (*trust.Bundle, error) {
	if path == "" {
		return nil, nil //nolint:nilnil // there is none, and that is fine
	}
	text, err := readLimited(path)
	if err != nil {
		return nil, fmt.Errorf("--after: %w", err)
	}
	s, err := trust.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--after %s: %w", path, err)
	}
	if len(s.Bundle.Roots) == 0 {
		return nil, fmt.Errorf("--after %s: %w", path, trust.ErrNoRoots)
	}
	return &s.Bundle, nil
}

func tellBundle(cmd *cobra.Command, path string, b trust.Bundle, text string) error {
	out := cmd.OutOrStdout()
	_, err := fmt.Fprintf(out, "wrote       %s\nbundle      %d of %s, until %s\nlineage     %s\ncontract    %s\ndigest      %s\n",
		canon.Visible(path), b.Number, b.Origin, b.ExpiresAt.Time().Format(time.RFC3339), b.Lineage, b.Contract, trust.Digest(text))
	if len(b.KRLKeys) == 0 {
		_, e := fmt.Fprintln(out, "warning     the ledger names no keys for hosts, so it names none; make them with `sallyd hosts keys`, then this again")
		err = errors.Join(err, e)
	}
	if len(b.Roots) == 0 {
		_, e := fmt.Fprintln(out, "warning     no party of the contract keeps roots, so there is no bundle after this one: hosts would join again")
		return errors.Join(err, e)
	}
	for _, r := range b.Roots {
		_, e := fmt.Fprintf(out, "roots       %d of %d of %s\n", r.Need, len(r.Keys), r.Party)
		err = errors.Join(err, e)
	}
	return err
}
