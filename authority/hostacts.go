package authority

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// ErrNoBundle says that no trust bundle is there that a host could be given.
var ErrNoBundle = errors.New("no trust bundle is published for this contract; its operator does so with `sallyd hosts publish`")

// HostsCall is what a host admin posts: an act on a host, signed by the device key
// of their session.
type HostsCall struct {
	Document  string // record.HostsDoc
	Signature string
}

// Acted says what became of an act on a host.
type Acted struct {
	Act  record.Act
	ID   canon.ID
	Host sshcert.Host
	// Waits says that a second host admin has to do the same before the labels are
	// what was asked for.
	Waits bool
}

// ActOnHost records what a host admin does about a host: invites it, wants it to have
// other labels, releases it to another contract, retires it. A repeat of the same act is safe.
func (a *Authority) ActOnHost(ctx context.Context, s store.Session, call HostsCall) (Acted, error) {
	device, err := deviceOf(s)
	if err != nil {
		return Acted{}, err
	}
	doc, err := record.OpenHosts(call.Document, call.Signature, device)
	if err != nil {
		return Acted{}, err
	}
	if doc.Person != s.Person || doc.Origin != a.Origin() {
		return Acted{}, fmt.Errorf("%w: it was signed for another person or server", record.ErrDocument)
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return Acted{}, err
	}
	who := record.Actor{By: record.ByPerson, Person: s.Person, Claims: s.Claims(), Document: call.Document, Signature: call.Signature}
	out := Acted{Act: doc.Act, ID: doc.ID, Host: doc.Host}
	write := a.store.Write
	if doc.Act == record.ActRetire {
		write = a.store.WriteUrgent // taking away is never turned away
	}
	err = write(ctx, func(tx *store.Tx) (err error) {
		out.Waits, err = actOnHost(tx, doc, who, id)
		return err
	})
	if err != nil {
		return Acted{}, asField(err)
	}
	a.settle(ctx)
	return out, nil
}

// asField tells what is wrong with what somebody sent from what is wrong with our own
// records.
func asField(err error) error {
	if errors.Is(err, record.ErrEvent) {
		return fmt.Errorf("%w: %w", ErrField, err)
	}
	return err
}

func actOnHost(tx *store.Tx, doc record.HostsDoc, who record.Actor, id canon.ID) (waits bool, err error) {
	version, err := tx.Version(doc.Contract)
	if isNotFound(err) {
		return false, fmt.Errorf("contract %s: %w", doc.Contract, record.ErrNotInForce)
	}
	if err != nil {
		return false, err
	}
	switch doc.Act {
	case record.ActInvite:
		return false, invite(tx, record.HostInvite{
			At: tx.Now(), Invitation: doc.ID, Lineage: version.Lineage(), Contract: doc.Contract, Name: doc.Host, Address: doc.Address, Port: doc.Port,
			Labels: doc.Labels, Aliases: doc.Aliases, Secret: doc.Secret, Workload: doc.Workload, Bundle: doc.Bundle, ExpiresAt: doc.JoinBy, Who: who,
		})
	case record.ActLabel:
		return label(tx, record.HostLabel{
			At: tx.Now(), Label: id, Change: doc.ID, Lineage: version.Lineage(), Contract: doc.Contract, Host: doc.Host, Was: doc.Was, Labels: doc.Labels, Who: who,
		})
	case record.ActRelease:
		return false, releaseHost(tx, record.HostRelease{
			At: tx.Now(), Release: doc.ID, Lineage: version.Lineage(), Contract: doc.Contract, Host: doc.Host, To: doc.To, Who: who,
		})
	case record.ActRetire:
		return false, retire(tx, record.HostRetire{
			At: tx.Now(), Retirement: doc.ID, Lineage: version.Lineage(), Contract: doc.Contract, Host: doc.Host, Who: who,
		})
	}
	return false, fmt.Errorf("%w: there is no act %.20q", record.ErrDocument, doc.Act)
}

// invite records an invitation to the newest trust bundle of its lineage, and takes
// the very same one a second time for done.
func invite(tx *store.Tx, f record.HostInvite) error {
	bundle, err := newestBundle(&tx.Reader, f.Lineage)
	if err != nil {
		return err
	}
	if bundle.Digest() != f.Bundle {
		return fmt.Errorf("bundle: %w: the newest trust bundle is %s; invite to that one", ErrField, bundle.Digest())
	}
	old, err := record.Invitation(tx, f.Invitation)
	if err == nil && old.Secret == f.Secret && old.Workload == f.Workload && old.Name == f.Name && old.UsedAt == 0 {
		return nil
	}
	_, err = tx.Append(store.Draft{Facts: f})
	return err
}

