package client

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/sshcert"
)

// ContractExportOptions are the settings of [ContractExport].
type ContractExportOptions struct {
	ContractOptions
	Out string // the file to make; it must not be there
}

// contractExport is what --json prints.
type contractExport struct {
	File     string       `json:"file"`
	SHA256   string       `json:"sha256"` // hexadecimal, as sha256sum prints it
	Lineage  canon.Digest `json:"lineage"`
	Digest   canon.Digest `json:"digest"`
	Versions int          `json:"versions"`
}

// ContractExport writes a contract with all versions and signatures into one tar
// file, with what somebody who has nothing of ours needs to check it: allowed_signers
// for ssh-keygen, SHA256SUMS for sha256sum, and how. The same folders give the same
// bytes.
func ContractExport(o ContractExportOptions) error {
	if o.Out == "" {
		return Usagef("--out FILE: name the file to make")
	}
	c, err := loadChain(o.Dir, o.Parents)
	if err != nil {
		return err
	}
	archive, err := c.archive()
	if err != nil {
		return err
	}
	if err := writeNew(o.Out, archive); err != nil {
		return err
	}
	sum := sha256.Sum256(archive)
	r := contractExport{File: o.Out, SHA256: hex.EncodeToString(sum[:]), Lineage: c.versions[0].Digest, Digest: c.version().Digest, Versions: len(c.versions)}
	if o.JSON {
		return o.printJSON(r)
	}
	return o.print(r.File, fmt.Sprintf("%s of contract %s, sha256 %s", counted(int64(r.Versions), "version", "versions"), c.version().Terms.ID, r.SHA256))
}

// writeNew makes a file that is not there yet.
func writeNew(path string, content []byte) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // the person named the file, and a contract is no secret
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; nothing is replaced, so name another file", path)
	}
	if err != nil {
		return err
	}
	if _, err = f.Write(content); err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// archive is the tar file: a folder for each version, by its number.
func (c *chain) archive() ([]byte, error) {
	files := map[string][]byte{}
	for i, v := range c.versions {
		folder := fmt.Sprintf("version-%d/", v.Manifest.Version)
		for name, content := range c.dirs[i].everyFile() {
			files[folder+name] = content
		}
		files[folder+"allowed_signers"] = allowedSigners(v)
	}
	files["README.md"] = c.readme()
	files["SHA256SUMS"] = sums(files)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
		if err := w.WriteHeader(header); err != nil {
			return nil, fmt.Errorf("writing the archive: %s: %w", name, err)
		}
		if _, err := w.Write(files[name]); err != nil {
			return nil, fmt.Errorf("writing the archive: %s: %w", name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("writing the archive: %w", err)
	}
	return b.Bytes(), nil
}

// sums is what sha256sum --check reads.
func sums(files map[string][]byte) []byte {
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(&b, "%x  %s\n", sha256.Sum256(files[name]), name)
	}
	return b.Bytes()
}

// readme says how to check the archive with stock programs.
func (c *chain) readme() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Access contract %s\n\n", c.version().Terms.ID)
	fmt.Fprintf(&b, `This archive holds %s of the contract, each in its folder: contract.md (what people read), terms.yaml (the same
for programs), manifest.json (which names both by digest, and is what was signed), for an amendment amendment.json, and the
signatures in sigs/.

The files are the ones that the signatures are about:

    sha256sum --check SHA256SUMS

`, counted(int64(len(c.versions)), "version", "versions"))
	for i, v := range c.versions {
		fmt.Fprintf(&b, "## Version %d\n\n", v.Manifest.Version)
		fmt.Fprintf(&b, "Its digest is %s, or in hexadecimal %x. This prints the same:\n\n    (printf '%s\\n'; cat version-%d/manifest.json) | sha256sum\n\n",
			v.Digest, v.Digest[:], v.Manifest.V, v.Manifest.Version)
		fmt.Fprintf(&b, "The manifest names the files by their SHA-256 in base64url:\n\n")
		for _, f := range v.Manifest.Files {
			fmt.Fprintf(&b, "    openssl dgst -sha256 -binary version-%d/%s | basenc --base64url   # %s=\n", v.Manifest.Version, f.Path, f.SHA256)
		}
		b.WriteString("\nThe signatures, each over a statement that names the digest:\n\n")
		_, have := c.dirs[i].signatures(v)
		for _, s := range have {
			file := contract.StatementPath(s.Party, s.Signer)
			fmt.Fprintf(&b, "    ssh-keygen -Y verify -n %s -f version-%d/allowed_signers -I %s.%s -s version-%d/%s.sig <version-%d/%s\n",
				sshcert.NamespaceContract, v.Manifest.Version, s.Party, s.Signer, v.Manifest.Version, file, v.Manifest.Version, file)
		}
		for _, m := range missingLines(v, have) {
			fmt.Fprintf(&b, "\nMissing: %s.\n", m.words())
		}
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, `allowed_signers of a version holds the keys that the version before names, those of version 1 the keys that it names itself:
who vouches for version 1 is whoever told you its digest. The rules in full, by which one signature counts and another does not,
are in Sallyport's docs/formats.md; this checks all of them:

    sally contract verify version-%d --version1 %s
`, c.version().Manifest.Version, c.versions[0].Digest)
	return b.Bytes()
}
