package authority

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
)

// NewBundle says which trust bundle to make.
type NewBundle struct {
	Contract  string           // id of the contract; needed if several are in force
	Witnesses ledger.Cosigners // whose words the server asks for
	Now       time.Time
	For       time.Duration // how long it lasts
	After     *trust.Bundle // the bundle before; nil if it is the first
}

// TrustBundle returns what the hosts of a contract are to pin: the keys that the
// ledger names, and the cosigners and roots of the contract version in force. It
// changes nothing, and counts for nothing before hosts are told its digest or roots
// have signed it.
func TrustBundle(r *store.Reader, o NewBundle) (trust.Bundle, error) {
	lineage, err := pickLineage(r, o.Contract, canon.At(o.Now))
	if err != nil {
		return trust.Bundle{}, err
	}
	version, err := record.InForce(r, lineage, canon.At(o.Now))
	if err != nil {
		return trust.Bundle{}, err
	}
	log, err := record.Log(r)
	if err != nil {
		return trust.Bundle{}, err
	}
	b := trust.Bundle{
		V: trust.Version, Origin: log.Origin, Lineage: lineage, Contract: version.Digest, Number: 1,
		MadeAt: canon.At(o.Now), ExpiresAt: canon.At(o.Now.Add(o.For)), LogKeys: []string{log.LogKey}, UserCAs: []trust.Key{trust.Key(log.UserCA)},
		Cosigners: version.Terms.CosignerKeys(),
	}
	if b.HostCAs, err = keysOf(r, record.KeyHostCA); err != nil {
		return trust.Bundle{}, err
	}
	if b.KRLKeys, err = keysOf(r, record.KeyKRL); err != nil {
		return trust.Bundle{}, err
	}
	if len(o.Witnesses.Witnesses) > 0 {
		b.Witnesses = &trust.Witnesses{Need: o.Witnesses.Need}
		for _, k := range o.Witnesses.Witnesses {
			b.Witnesses.Keys = append(b.Witnesses.Keys, k.String())
		}
	}
	if b.Roots, err = rootsOf(version.Terms); err != nil {
		return trust.Bundle{}, err
	}
	if before := o.After; before != nil {
		if before.Origin != b.Origin || before.Lineage != b.Lineage {
			return trust.Bundle{}, fmt.Errorf("%w: the bundle before is of %s and lineage %s", trust.ErrOther, before.Origin, before.Lineage)
		}
		b.Number = before.Number + 1
	}
	return b, nil
}

// keysOf lists the keys of a purpose.
func keysOf(r *store.Reader, purpose record.KeyPurpose) ([]trust.Key, error) {
	rows, err := record.Keys(r, purpose)
	if err != nil {
		return nil, err
	}
	var out []trust.Key
	for _, row := range rows {
		out = append(out, trust.Key(row.Key))
	}
	return out, nil
}

// rootsOf returns the roots of each party that has any.
func rootsOf(terms *contract.Terms) ([]trust.Root, error) {
	var out []trust.Root
	for _, p := range terms.Parties {
		if p.Roots == nil {
			continue
		}
		root := trust.Root{Party: p.ID, Need: p.Roots.Need}
		for _, k := range p.Roots.Keys {
			key, err := trust.KeyOf(k.PublicKey)
			if err != nil {
				return nil, fmt.Errorf("root %s of party %s: %w", k.Name, p.ID, err)
			}
			root.Keys = append(root.Keys, trust.NamedKey{Name: k.Name, Key: key})
		}
		slices.SortFunc(root.Keys, func(a, b trust.NamedKey) int { return cmp.Compare(a.Name, b.Name) })
		out = append(out, root)
	}
	slices.SortFunc(out, func(a, b trust.Root) int { return cmp.Compare(a.Party, b.Party) })
	return out, nil
}