func label(tx *store.Tx, f record.HostLabel) (waits bool, err error) {
	old, err := record.Labelling(tx, f.Change)
	switch {
	case err == nil && old.MadeAt == 0 && old.Person == f.Who.Person && old.Host == f.Host && slices.Equal(old.Labels, f.Labels):
		return true, nil // proposed before
	case err == nil:
	case !isNotFound(err):
		return false, err
	}
	if _, err := tx.Append(store.Draft{Facts: f}); err != nil {
		return false, err
	}
	now, err := record.Labelling(tx, f.Change)
	return now.MadeAt == 0, err
}

func retire(tx *store.Tx, f record.HostRetire) error {
	row, err := record.Host(tx, f.Host)
	if err == nil && row.Retired() && row.Lineage == f.Lineage {
		return nil
	}
	_, err = tx.Append(store.Draft{Facts: f})
	return err
}

// releaseHost lets a host go to another contract, and takes a release to where it is
// released already for done. This ledger need not have the other contract yet, or ever: a
// host that goes to another ledger is out of its contract here all the same.
func releaseHost(tx *store.Tx, f record.HostRelease) error {
	_, err := tx.Append(store.Draft{Facts: f})
	if !errors.Is(err, record.ErrExists) {
		return err
	}
	if row, hostErr := record.Host(tx, f.Host); hostErr == nil && row.Lineage == f.Lineage && row.ReleasedTo == f.To {
		return nil
	}
	return err
}

// NewInvitation is an invitation that an operator makes.
type NewInvitation struct {
	ID       canon.ID
	Name     sshcert.Host
	Address  string
	Port     int
	Labels   map[string]string
	Aliases  []sshcert.Host // its other names, sorted
	Contract string         // contract id; empty if there is only one
	Secret   canon.Digest   // record.InvitationSecret
	For      time.Duration
}

// InviteHost records an invitation by the operator.
func (a *Authority) InviteHost(ctx context.Context, n NewInvitation) (record.HostInvite, error) {
	var f record.HostInvite
	err := a.store.Write(ctx, func(tx *store.Tx) error {
		lineage, err := pickLineage(&tx.Reader, n.Contract, tx.Now())
		if err != nil {
			return err
		}
		version, err := record.InForce(tx, lineage, tx.Now())
		if err != nil {
			return err
		}
		bundle, err := newestBundle(&tx.Reader, lineage)
		if err != nil {
			return err
		}
		f = record.HostInvite{
			At: tx.Now(), Invitation: n.ID, Lineage: lineage, Contract: version.Digest, Name: n.Name, Address: n.Address, Port: n.Port,
			Labels: LabelList(n.Labels), Aliases: n.Aliases, Secret: n.Secret, Bundle: bundle.Digest(), ExpiresAt: canon.At(tx.Now().Time().Add(n.For)), Who: record.Actor{By: record.ByOperator},
		}
		_, err = tx.Append(store.Draft{Facts: f})
		return err
	})
	if err != nil {
		return record.HostInvite{}, asField(err)
	}
	a.settle(ctx)
	return f, nil
}

// RetireHost retires a host by the operator's word. One that is retired stays so.
func (a *Authority) RetireHost(ctx context.Context, name sshcert.Host) (record.HostRow, error) {
	id, err := canon.NewID(a.rand)
	if err != nil {
		return record.HostRow{}, err
	}
	var row record.HostRow
	err = a.store.WriteUrgent(ctx, func(tx *store.Tx) error {
		old, err := record.Host(tx, name)
		if err != nil {
			return err
		}
		if err := retire(tx, record.HostRetire{At: tx.Now(), Retirement: id, Lineage: old.Lineage, Host: name, Who: record.Actor{By: record.ByOperator}}); err != nil {
			return err
		}
		row, err = record.Host(tx, name)
		return err
	})
	if err != nil {
		return record.HostRow{}, err
	}
	a.settle(ctx)
	return row, nil
}

// LabelList is a set of labels in order.
func LabelList(labels map[string]string) []record.Label {
	var out []record.Label
	for _, name := range slices.Sorted(maps.Keys(labels)) {
		out = append(out, record.Label{Name: name, Value: labels[name]})
	}
	return out
}

// newestBundle returns the trust bundle that hosts of a lineage are given.
func newestBundle(r *store.Reader, lineage canon.Digest) (trust.Signed, error) {
	file, err := r.Bundle(lineage, 0)
	if isNotFound(err) {
		return trust.Signed{}, ErrNoBundle
	}
	if err != nil {
		return trust.Signed{}, err
	}
	return trust.Parse(file)
}
