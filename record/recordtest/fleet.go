package recordtest

import (
	"crypto/ed25519"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// Fleet is a contract "fleet" with the same rules, whose host admins are the leads:
// Bob and Carol.
func (w *World) Fleet() *contract.Version {
	w.t.Helper()
	return w.Contract("fleet", "offices: {host-admin: [leads]}\n")
}

// By is a host admin's word for a document.
func (w *World) By(l Ledger, u *User, doc record.HostsDoc) record.Actor {
	w.t.Helper()
	doc.V, doc.Origin, doc.Person, doc.ExpiresAt = record.HostsVersion, Origin, u.Person, later(l.Now(), 5*time.Minute)
	text := string(w.text(doc))
	return record.Actor{
		By: record.ByPerson, Person: u.Person, Claims: u.Claims, Document: text,
		Signature: w.Signature(u.Device, sshcert.NamespaceDevice, text),
	}
}

// Operator is who has the server's folder.
func Operator() record.Actor { return record.Actor{By: record.ByOperator} }

// Labels are the labels env and site, in order.
func Labels(env string) []record.Label {
	return []record.Label{{Name: "env", Value: env}, {Name: "site", Value: "a"}}
}

// Invite is the leaf with which u invites a host of v with the label env; the
// operator does if u is nil.
func (w *World) Invite(l Ledger, u *User, v *contract.Version, name sshcert.Host, env string, secret []byte) record.HostInvite {
	w.t.Helper()
	f := record.HostInvite{
		At: l.Now(), Invitation: w.ID(), Lineage: v.Lineage(), Contract: v.Digest, Name: name, Address: "192.0.2.7", Port: 22, Labels: Labels(env),
		Secret: record.InvitationSecret(secret), Bundle: w.Digest(), ExpiresAt: later(l.Now(), time.Hour), Who: Operator(),
	}
	if u != nil {
		f.Who = w.By(l, u, InviteDoc(f))
	}
	return f
}

// InviteDoc is what a host admin signs for an invitation.
func InviteDoc(f record.HostInvite) record.HostsDoc {
	return record.HostsDoc{
		Act: record.ActInvite, ID: f.Invitation, Contract: f.Contract, Host: f.Name, Labels: f.Labels, Aliases: f.Aliases, Address: f.Address, Port: f.Port,
		Secret: f.Secret, Bundle: f.Bundle, Workload: f.Workload, JoinBy: f.ExpiresAt,
	}
}

// Call is a host's call, signed by its key.
func (w *World) Call(l Ledger, host sshcert.Host, key ssh.Signer, body hostcall.Body) (text, signature string) {
	w.t.Helper()
	text, signature, err := hostcall.Sign(w.rand, key, hostcall.Header{Origin: Origin, Host: host, At: l.Now(), Nonce: w.ID()}, body)
	if err != nil {
		w.t.Fatalf("call of %s: %v", host, err)
	}
	return text, signature
}

// Accept is the leaf of a host that takes an invitation, recorded in leaf.
func (w *World) Accept(l Ledger, i record.HostInvite, leaf canon.Digest, key ssh.Signer) record.HostJoin {
	w.t.Helper()
	f := record.HostJoin{
		At: l.Now(), Join: w.ID(), Lineage: i.Lineage, Name: i.Name, Address: i.Address, Port: i.Port, HostKey: Wire(key.PublicKey()), Labels: i.Labels, Aliases: i.Aliases,
		Invitation: i.Invitation, InvitationLeaf: leaf, Workload: i.Workload,
	}
	f.Document, f.Signature = w.Call(l, i.Name, key, hostcall.JoinBody{Invitation: i.Invitation, HostKey: f.HostKey, Aliases: i.Aliases})
	return f
}

// Joined has the operator invite a host of v with the label env, and appends both
// leaves.
func (w *World) Joined(l Ledger, v *contract.Version, name sshcert.Host, env string, key ssh.Signer) {
	w.t.Helper()
	f := w.Invite(l, nil, v, name, env, []byte("secret of "+name))
	leaf, err := l.Append(Draft{Facts: f})
	if err != nil {
		w.t.Fatalf("invitation of %s: %v", name, err)
	}
	w.must(l.Append(Draft{Facts: w.Accept(l, f, leaf, key)}))
}

// Label is the leaf with which u wants a host to have the label env.
func (w *World) Label(l Ledger, u *User, v *contract.Version, name sshcert.Host, change canon.ID, env string) record.HostLabel {
	w.t.Helper()
	row, err := record.Host(l, name)
	if err != nil {
		w.t.Fatalf("host %s: %v", name, err)
	}
	was, err := record.LabelsDigest(row.Labels)
	if err != nil {
		w.t.Fatalf("labels of %s: %v", name, err)
	}
	f := record.HostLabel{
		At: l.Now(), Label: w.ID(), Change: change, Lineage: v.Lineage(), Contract: v.Digest, Host: name, Was: was, Labels: Labels(env),
	}
	f.Who = w.By(l, u, LabelDoc(f))
	return f
}

// LabelDoc is what a host admin signs for other labels.
func LabelDoc(f record.HostLabel) record.HostsDoc {
	return record.HostsDoc{Act: record.ActLabel, ID: f.Change, Contract: f.Contract, Host: f.Host, Labels: f.Labels, Was: f.Was}
}

// Retire is the leaf with which u retires a host of v; the operator does if u is nil.
func (w *World) Retire(l Ledger, u *User, v *contract.Version, name sshcert.Host) record.HostRetire {
	w.t.Helper()
	f := record.HostRetire{At: l.Now(), Retirement: w.ID(), Lineage: v.Lineage(), Host: name, Who: Operator()}
	if u != nil {
		f.Contract = v.Digest
		f.Who = w.By(l, u, record.HostsDoc{Act: record.ActRetire, ID: f.Retirement, Contract: f.Contract, Host: name})
	}
	return f
}

// Certify is the leaf of a host certificate for a joined host, by the newest host
// CA.
func (w *World) Certify(l Ledger, name sshcert.Host, key ssh.Signer) record.HostCertify {
	w.t.Helper()
	row, err := record.Host(l, name)
	if err != nil {
		w.t.Fatalf("host %s: %v", name, err)
	}
	authority, err := record.HostCA(l)
	if err != nil {
		w.t.Fatalf("host CA: %v", err)
	}
	seconds := int64(ca.HostLife / time.Second)
	template, err := record.HostTemplate(row, l.Now(), seconds)
	if err != nil {
		w.t.Fatalf("host %s: %v", name, err)
	}
	nonce := w.Digest()
	cert, err := template.Certificate(ledger.Serial(l.Next()), nonce[:], authority)
	if err != nil {
		w.t.Fatalf("certificate of %s: %v", name, err)
	}
	f := record.HostCertify{
		At: l.Now(), Lineage: row.Lineage, Host: name, Serial: cert.Serial, Nonce: canon.B64(nonce[:]), Seconds: seconds,
		Authority: Wire(authority), TBS: canon.B64(sshcert.TBS(cert)),
	}
	f.Document, f.Signature = w.Call(l, name, key, hostcall.CertifyBody{HostKey: row.HostKey})
	return f
}

// Enter is the leaf of a login as ops on a host of v, by a certificate or by none.
func (w *World) Enter(l Ledger, v *contract.Version, name sshcert.Host, serial uint64) record.LoginOpen {
	w.t.Helper()
	f := record.LoginOpen{
		At: l.Now(), Session: w.ID(), Lineage: v.Lineage(), Host: name, Login: "ops", Serial: serial, OpenedAt: l.Now(), Call: w.Digest(),
	}
	found, err := record.ExplainLogin(l, f)
	if err != nil {
		w.t.Fatalf("login on %s: %v", name, err)
	}
	f.Finding, f.Certificate = found.Finding, found.Certificate
	return f
}

// Leave is the leaf of the end of a session that leaf opened.
func (w *World) Leave(l Ledger, f record.LoginOpen, leaf canon.Digest) record.LoginClose {
	return record.LoginClose{
		At: l.Now(), Session: f.Session, Lineage: f.Lineage, Host: f.Host, Open: leaf, How: hostcall.Left, ClosedAt: l.Now(), Call: w.Digest(),
	}
}

// Refuse is the leaf of the refusals of a host of v in the last whole minute.
func (w *World) Refuse(l Ledger, v *contract.Version, name sshcert.Host) record.LoginRefuse {
	return record.LoginRefuse{
		At: l.Now(), Refusal: w.ID(), Lineage: v.Lineage(), Host: name, MinuteAt: l.Now() - l.Now()%60e6,
		Counts: []hostcall.Count{{Reason: "expired", Count: 2}, {Reason: "unproved", Count: 1}}, Call: w.Digest(),
	}
}

// Offline is the leaf of a login as ops on a host of v by a security key that opens it
// when everything else is down.
func (w *World) Offline(l Ledger, v *contract.Version, name sshcert.Host) record.LoginOffline {
	w.t.Helper()
	public, ok := w.Key().PublicKey().(ssh.CryptoPublicKey)
	if !ok {
		w.t.Fatalf("the key of a security key is none")
	}
	raw, ok := public.CryptoPublicKey().(ed25519.PublicKey)
	if !ok {
		w.t.Fatalf("the key of a security key is no ed25519 key")
	}
	return record.LoginOffline{
		At: l.Now(), Session: w.ID(), Lineage: v.Lineage(), Host: name, Login: "ops",
		Key: canon.B64(sshcerttest.SKEd25519(raw, "ssh:offline")), OpenedAt: l.Now(), Call: w.Digest(),
	}
}

// Release is the leaf with which u releases a host of v to the contract to.
func (w *World) Release(l Ledger, u *User, v *contract.Version, name sshcert.Host, to canon.Digest) record.HostRelease {
	w.t.Helper()
	f := record.HostRelease{At: l.Now(), Release: w.ID(), Lineage: v.Lineage(), Contract: v.Digest, Host: name, To: to}
	f.Who = w.By(l, u, ReleaseDoc(f))
	return f
}

// ReleaseDoc is what a host admin signs for a release.
func ReleaseDoc(f record.HostRelease) record.HostsDoc {
	return record.HostsDoc{Act: record.ActRelease, ID: f.Release, Contract: f.Contract, Host: f.Host, To: f.To}
}
