package audit_test

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

const (
	title      = "title: Access to the demo hosts"
	grantOfAnH = "grant: {max: 1h}"
)

// amendable is a ledger whose contract can be ended.
func amendable(t *testing.T, seed string) told {
	t.Helper()
	b := newTold(t, seed)
	b.w.Version = b.w.Contract("acme", "law: {terminate: {clause: §2, notice: 5m, for_cause: true}}\n")
	b.m = b.w.NewMap()
	b.w.Setup(b.m)
	return b
}

// amended has an amendment proposed and signed by both, honestly.
func (f *forger) amended(pairs ...string) *contract.Version {
	f.t.Helper()
	v := f.w.Amend(f.w.Version, pairs...)
	f.w.PutInForceAgain(f.m, v)
	f.entries = f.told.entries()
	return v
}

// carried forces what carries a grant to a version, and a certificate under it.
func (f *forger) carried(r approval.Request, to *contract.Version) {
	f.t.Helper()
	f.force(recordtest.Draft{Facts: f.w.Carry(f.m, r.ID, to)})
	g := f.grant(r)
	g.Contract = to.Digest
	f.issued(f.w.Alice, r, g, r.GrantLeaf())
}

// A server that has the log key and the authority key makes up a change of the
// contract. Each is named, with the leaf that may not be and why.
func TestPromiseP10_EachFabricatedAmendmentIsNamed(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(f *forger) (cause int64) // of the last certificate's verdict
		rule  string
	}{
		{"signed by a key that it brings in itself", func(f *forger) int64 {
			r, eve := f.granted(0), f.key()
			line := func(s ssh.Signer) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) }
			second := f.w.Amend(f.w.Version, line(f.w.Chris), line(eve))
			f.force(recordtest.Draft{Facts: f.w.Propose(f.m, second)})
			sign := f.w.Sign(f.m, second, "chris")
			sign.Signature = f.w.Signature(eve, sshcert.NamespaceContract, sign.Statement)
			cause := f.next()
			f.force(recordtest.Draft{Facts: sign})
			f.force(recordtest.Draft{Facts: f.w.Sign(f.m, second, "dana")})
			f.carried(r, second)
			return cause
		}, "signature"},
		{"wider, and signed by one of two", func(f *forger) int64 {
			r := f.granted(0)
			second := f.w.Amend(f.w.Version, grantOfAnH, "grant: {max: 2h}")
			f.force(recordtest.Draft{Facts: f.w.Propose(f.m, second)})
			f.force(recordtest.Draft{Facts: f.w.Sign(f.m, second, "chris")})
			f.carried(r, second)
			return f.next() - 2
		}, "the contract is not in force"},
		{"of what was amended before", func(f *forger) int64 {
			r := f.w.Granted(f.m, 0)
			rival := f.w.Amend(f.w.Version, title, "title: Mine")
			f.append(recordtest.Draft{Facts: f.w.Propose(f.m, rival)})
			f.append(recordtest.Draft{Facts: f.w.Sign(f.m, rival, "chris")})
			f.amended(title, "title: Ours")
			cause := f.next()
			f.force(recordtest.Draft{Facts: f.w.Sign(f.m, rival, "dana")})
			f.carried(r, rival)
			return cause
		}, "rebase the amendment"},
		{"under the version before", func(f *forger) int64 {
			r := f.granted(0)
			f.pass(time.Second)
			f.amended(title, "title: Ours")
			f.issued(f.w.Alice, r, f.grant(r), r.GrantLeaf())
			return f.next() - 1
		}, "in force"},
		{"under the version before, of a grant that goes on", func(f *forger) int64 {
			r := f.granted(0)
			f.pass(time.Second)
			second := f.amended(title, "title: Ours")
			f.append(recordtest.Draft{Facts: f.w.Carry(f.m, r.ID, second)})
			f.entries = f.told.entries()
			f.issued(f.w.Alice, r, f.grant(r), r.GrantLeaf())
			return f.next() - 1
		}, "under which the grant is not"},
		{"of a grant that nothing carries", func(f *forger) int64 {
			r := f.granted(0)
			f.pass(time.Second)
			g := f.grant(r)
			g.Contract = f.amended(title, "title: Ours").Digest
			f.issued(f.w.Alice, r, g, r.GrantLeaf())
			return f.next() - 1
		}, "was not carried"},
		{"of a grant that the amendment ends", func(f *forger) int64 {
			r := f.granted(0)
			f.pass(time.Second)
			f.carried(r, f.amended(grantOfAnH, "grant: {max: 5m}"))
			return f.next() - 2
		}, "role operator is granted for 5m at most"},
		{"that was withdrawn", func(f *forger) int64 {
			r := f.w.Granted(f.m, 0)
			second := f.w.Amend(f.w.Version, title, "title: Mine")
			f.append(recordtest.Draft{Facts: f.w.Propose(f.m, second)})
			f.append(recordtest.Draft{Facts: f.w.Sign(f.m, second, "chris")})
			f.append(recordtest.Draft{Facts: f.w.Withdraw(f.m, second, "chris")})
			f.entries = f.told.entries()
			cause := f.next()
			f.force(recordtest.Draft{Facts: f.w.Sign(f.m, second, "dana")})
			f.carried(r, second)
			return cause
		}, "it was withdrawn"},
		{"whose condition nobody has met", func(f *forger) int64 {
			r := f.w.Granted(f.m, 0)
			second := f.amended("issuers: {local", "effect: {conditions: {trained: {clause: §1, met_by: acme}}}\nissuers: {local")
			meet := f.w.Meet(f.m, second, "chris", "trained")
			meet.Signature = f.w.Signature(f.key(), sshcert.NamespaceContract, meet.Statement)
			cause := f.next()
			f.force(recordtest.Draft{Facts: meet})
			f.carried(r, second)
			return cause
		}, "signature"},
		{"after the contract's end", func(f *forger) int64 {
			r := f.w.Granted(f.m, 0)
			f.append(recordtest.Draft{Facts: f.w.Terminate(f.m, f.w.Version, "dana", true)})
			f.pass(time.Second)
			f.entries = f.told.entries()
			f.issued(f.w.Alice, r, f.grant(r), r.GrantLeaf())
			return f.next() - 1
		}, "was terminated"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := amendable(t, tt.name).forger()
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

// carriedGrant is an amendment with a certificate before it and one behind it, and the
// indexes of its leaves by name.
func carriedGrant(t *testing.T) (told, *contract.Version, map[string]int64) {
	t.Helper()
	b, at := amendable(t, "carried"), make(map[string]int64)
	r := b.w.Granted(b.m, 0)
	b.issue(r)
	b.pass(time.Second)
	second := b.w.Amend(b.w.Version, title, "title: Ours")
	at["propose"], at["sign"] = b.m.Next(), b.m.Next()+2
	b.w.PutInForceAgain(b.m, second)
	at["carry"] = b.m.Next()
	b.append(recordtest.Draft{Facts: b.w.Carry(b.m, r.ID, second)})
	at["issue"] = b.m.Next()
	b.issue(b.w.Request(b.m, r.ID))
	return b, second, at
}

// Who is not shown an amendment, or that a grant goes on under it, knows nothing of the
// certificate: it may be good.
func TestPromiseP12_AHiddenAmendmentIsUnknown(t *testing.T) {
	t.Parallel()
	b, _, at := carriedGrant(t)
	for name, leaf := range at {
		report := b.verify(t, b.bundle(shut(b.entries(), leaf)))
		first, second := report.Certificates[0], report.Certificates[1]
		if first.Verdict != audit.Attested || second.Verdict != audit.Unknown || second.Cause != leaf {
			t.Errorf("without %s: the first is %s (%s), the second %s by leaf %d (%s), want unknown by leaf %d", name, first.Verdict, first.Rule, second.Verdict, second.Cause, second.Rule, leaf)
		}
	}
}

// An honest amendment is believed, and the story of a certificate has the leaf by which
// its grant goes on.
func TestPromiseP10_ACarriedGrantIsExplained(t *testing.T) {
	t.Parallel()
	b, second, at := carriedGrant(t)
	report := b.verify(t, b.bundle(b.entries()), func(c *audit.Config) { c.Parts = func(uint64) bool { return true } })
	if !report.OK() || len(report.Certificates) != 2 {
		t.Fatalf("%d certificates, findings %+v", len(report.Certificates), report.Findings)
	}
	for i, want := range []*contract.Version{b.w.Version, second} {
		if c := report.Certificates[i]; c.Failed() || c.Contract != want.Digest {
			t.Errorf("certificate %d is %s under %s (%s)", c.Serial, c.Verdict, c.Contract, c.Rule)
		}
	}
	count := func(c audit.Certificate) (n int) {
		for _, p := range c.Parts {
			if p.Name == audit.PartCarry {
				n++
				if p.Leaf != at["carry"] || p.Verdict != audit.Proved || !strings.Contains(p.By, "version 2") || !strings.Contains(p.By, "version 1") {
					t.Errorf("the carry is %+v", p)
				}
			}
		}
		return n
	}
	if n := count(report.Certificates[0]); n != 0 {
		t.Errorf("the certificate from before is explained by %d carries", n)
	}
	if n := count(report.Certificates[1]); n != 1 {
		t.Errorf("the certificate of the carried grant is explained by %d carries, want 1", n)
	}
}
