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
	// AmendmentFile says what an amendment changes; every version but the first has it.
	AmendmentFile = "amendment.json"
	// PlanFile says what an amendment would have changed of what was asked for; it may
	// be absent.
	PlanFile = "plan.json"
)

const (
	// manifestFormat is both the "v" of a manifest and the domain of its digest.
	manifestFormat = "sallyport.manifest/v1"
	// planDomain is both the "v" of a plan and the domain of its digest.
	planDomain = "sallyport.plan/v1"
)

// Manifest says what a contract version consists of: manifest.json. It is what
// the parties sign, by its digest.
type Manifest struct {
	V        string       `json:"v"`               // "sallyport.manifest/v1"
	Contract string       `json:"contract"`        // id of the contract, as in the terms
	Version  int          `json:"version"`         // from 1
	Parent   canon.Digest `json:"parent,omitzero"` // digest of the version that it amends; absent in version 1
	Files    []File       `json:"files"`           // sorted by path, all but the manifest
	Terms    canon.Digest `json:"terms"`           // TermsDigest of terms.yaml
	Class    Class        `json:"class,omitempty"` // what Compare says of both versions; absent in version 1
	Plan     canon.Digest `json:"plan,omitzero"`   // canon.Sum("sallyport.plan/v1", plan.json); absent if there is none
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
	return writeManifest(Manifest{V: manifestFormat, Contract: terms.ID, Version: 1}, terms, files)
}

// NewAmendment builds amendment.json and manifest.json of the version that amends
// parent, from its contract.md and terms.yaml and from its plan.json, nil for none. It
// returns all files of the version, and checks them as LoadAmendment does.
func NewAmendment(files map[string][]byte, parent *Version, plan []byte) (map[string][]byte, error) {
	if err := exactly(files, ProseFile, TermsFile); err != nil {
		return nil, err
	}
	terms, err := ParseTerms(files[TermsFile])
	if err != nil {
		return nil, err
	}
	m := Manifest{V: manifestFormat, Contract: terms.ID, Version: parent.Manifest.Version + 1, Parent: parent.Digest, Class: Compare(parent.Terms, terms).Class}
	out := maps.Clone(files)
	if plan != nil {
		out[PlanFile], m.Plan = plan, canon.Sum(planDomain, plan)
	}
	a := amendment{V: amendmentFormat, Parent: parent.Digest}
	if a.Ops, err = Diff(parent.Terms, terms); err != nil {
		return nil, err
	}
	if out[AmendmentFile], err = canon.Marshal(a); err != nil {
		return nil, fmt.Errorf("writing the amendment: %w", err)
	}
	if out[ManifestFile], err = writeManifest(m, terms, out); err != nil {
		return nil, err
	}
	if _, err := LoadAmendment(out, parent); err != nil {
		return nil, err
	}
	return out, nil
}

// writeManifest fills in what a manifest says of the files.
func writeManifest(m Manifest, terms *Terms, files map[string][]byte) ([]byte, error) {
	var err error
	if m.Terms, err = TermsDigest(terms); err != nil {
		return nil, err
	}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		m.Files = append(m.Files, describeFile(path, files[path]))
	}
	b, err := canon.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("writing the manifest: %w", err)
	}
	return b, nil
}

// ManifestDigest is the digest of the version that has this manifest.json: what its
// parties sign and certificates name.
func ManifestDigest(manifest []byte) canon.Digest { return canon.Sum(manifestFormat, manifest) }

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

// ParentOf returns the digest of the version that a manifest.json says it amends,
// zero of version 1.
func ParentOf(manifest []byte) (canon.Digest, error) {
	m, err := parseManifest(manifest)
	return m.Parent, err
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
	case m.Version < 1:
		return refuse("version is %d; versions count from 1", m.Version)
	case m.Version == 1 && (!m.Parent.IsZero() || m.Class != "" || !m.Plan.IsZero()):
		return refuse("version 1 has no parent, class or plan")
	case m.Version > 1 && m.Parent.IsZero():
		return refuse("parent is missing: version %d amends another one", m.Version)
	case m.Version > 1 && !slices.Contains([]Class{Equivalent, Narrowing, Widening, Mixed}, m.Class):
		return refuse("class is %q; it is one of equivalent, narrowing, widening and mixed", strictyaml.Clip(string(m.Class)))
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
	if want := m.paths(); !slices.Equal(paths, want) {
		return refuse("files are %q; they are %s in this order", paths, list(want, "and"))
	}
	return m, nil
}

// paths are the files that a version of this manifest consists of, sorted.
func (m Manifest) paths() []string {
	switch {
	case m.Version == 1:
		return []string{ProseFile, TermsFile}
	case m.Plan.IsZero():
		return []string{AmendmentFile, ProseFile, TermsFile}
	}
	return []string{AmendmentFile, ProseFile, PlanFile, TermsFile}
}
