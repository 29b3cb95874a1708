package record_test

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// issuing is a granted request of Alice and the honest leaf of a certificate
// under it.
type issuing struct {
	w      *recordtest.World
	m      *recordtest.Map
	r      approval.Request
	key    ssh.Signer
	honest recordtest.Draft
}

func newIssuing(t *testing.T) issuing {
	t.Helper()
	w, m := newLedger(t)
	m.Clock += micros(time.Minute)
	i := issuing{w: w, m: m, r: w.Granted(m, 300), key: w.Key()}
	f, err := w.Issue(m, w.Alice, i.r, i.key)
	if err != nil {
		t.Fatal(err)
	}
	i.honest = plain(f)
	return i
}

func (i issuing) bend(f func(*record.CertificateIssue)) recordtest.Draft { return bent(i.honest, f) }

// doc is the honest leaf with another document, signed anew by both keys.
func (i issuing) doc(t *testing.T, f func(*record.IssueDoc)) recordtest.Draft {
	t.Helper()
	d := i.w.IssueDoc(i.m, i.w.Alice, i.r, i.key)
	f(&d)
	return i.signed(t, d, i.w.Alice.Device, i.key)
}

func (i issuing) signed(t *testing.T, d record.IssueDoc, device, possession ssh.Signer) recordtest.Draft {
	t.Helper()
	text, err := canon.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	return i.bend(func(f *record.CertificateIssue) {
		f.Document = string(text)
		f.DeviceSig = i.w.Signature(device, sshcert.NamespaceDevice, f.Document)
		f.Possession = i.w.Signature(possession, sshcert.NamespacePossession, f.Document)
	})
}

// recorded is the honest leaf over another certificate than the grant's.
func (i issuing) recorded(t *testing.T, f func(*ssh.Certificate)) recordtest.Draft {
	t.Helper()
	grant, _, err := record.GrantAt(i.m, i.r.ID, i.w.Alice.Claims, i.m.Clock)
	if err != nil {
		t.Fatal(err)
	}
	facts, _ := i.honest.Facts.(record.CertificateIssue)
	nonce, err := canon.ParseB64(facts.Nonce)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := i.w.Certificate(grant, i.key.PublicKey(), i.m.Next(), nonce, i.m.Clock.Time())
	if err != nil {
		t.Fatal(err)
	}
	f(cert)
	return i.bend(func(f *record.CertificateIssue) { f.TBS = canon.B64(sshcert.TBS(cert)) })
}

func TestCertificateIssueRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuing(t)
	w, m := i.w, i.m
	dora := w.User("dora", "engineers")
	logIn(t, w, m, dora)
	other := w.Granted(m, 0) // of Alice as well
	i.honest = i.again(t)
	issueDoc := w.IssueDoc(m, w.Alice, i.r, i.key)
	ofDevice, ofCA := issueDoc, issueDoc
	ofDevice.Key, ofCA.Key = recordtest.Wire(w.Alice.Device.PublicKey()), recordtest.Wire(w.CA.PublicKey())
	rsaKey := sshcerttest.RSA(t, 2048)
	ofRSA := issueDoc
	ofRSA.Key = recordtest.Wire(rsaKey.PublicKey())
	ofCertificate := issueDoc
	ofCertificate.Key = certificateWire(t, w)
	refuses(t, m, i.honest, []refusal{
		// The facts and the ledger.
		{"another serial", i.bend(func(f *record.CertificateIssue) { f.Serial++ }), record.ErrEvent},
		{"serial 0", i.bend(func(f *record.CertificateIssue) { f.Serial = 0 }), record.ErrEvent},
		{"another nonce than is recorded", i.bend(func(f *record.CertificateIssue) { f.Nonce = w.Digest().String() }), record.ErrEvent},
		{"a nonce that is too short", i.bend(func(f *record.CertificateIssue) { f.Nonce = "AAAA" }), ca.ErrTemplate},
		{"a nonce that is no base64", i.bend(func(f *record.CertificateIssue) { f.Nonce = "=" }), record.ErrEvent},
		{"another person", i.bend(func(f *record.CertificateIssue) { f.Person = w.Bob.Person }), record.ErrDocument},
		{"another contract version", i.bend(func(f *record.CertificateIssue) { f.Contract = w.Other.Digest }), record.ErrDocument},
		{"another lineage", i.bend(func(f *record.CertificateIssue) { f.Lineage = w.Other.Lineage() }), record.ErrDocument},
		{"another decision", i.bend(func(f *record.CertificateIssue) { f.GrantLeaf = i.r.Leaf }), record.ErrDocument},
		{"no grant", i.bend(func(f *record.CertificateIssue) { f.Grant = w.ID() }), record.ErrNotFound},
		{"another grant", i.bend(func(f *record.CertificateIssue) { f.Grant = other.ID }), record.ErrDocument},
		{"another person's claims", i.bend(func(f *record.CertificateIssue) { f.Claims = dora.Claims }), record.ErrClaimsOld},
		{"another person's login", i.bend(func(f *record.CertificateIssue) { f.Claims.Login = dora.Claims.Login }), record.ErrEvent},
		// The document and its two signatures.
		{"not signed by the device", i.signed(t, issueDoc, w.Key(), i.key), record.ErrDocument},
		{"possession proved by another key", i.signed(t, issueDoc, w.Alice.Device, w.Key()), record.ErrDocument},
		{"the signatures in each other's place", i.bend(func(f *record.CertificateIssue) {
			f.DeviceSig, f.Possession = f.Possession, f.DeviceSig
		}), record.ErrDocument},
		{"the possession signature made for the device's purpose", i.bend(func(f *record.CertificateIssue) {
			f.Possession = w.Signature(i.key, sshcert.NamespaceDevice, f.Document)
		}), record.ErrDocument},
		{"the device key itself", i.signed(t, ofDevice, w.Alice.Device, w.Alice.Device), record.ErrDocument},
		{"the authority's own key", i.signed(t, ofCA, w.Alice.Device, w.CA), record.ErrDocument},
		{"a short RSA key", i.signed(t, ofRSA, w.Alice.Device, rsaKey), sshcert.ErrKeyPolicy},
		{"a certificate as key", i.signed(t, ofCertificate, w.Alice.Device, i.key), sshcert.ErrKeyPolicy},
		{"another version of the document", i.doc(t, func(d *record.IssueDoc) { d.V = "sallyport.issue/v2" }), record.ErrDocument},
		{"signed for another server", i.doc(t, func(d *record.IssueDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"signed for another person", i.doc(t, func(d *record.IssueDoc) { d.Person = w.Bob.Person }), record.ErrDocument},
		{"signed for another grant", i.doc(t, func(d *record.IssueDoc) { d.Grant = other.ID }), record.ErrDocument},
		{"signed for another lineage", i.doc(t, func(d *record.IssueDoc) { d.Lineage = w.Other.Lineage() }), record.ErrDocument},
		{"expired", i.doc(t, func(d *record.IssueDoc) { d.ExpiresAt = m.Clock - 1 }), record.ErrDocument},
		{"from a clock far ahead", i.doc(t, func(d *record.IssueDoc) { d.ExpiresAt = m.Clock + micros(7*time.Minute) }), record.ErrDocument},
	})
}

// The recorded bytes are those that grant, key and moment determine: no field
// more, none wider.
func TestPromiseP02_TheRecordedBytesAreTheGrants(t *testing.T) {
	t.Parallel()
	i := newIssuing(t)
	stranger := i.w.Key().PublicKey()
	list := []refusal{{"no bytes at all", i.bend(func(f *record.CertificateIssue) { f.TBS = "AAAA" }), record.ErrEvent}}
	for name, bend := range map[string]func(*ssh.Certificate){
		"another key":            func(c *ssh.Certificate) { c.Key = stranger },
		"another authority":      func(c *ssh.Certificate) { c.SignatureKey = stranger },
		"a host certificate":     func(c *ssh.Certificate) { c.CertType = ssh.HostCert },
		"another serial":         func(c *ssh.Certificate) { c.Serial++ },
		"another key ID":         func(c *ssh.Certificate) { c.KeyId += "1" },
		"another host":           func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ops@web-2.demo"} },
		"another login":          func(c *ssh.Certificate) { c.ValidPrincipals = []string{"root@web-1.demo"} },
		"one more principal":     func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "ops@web-2.demo") },
		"a login on every host":  func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ops"} },
		"no principal":           func(c *ssh.Certificate) { c.ValidPrincipals = nil },
		"valid a second earlier": func(c *ssh.Certificate) { c.ValidAfter-- },
		"valid a second longer":  func(c *ssh.Certificate) { c.ValidBefore++ },
		"a second shorter":       func(c *ssh.Certificate) { c.ValidBefore-- },
		"a critical option":      func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "true"} },
		"one more extension":     func(c *ssh.Certificate) { c.Extensions["permit-agent-forwarding"] = "" },
		"an extension missing":   func(c *ssh.Certificate) { delete(c.Extensions, "permit-pty") },
		"an extension's value":   func(c *ssh.Certificate) { c.Extensions["permit-pty"] = "x" },
		"a reserved field":       func(c *ssh.Certificate) { c.Reserved = []byte("x") },
	} {
		list = append(list, refusal{name, i.recorded(t, bend), record.ErrEvent})
	}
	next := i.recorded(t, func(c *ssh.Certificate) { c.Serial++ })
	list = append(list, refusal{"the next serial, in facts and bytes", bent(next, func(f *record.CertificateIssue) { f.Serial++ }), record.ErrEvent})
	refuses(t, i.m, i.honest, list)
	if err := i.m.Check(i.recorded(t, func(*ssh.Certificate) {})); err != nil {
		t.Errorf("the certificate made again: %v", err)
	}
}

