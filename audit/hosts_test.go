package audit_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// A login that a host reports and the ledger can't explain is a finding: somebody was
// let in by something else than a certificate of this ledger, or the host lies.
func TestUnexplainedLoginsAreFindings(t *testing.T) {
	t.Parallel()
	b, at := twoGrants(t)
	add := func(bend func(*record.LoginOpen)) int64 {
		f := b.w.Enter(b.m, b.w.Version, "web-1.demo", ledger.Serial(at["issue"]))
		bend(&f)
		found, err := record.ExplainLogin(b.m, f)
		must(t, err)
		f.Finding, f.Certificate = found.Finding, found.Certificate
		b.append(recordtest.Draft{Facts: f})
		return b.m.Next() - 1
	}
	add(func(*record.LoginOpen) {})
	unknown := add(func(f *record.LoginOpen) { f.Serial = 4711 })
	root := add(func(f *record.LoginOpen) { f.Login = "root" })
	none := add(func(f *record.LoginOpen) { f.Serial = 0 })
	report := b.verify(t, b.bundle(b.entries()))
	want := map[int64]string{unknown: "no entry records a certificate with serial 4711", root: "is not for this login on this host", none: "by no certificate"}
	if report.OK() || len(report.Findings) != len(want) {
		t.Errorf("OK = %t, findings %+v", report.OK(), report.Findings)
	}
	for _, f := range report.Findings {
		if w, ok := want[f.Leaf]; !ok || !strings.Contains(f.Rule, w) || f.Kind != string(ledger.LoginOpen) {
			t.Errorf("leaf %d: %s, want %s", f.Leaf, f.Rule, w)
		}
	}
	// Whoever can't read the certificate's leaf can't tell whether the login was right.
	closed := b.verify(t, b.bundle(shut(b.entries(), at["issue"])))
	if slices.ContainsFunc(closed.Findings, func(f audit.Finding) bool { return want[f.Leaf] == "" }) {
		t.Errorf("with a closed certificate: %+v", closed.Findings)
	}
}

// A login by a key for when everything else is down is a finding until somebody has reviewed it, whoever used the key.
func TestOfflineLoginsAreOwedAReview(t *testing.T) {
	t.Parallel()
	b, _ := twoGrants(t)
	f := b.w.Offline(b.m, b.w.Version, "web-1.demo")
	b.append(recordtest.Draft{Facts: f})
	leaf := b.m.Next() - 1
	report := b.verify(t, b.bundle(b.entries()))
	if report.OK() || len(report.Findings) != 1 {
		t.Fatalf("OK = %t, findings %+v", report.OK(), report.Findings)
	}
	key, err := hostcall.ParseOfflineKey(f.Key)
	must(t, err)
	want := "host web-1.demo says that it let in ops by the offline key " + ssh.FingerprintSHA256(key) + ": nobody approved it, and it is owed a review"
	if got := report.Findings[0]; got.Leaf != leaf || got.Rule != want || got.Kind != string(ledger.LoginOffline) {
		t.Errorf("%+v, want %s", got, want)
	}
	// That it was there can be seen by whoever can't read it, and makes no certificate doubtful.
	closed := b.verify(t, b.bundle(shut(b.entries(), leaf)))
	if len(closed.Findings) != 0 {
		t.Errorf("with the leaf closed: %+v", closed.Findings)
	}
}

