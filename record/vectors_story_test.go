package record_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// addRevocations revokes one of each: by a signed document, in a browser and by the
// operator, and locks and unlocks an account.
func (v *vectors) addRevocations(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	officed := w.Officed()
	w.PutInForce(m, officed)
	erin, frank := w.User("erin", "owners"), w.User("frank", "engineers")
	logIn(t, w, m, erin, frank)
	ask := w.Ask(m, frank)
	appendAll(t, m, w.Submit(m, frank, ask))
	browser := *frank
	browser.Device = nil
	logIn(t, w, m, &browser)
	appendAll(t, m, w.Revoke(m, &browser, w.Version, record.Target{Type: record.TargetRequest, ID: ask.Doc.Request}),
		w.Revoke(m, erin, officed, record.Target{Type: record.TargetRole, Role: "operator"}),
		w.Revoke(m, nil, w.Version, record.Target{Type: record.TargetHost, Host: "web-1.demo"}), w.Lock(m, frank))
	appendAll(t, m, w.Unlock(m, frank))
	for _, e := range m.Entries {
		if f, ok := e.Draft.Facts.(record.AccessRevoke); ok && f.Assurance == record.AssuranceDevice {
			v.Documents = append(v.Documents, documentVector{"revoke", f.Document, []signatureVector{{sshcert.NamespaceDevice, line(erin.Device), f.Signature}}})
		}
	}
}

// addCancellations takes one request back by a signed document and one in a
// browser.
func (v *vectors) addCancellations(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	browser := *w.Alice
	browser.Device = nil
	for _, u := range []*recordtest.User{w.Alice, &browser} {
		ask := w.Ask(m, w.Alice)
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		if u.Device == nil {
			logIn(t, w, m, u)
		}
		appendAll(t, m, plain(w.Cancel(m, u, w.Request(m, ask.Doc.Request))))
	}
	var text, signature string
	for _, e := range m.Entries {
		if f, ok := e.Draft.Facts.(record.RequestCancel); ok && f.Assurance == record.AssuranceDevice {
			text, signature = f.Document, f.Signature
		}
	}
	device := line(w.Alice.Device)
	v.Documents = append(v.Documents, documentVector{"cancel", text, []signatureVector{{sshcert.NamespaceDevice, device, signature}}})
	v.Refused = append(v.Refused, documentVector{
		"cancel: made in another namespace", text,
		[]signatureVector{{sshcert.NamespaceDevice, device, w.Signature(w.Alice.Device, sshcert.NamespacePossession, text)}},
	})
}

// addRelease tells of a host that goes from one contract to another, and gets other names there.
func (v *vectors) addRelease(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	dock, harbour := w.Contract("dock", "offices: {host-admin: [leads]}\n"), w.Contract("harbour", "offices: {host-admin: [leads]}\n")
	w.PutInForce(m, dock)
	w.PutInForce(m, harbour)
	hugo := w.User("hugo", "leads")
	logIn(t, w, m, hugo)
	w.Joined(m, dock, "crane-1.demo", "demo", w.Key())
	release := w.Release(m, hugo, dock, "crane-1.demo", harbour.Lineage())
	appendAll(t, m, plain(release))
	invite := w.Invite(m, nil, harbour, "crane-1.demo", "prod", []byte("secret"))
	invite.Aliases = []sshcert.Host{"crane.demo", "www.crane.demo"}
	leaf, err := m.Append(plain(invite))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(w.Accept(m, invite, leaf, w.Key())))
	v.Documents = append(v.Documents, documentVector{"hosts", release.Who.Document, []signatureVector{{sshcert.NamespaceDevice, line(hugo.Device), release.Who.Signature}}})
}

