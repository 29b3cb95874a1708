package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// forger appends what no fold allows, behind an honest beginning, as somebody can
// who has the database and both keys.
type forger struct {
	told
	entries []audit.Entry
}

func (b told) forger() *forger { return &forger{b, b.entries()} }

func (f *forger) next() int64 { return int64(len(f.entries)) }

// force appends a leaf without asking anybody.
func (f *forger) force(d recordtest.Draft) canon.Digest {
	f.t.Helper()
	e := audit.Entry{Index: f.next(), Opening: record.Opening{FactsSalt: f.w.Salt(), PersonSalt: d.PersonSalt}}
	var err error
	e.Opening.Facts, err = canon.Marshal(d.Facts)
	must(f.t, err)
	leaf := ledger.Leaf{
		Kind: d.Facts.Kind(), Lineage: d.Facts.InLineage(), Reference: d.Facts.Reference(), Facts: ledger.FactsCommitment(e.Opening.FactsSalt, e.Opening.Facts),
	}
	if d.Person != nil {
		e.Opening.Person, err = canon.Marshal(d.Person)
		must(f.t, err)
		if e.Opening.PersonSalt.IsZero() {
			e.Opening.PersonSalt = f.w.Salt()
		}
		leaf.Person = ledger.PersonCommitment(e.Opening.PersonSalt, e.Opening.Person)
	}
	e.Text, err = leaf.Marshal()
	must(f.t, err)
	f.entries = append(f.entries, e)
	return canon.Digest(tlog.RecordHash(e.Text))
}

// asked is a request of Alice's that is in the ledger, and nothing more.
func (f *forger) asked() approval.Request {
	f.t.Helper()
	ask := f.w.Ask(f.m, f.w.Alice)
	draft := f.w.Submit(f.m, f.w.Alice, ask)
	f.append(draft)
	f.entries = f.told.entries()
	return f.w.Request(f.m, ask.Doc.Request)
}

// decided forces a decision of u.
func (f *forger) decided(u *recordtest.User, r approval.Request, v approval.Verdict) canon.Digest {
	return f.force(f.w.Decide(f.m, u, r, v, 0))
}

// grant is what somebody makes up who wants a certificate.
func (f *forger) grant(r approval.Request) approval.Grant {
	return approval.Grant{
		ID: r.ID, Person: r.By, Contract: r.Contract, Lineage: r.Lineage, Logins: r.Logins, Hosts: r.Hosts,
		Start: f.m.Clock.Time(), End: f.m.Clock.Time().Add(10 * time.Minute), TTL: 5 * time.Minute, Extensions: []string{"permit-pty"},
	}
}

// issued forces a certificate for a key under a grant, with honest signatures of
// u's device and of the key.
func (f *forger) issued(u *recordtest.User, r approval.Request, g approval.Grant, leaf canon.Digest, bend ...func(*record.CertificateIssue)) {
	f.t.Helper()
	key := f.w.Key()
	text, err := canon.Marshal(f.w.IssueDoc(f.m, u, r, key))
	must(f.t, err)
	nonce := f.w.Digest()
	cert, err := f.w.Certificate(g, key.PublicKey(), f.next(), nonce[:], f.m.Clock.Time())
	must(f.t, err)
	facts := record.CertificateIssue{
		At: f.m.Clock, Lineage: g.Lineage, Contract: g.Contract, Person: u.Person, Grant: r.ID, GrantLeaf: leaf, Claims: u.Claims,
		Serial: cert.Serial, Nonce: canon.B64(nonce[:]), TBS: canon.B64(sshcert.TBS(cert)), Document: string(text),
		DeviceSig: f.w.Signature(u.Device, sshcert.NamespaceDevice, string(text)), Possession: f.w.Signature(key, sshcert.NamespacePossession, string(text)),
	}
	for _, b := range bend {
		b(&facts)
	}
	f.force(recordtest.Draft{Facts: facts})
}

