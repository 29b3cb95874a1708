package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
)

// loaded are versions by all that a ContractPropose says of them. A version never
// changes and is made of that alone, so what is kept is always right.
var loaded = struct {
	mu sync.Mutex
	by map[canon.Digest]*contract.Version // guarded by mu
}{by: make(map[canon.Digest]*contract.Version)}

// maxLoaded bounds what is kept; a server or a replay has a handful.
const maxLoaded = 64

// Versions returns a contract version by its digest, or an error that wraps
// ErrNotFound. A View's is one.
type Versions func(canon.Digest) (*contract.Version, error)

// LoadVersion reads the contract version that a ContractPropose carries; of an
// amendment also what it amends, which parents returns. It keeps what it has read: a
// fold asks for the same ones again and again.
func LoadVersion(f ContractPropose, parents Versions) (*contract.Version, error) {
	text, err := canon.Marshal(f)
	if err != nil {
		return nil, err
	}
	key := canon.Sum("sallyport.loaded/v1", text)
	loaded.mu.Lock()
	v := loaded.by[key]
	loaded.mu.Unlock()
	if v != nil {
		return v, nil
	}
	if v, err = loadVersion(f, parents); err != nil {
		return nil, err
	}
	loaded.mu.Lock()
	defer loaded.mu.Unlock()
	if len(loaded.by) >= maxLoaded {
		clear(loaded.by)
	}
	loaded.by[key] = v
	return v, nil
}

func loadVersion(f ContractPropose, parents Versions) (*contract.Version, error) {
	files := make(map[string][]byte, len(f.Files))
	for i, file := range f.Files {
		if i > 0 && f.Files[i-1].Path >= file.Path {
			return nil, fmt.Errorf("%w: the contract's files are not in order", ErrEvent)
		}
		files[file.Path] = []byte(file.Text)
	}
	v, err := load(files, parents)
	if err != nil {
		return nil, err
	}
	if v.Digest != f.Contract || v.Lineage() != f.Lineage {
		return nil, fmt.Errorf("%w: the contract's digest is %s", ErrEvent, v.Digest)
	}
	return v, nil
}

// load reads a version's files with what it amends.
func load(files map[string][]byte, parents Versions) (*contract.Version, error) {
	d, err := contract.ParentOf(files[contract.ManifestFile])
	if err != nil || d.IsZero() {
		return contract.Load(files)
	}
	parent, err := parents(d)
	if err != nil {
		return nil, err
	}
	return contract.LoadAmendment(files, parent)
}