// addErasure erases the one human whom Alice and Carol are, a year later.
func (v *vectors) addErasure(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	m.Clock += micros(366 * 24 * time.Hour)
	f := w.Erase(m, w.Chris, w.Dana, w.Alice, w.Carol)
	appendAll(t, m, plain(f))
	var signatures []signatureVector
	for _, s := range []ssh.Signer{w.Chris, w.Dana} {
		signatures = append(signatures, signatureVector{sshcert.NamespaceErase, line(s), w.Signature(s, sshcert.NamespaceErase, f.Document)})
	}
	v.Documents = append(v.Documents, documentVector{"erase", f.Document, signatures})
	other := strings.Replace(f.Document, `"ground":"request"`, `"ground":"order"`, 1)
	v.Refused = append(v.Refused, documentVector{
		"erase: the intent is another's", other,
		[]signatureVector{{sshcert.NamespaceErase, line(w.Chris), w.Signature(w.Dana, sshcert.NamespaceErase, other)}},
	})
}

// addHosts tells of a host of a contract with host admins, from its invitation to
// its end.
func (v *vectors) addHosts(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	ines, ivan := w.User("ines", "engineers", "leads"), w.User("ivan", "leads")
	logIn(t, w, m, ines, ivan)
	before := w.Version
	w.Version = w.Fleet()
	defer func() { w.Version = before }()
	w.PutInForce(m, w.Version)
	add := func(f record.Facts) canon.Digest {
		leaf, err := m.Append(plain(f))
		if err != nil {
			t.Fatalf("%s: %v", f.Kind(), err)
		}
		return leaf
	}
	key, secret := w.Key(), w.Digest()
	invite := w.Invite(m, ines, w.Version, "web-9.demo", "demo", secret[:])
	join := w.Accept(m, invite, add(invite), key)
	add(join)
	certify := w.Certify(m, "web-9.demo", key)
	add(certify)
	ask := w.Ask(m, ines)
	ask.Doc.Hosts = []sshcert.Host{"web-9.demo"}
	appendAll(t, m, w.Submit(m, ines, ask))
	appendAll(t, m, w.Decide(m, ivan, w.Request(m, ask.Doc.Request), "approve", 300))
	issue, err := w.Issue(m, ines, w.Request(m, ask.Doc.Request), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(issue))
	enter := w.Enter(m, w.Version, "web-9.demo", issue.Serial)
	opened := add(enter)
	add(w.Enter(m, w.Version, "web-9.demo", 0))
	add(w.Refuse(m, w.Version, "web-9.demo"))
	m.Clock += micros(time.Minute)
	add(w.Leave(m, enter, opened))
	change := w.ID()
	add(w.Label(m, ines, w.Version, "web-9.demo", change, "prod"))
	add(w.Label(m, ivan, w.Version, "web-9.demo", change, "prod"))
	add(w.Retire(m, ivan, w.Version, "web-9.demo"))
	v.Documents = append(v.Documents,
		documentVector{"hosts", invite.Who.Document, []signatureVector{{sshcert.NamespaceDevice, line(ines.Device), invite.Who.Signature}}},
		documentVector{"call", join.Document, []signatureVector{{sshcert.NamespaceHost, line(key), join.Signature}}},
		documentVector{"call", certify.Document, []signatureVector{{sshcert.NamespaceHost, line(key), certify.Signature}}},
	)
	other := strings.Replace(join.Document, `"call":"join"`, `"call":"leave"`, 1)
	v.Refused = append(v.Refused,
		documentVector{"hosts: signed by another key", invite.Who.Document, []signatureVector{{sshcert.NamespaceDevice, line(ivan.Device), invite.Who.Signature}}},
		documentVector{"call: no such call", other, []signatureVector{{sshcert.NamespaceHost, line(w.Key()), w.Signature(key, sshcert.NamespaceHost, other)}}},
	)
}

// addOffline tells of a login by a key for when everything else is down, and of its end.
func (v *vectors) addOffline(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	offline := w.Offline(m, w.Version, "web-1.demo")
	leaf, err := m.Append(plain(offline))
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(record.LoginClose{
		At: m.Now(), Session: offline.Session, Lineage: offline.Lineage, Host: offline.Host, Open: leaf, How: hostcall.Left, ClosedAt: m.Now(), Call: w.Digest(),
	}))
}