func (i issuing) again(t *testing.T) recordtest.Draft {
	t.Helper()
	f, err := i.w.Issue(i.m, i.w.Alice, i.r, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return plain(f)
}

// Only a granted request, inside its time, gives a certificate.
func TestPromiseP05_OnlyInsideTheGrant(t *testing.T) {
	t.Parallel()
	i := newIssuing(t) // 300 s
	w, m := i.w, i.m
	start := m.Clock
	at := func(after time.Duration) error {
		m.Clock = start + micros(after)
		f, err := w.Issue(m, w.Alice, i.r, i.key)
		if err != nil {
			return err
		}
		return m.Check(plain(f))
	}
	for _, tt := range []struct {
		name  string
		after time.Duration
		want  error
	}{
		{"before the last approval", -time.Microsecond, approval.ErrNotGranted},
		{"at the approval", 0, nil},
		{"near the end", 290 * time.Second, nil},
		{"less than 5 s before the end", 296 * time.Second, approval.ErrGrantOver},
		{"at the end", 300 * time.Second, approval.ErrGrantOver},
		{"later", time.Hour, approval.ErrGrantOver},
	} {
		if err := at(tt.after); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	// A leaf that was made in time does not pass later.
	m.Clock = start + micros(300*time.Second)
	late := i.bend(func(f *record.CertificateIssue) { f.At = m.Clock })
	if err := m.Check(late); !errors.Is(err, approval.ErrGrantOver) {
		t.Errorf("recorded after the end: %v, want ErrGrantOver", err)
	}
}

func TestPromiseP05_NothingWithoutApproval(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		decide func(*recordtest.World, *recordtest.Map, approval.Request) recordtest.Draft
	}{
		{"pending", nil},
		{"denied", func(w *recordtest.World, m *recordtest.Map, r approval.Request) recordtest.Draft {
			return w.Decide(m, w.Bob, r, approval.Deny, 0)
		}},
		{"one of two", func(w *recordtest.World, m *recordtest.Map, r approval.Request) recordtest.Draft {
			return w.Decide(m, w.Bob, r, approval.Approve, 0)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, m := newLedger(t)
			ask := w.Ask(m, w.Alice)
			ask.Doc.Role, ask.Doc.Logins = "admin", []sshcert.Login{"root"}
			appendAll(t, m, w.Submit(m, w.Alice, ask))
			if tt.decide != nil {
				appendAll(t, m, tt.decide(w, m, w.Request(m, ask.Doc.Request)))
			}
			if _, err := w.Issue(m, w.Alice, w.Request(m, ask.Doc.Request), w.Key()); !errors.Is(err, approval.ErrNotGranted) {
				t.Errorf("%v, want ErrNotGranted", err)
			}
		})
	}
}

// Before each certificate the person is judged again by what the identity
// provider said last.
func TestPromiseP06_EligibleAtEachCertificate(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*recordtest.User)
		want   error
	}{
		{"still in the group", func(*recordtest.User) {}, nil},
		{"in one more group", func(u *recordtest.User) { u.Groups = []string{"engineers", "owners"} }, nil},
		{"no longer in the group", func(u *recordtest.User) { u.Groups = []string{"owners"} }, contract.ErrNotMember},
		{"in no group", func(u *recordtest.User) { u.Groups = nil }, contract.ErrNotMember},
		{"groups no longer known", func(u *recordtest.User) { u.Groups, u.GroupsKnown = nil, false }, contract.ErrGroupsUnknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			i := newIssuing(t)
			before := *i.w.Alice
			tt.change(i.w.Alice)
			logIn(t, i.w, i.m, i.w.Alice)
			f, err := i.w.Issue(i.m, i.w.Alice, i.r, i.key)
			if err == nil {
				err = i.m.Check(plain(f))
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
			if err := i.m.Check(i.bend(func(f *record.CertificateIssue) { f.Claims = before.Claims })); !errors.Is(err, record.ErrClaimsOld) {
				t.Errorf("by what was said before: %v, want ErrClaimsOld", err)
			}
		})
	}
	t.Run("claims too old", func(t *testing.T) {
		t.Parallel()
		w, m := newLedger(t)
		m.Clock += micros(14 * time.Minute)
		r := w.Granted(m, 0)
		m.Clock = r.At
		ask := w.Ask(m, w.Alice)
		ask.Doc.Seconds = 3600
		appendAll(t, m, w.Submit(m, w.Alice, ask))
		appendAll(t, m, w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0))
		r = w.Request(m, ask.Doc.Request)
		m.Clock = w.Alice.Claims.ClaimsAt + micros(time.Hour)
		if _, err := w.Issue(m, w.Alice, r, w.Key()); err != nil {
			t.Errorf("by claims of 60 minutes: %v", err)
		}
		m.Clock++
		if _, err := w.Issue(m, w.Alice, r, w.Key()); !errors.Is(err, record.ErrClaimsOld) {
			t.Errorf("by older claims: %v, want ErrClaimsOld", err)
		}
	})
}

