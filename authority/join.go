package authority

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
)

// JoinCall is what a host posts that takes an invitation.
type JoinCall struct {
	HostCall
	Secret string // b64, of the invitation
	// Workload is whose identity token the host has shown, verified; zero for none.
	Workload record.Workload
}

// errNotInvited is one text for whoever has no good invitation: which of name, id and
// secret is wrong would tell strangers which invitations there are.
var errNotInvited = fmt.Errorf("%w: there is none with this id, name and secret", record.ErrInvitation)

// JoinHost takes a host into the inventory by its invitation. A repeat by the same
// key is answered as it was: whoever lost the answer asks again.
func (a *Authority) JoinHost(ctx context.Context, call JoinCall) (record.HostRow, error) {
	header, parsed, err := a.parseCall(call.HostCall)
	if err != nil {
		return record.HostRow{}, err
	}
	body, ok := parsed.(hostcall.JoinBody)
	if !ok {
		return record.HostRow{}, fmt.Errorf("%w: it is a %s", hostcall.ErrCall, parsed.Call())
	}
	key, err := hostcall.ParseHostKey(body.HostKey)
	if err != nil {
		return record.HostRow{}, fmt.Errorf("%w: %w", hostcall.ErrCall, err)
	}
	// Possession first: what no key has signed costs no write.
	if err := hostcall.Verify(key, call.Document, call.Signature); err != nil {
		return record.HostRow{}, err
	}
	secret, err := canon.ParseB64(call.Secret)
	if err != nil {
		return record.HostRow{}, errNotInvited
	}
	id, err := canon.NewID(a.rand)
	if err != nil {
		return record.HostRow{}, err
	}
	var row record.HostRow
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := takeNonce(tx, header); err != nil {
			return err
		}
		invitation, again, err := invited(tx, header, body, secret, call.Workload)
		if err != nil || again {
			row, err = joinedRow(tx, header, err)
			return err
		}
		if a.hosts.ca != nil { // from now on there is a host to sign for
			if err := a.recordHostKeys(tx); err != nil {
				return err
			}
		}
		_, err = tx.Append(store.Draft{Facts: record.HostJoin{
			At: tx.Now(), Join: id, Lineage: invitation.Lineage, Name: invitation.Name, Address: invitation.Address, Port: invitation.Port,
			HostKey: canon.B64(key.Marshal()), Labels: invitation.Labels, Aliases: invitation.Aliases, Invitation: invitation.Invitation, InvitationLeaf: invitation.Leaf, Workload: invitation.Workload,
			Document: call.Document, Signature: call.Signature,
		}})
		row, err = joinedRow(tx, header, err)
		return err
	})
	if err != nil {
		return record.HostRow{}, asField(err)
	}
	a.settle(ctx)
	return row, nil
}

func joinedRow(tx *store.Tx, h hostcall.Header, err error) (record.HostRow, error) {
	if err != nil {
		return record.HostRow{}, err
	}
	return record.JoinedHost(tx, h.Host)
}

// invited returns the invitation that a host takes. again says that this very key
// took it before, and the host has not been changed since.
func invited(tx *store.Tx, h hostcall.Header, body hostcall.JoinBody, secret []byte, shown record.Workload) (i record.InvitationRow, again bool, err error) {
	i, err = record.Invitation(tx, body.Invitation)
	if err != nil && !isNotFound(err) {
		return i, false, err
	}
	// Compared in every case, and in constant time.
	digest := record.InvitationSecret(secret)
	known := subtle.ConstantTimeCompare(digest[:], i.Secret[:]) == 1
	if !i.Workload.IsZero() { // it has no secret that anybody could know
		known = shown == i.Workload
	}
	if !known || err != nil || i.Name != h.Host {
		return i, false, errNotInvited
	}
	if i.UsedAt == 0 {
		return i, false, nil
	}
	switch row, err := record.JoinedHost(tx, i.Name); {
	case isNotFound(err), errors.Is(err, record.ErrHostRetired):
	case err != nil:
		return i, false, err
	case row.At == i.UsedAt && row.HostKey == body.HostKey:
		return i, true, nil
	}
	return i, false, nil // the fold says when it was used
}

// HostCAKey returns the key that signs host certificates, nil if there is none.
func HostCAKey(r record.View) (ssh.PublicKey, error) {
	key, err := record.HostCA(r)
	if isNotFound(err) {
		return nil, nil //nolint:nilnil // folders from before have none
	}
	return key, err
}
