package audit_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// shut leaves out what leaf i hides.
func shut(entries []audit.Entry, list ...int64) []audit.Entry {
	out := slices.Clone(entries)
	for _, i := range list {
		out[i].Opening = record.Opening{}
	}
	return out
}

// twoGrants is a ledger with two certificates, each under a request of its own,
// and the indexes of its leaves by name.
func twoGrants(t *testing.T) (told, map[string]int64) {
	t.Helper()
	b := newTold(t, t.Name())
	at := map[string]int64{"open": 0, "propose": 1, "sign": 3, "host": 4, "login": 6, "snapshot": 7, "bob's login": 8, "carol's login": 10}
	for _, n := range []string{"", " 2"} {
		b.pass(time.Second)
		at["submit"+n] = b.m.Next()
		r := b.w.Granted(b.m, 0)
		at["decide"+n] = b.m.Next() - 1
		at["issue"+n] = b.m.Next()
		b.issue(r)
	}
	return b, at
}

// An opening that is missing makes unknown what could rest on it, and nothing
// else; unknown does not pass.
func TestPromiseP12_UnknownNeverPasses(t *testing.T) {
	t.Parallel()
	b, at := twoGrants(t)
	entries := b.entries()
	for _, tt := range []struct {
		name          string
		closed        string
		first, second audit.Verdict
	}{
		{"nothing", "", audit.Attested, audit.Attested},
		{"leaf 0", "open", audit.Unknown, audit.Unknown},
		{"the contract", "propose", audit.Unknown, audit.Unknown},
		{"a contract's signature", "sign", audit.Unknown, audit.Unknown},
		{"the host", "host", audit.Unknown, audit.Unknown},
		{"her login", "login", audit.Unknown, audit.Unknown},
		{"her groups", "snapshot", audit.Unknown, audit.Unknown},
		{"the approver's login", "bob's login", audit.Unknown, audit.Unknown},
		{"a login that nothing rests on", "carol's login", audit.Unknown, audit.Unknown}, // it could be hers, with other groups
		{"the first request", "submit", audit.Unknown, audit.Unknown},                    // its decision can't be read either
		{"the first decision", "decide", audit.Unknown, audit.Unknown},                   // it could be on the second request
		{"the first certificate", "issue", audit.Unknown, audit.Attested},
		{"the second request", "submit 2", audit.Attested, audit.Unknown},
		{"the second decision", "decide 2", audit.Attested, audit.Unknown},
		{"the second certificate", "issue 2", audit.Attested, audit.Unknown},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			list := entries
			if tt.closed != "" {
				list = shut(entries, at[tt.closed])
			}
			report := b.verify(t, b.bundle(list))
			got := []audit.Verdict{report.Certificates[0].Verdict, report.Certificates[1].Verdict}
			if want := []audit.Verdict{tt.first, tt.second}; !slices.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			for _, c := range report.Certificates {
				if c.Verdict == audit.Unknown && (c.Cause != at[tt.closed] || !c.Failed()) {
					t.Errorf("certificate %d is unknown by leaf %d (%s), want by leaf %d", c.Serial, c.Cause, c.Rule, at[tt.closed])
				}
			}
			if tt.closed != "" && report.OK() {
				t.Error("it passes")
			}
		})
	}
}

// A revocation or a lock that is not shown could be of anything that is issued behind
// it.
func TestPromiseP12_AHiddenRevocationIsUnknown(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		leaf func(b told) recordtest.Draft
	}{
		{"a revocation", func(b told) recordtest.Draft {
			return b.w.Revoke(b.m, nil, b.w.Version, record.Target{Type: record.TargetRole, Role: "admin"})
		}},
		{"a lock", func(b told) recordtest.Draft { return b.w.Lock(b.m, b.w.Carol) }},
	} {
		b := newTold(t, tt.name)
		b.issue(b.w.Granted(b.m, 0))
		b.pass(time.Second)
		hidden := b.m.Next()
		b.append(tt.leaf(b))
		b.pass(time.Second)
		b.issue(b.w.Granted(b.m, 0))
		report := b.verify(t, b.bundle(shut(b.entries(), hidden)))
		before, behind := report.Certificates[0], report.Certificates[1]
		if before.Verdict != audit.Attested || behind.Verdict != audit.Unknown || behind.Cause != hidden || report.OK() {
			t.Errorf("%s: %s before it, and %s by leaf %d behind it, want leaf %d", tt.name, before.Verdict, behind.Verdict, behind.Cause, hidden)
		}
	}
}

// Where one decision can't be judged, those of the later stages can't either.
func TestPromiseP12_UnknownGoesOnThroughTheStages(t *testing.T) {
	t.Parallel()
	b := wholeStory(t)
	entries := b.entries()
	for name, closed := range map[string]int64{"an approver's groups": 9, "the first decision": 20, "the last decision": 22} {
		report := b.verify(t, b.bundle(shut(entries, closed)))
		if len(report.Findings) > 0 || report.Count(audit.Unknown) != 3 {
			t.Errorf("%s: %+v", name, report)
		}
		for _, c := range report.Certificates {
			if c.Cause != closed {
				t.Errorf("%s: certificate %d is unknown by leaf %d (%s), want by leaf %d", name, c.Serial, c.Cause, c.Rule, closed)
			}
		}
	}
}

