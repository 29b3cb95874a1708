package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/softkey"
)

func hostsKeysCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use: "keys", Short: "Make and record the keys that sign for hosts", Args: exactly(),
		Long: "Makes the key that signs host certificates and the one that signs lists of revoked certificates, if the folder lacks them, and\n" +
			"records them in the ledger. `sallyd init` makes them too; folders from before have none. Several servers on one database\n" +
			"share them: make them in one folder and copy keys/host-ca and keys/krl to the others.",
		Example: "  sallyd hosts keys",
		RunE: verb(func(cmd *cobra.Command, _ []string) (err error) {
			if err := isFolder(*dir); err != nil {
				return err
			}
			// With the folder's lock held, so that no two make them at once.
			f, err := openFolder(cmd.Context(), *dir, folderOptions{makeHostKeys: true})
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, f.close()) }()
			keys, err := f.auth.RecordHostKeys(cmd.Context())
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "host CA     %s\nKRL key     %s\n", ssh.FingerprintSHA256(keys.CA), ssh.FingerprintSHA256(keys.KRL))
			return err
		}),
	}
}

// makeHostKeys makes the keys that sign for hosts, where they are not there yet.
func (f *folder) makeHostKeys(origin string) error {
	for _, key := range []struct{ file, comment string }{
		{hostCAFile, "sallyport host CA of " + origin}, {krlKeyFile, "sallyport KRL key of " + origin},
	} {
		if _, err := os.Stat(f.file(key.file)); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("looking for the keys for hosts: %w", err)
		}
		if _, err := softkey.Create(f.file(key.file), key.comment, rand.Reader); err != nil {
			return err
		}
	}
	return nil
}

// openHostKeys opens the keys that sign for hosts. A folder that has neither serves
// all the same: no host joins by itself there. One of two is a loss.
func (f *folder) openHostKeys(c *authority.Config) error {
	var signers [2]*softkey.Signer
	missing := ""
	for i, file := range []string{hostCAFile, krlKeyFile} {
		signer, err := softkey.Open(f.file(file), rand.Reader)
		if _, absent := os.Lstat(f.file(file)); errors.Is(absent, fs.ErrNotExist) {
			missing = filepath.Base(file)
			continue
		}
		if err != nil {
			return err
		}
		signers[i] = signer
	}
	switch {
	case signers[0] == nil && signers[1] == nil:
		return nil
	case missing != "":
		return fmt.Errorf("%s is not there; restore it from its backup, or make it with `sallyd hosts keys` if it never was", f.file(filepath.Join("keys", missing)))
	}
	c.HostCA, c.KRL = signers[0], signers[1].SSH()
	return nil
}