// A server that has the log key and the authority key makes up what it needs for
// a certificate. Each is named, with the leaf that may not be and why.
func TestPromiseP12_EachFabricationIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(f *forger) (cause int64) // of the last certificate's verdict
		rule  string
	}{
		{"nobody decided", func(f *forger) int64 {
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), r.Leaf)
			return f.next() - 1
		}, "it is pending: this request is not granted"},
		{"she decided herself", func(f *forger) int64 {
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Alice, r, approval.Approve))
			return f.next() - 2
		}, "nobody decides on their own request"},
		{"somebody decided who may not", func(f *forger) int64 {
			dave := f.w.User("dave", "engineers")
			must(f.t, f.w.LogIn(f.m, dave))
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(dave, r, approval.Approve))
			return f.next() - 2
		}, "you are not among those who decide on this request"},
		{"he was told no", func(f *forger) int64 {
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Bob, r, approval.Deny))
			return f.next() - 1
		}, "it is denied"},
		{"he decided too late", func(f *forger) int64 {
			r := f.asked()
			f.pass(time.Hour)
			for _, u := range []*recordtest.User{f.w.Alice, f.w.Bob} {
				must(f.t, f.w.LogIn(f.m, u))
			}
			f.entries = f.told.entries()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Bob, r, approval.Approve))
			return f.next() - 2
		}, "this request is settled"},
		{"somebody of old groups decided", func(f *forger) int64 {
			before := *f.w.Bob
			f.pass(time.Minute)
			after := before
			after.Groups = []string{"visitors"}
			must(f.t, f.w.LogIn(f.m, &after))
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(&before, r, approval.Approve))
			return f.next() - 2
		}, "your groups changed since"},
		{"groups that the ID token does not name", func(f *forger) int64 {
			dave := f.w.User("dave", "engineers")
			login := f.w.Login(f.m, dave)
			facts, _ := login.Facts.(record.PersonLogin)
			facts.Groups = []string{"leads"}
			login.Facts, dave.Groups = facts, []string{"leads"}
			cause := f.next()
			at := f.force(login)
			dave.Claims = record.Claims{Login: at, Snapshot: f.force(recordtest.Draft{Facts: f.w.Snapshot(f.m, dave, at)}), ClaimsAt: facts.ClaimsAt}
			r := f.forcedRequest()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(dave, r, approval.Approve))
			return cause
		}, "the login is not what its ID token says: groups"},
		{"a device key that she never had", func(f *forger) int64 {
			thief := *f.w.Alice
			f.pass(time.Second)
			login := f.w.Login(f.m, &thief)
			thief.Device = f.key()
			facts, _ := login.Facts.(record.PersonLogin)
			facts.DeviceKey = recordtest.Wire(thief.Device.PublicKey())
			login.Facts = facts
			cause := f.next()
			thief.Claims.Login, thief.Claims.ClaimsAt = f.force(login), facts.ClaimsAt
			r := f.forcedRequestOf(&thief)
			f.issued(&thief, r, f.grant(r), f.decided(f.w.Bob, r, approval.Approve))
			return cause
		}, "its nonce does not commit to the device key"},
		{"nobody asked", func(f *forger) int64 {
			r := f.w.Request(f.m, f.w.Granted(f.m, 0).ID)
			f.entries = f.told.entries()
			r.ID = f.w.ID()
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf)
			return f.next() - 1
		}, "not in the ledger"},
		{"longer than was granted", func(f *forger) int64 {
			r := f.granted(60)
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf)
			return f.next() - 1
		}, "the recorded bytes are not those of the grant"},
		{"more logins than were granted", func(f *forger) int64 {
			r := f.granted(0)
			g := f.grant(r)
			g.Logins = append(slices.Clone(g.Logins), "root")
			f.issued(f.w.Alice, r, g, r.Decisions[0].Leaf)
			return f.next() - 1
		}, "the recorded bytes are not those of the grant"},
		{"another key than was asked for", func(f *forger) int64 {
			r := f.granted(0)
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf, func(c *record.CertificateIssue) { c.Possession = c.DeviceSig })
			return f.next() - 1
		}, "signed document refused"},
		{"for somebody else", func(f *forger) int64 {
			r := f.granted(0)
			f.issued(f.w.Bob, r, f.grant(r), r.Decisions[0].Leaf)
			return f.next() - 1
		}, "your groups changed since"},
		{"with another's serial", func(f *forger) int64 {
			r := f.granted(0)
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf, func(c *record.CertificateIssue) { c.Serial-- })
			return f.next() - 1
		}, "serial"},
		{"dated back", func(f *forger) int64 {
			r := f.granted(0)
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf, func(c *record.CertificateIssue) { c.At -= 1e9 })
			return f.next() - 1
		}, "dated before the leaf before it"},
		{"the grant was revoked", func(f *forger) int64 { return f.after(ofGrant) }, "it was revoked at"},
		{"the request was revoked", func(f *forger) int64 {
			return f.after(func(r approval.Request) record.Target { return record.Target{Type: record.TargetRequest, ID: r.ID} })
		}, "it was revoked at"},
		{"the person was revoked", func(f *forger) int64 {
			return f.after(func(r approval.Request) record.Target { return record.Target{Type: record.TargetPerson, ID: r.By} })
		}, "it was revoked at"},
		{"the role was revoked", func(f *forger) int64 {
			return f.after(func(r approval.Request) record.Target { return record.Target{Type: record.TargetRole, Role: r.Role} })
		}, "it was revoked at"},
		{"the host was revoked", func(f *forger) int64 {
			return f.after(func(r approval.Request) record.Target {
				return record.Target{Type: record.TargetHost, Host: r.Hosts[0]}
			})
		}, "it was revoked at"},
		{"the person was locked", func(f *forger) int64 {
			r := f.w.Granted(f.m, 0)
			f.pass(time.Second)
			f.append(f.w.Lock(f.m, f.w.Alice))
			f.entries = f.told.entries()
			f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf)
			return f.next() - 1
		}, "it was revoked at"},
		{"asked for by a locked person", func(f *forger) int64 {
			f.append(f.w.Lock(f.m, f.w.Alice))
			f.pass(time.Second)
			f.entries = f.told.entries()
			cause := f.next()
			r := f.forcedRequest()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Bob, r, approval.Approve))
			return cause
		}, "this account is locked"},
		{"approved by a locked person", func(f *forger) int64 {
			f.append(f.w.Lock(f.m, f.w.Bob))
			f.pass(time.Second)
			r := f.asked()
			f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Bob, r, approval.Approve))
			return f.next() - 2
		}, "this account is locked"},
		{"under a contract of the server's own", func(f *forger) int64 {
			other := f.w.Contract("mine", "")
			cause := f.next()
			f.force(recordtest.Draft{Facts: f.w.Propose(f.m, other)})
			for _, signer := range []string{"chris", "dana"} {
				f.force(recordtest.Draft{Facts: f.w.Sign(f.m, other, signer)})
			}
			r := f.w.Request(f.m, f.w.Granted(f.m, 0).ID)
			g := f.grant(r)
			g.Lineage, g.Contract = other.Lineage(), other.Digest
			f.issued(f.w.Alice, r, g, r.Decisions[0].Leaf)
			return cause
		}, "none that you vouch for"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newTold(t, tt.name).forger()
			cause := tt.forge(f)
			f.sign(f.entries)
			report := f.verify(t, f.bundle(f.entries))
			if len(report.Certificates) == 0 {
				t.Fatal("no certificate")
			}
			c := report.Certificates[len(report.Certificates)-1]
			if c.Verdict != audit.Unjustified || c.Cause != cause || !strings.Contains(c.Rule, tt.rule) || report.OK() {
				t.Errorf("certificate %d is %s by leaf %d (%s), want unjustified by leaf %d (%s)", c.Serial, c.Verdict, c.Cause, c.Rule, cause, tt.rule)
			}
		})
	}
}