// Narrowing reaches the certificate: its life ends with the narrowed grant.
func TestPromiseP07_TheNarrowedGrantBoundsTheCertificate(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 60) // of 600; a certificate of the role lasts 300
	f, err := w.Issue(m, w.Alice, r, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(f))
	row, err := record.Certificate(m, f.Serial)
	if err != nil {
		t.Fatal(err)
	}
	if end := m.Clock + micros(time.Minute); row.Before > end || row.Before <= end-1e6 {
		t.Errorf("valid before %s, the grant ends %s", row.Before.Time(), end.Time())
	}
}

func TestCertificateVoidRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuing(t)
	w, m := i.w, i.m
	appendAll(t, m, i.honest)
	second, err := w.Issue(m, w.Alice, i.r, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	appendAll(t, m, plain(second))
	facts, _ := i.honest.Facts.(record.CertificateIssue)
	row, err := record.Certificate(m, facts.Serial)
	if err != nil {
		t.Fatal(err)
	}
	other, err := record.Certificate(m, second.Serial)
	if err != nil {
		t.Fatal(err)
	}
	honest := plain(w.Void(m, row))
	bend := func(f func(*record.CertificateVoid)) recordtest.Draft { return bent(honest, f) }
	refuses(t, m, honest, []refusal{
		{"of a serial that was never recorded", bend(func(f *record.CertificateVoid) { f.Serial = second.Serial + 1 }), record.ErrNotFound},
		{"of another serial", bend(func(f *record.CertificateVoid) { f.Serial = second.Serial }), record.ErrEvent},
		{"of another leaf", bend(func(f *record.CertificateVoid) { f.Leaf = other.Leaf }), record.ErrEvent},
		{"in another lineage", bend(func(f *record.CertificateVoid) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
	})
	appendAll(t, m, honest)
	if err := m.Check(plain(w.Void(m, row))); !errors.Is(err, record.ErrExists) {
		t.Errorf("twice: %v, want ErrExists", err)
	}
	for serial, void := range map[uint64]bool{facts.Serial: true, second.Serial: false} {
		if row, err := record.Certificate(m, serial); err != nil || row.Void != void {
			t.Errorf("certificate %d is void: %t, %v", serial, row.Void, err)
		}
	}
}