// What is unjustified stays so, whatever else is closed.
func TestPromiseP12_ClosedLeavesHideNothing(t *testing.T) {
	t.Parallel()
	f := newTold(t, t.Name()).forger()
	r := f.asked()
	f.issued(f.w.Alice, r, f.grant(r), f.decided(f.w.Alice, r, approval.Approve))
	f.sign(f.entries)
	cause := f.next() - 2
	for closed := range cause {
		report := f.verify(t, f.bundle(shut(f.entries, closed)))
		c := report.Certificates[0]
		if report.OK() || c.Verdict == audit.Attested {
			t.Errorf("with leaf %d closed: %s by leaf %d (%s)", closed, c.Verdict, c.Cause, c.Rule)
		}
	}
	// A closed login of somebody else excuses no self-approval, and no waiver does.
	waive, err := audit.ParseWaivers([]string{"leaf:10", "certificate:" + itoa(cause+2), "request:" + string(r.ID), "person:" + string(r.By)})
	must(t, err)
	for _, entries := range [][]audit.Entry{f.entries, shut(f.entries, 10)} {
		report := f.verify(t, f.bundle(entries), func(c *audit.Config) { c.Waive = waive })
		if c := report.Certificates[0]; c.Verdict != audit.Unjustified || c.Cause != cause || c.Waived || report.OK() {
			t.Errorf("%s by leaf %d (%s), want unjustified by leaf %d", c.Verdict, c.Cause, c.Rule, cause)
		}
	}
}

func TestPromiseP12_WaiversAreByName(t *testing.T) {
	t.Parallel()
	b, at := twoGrants(t)
	closed := b.bundle(shut(b.entries(), at["decide 2"]))
	whole := b.verify(t, b.bundle(b.entries()))
	second := whole.Certificates[1]
	for _, tt := range []struct {
		name   string
		waiver string
		passes bool
	}{
		{"the leaf", "leaf:16", true},
		{"the certificate", "certificate:18", true},
		{"the request", "request:" + string(second.Request), true},
		{"the person", "person:" + string(second.Person), true},
		{"another leaf", "leaf:5", false},
		{"another certificate", "certificate:15", false},
		{"another request", "request:" + string(whole.Certificates[0].Request), false},
		{"somebody else", "person:" + string(b.w.Bob.Person), false},
		{"a kind", "kind:moon.landing", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			waive, err := audit.ParseWaivers([]string{tt.waiver})
			must(t, err)
			report := b.verify(t, closed, func(c *audit.Config) { c.Waive = waive })
			c := report.Certificates[1]
			if report.OK() != tt.passes || c.Verdict != audit.Unknown || c.Waived != tt.passes {
				t.Errorf("OK = %t, certificate %+v", report.OK(), c)
			}
			if idle := slices.Contains(report.IdleWaivers, tt.waiver); idle == tt.passes {
				t.Errorf("idle waivers: %v", report.IdleWaivers)
			}
		})
	}
	for _, bad := range []string{"", "leaf", "leaf:", "leaf:-1", "leaf:01", "leaf:x", "certificate:0", "kind:request.decide", "kind:Moon", "request:x", "person:", "all", "leaf:1,2", "Leaf:1"} {
		if _, err := audit.ParseWaivers([]string{bad}); !errors.Is(err, audit.ErrConfig) {
			t.Errorf("waiver %q: %v, want ErrConfig", bad, err)
		}
	}
}

// A leaf of a kind that this version does not know may mean anything for what
// stands behind it.
func TestUnknownKindsAreUnknown(t *testing.T) {
	t.Parallel()
	b, at := twoGrants(t)
	entries := b.entries()
	moon := audit.Entry{Opening: record.Opening{FactsSalt: b.w.Salt(), Facts: []byte(`{"at":1}`)}}
	leaf := ledger.Leaf{Kind: "moon.landing", Reference: string(b.w.ID()), Facts: ledger.FactsCommitment(moon.Opening.FactsSalt, moon.Opening.Facts)}
	var err error
	moon.Text, err = leaf.Marshal()
	must(t, err)
	moon.Index = int64(len(entries))
	behind := append(slices.Clone(entries), moon)
	b.sign(behind)
	if report := b.verify(t, b.bundle(behind)); !report.OK() || report.UnknownKinds["moon.landing"] != 1 {
		t.Errorf("behind all certificates: %+v", report)
	}
	// In the place of a login that nothing rests on.
	moon.Index = at["carol's login"]
	between := slices.Clone(entries)
	between[moon.Index] = moon
	b.sign(between)
	if report := b.verify(t, b.bundle(between)); report.OK() || report.Count(audit.Unknown) != 2 {
		t.Errorf("before all certificates: %+v", report.Certificates)
	}
	waive, err := audit.ParseWaivers([]string{"kind:moon.landing", "leaf:11"})
	must(t, err)
	report := b.verify(t, b.bundle(shut(between, 11)), func(c *audit.Config) { c.Waive = waive })
	if !report.OK() || report.Count(audit.Unknown) != 2 {
		t.Errorf("waived: %+v", report.Certificates)
	}
	broken := slices.Clone(between)
	broken[moon.Index].Opening.Facts = []byte(`{"at":2}`)
	_, err = audit.Verify(t.Context(), bytes.NewReader(b.bundle(broken)), b.config())
	if !errors.Is(err, record.ErrOpening) {
		t.Errorf("facts that it does not commit to: %v, want ErrOpening", err)
	}
}