func ofGrant(r approval.Request) record.Target {
	return record.Target{Type: record.TargetGrant, ID: r.ID}
}

// after forces a certificate behind a revocation of its grant, or of what that
// belongs to, and returns its leaf.
func (f *forger) after(target func(approval.Request) record.Target) int64 {
	f.t.Helper()
	r := f.w.Granted(f.m, 0)
	f.pass(time.Second)
	f.append(f.w.Revoke(f.m, nil, f.w.Version, target(r)))
	f.entries = f.told.entries()
	f.issued(f.w.Alice, r, f.grant(r), r.Decisions[0].Leaf)
	return f.next() - 1
}

// granted is a request that Bob has granted honestly.
func (f *forger) granted(seconds int64) approval.Request {
	r := f.w.Granted(f.m, seconds)
	f.entries = f.told.entries()
	return r
}

// forcedRequest is a request of Alice's behind forced leaves, as the fold would
// have made it.
func (f *forger) forcedRequest() approval.Request { return f.forcedRequestOf(f.w.Alice) }

func (f *forger) forcedRequestOf(u *recordtest.User) approval.Request {
	f.t.Helper()
	ask := f.w.Ask(f.m, u)
	leaf := f.force(f.w.Submit(f.m, u, ask))
	return approval.Request{
		ID: ask.Doc.Request, By: u.Person, Contract: f.w.Version.Digest, Lineage: f.w.Version.Lineage(), Leaf: leaf, Logins: ask.Doc.Logins, Hosts: ask.Doc.Hosts,
		Seconds: ask.Doc.Seconds, Stages: []approval.Stage{{ID: "lead"}},
	}
}

