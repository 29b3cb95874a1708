package record

import (
	"fmt"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

// HostsVersion is the version of HostsDoc.
const HostsVersion = "sallyport.hosts/v1"

// Act is what a host admin does about a host.
type Act string

// The acts of host admins.
const (
	ActInvite  Act = "invite"  // a host may join, once
	ActLabel   Act = "label"   // a host is to have these labels
	ActRetire  Act = "retire"  // a host is no more
	ActRelease Act = "release" // a host may join another contract, and is out of its own
)

// HostsDoc is what a host admin's device key signs. Which fields it has depends on
// the act.
type HostsDoc struct {
	V        string       `json:"v"`
	Origin   string       `json:"origin"`
	Act      Act          `json:"act"`
	ID       canon.ID     `json:"id"` // of the invitation, the change, the retirement or the release, drawn by the client: a repeat is the same act
	Person   canon.ID     `json:"person"`
	Contract canon.Digest `json:"contract"` // the version in force
	Host     sshcert.Host `json:"host"`
	Labels   []Label      `json:"labels,omitempty"` // invite, label
	// Invite.
	Aliases  []sshcert.Host `json:"aliases,omitempty"`
	Address  string         `json:"address,omitempty"`
	Port     int            `json:"port,omitempty"`
	Secret   canon.Digest   `json:"secret,omitzero"`
	Workload Workload       `json:"workload,omitzero"` // in the place of the secret
	Bundle   canon.Digest   `json:"bundle,omitzero"`
	JoinBy   canon.Micros   `json:"join_by_at,omitempty"` // when the invitation expires
	// Label.
	Was canon.Digest `json:"was,omitzero"`
	// Release.
	To canon.Digest `json:"to,omitzero"` // lineage that the host may join

	ExpiresAt canon.Micros `json:"expires_at"` // the document is not accepted later
}

// InvitationSecret is what the ledger keeps of an invitation's secret.
func InvitationSecret(secret []byte) canon.Digest {
	return canon.Sum("sallyport.invitation/v1", secret)
}

// LabelsDigest stands for a set of labels.
func LabelsDigest(labels []Label) (canon.Digest, error) {
	text, err := canon.Marshal(struct {
		Labels []Label `json:"labels,omitempty"`
	}{labels})
	if err != nil {
		return canon.Digest{}, err
	}
	return canon.Sum("sallyport.labels/v1", text), nil
}

// OpenHosts reads a host admin's document and checks the device key's signature.
func OpenHosts(text, signature string, device ssh.PublicKey) (HostsDoc, error) {
	return directly.openHosts(text, signature, device)
}

func (c checking) openHosts(text, signature string, device ssh.PublicKey) (HostsDoc, error) {
	var d HostsDoc
	if err := open(text, &d, func() string { return d.V }, HostsVersion); err != nil {
		return HostsDoc{}, err
	}
	return d, c.verify(device, sshcert.NamespaceDevice, text, signature)
}

// sameAct reports whether a document says exactly what the facts of its leaf say.
func sameAct(doc, want HostsDoc) error {
	want.V, want.ExpiresAt = doc.V, doc.ExpiresAt
	a, err := canon.Marshal(doc)
	if err != nil {
		return err
	}
	b, err := canon.Marshal(want)
	if err != nil {
		return err
	}
	if string(a) != string(b) {
		return fmt.Errorf("%w: it was signed for something else", ErrDocument)
	}
	return nil
}