// contractPropose records a version, so that it can be signed. An amendment is of the
// newest version that is signed: there is one line of versions, without branches.
func (e Event) contractPropose(v View, f ContractPropose) ([]Change, error) {
	version, err := LoadVersion(f, v.Version)
	if err != nil {
		return nil, err
	}
	if err := enforced(version); err != nil {
		return nil, err
	}
	switch _, err := Contract(v, f.Contract); {
	case err == nil:
		return nil, fmt.Errorf("contract %s: %w", f.Contract, ErrExists)
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	row := ContractRow{Contract: f.Contract, Lineage: f.Lineage, ID: version.Terms.ID, Version: int64(version.Manifest.Version)}
	if version.Parent != nil || version.Terms.Effect.SignWithin != 0 {
		row.ProposedAt = f.At
	}
	if version.Parent != nil {
		row.Parent = version.Parent.Digest
		if err := amendable(v, row, f.At); err != nil {
			return nil, err
		}
		return changes(put(TableContract, f.Contract.String(), row, Index{"all", ""}))
	}
	c, err := put(TableContract, f.Contract.String(), row, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	lineage, err := Lineage(v, f.Lineage)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	l, err := put(TableLineage, f.Lineage.String(), LineageRow{Lineage: f.Lineage, Revoked: lineage.Revoked}, Index{"all", ""})
	return []Change{c, l}, err
}

// amendable refuses an amendment of what is not the newest version that is signed, or
// of a contract that has ended.
func amendable(v View, row ContractRow, at canon.Micros) error {
	lineage, err := Lineage(v, row.Lineage)
	if err != nil {
		return err
	}
	switch {
	case lineage.Current.IsZero():
		return fmt.Errorf("contract %s version %d amends a version that is not signed by everybody whom it names: %w", row.ID, row.Version, ErrNotInForce)
	case lineage.Current != row.Parent:
		return superseded(v, row, lineage)
	case lineage.Terminated.At != 0 && at >= lineage.Terminated.EndsAt:
		return fmt.Errorf("contract %s was terminated and ended at %s: %w", row.ID, lineage.Terminated.EndsAt.Time().Format(time.RFC3339), ErrNotInForce)
	}
	return nil
}

// activate is what a version writes beside its own rows when it comes into
// force: the contract's id is its lineage's from now on, and its issuers are
// read as it says. A draft that nobody signs takes nothing.
func activate(v View, version *contract.Version) ([]Change, error) {
	id, lineage := version.Terms.ID, version.Lineage()
	switch other, err := get[LineageRow](v, TableContractID, id); {
	case err == nil && other.Lineage != lineage:
		return nil, fmt.Errorf("contract id %s: %w, with another version 1", id, ErrExists)
	case err != nil && !errors.Is(err, ErrNotFound):
		return nil, err
	}
	out, err := changes(put(TableContractID, id, LineageRow{Lineage: lineage}))
	if err != nil {
		return nil, err
	}
	for _, issuer := range version.Terms.Issuers {
		row := IssuerRow{URL: issuer.URL, Subject: issuer.Subject, Groups: issuer.Groups, Algs: issuer.Algs}
		other, err := get[IssuerRow](v, TableIssuer, IssuerKey(issuer.URL))
		differs := err == nil && (other.Subject != row.Subject || other.Groups != row.Groups || !slices.Equal(other.Algs, row.Algs))
		if differs && other.Subject == row.Subject && version.Parent != nil {
			// An amendment may read groups otherwise where nobody else reads them.
			if differs, err = readElsewhere(v, version.Lineage(), issuer.URL); err != nil {
				return nil, err
			}
		}
		switch {
		case differs:
			return nil, fmt.Errorf("issuer %s (%s): %w: subject %s, groups %s, algs %s; one account must be one person under all contracts",
				issuer.ID, issuer.URL, ErrIssuerRead, other.Subject, other.Groups, strings.Join(other.Algs, " "))
		case err != nil && !errors.Is(err, ErrNotFound):
			return nil, err
		}
		c, err := put(TableIssuer, IssuerKey(issuer.URL), row)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// readElsewhere reports whether a signed contract of another lineage names an issuer.
func readElsewhere(v View, lineage canon.Digest, issuer string) (bool, error) {
	keys, err := v.Keys(TableLineage, Index{"all", ""})
	if err != nil {
		return false, err
	}
	for _, key := range keys {
		row, err := get[LineageRow](v, TableLineage, key)
		if err != nil {
			return false, err
		}
		if row.Lineage == lineage || row.Current.IsZero() {
			continue
		}
		version, err := v.Version(row.Current)
		if err != nil {
			return false, err
		}
		if slices.ContainsFunc(version.Terms.Issuers, func(i contract.Issuer) bool { return i.URL == issuer }) {
			return true, nil
		}
	}
	return false, nil
}

// contractSign adds a signature: of those whom the version that is amended names, of
// version 1 of those whom it names itself.
func (e Event) contractSign(v View, f ContractSign) ([]Change, error) {
	row, version, err := proposed(v, f.Contract, f.Lineage)
	if err != nil {
		return nil, err
	}
	signed, err := version.VerifySignature([]byte(f.Statement), []byte(f.Signature))
	if err != nil {
		return nil, err
	}
	for _, s := range row.Signed {
		if s.Party == signed.Party && s.Capacity == signed.Capacity && s.Signer == signed.Signer {
			return nil, fmt.Errorf("the signature of %s for %s: %w", s.Signer, s.Party, ErrExists)
		}
	}
	if err := ProposalOver(v, row, f.At); err != nil {
		return nil, err
	}
	row.Signed = append(slices.Clip(row.Signed), SignedRow{Party: signed.Party, Capacity: signed.Capacity, Signer: signed.Signer, At: f.At, Leaf: e.LeafHash})
	return e.settle(v, version, row, f.At)
}

// proposed returns a version that was proposed in a lineage.
func proposed(v View, d, lineage canon.Digest) (ContractRow, *contract.Version, error) {
	version, err := v.Version(d)
	if err != nil {
		return ContractRow{}, nil, err
	}
	row, err := Contract(v, d)
	if err != nil {
		return ContractRow{}, nil, err
	}
	if row.Lineage != lineage {
		return ContractRow{}, nil, fmt.Errorf("%w: the signature is in another lineage", ErrEvent)
	}
	return row, version, nil
}

// Signatures are the signatures that a version has, as contract.Version.Missing asks
// for them.
func (r ContractRow) Signatures() []contract.Signed {
	out := make([]contract.Signed, 0, len(r.Signed))
	for _, s := range r.Signed {
		out = append(out, contract.Signed{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer})
	}
	return out
}

// Unmet returns the ids of the conditions that a version waits for.
func (r ContractRow) Unmet(version *contract.Version) []string {
	var out []string
	for _, c := range version.Terms.Effect.Conditions {
		if !slices.ContainsFunc(r.Met, func(m MetRow) bool { return m.Condition == c.ID }) {
			out = append(out, c.ID)
		}
	}
	return out
}

// settle writes a version's row. With the last signature that is required and the
// last condition it comes into force, not before its not_before and not before what it
// amends: from then on it is the newest of its lineage. The leaf of an amendment is
// listed among what takes certificates away: those of grants that it ends.
func (e Event) settle(v View, version *contract.Version, row ContractRow, at canon.Micros) ([]Change, error) {
	lineage, err := Lineage(v, row.Lineage)
	if err != nil {
		return nil, err
	}
	complete := len(version.Missing(row.Signatures())) == 0
	if waits := version.Parent != nil || len(version.Terms.Effect.Conditions) > 0; complete && waits && row.SignedAt == 0 {
		row.SignedAt = at
	}
	var more []Change
	if row.InForceAt == 0 && complete && len(row.Unmet(version)) == 0 {
		if err := ProposalOver(v, row, at); err != nil {
			return nil, err
		}
		row.InForceAt = canon.At(version.InForceFrom(at.Time()))
		if version.Parent != nil {
			parent, err := Contract(v, row.Parent)
			if err != nil {
				return nil, err
			}
			row.InForceAt = max(row.InForceAt, parent.InForceAt)
		}
		if more, err = activate(v, version); err != nil {
			return nil, err
		}
		if version.Parent != nil {
			mark, err := e.ends(row.Lineage, at)
			if err != nil {
				return nil, err
			}
			more = append(more, mark)
		}
		lineage.Current = row.Contract
	}
	c, err := put(TableContract, row.Contract.String(), row, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	l, err := put(TableLineage, row.Lineage.String(), lineage, Index{"all", ""})
	return append(more, c, l), err
}
