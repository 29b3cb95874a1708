package authority

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// ErrNoHostKeys says that what is asked for needs keys that the server's folder
// does not have.
var ErrNoHostKeys = errors.New("this server has no keys for hosts; its operator makes them with `sallyd hosts keys`")

// hostKeys are the keys that sign for hosts; nil where the folder has none.
type hostKeys struct {
	ca  ca.Signer
	krl ssh.Signer
}

// HostKeys are the public keys that sign for hosts.
type HostKeys struct{ CA, KRL ssh.PublicKey }

// RecordHostKeys records the keys that sign for hosts, unless the ledger names them
// already. It refuses keys in the place of others: hosts believe what their trust
// bundle names, and that comes first.
func (a *Authority) RecordHostKeys(ctx context.Context) (HostKeys, error) {
	if err := a.store.Write(ctx, a.recordHostKeys); err != nil {
		return HostKeys{}, err
	}
	a.settle(ctx)
	return HostKeys{CA: a.hosts.ca.PublicKey(), KRL: a.hosts.krl.PublicKey()}, nil
}

// recordHostKeys is RecordHostKeys inside of a write, for what is the first to need
// them.
func (a *Authority) recordHostKeys(tx *store.Tx) error {
	if a.hosts.ca == nil || a.hosts.krl == nil {
		return ErrNoHostKeys
	}
	for _, k := range []struct {
		purpose record.KeyPurpose
		public  ssh.PublicKey
	}{{record.KeyHostCA, a.hosts.ca.PublicKey()}, {record.KeyKRL, a.hosts.krl.PublicKey()}} {
		wire := canon.B64(k.public.Marshal())
		known, err := record.Keys(tx, k.purpose)
		if err != nil {
			return err
		}
		if len(known) > 0 {
			if known[len(known)-1].Key != wire {
				return fmt.Errorf("%w: the %s key in this folder is not the one that the ledger names; restore it from its backup", ErrHalted, k.purpose)
			}
			continue
		}
		id, err := canon.NewID(a.rand)
		if err != nil {
			return err
		}
		if _, err := tx.Append(store.Draft{Facts: record.KeyAdd{At: tx.Now(), Addition: id, Purpose: k.purpose, Key: wire}}); err != nil {
			return err
		}
	}
	return nil
}
