package authority

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
)

// ErrBundleKeys says that a trust bundle does not name what this server signs with:
// hosts that pinned it would let nobody in.
var ErrBundleKeys = errors.New("the trust bundle does not fit this server")

// PublishBundle keeps a trust bundle for hosts: the first of its lineage as it is, every
// later one if hosts that have the one before would take it. It decides nothing for
// hosts, who check it themselves (docs/adr/0024).
func (a *Authority) PublishBundle(ctx context.Context, file []byte) (trust.Bundle, error) {
	signed, err := trust.Parse(file)
	if err != nil {
		return trust.Bundle{}, err
	}
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := a.fits(tx, signed.Bundle); err != nil {
			return err
		}
		before, err := newestBundle(&tx.Reader, signed.Bundle.Lineage)
		switch {
		case errors.Is(err, ErrNoBundle):
			if signed.Bundle.Expired(tx.Now().Time()) {
				return trust.ErrExpired
			}
		case err != nil:
			return err
		case before.Digest() == signed.Digest():
			return fmt.Errorf("trust bundle %d: %w", signed.Bundle.Number, record.ErrExists)
		default:
			if _, err := trust.Next(before.Bundle, file, tx.Now().Time()); err != nil {
				return err
			}
		}
		return tx.PutBundle(signed.Bundle.Lineage, signed.Bundle.Number, file)
	})
	return signed.Bundle, err
}

// fits refuses a bundle under which certificates of this server would be refused.
func (a *Authority) fits(v record.View, b trust.Bundle) error {
	version, err := record.InForce(v, b.Lineage, canon.At(a.now()))
	if err != nil {
		return err
	}
	known := func(keys []trust.Key, public ssh.PublicKey) bool {
		return slices.ContainsFunc(keys, func(k trust.Key) bool { return k.Is(public) })
	}
	switch {
	case b.Origin != a.Origin():
		return fmt.Errorf("%w: it is of the ledger %s", ErrBundleKeys, b.Origin)
	case !slices.Contains(b.LogKeys, a.log.PublicKey()):
		return fmt.Errorf("%w: it lacks the log key", ErrBundleKeys)
	case !known(b.UserCAs, a.ca.PublicKey()):
		return fmt.Errorf("%w: it lacks the user CA", ErrBundleKeys)
	case a.hosts.krl != nil && !known(b.KRLKeys, a.hosts.krl.PublicKey()):
		return fmt.Errorf("%w: it lacks the key that signs revocation lists", ErrBundleKeys)
	case !slices.Equal(slices.Sorted(slices.Values(b.Cosigners)), slices.Sorted(slices.Values(version.Terms.CosignerKeys()))) && b.Contract == version.Digest:
		return fmt.Errorf("%w: its cosigners are not those of contract version %s", ErrBundleKeys, version.Digest)
	}
	return nil
}
