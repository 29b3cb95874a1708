package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// chain is a version in a folder with those that it amends, version 1 first.
type chain struct {
	dirs     []*contractDir
	versions []*contract.Version
}

func (c *chain) dir() *contractDir          { return c.dirs[len(c.dirs)-1] }
func (c *chain) version() *contract.Version { return c.versions[len(c.versions)-1] }

// loadChain loads the version in a folder. The version that it amends is looked for
// in the folders named as parents, then in the folders beside it, by its digest, and
// so on to version 1: a version is judged by the rules of the one before.
func loadChain(dir string, parents []string) (*chain, error) {
	d, err := readContractDir(dir)
	if err != nil {
		return nil, err
	}
	if _, ok := d.digest(); !ok {
		return nil, fmt.Errorf("%s has no %s; `sally contract propose %s` makes it", dir, contract.ManifestFile, canon.ShellWord(dir))
	}
	c := &chain{}
	if err := c.load(d, parents, map[canon.Digest]bool{}); err != nil {
		return nil, err
	}
	return c, nil
}

func (c *chain) load(d *contractDir, parents []string, seen map[canon.Digest]bool) error {
	digest, _ := d.digest()
	if seen[digest] || len(seen) == maxVersions {
		return fmt.Errorf("%s: more than %d versions before it", d.path, maxVersions)
	}
	seen[digest] = true
	var parent *contract.Version
	named, err := parentOf(d)
	if err != nil {
		return err
	}
	if !named.IsZero() {
		before, err := findVersion(named, d.path, parents)
		if err != nil {
			return err
		}
		if err := c.load(before, parents, seen); err != nil {
			return err
		}
		parent = c.version()
	}
	v, err := loadVersion(d.files, parent)
	if err != nil {
		return fmt.Errorf("%s: %w", d.path, err)
	}
	c.dirs, c.versions = append(c.dirs, d), append(c.versions, v)
	return nil
}

// parentOf reads which version a manifest says that it amends. What is wrong with
// the manifest is found when it is loaded.
func parentOf(d *contractDir) (canon.Digest, error) {
	var m struct {
		Parent string `json:"parent"`
	}
	if err := json.Unmarshal(d.files[contract.ManifestFile], &m); err != nil {
		return canon.Digest{}, fmt.Errorf("%s: %s is no JSON: %w", d.path, contract.ManifestFile, err)
	}
	if m.Parent == "" {
		return canon.Digest{}, nil
	}
	parent, err := canon.ParseDigest(m.Parent)
	if err != nil {
		return canon.Digest{}, fmt.Errorf("%s: %s: parent: %w", d.path, contract.ManifestFile, err)
	}
	return parent, nil
}

// findVersion finds the folder of the version with that digest.
func findVersion(digest canon.Digest, dir string, parents []string) (*contractDir, error) {
	for _, candidate := range parents {
		d, err := readContractDir(candidate)
		if err != nil {
			return nil, err
		}
		if have, ok := d.digest(); ok && have == digest {
			return d, nil
		}
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	above := filepath.Dir(absolute)
	entries, err := os.ReadDir(above)
	if err != nil {
		return nil, err
	}
	for i, entry := range entries {
		if i == maxNeighbours {
			break
		}
		beside := filepath.Join(above, entry.Name())
		manifest, err := readAtMost(filepath.Join(beside, contract.ManifestFile), maxContractFile)
		if err == nil && contract.ManifestDigest(manifest) == digest {
			return readContractDir(beside)
		}
	}
	return nil, fmt.Errorf("%s amends the version %s, which is in no folder beside it; name its folder with --parent", dir, digest)
}

// loadVersion loads version 1, or one that amends parent.
func loadVersion(files map[string][]byte, parent *contract.Version) (*contract.Version, error) {
	if parent == nil {
		return contract.Load(files)
	}
	return contract.LoadAmendment(files, parent)
}

// loadDraft loads a folder whose manifest is not made yet, with the manifest that it
// would get as version 1, or as an amendment of parent.
func loadDraft(d *contractDir, parent *contract.Version) (*contract.Version, error) {
	files := map[string][]byte{}
	for _, name := range draftFiles {
		files[name] = d.files[name]
	}
	var err error
	if parent == nil {
		files[contract.ManifestFile], err = contract.NewManifest(files)
	} else {
		files, err = contract.NewAmendment(files, parent, d.files[contract.PlanFile])
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.path, err)
	}
	return loadVersion(files, parent)
}

// isFolder reports whether there is a folder.
func isFolder(path string) (bool, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.IsDir(), err
}

// sameDir reports whether two paths are one folder.
func sameDir(a, b string) bool {
	one, err := os.Stat(a)
	other, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(one, other)
}
