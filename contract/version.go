package contract

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
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
	Ops      []Op // what the amendment changes of the parent's terms; none in version 1
}

// Load checks the files of version 1 of a contract, manifest.json, contract.md and
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
	if m.Version != 1 {
		return nil, fmt.Errorf("%w: %s: version is %d, an amendment: it is read with the version that it amends", ErrManifest, ManifestFile, m.Version)
	}
	return load(files, m)
}

// LoadAmendment checks the files of a version that amends parent: manifest.json,
// contract.md, terms.yaml, amendment.json and, if there is a plan, plan.json. Beside
// what Load checks the version is the next one of the same contract, the manifest
// names parent and the class that Compare finds, and the changes of amendment.json
// make the terms of parent's. The errors wrap ErrManifest, ErrTerms, ErrProse or
// ErrAmendment.
func LoadAmendment(files map[string][]byte, parent *Version) (*Version, error) {
	names := []string{ManifestFile, AmendmentFile, ProseFile, TermsFile}
	if _, ok := files[PlanFile]; ok {
		names = append(names, PlanFile)
	}
	if err := exactly(files, names...); err != nil {
		return nil, err
	}
	m, err := parseManifest(files[ManifestFile])
	if err != nil {
		return nil, err
	}
	switch plan, ok := files[PlanFile]; {
	case m.Version != parent.Manifest.Version+1:
		return nil, fmt.Errorf("%w: version is %d, and it amends version %d; the next one is %d", ErrManifest, m.Version, parent.Manifest.Version, parent.Manifest.Version+1)
	case m.Parent != parent.Digest:
		return nil, fmt.Errorf("%w: it amends the version %s, not %s", ErrManifest, m.Parent, parent.Digest)
	case m.Contract != parent.Manifest.Contract:
		return nil, fmt.Errorf("%w: it is about the contract %s, and it amends one of %s; an id never changes", ErrManifest, m.Contract, parent.Manifest.Contract)
	case ok == m.Plan.IsZero():
		return nil, fmt.Errorf("%w: %s is there if and only if the manifest names it", ErrManifest, PlanFile)
	case ok && canon.Sum(planDomain, plan) != m.Plan:
		return nil, fmt.Errorf("%w: %s is not the plan that the manifest names by its digest", ErrManifest, PlanFile)
	}
	v, err := load(files, m)
	if err != nil {
		return nil, err
	}
	if err := v.amends(parent); err != nil {
		return nil, err
	}
	return v, nil
}

// amends holds a version to the one that it amends.
func (v *Version) amends(parent *Version) error {
	var a amendment
	if err := canon.Unmarshal(v.Files[AmendmentFile], &a); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrAmendment, AmendmentFile, err)
	}
	switch {
	case a.V != amendmentFormat:
		return fmt.Errorf("%w: %s: v is %q, this release reads %s", ErrAmendment, AmendmentFile, strictyaml.Clip(a.V), amendmentFormat)
	case a.Parent != parent.Digest:
		return fmt.Errorf("%w: %s: it changes the version %s, not %s", ErrAmendment, AmendmentFile, a.Parent, parent.Digest)
	}
	before, err := parent.Terms.Canonical()
	if err != nil {
		return err
	}
	after, err := v.Terms.Canonical()
	if err != nil {
		return err
	}
	switch made, err := Apply(before, a.Ops); {
	case err != nil:
		return err
	case !bytes.Equal(made, after):
		return fmt.Errorf("%w: its changes do not make the terms of %s; make it again", ErrAmendment, TermsFile)
	}
	v.Parent, v.Compared, v.Ops = parent, Compare(parent.Terms, v.Terms), a.Ops
	if v.Compared.Class != v.Manifest.Class {
		return fmt.Errorf("%w: class is %s, and the amendment is %s; make it again", ErrManifest, v.Manifest.Class, v.Compared.Class)
	}
	return nil
}

// load checks what the files of any version have in common.
func load(files map[string][]byte, m Manifest) (*Version, error) {
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
	if plan, ok := files[PlanFile]; ok {
		p, err := ReadPlan(plan)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrManifest, err)
		}
		if p.Contract != m.Contract || p.Parent != m.Parent || p.Terms != m.Terms {
			return nil, fmt.Errorf("%w: %s is about other terms, or other terms before them; make the plan again and then a new manifest", ErrManifest, PlanFile)
		}
	}
	v := &Version{Digest: ManifestDigest(files[ManifestFile]), Manifest: m, Terms: terms, Files: maps.Clone(files)}
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
