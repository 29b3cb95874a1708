package contract

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
)

// Names of the files of a contract version.
const (
	ManifestFile = "manifest.json"
	ProseFile    = "contract.md"
	TermsFile    = "terms.yaml"
)

// manifestFormat is both the "v" of a manifest and the domain of its digest.
const manifestFormat = "sallyport.manifest/v1"

// Manifest says what a contract version consists of: manifest.json. It is what
// the parties sign, by its digest.
type Manifest struct {
	V        string       `json:"v"`        // "sallyport.manifest/v1"
	Contract string       `json:"contract"` // id of the contract, as in the terms
	Version  int          `json:"version"`  // from 1
	Parent   canon.Digest `json:"parent,omitzero"`
	Files    []File       `json:"files"` // sorted by path: contract.md and terms.yaml
	Terms    canon.Digest `json:"terms"` // TermsDigest of terms.yaml
	Class    string       `json:"class,omitempty"`
	Plan     canon.Digest `json:"plan,omitzero"`
}

// File is one file of a contract version as it lies on disk.
type File struct {
	Path   string       `json:"path"`
	SHA256 canon.Digest `json:"sha256"` // over the raw bytes
	Bytes  int          `json:"bytes"`
}

var filePattern = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// NewManifest builds the manifest.json of version 1 of a contract from its other
// files, contract.md and terms.yaml. It checks them as Load does, so that nobody
// is asked to sign what no server would take.
func NewManifest(files map[string][]byte) ([]byte, error) {
	if err := exactly(files, ProseFile, TermsFile); err != nil {
		return nil, err
	}
	terms, err := ParseTerms(files[TermsFile])
	if err != nil {
		return nil, err
	}
	if err := checkProse(files[ProseFile], terms); err != nil {
		return nil, err
	}
	m := Manifest{V: manifestFormat, Contract: terms.ID, Version: 1}
	if m.Terms, err = TermsDigest(terms); err != nil {
		return nil, err
	}
	for _, path := range []string{ProseFile, TermsFile} {
		m.Files = append(m.Files, describeFile(path, files[path]))
	}
	b, err := canon.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return b, nil
}

func describeFile(path string, content []byte) File {
	return File{Path: path, SHA256: canon.Digest(sha256.Sum256(content)), Bytes: len(content)}
}

// exactly demands these files and no other.
func exactly(files map[string][]byte, names ...string) error {
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !slices.Contains(names, name) {
			return fmt.Errorf("%w: %q is no file of a contract version, which has %s and nothing else", ErrManifest, strictyaml.Clip(name), list(names, "and"))
		}
	}
	for _, name := range names {
		if _, ok := files[name]; !ok {
			return fmt.Errorf("%w: %s is missing", ErrManifest, name)
		}
	}
	return nil
}

// parseManifest reads a manifest.json and checks what it says without the files.
func parseManifest(text []byte) (Manifest, error) {
	var m Manifest
	refuse := func(format string, args ...any) (Manifest, error) {
		return Manifest{}, fmt.Errorf("%w: %s: %s", ErrManifest, ManifestFile, fmt.Sprintf(format, args...))
	}
	if err := canon.Unmarshal(text, &m); err != nil {
		return Manifest{}, fmt.Errorf("%w: %s: %w", ErrManifest, ManifestFile, err)
	}
	switch {
	case m.V != manifestFormat:
		return refuse("v is %q, this release reads %s", strictyaml.Clip(m.V), manifestFormat)
	case !idPattern.MatchString(m.Contract):
		return refuse("contract is %q; %s", strictyaml.Clip(m.Contract), idForm)
	case m.Version != 1:
		return refuse("version is %d; this release reads version 1, amendments come later", m.Version)
	case !m.Parent.IsZero(), m.Class != "", !m.Plan.IsZero():
		return refuse("version 1 has no parent, class or plan")
	case m.Terms.IsZero():
		return refuse("terms is missing")
	}
	var paths []string
	for _, f := range m.Files {
		if !filePattern.MatchString(f.Path) {
			return refuse("%q is no path; a path is a-z, 0-9 and . _ -", strictyaml.Clip(f.Path))
		}
		paths = append(paths, f.Path)
	}
	if !slices.Equal(paths, []string{ProseFile, TermsFile}) {
		return refuse("files are %q; they are %s and %s in this order", paths, ProseFile, TermsFile)
	}
	return m, nil
}
