package authority

import (
	"context"

	"golang.org/x/crypto/ssh"
)

// Inspection makes the checks of Open one by one, for whoever wants to know what
// Open would say. It signs and writes nothing.
type Inspection struct{ a *Authority }

// Inspect returns an inspection of the ledger in c.Store. c.CA may be nil: then
// the authority key is not compared.
func Inspect(c Config) (*Inspection, error) {
	a, err := newAuthority(c)
	return &Inspection{a}, err
}

// Keys compares the keys with what leaf 0 names.
func (i *Inspection) Keys(ctx context.Context) error { return i.a.checkKeys(ctx) }

// UserCA returns the authority key; Keys must have passed.
func (i *Inspection) UserCA() ssh.PublicKey { return i.a.ca.PublicKey() }

// Leaves hashes the newest leaves again, as many as Open does, and returns how
// many these were.
func (i *Inspection) Leaves(ctx context.Context) (int64, error) {
	return rehash(ctx, i.a.store, maxRehash)
}

// Mark compares the mark with the database: all that was signed for must be
// there. It returns both sizes. Beside a server that writes, the database may be
// ahead.
func (i *Inspection) Mark(ctx context.Context) (signed, have int64, err error) {
	if err := i.a.loadMark(ctx); err != nil { // before the database: leaves are committed before they are signed for
		return 0, 0, err
	}
	head, err := i.a.checkHead(ctx, nil)
	return i.a.last.checkpoint.Size, head.Size, err
}

// Provider asks an identity provider whether somebody could log in now.
func (i *Inspection) Provider(ctx context.Context, issuer Issuer) error {
	p, err := i.a.ids.get(issuer, issuer.anyClient())
	if err != nil {
		return err
	}
	return p.Ready(ctx)
}
