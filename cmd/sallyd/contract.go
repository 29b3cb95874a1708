package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	signaturesDir = "sigs"
	maxFile       = 1 << 20
)

func contractCommand(dir *string) *cobra.Command {
	return group("contract", "Prepare and add access contracts",
		&cobra.Command{
			Use:   "prepare CONTRACT-DIR",
			Short: "Write manifest.json and one statement for each signatory",
			Long: "Reads contract.md and terms.yaml, checks them, writes manifest.json and sigs/<party>.<signer>.json, and prints\n" +
				"the command with which each signatory signs. It needs no server and no key.",
			Example: "  sallyd contract prepare acme-prod",
			Args:    exactly("CONTRACT-DIR"),
			RunE:    verb(func(cmd *cobra.Command, args []string) error { return runPrepare(cmd, args[0]) }),
		},
		&cobra.Command{
			Use:   "add CONTRACT-DIR",
			Short: "Record a contract and its signatures in the ledger",
			Long: "Records a contract version, the first or an amendment, and the signatures in sigs/. Each must hold, or nothing is\n" +
				"recorded. Version 1 is in force once everybody whom it names has signed, an amendment once those have whom the version\n" +
				"before it names; run it again when a signature has come.",
			Example: "  sallyd contract add acme-prod --dir /var/lib/sallyport",
			Args:    exactly("CONTRACT-DIR"),
			RunE:    verb(func(cmd *cobra.Command, args []string) error { return runContractAdd(cmd, *dir, args[0]) }),
		},
	)
}

func runPrepare(cmd *cobra.Command, path string) error {
	files, err := readFiles(path, contract.ProseFile, contract.TermsFile)
	if err != nil {
		return err
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		return err
	}
	files[contract.ManifestFile] = manifest
	version, err := contract.Load(files)
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(path, contract.ManifestFile), manifest, 0o644); err != nil {
		return err
	}
	sigs := filepath.Join(path, signaturesDir)
	if err := os.MkdirAll(sigs, 0o755); err != nil { //nolint:gosec // a contract is no secret
		return err
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "contract    %s, version %d\ndigest      %s\n", version.Terms.ID, version.Manifest.Version, version.Digest); err != nil {
		return err
	}
	if err := tellCosigners(out, version.Terms); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, "sign with"); err != nil {
		return err
	}
	for _, line := range version.Terms.Signatories {
		for _, key := range line.Of {
			statement, err := contract.NewStatement(version, line.Party, key.Name)
			if err != nil {
				return err
			}
			file := filepath.Join(sigs, line.Party+"."+key.Name+".json")
			if err := writeFile(file, statement, 0o644); err != nil {
				return err
			}
			if _, err := fmt.Fprintf(out, "  ssh-keygen -Y sign -n %s -f KEY-OF-%s %s\n", sshcert.NamespaceContract, strings.ToUpper(key.Name), canon.Visible(canon.ShellWord(file))); err != nil {
				return err
			}
		}
	}
	return nil
}

func runContractAdd(cmd *cobra.Command, dir, path string) (err error) {
	files, err := readVersion(path)
	if err != nil {
		return err
	}
	signatures, err := readSignatures(filepath.Join(path, signaturesDir))
	if err != nil {
		return err
	}
	f, err := openFolder(cmd.Context(), dir, folderOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	added, err := f.auth.AddContract(cmd.Context(), files, signatures)
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if _, err := fmt.Fprintf(out, "contract    %s, version %d\ndigest      %s\nlineage     %s\n",
		added.Version.Terms.ID, added.Version.Manifest.Version, added.Version.Digest, added.Version.Lineage()); err != nil {
		return err
	}
	if err := tellCosigners(out, added.Version.Terms); err != nil {
		return err
	}
	for _, s := range added.Row.Signed {
		if _, err := fmt.Fprintf(out, "signed      %s as %s of %s\n", s.Signer, s.Capacity, s.Party); err != nil {
			return err
		}
	}
	for _, m := range added.Missing {
		if _, err := fmt.Fprintf(out, "missing     %d more of %s as %s of %s\n", m.Need, strings.Join(m.Of, ", "), m.Capacity, m.Party); err != nil {
			return err
		}
	}
	for _, id := range added.Unmet {
		if _, err := fmt.Fprintf(out, "waits for   the condition %s\n", id); err != nil {
			return err
		}
	}
	if added.Row.InForceAt == 0 && len(added.Missing) == 0 {
		_, err = fmt.Fprintln(out, "in force    no: it is signed, and waits for what stands above")
		return err
	}
	if added.Row.InForceAt == 0 {
		_, err = fmt.Fprintln(out, "in force    no: it is not signed by everybody it names; add it again when it is")
		return err
	}
	_, err = fmt.Fprintf(out, "in force    from %s\n", added.Row.InForceAt.Time().Format(time.RFC3339))
	return err
}

// readVersion reads the files of a contract version, those of an amendment with what
// they change.
func readVersion(path string) (map[string][]byte, error) {
	files, err := readFiles(path, contract.ManifestFile, contract.ProseFile, contract.TermsFile)
	if err != nil {
		return nil, err
	}
	parent, err := contract.ParentOf(files[contract.ManifestFile])
	if err != nil || parent.IsZero() {
		return files, err
	}
	for _, name := range []string{contract.AmendmentFile, contract.PlanFile} {
		text, err := readLimited(filepath.Join(path, name))
		if errors.Is(err, fs.ErrNotExist) && name == contract.PlanFile {
			continue
		}
		if err != nil {
			return nil, err
		}
		files[name] = text
	}
	return files, nil
}

// tellCosigners names the cosigners without whose words nothing is issued.
func tellCosigners(out io.Writer, terms *contract.Terms) error {
	for _, c := range terms.Cosigners {
		if _, err := fmt.Fprintf(out, "cosigner    %s of %s\n", c.Name(), c.Party); err != nil {
			return err
		}
	}
	return nil
}

// readFiles reads the named files of a folder.
func readFiles(dir string, names ...string) (map[string][]byte, error) {
	out := make(map[string][]byte, len(names))
	for _, name := range names {
		text, err := readLimited(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) && name == contract.ManifestFile {
			return nil, fmt.Errorf("%s has no %s; run `sallyd contract prepare %s` first", dir, name, dir)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("%s has no %s; a contract is a folder with %s and %s (docs/formats.md)", dir, name, contract.ProseFile, contract.TermsFile)
		}
		if err != nil {
			return nil, err
		}
		out[name] = text
	}
	return out, nil
}

func readLimited(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s has %d bytes, at most %d are read", path, info.Size(), maxFile)
	}
	return os.ReadFile(path) //nolint:gosec // the operator names the folder
}

// readSignatures pairs each statement with its detached signature. A statement
// without one is not signed yet.
func readSignatures(dir string) ([]authority.Signature, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var out []authority.Signature
	for _, entry := range entries {
		if !strings.HasSuffix(entry.Name(), ".json") {
			continue
		}
		file := filepath.Join(dir, entry.Name())
		armored, err := readLimited(file + ".sig")
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		statement, err := readLimited(file)
		if err != nil {
			return nil, err
		}
		out = append(out, authority.Signature{Name: filepath.Join(signaturesDir, entry.Name()), Statement: statement, Armored: armored})
	}
	return out, nil
}
