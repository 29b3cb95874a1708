package record

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

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

// LoadVersion reads the contract version that a ContractPropose carries. It keeps
// what it has read: a fold asks for the same ones again and again.
func LoadVersion(f ContractPropose) (*contract.Version, error) {
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
	if v, err = loadVersion(f); err != nil {
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

func loadVersion(f ContractPropose) (*contract.Version, error) {
	files := make(map[string][]byte, len(f.Files))
	for i, file := range f.Files {
		if i > 0 && f.Files[i-1].Path >= file.Path {
			return nil, fmt.Errorf("%w: the contract's files are not in order", ErrEvent)
		}
		files[file.Path] = []byte(file.Text)
	}
	v, err := contract.Load(files)
	if err != nil {
		return nil, err
	}
	if v.Digest != f.Contract || v.Lineage() != f.Lineage {
		return nil, fmt.Errorf("%w: the contract's digest is %s", ErrEvent, v.Digest)
	}
	return v, nil
}

func (e Event) contractPropose(v View, f ContractPropose) ([]Change, error) {
	version, err := LoadVersion(f)
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
		switch other, err := get[IssuerRow](v, TableIssuer, IssuerKey(issuer.URL)); {
		case err == nil && (other.Subject != row.Subject || other.Groups != row.Groups || !slices.Equal(other.Algs, row.Algs)):
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

// contractSign adds a signature. The version comes into force with the last
// signature that its own terms (version 1) require, not before its not_before.
func (e Event) contractSign(v View, f ContractSign) ([]Change, error) {
	version, err := v.Version(f.Contract)
	if err != nil {
		return nil, err
	}
	row, err := Contract(v, f.Contract)
	if err != nil {
		return nil, err
	}
	if row.Lineage != f.Lineage {
		return nil, fmt.Errorf("%w: the signature is in another lineage", ErrEvent)
	}
	signed, err := version.VerifySignature([]byte(f.Statement), []byte(f.Signature))
	if err != nil {
		return nil, err
	}
	all := make([]contract.Signed, 0, len(row.Signed)+1)
	for _, s := range row.Signed {
		if s.Party == signed.Party && s.Capacity == signed.Capacity && s.Signer == signed.Signer {
			return nil, fmt.Errorf("the signature of %s for %s: %w", s.Signer, s.Party, ErrExists)
		}
		all = append(all, contract.Signed{Party: s.Party, Capacity: s.Capacity, Signer: s.Signer})
	}
	all = append(all, signed)
	row.Signed = append(row.Signed, SignedRow{Party: signed.Party, Capacity: signed.Capacity, Signer: signed.Signer, At: f.At, Leaf: e.LeafHash})
	lineage, err := Lineage(v, f.Lineage)
	if err != nil {
		return nil, err
	}
	lineage.Current = canon.Digest{}
	var more []Change
	if row.InForceAt == 0 && len(version.Missing(all)) == 0 {
		row.InForceAt = canon.At(version.InForceFrom(f.At.Time()))
		if more, err = activate(v, version); err != nil {
			return nil, err
		}
	}
	if row.InForceAt != 0 {
		lineage.Current = f.Contract
	}
	c, err := put(TableContract, f.Contract.String(), row, Index{"all", ""})
	if err != nil {
		return nil, err
	}
	l, err := put(TableLineage, f.Lineage.String(), lineage, Index{"all", ""})
	return append(more, c, l), err
}