// A leaf about a host that nobody can read may have taken the host away, or given it
// other labels: what is issued afterwards in its lineage is unknown.
func TestPromiseP12_ClosedHostLeavesCastDoubt(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	b.w.Version = b.w.Fleet()
	b.w.PutInForce(b.m, b.w.Version)
	key := b.w.Key()
	b.w.Joined(b.m, b.w.Version, "db-1.demo", "demo", key)
	join := b.m.Next() - 1
	b.append(recordtest.Draft{Facts: b.w.AddKey(b.m, record.KeyHostCA)})
	b.append(recordtest.Draft{Facts: b.w.Certify(b.m, "db-1.demo", key)})
	certify := b.m.Next() - 1
	b.append(recordtest.Draft{Facts: b.w.Refuse(b.m, b.w.Version, "db-1.demo")})
	refuse := b.m.Next() - 1
	b.w.Joined(b.m, b.w.Version, "db-2.demo", "demo", b.w.Key())
	b.append(recordtest.Draft{Facts: b.w.Retire(b.m, b.w.Bob, b.w.Version, "db-2.demo")})
	retire := b.m.Next() - 1
	b.pass(time.Second)
	ask := b.w.Ask(b.m, b.w.Alice)
	ask.Doc.Hosts[0] = "db-1.demo"
	b.append(b.w.Submit(b.m, b.w.Alice, ask))
	b.append(b.w.Decide(b.m, b.w.Bob, b.w.Request(b.m, ask.Doc.Request), "approve", 0))
	b.issue(b.w.Request(b.m, ask.Doc.Request))
	entries := b.entries()
	for name, tt := range map[string]struct {
		closed int64
		want   audit.Verdict
	}{
		"nothing":              {-1, audit.Attested},
		"the host's join":      {join, audit.Unknown},
		"its invitation":       {join - 1, audit.Unknown},
		"its certificate":      {certify, audit.Attested},
		"what it refused":      {refuse, audit.Attested},
		"another's retirement": {retire, audit.Unknown}, // it could be this one's
	} {
		list := entries
		if tt.closed >= 0 {
			list = shut(entries, tt.closed)
		}
		report := b.verify(t, b.bundle(list), func(c *audit.Config) { c.Contracts = append(c.Contracts, b.w.Version.Digest) })
		if got := report.Certificates[0].Verdict; got != tt.want {
			t.Errorf("without %s: %s, want %s (%s)", name, got, tt.want, report.Certificates[0].Rule)
		}
	}
}

// A host that is in another contract than before is justified by the release, which
// the contract that let it go has signed: without it nobody can tell, and a server
// that made it up is named.
func TestPromiseP12_AMovedHostIsJustifiedByItsRelease(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	fleet := b.w.Fleet()
	b.w.PutInForce(b.m, fleet)
	b.w.Joined(b.m, fleet, "db-1.demo", "prod", b.w.Key())
	b.append(recordtest.Draft{Facts: b.w.Release(b.m, b.w.Bob, fleet, "db-1.demo", b.w.Version.Lineage())})
	release := b.m.Next() - 1
	b.w.Joined(b.m, b.w.Version, "db-1.demo", "demo", b.w.Key())
	join := b.m.Next() - 1
	b.pass(time.Second)
	ask := b.w.Ask(b.m, b.w.Alice)
	ask.Doc.Hosts[0] = "db-1.demo"
	b.append(b.w.Submit(b.m, b.w.Alice, ask))
	b.append(b.w.Decide(b.m, b.w.Bob, b.w.Request(b.m, ask.Doc.Request), "approve", 0))
	b.issue(b.w.Request(b.m, ask.Doc.Request))
	verdict := func(entries []audit.Entry) (audit.Verdict, audit.Report) {
		report := b.verify(t, b.bundle(entries), func(c *audit.Config) { c.Contracts = append(c.Contracts, fleet.Digest) })
		return report.Certificates[0].Verdict, report
	}
	if got, report := verdict(b.entries()); got != audit.Attested {
		t.Errorf("as it was: %s, want attested (%s)", got, report.Certificates[0].Rule)
	}
	if got, report := verdict(shut(b.entries(), release)); got != audit.Unknown {
		t.Errorf("without the release: %s, want unknown (%s)", got, report.Certificates[0].Rule)
	}
	entries := b.entries()
	facts, err := record.ParseFacts(ledger.HostRelease, entries[release].Opening.Facts)
	must(t, err)
	f, ok := facts.(record.HostRelease)
	if !ok {
		t.Fatalf("leaf %d is a %s", release, facts.Kind())
	}
	f.Who = recordtest.Operator()
	entries[release].Opening.Facts, err = canon.Marshal(f)
	must(t, err)
	b.commit(t, entries, int(release))
	got, report := verdict(entries)
	named := func(leaf int64) bool {
		return slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.Leaf == leaf })
	}
	if got != audit.Unjustified || !named(release) || !named(join) {
		t.Errorf("released by the operator: %s, findings %+v", got, report.Findings)
	}
}
