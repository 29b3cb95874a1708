package contract

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
)

// Version is one version of a contract whose files agree with each other. That
// it was loaded says nothing about signatures: see VerifySignature and Missing.
type Version struct {
	Digest   canon.Digest // what parties sign and certificates name
	Manifest Manifest
	Terms    *Terms
	Files    map[string][]byte // by name, raw
	// Parent is the version that this one amends, nil for version 1; Compared is
	// what the amendment changes.
	Parent   *Version
	Compared Comparison
}

// Load checks the files of a contract version, manifest.json, contract.md and
// terms.yaml, each by its name: the manifest is canonical and names the other two
// with their digest and size, there is no further file, the terms parse, have the
// digest and the contract id that the manifest says, and the prose has a heading
// for every clause that they cite. The errors wrap ErrManifest, ErrTerms or
// ErrProse. Files keeps copies.
func Load(files map[string][]byte) (*Version, error) {
	if err := exactly(files, ManifestFile, ProseFile, TermsFile); err != nil {
		return nil, err
	}
	m, err := parseManifest(files[ManifestFile])
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if len(files[f.Path]) != f.Bytes {
			return nil, fmt.Errorf("%w: %s has %d bytes, the manifest says %d; make a new manifest if the change is meant", ErrManifest, f.Path, len(files[f.Path]), f.Bytes)
		}
		if describeFile(f.Path, files[f.Path]) != f {
			return nil, fmt.Errorf("%w: %s is not the file that the manifest names by its digest; make a new manifest if the change is meant", ErrManifest, f.Path)
		}
	}
	terms, err := ParseTerms(files[TermsFile])
	if err != nil {
		return nil, err
	}
	digest, err := TermsDigest(terms)
	if err != nil {
		return nil, err
	}
	if digest != m.Terms {
		return nil, fmt.Errorf("%w: %s has the terms digest %s, the manifest says %s", ErrManifest, TermsFile, digest, m.Terms)
	}
	if terms.ID != m.Contract {
		return nil, fmt.Errorf("%w: %s is about the contract %s, the manifest says %s", ErrManifest, TermsFile, terms.ID, m.Contract)
	}
	if err := checkProse(files[ProseFile], terms); err != nil {
		return nil, err
	}
	v := &Version{Digest: canon.Sum(manifestFormat, files[ManifestFile]), Manifest: m, Terms: terms, Files: maps.Clone(files)}
	for name, content := range v.Files {
		v.Files[name] = slices.Clone(content)
	}
	return v, nil
}

// Lineage returns the digest of the contract's version 1, which names the
// contract through all amendments.
func (v *Version) Lineage() canon.Digest {
	for v.Parent != nil {
		v = v.Parent
	}
	return v.Digest
}

// InForceFrom returns the moment from which the version is in force, given the
// ledger time of the last signature that Missing asked for: that moment or the
// terms' not_before, whichever is later.
func (v *Version) InForceFrom(lastRequired time.Time) time.Time {
	if v.Terms.Effect.NotBefore.After(lastRequired) {
		return v.Terms.Effect.NotBefore
	}
	return lastRequired
}