// A certificate that comes with a leaf is that leaf's, by the ledger's authority
// key, with a proof of its own; or it is named.
func TestPromiseP12_OtherCertificatesAreNamed(t *testing.T) {
	t.Parallel()
	b := newTold(t, "other certificates")
	r := b.w.Granted(b.m, 0)
	b.issue(r)
	b.issue(r)
	last := len(b.m.Entries) - 1
	resign := func(wire []byte, by ssh.Signer, bend func(*ssh.Certificate)) []byte {
		cert, err := sshcert.ParseCertificate(wire)
		must(t, err)
		bend(cert)
		cert.SignatureKey, cert.Signature = by.PublicKey(), nil
		cert.Signature, err = by.Sign(b.w.Rand(), sshcert.SignedBytes(cert))
		must(t, err)
		return cert.Marshal()
	}
	for _, tt := range []struct {
		name string
		bend func(e []audit.Entry)
		rule string
	}{
		{"of the other leaf", func(e []audit.Entry) { e[last].Certificate = e[last-1].Certificate }, "another leaf's"},
		{"without a proof", func(e []audit.Entry) {
			e[last].Certificate = resign(e[last].Certificate, b.w.CA, func(c *ssh.Certificate) { delete(c.Extensions, sshcert.ProofExtension) })
		}, "carries no ledger proof"},
		{"of another authority", func(e []audit.Entry) {
			e[last].Certificate = resign(e[last].Certificate, b.key(), func(*ssh.Certificate) {})
		}, "does not hold this leaf"},
		{"for another login", func(e []audit.Entry) {
			e[last].Certificate = resign(e[last].Certificate, b.w.CA, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root@web-1.demo"} })
		}, "does not hold this leaf"},
		{"with a broken signature", func(e []audit.Entry) {
			wire := slices.Clone(e[last].Certificate)
			wire[len(wire)-1] ^= 1
			e[last].Certificate = wire
		}, "own signature does not verify"},
		{"proved by another ledger that the log key signed", func(e []audit.Entry) {
			fork := slices.Clone(e)
			fork[1].Text = fork[2].Text
			leaf, err := ledger.ParseLeaf(e[last].Text)
			must(t, err)
			e[last].Certificate = b.certificate(leaf, e[last], int64(len(e)), hashesOf(t, fork))
		}, "the log key signed another ledger"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			entries := b.entries()
			tt.bend(entries)
			report := b.verify(t, b.bundle(entries))
			if c := report.Certificates[1]; c.Verdict != audit.Unjustified || !strings.Contains(c.Rule, tt.rule) || report.Certificates[0].Failed() {
				t.Errorf("certificate %d is %s (%s), want unjustified (%s)", c.Serial, c.Verdict, c.Rule, tt.rule)
			}
		})
	}
}
