package authority

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// Signature is one signed statement of a contract folder.
type Signature struct {
	Name      string // of the file, for errors; may be empty
	Statement []byte // sigs/<party>.<signer>.json
	Armored   []byte // its .sig
}

// Added says what AddContract did.
type Added struct {
	Version *contract.Version
	Row     record.ContractRow
	Missing []contract.MissingSignature // empty once the version is signed
	Unmet   []string                    // ids of the conditions that it waits for
}

// loadVersion reads the files of a version; of an amendment with what it amends, which
// the ledger has.
func (a *Authority) loadVersion(ctx context.Context, files map[string][]byte) (version *contract.Version, err error) {
	parent, err := contract.ParentOf(files[contract.ManifestFile])
	if err != nil || parent.IsZero() {
		return contract.Load(files)
	}
	err = a.store.Read(ctx, func(r *store.Reader) error {
		amended, err := r.Version(parent)
		if isNotFound(err) {
			return fmt.Errorf("contract: %w: it amends version %s, which is not in the ledger; add that first", ErrField, parent)
		}
		if err != nil {
			return err
		}
		version, err = contract.LoadAmendment(files, amended)
		return err
	})
	return version, err
}

// AddContract records a contract version, the first or an amendment, and its
// signatures. A version that is
// in the ledger already takes up the signatures that are new; every signature
// must hold, or nothing is recorded.
func (a *Authority) AddContract(ctx context.Context, files map[string][]byte, signatures []Signature) (Added, error) {
	version, err := a.loadVersion(ctx, files)
	if err != nil {
		return Added{}, err
	}
	if err := a.cosigning.checkCosigners(version); err != nil {
		return Added{}, err
	}
	var out Added
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if _, err := record.Contract(tx, version.Digest); isNotFound(err) {
			if _, err := tx.Append(store.Draft{Facts: propose(tx.Now(), version, files)}); err != nil {
				return err
			}
		} else if err != nil {
			return err
		}
		for _, s := range signatures {
			if err := addSignature(tx, version, s); err != nil {
				return err
			}
		}
		row, err := record.Contract(tx, version.Digest)
		if err != nil {
			return err
		}
		out = Added{Version: version, Row: row, Missing: version.Missing(row.Signatures()), Unmet: row.Unmet(version)}
		return nil
	})
	if err != nil {
		return Added{}, err
	}
	a.settle(ctx)
	return out, nil
}

func propose(now canon.Micros, v *contract.Version, files map[string][]byte) record.ContractPropose {
	f := record.ContractPropose{At: now, Contract: v.Digest, Lineage: v.Lineage()}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		f.Files = append(f.Files, record.ContractFile{Path: path, Text: string(files[path])})
	}
	return f
}

// addSignature appends a signature unless it is recorded already.
func addSignature(tx *store.Tx, v *contract.Version, s Signature) error {
	signed, err := v.VerifySignature(s.Statement, s.Armored)
	if err != nil && s.Name != "" {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	if err != nil {
		return err
	}
	row, err := record.Contract(tx, v.Digest)
	if err != nil {
		return err
	}
	for _, have := range row.Signed {
		if have.Party == signed.Party && have.Capacity == signed.Capacity && have.Signer == signed.Signer {
			return nil
		}
	}
	_, err = tx.Append(store.Draft{Facts: record.ContractSign{
		At: tx.Now(), Contract: v.Digest, Lineage: v.Lineage(), Statement: string(s.Statement), Signature: string(s.Armored),
	}})
	return err
}

// NewHost is a host to be joined by an operator.
type NewHost struct {
	Name     sshcert.Host
	Address  string
	Port     int
	Key      ssh.PublicKey
	Labels   map[string]string
	Aliases  []sshcert.Host // its other names, sorted
	Contract string         // contract id; empty if there is only one
}

// AddHost records a host in the lineage of a contract in force.
func (a *Authority) AddHost(ctx context.Context, h NewHost) (record.HostJoin, error) {
	id, err := canon.NewID(a.rand)
	if err != nil {
		return record.HostJoin{}, err
	}
	var f record.HostJoin
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		lineage, err := pickLineage(&tx.Reader, h.Contract, tx.Now())
		if err != nil {
			return err
		}
		f = record.HostJoin{
			At: tx.Now(), Join: id, Lineage: lineage, Name: h.Name, Address: h.Address, Port: h.Port, HostKey: canon.B64(h.Key.Marshal()), Aliases: h.Aliases,
		}
		for _, name := range slices.Sorted(maps.Keys(h.Labels)) {
			f.Labels = append(f.Labels, record.Label{Name: name, Value: h.Labels[name]})
		}
		_, err = tx.Append(store.Draft{Facts: f})
		return err
	})
	if err != nil {
		return record.HostJoin{}, err
	}
	a.settle(ctx)
	return f, nil
}

func pickLineage(r *store.Reader, contractID string, now canon.Micros) (canon.Digest, error) {
	list, err := InForce(r, now)
	if err != nil {
		return canon.Digest{}, err
	}
	var found []canon.Digest
	for _, v := range list {
		if contractID == "" || v.Terms.ID == contractID {
			found = append(found, v.Lineage())
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		if contractID == "" {
			return canon.Digest{}, fmt.Errorf("%w: there is none; sign one and run `sallyd contract add`", record.ErrNotInForce)
		}
		return canon.Digest{}, fmt.Errorf("contract %q: %w; sign it and run `sallyd contract add`", contractID, record.ErrNotInForce)
	default:
		return canon.Digest{}, fmt.Errorf("contract: %w: %d contracts are in force, so name one with --contract", ErrField, len(found))
	}
}