// Of a ledger that is another than the pinned one nothing counts.
func TestVerifyRefusesOtherLedgers(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	b.issue(b.w.Granted(b.m, 0))
	entries := b.entries()
	bundle := b.bundle(entries)
	stranger := newTold(t, "a stranger")
	h := hashesOf(t, entries)
	head := func(size int64) ledger.Checkpoint {
		c, err := policyOf(t, b).OpenCheckpoint(b.checkpoint(h, size))
		must(t, err)
		return c
	}
	other := head(9)
	other.Root[0] ^= 1
	_, elsewhere, err := ledger.NewLogKey(b.w.Rand(), "ledger.example/other")
	must(t, err)
	for _, tt := range []struct {
		name string
		bend func(*audit.Config)
		want error
	}{
		{"another log key", func(c *audit.Config) { c.LogKeys = []string{stranger.w.LogKey} }, audit.ErrOther},
		{"another origin", func(c *audit.Config) { c.LogKeys = []string{elsewhere} }, audit.ErrOther},
		{"no log key", func(c *audit.Config) { c.LogKeys = nil }, audit.ErrConfig},
		{"another authority", func(c *audit.Config) { c.UserCA = stranger.w.CA.PublicKey() }, audit.ErrOther},
		{"an earlier checkpoint of other leaves", func(c *audit.Config) { c.Earlier = []ledger.Checkpoint{other} }, ledger.ErrForked},
		{"a checkpoint over more leaves", func(c *audit.Config) {
			c.Earlier = []ledger.Checkpoint{{Origin: recordtest.Origin, Size: 1000}}
		}, ledger.ErrRewound},
		{"a checkpoint of another ledger", func(c *audit.Config) {
			c.Earlier = []ledger.Checkpoint{{Origin: "ledger.example/other", Size: 1}}
		}, audit.ErrOther},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := b.config()
			tt.bend(&c)
			if _, err := audit.Verify(t.Context(), bytes.NewReader(bundle), c); !errors.Is(err, tt.want) {
				t.Errorf("Verify = %v, want %v", err, tt.want)
			}
		})
	}
	for size := range int64(len(entries)) {
		if size > 0 {
			b.verify(t, bundle, func(c *audit.Config) { c.Earlier = []ledger.Checkpoint{head(size)} })
		}
	}
	// A checkpoint that nobody pinned has signed.
	forged := stranger.bundle(entries)
	if _, err := audit.Verify(t.Context(), bytes.NewReader(forged), b.config()); !errors.Is(err, audit.ErrBundle) && !errors.Is(err, ledger.ErrUntrusted) {
		t.Errorf("signed by a stranger: %v", err)
	}
}

func policyOf(t *testing.T, b told) *ledger.Policy {
	t.Helper()
	p, err := ledger.NewPolicy(recordtest.Origin, b.w.LogKey)
	must(t, err)
	return p
}

// What the auditor names as version 1 is what counts, and has to be there.
func TestPromiseP12_ContractsAreVouchedFor(t *testing.T) {
	t.Parallel()
	b := newTold(t, t.Name())
	b.issue(b.w.Granted(b.m, 0))
	bundle := b.bundle(b.entries())
	other := canon.Sum("some other contract")
	for _, tt := range []struct {
		name      string
		contracts []canon.Digest
		ok        bool
		rule      string
	}{
		{"it", []canon.Digest{b.w.Version.Digest}, true, ""},
		{"none", nil, false, "none that you vouch for"},
		{"another", []canon.Digest{other}, false, "none that you vouch for"},
		{"it and one that is not there", []canon.Digest{b.w.Version.Digest, other}, false, "no leaf belongs to the contract"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			report := b.verify(t, bundle, func(c *audit.Config) { c.Contracts = tt.contracts })
			said := func(f audit.Finding) bool { return strings.Contains(f.Rule, tt.rule) }
			if report.OK() != tt.ok || !tt.ok && !slices.ContainsFunc(report.Findings, said) {
				t.Errorf("OK = %t, findings %v", report.OK(), report.Findings)
			}
		})
	}
}
