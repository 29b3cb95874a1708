package record_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

const (
	shorter  = "grant: {max: 1h}"
	operator = "paths: [{id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 15m}]}]"
)

func inForce(t *testing.T, m *recordtest.Map, want *contract.Version, now canon.Micros) {
	t.Helper()
	v, err := record.InForce(m, want.Lineage(), now)
	if err != nil || v.Digest != want.Digest {
		t.Errorf("in force is %v, %v; want version %d", v, err, want.Manifest.Version)
	}
}

// TestPromiseP10_AnAmendmentIsSignedByThoseWhomTheVersionBeforeNames: by all of them,
// by none that it brings in itself; until then the version before is in force.
func TestPromiseP10_AnAmendmentIsSignedByThoseWhomTheVersionBeforeNames(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	eve := w.Key()
	eveLine := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(eve.PublicKey())))
	second := w.Amend(w.Version, "assurance: ssh}", "assurance: ssh}, {party: acme, capacity: guest, need: 1, of: {eve: "+eveLine+"}, assurance: ssh}")
	m.Clock += 1e6
	appendAll(t, m, plain(w.Propose(m, second)))
	inForce(t, m, w.Version, m.Clock)
	if _, err := contract.NewStatement(second, "acme", "eve"); !errors.Is(err, contract.ErrNotSignatory) {
		t.Errorf("the amendment's own signatory signs it: %v", err)
	}
	appendAll(t, m, plain(w.Sign(m, second, "chris")))
	inForce(t, m, w.Version, m.Clock)
	m.Clock += 1e6
	appendAll(t, m, plain(w.Sign(m, second, "dana")))
	inForce(t, m, second, m.Clock)
	inForce(t, m, w.Version, m.Clock-1)
	third := w.Amend(second, "title: Access to the demo hosts", "title: More")
	appendAll(t, m, plain(w.Propose(m, third)))
	if _, err := contract.NewStatement(third, "acme", "eve"); err != nil {
		t.Errorf("who is named by the version before does not sign: %v", err)
	}
}

func TestPromiseP10_OneLineOfVersions(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.Amend(w.Version, shorter, "grant: {max: 30m}")
	rival := w.Amend(w.Version, shorter, "grant: {max: 2h}")
	third := w.Amend(second, "grant: {max: 30m}\n    cert: {ttl: 5m}", "grant: {max: 20m}\n    cert: {ttl: 5m}")
	appendAll(t, m, plain(w.Propose(m, second)), plain(w.Propose(m, rival)), plain(w.Sign(m, rival, "chris")))
	if err := m.Check(plain(w.Propose(m, third))); !errors.Is(err, record.ErrSuperseded) {
		t.Errorf("an amendment of what is not signed: %v, want ErrSuperseded", err)
	}
	w.PutInForceAgain(m, second)
	// The rival dies with it: its last signature brings nothing about.
	if err := m.Check(plain(w.Sign(m, rival, "dana"))); !errors.Is(err, record.ErrSuperseded) || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("the second of two amendments of one version: %v, want ErrSuperseded", err)
	}
	late := w.Amend(w.Version, shorter, "grant: {max: 45m}")
	if err := m.Check(plain(w.Propose(m, late))); !errors.Is(err, record.ErrSuperseded) || !strings.Contains(err.Error(), second.Digest.String()) {
		t.Errorf("an amendment of what was amended: %v, want ErrSuperseded and the version that is the newest", err)
	}
	// Who signs version 1 once more brings it back in force for nobody.
	appendAll(t, m, plain(w.Propose(m, third)))
	inForce(t, m, second, m.Clock)
}

func TestPromiseP10_ASignedAmendmentWaitsForItsDay(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	day := canon.At(time.Date(2026, 12, 24, 0, 0, 0, 0, time.UTC))
	second := w.Amend(w.Version, "issuers: {local", "effect: {not_before: \"2026-12-24T00:00:00Z\"}\nissuers: {local")
	appendAll(t, m, plain(w.Propose(m, second)), plain(w.Sign(m, second, "chris")), plain(w.Sign(m, second, "dana")))
	inForce(t, m, w.Version, m.Clock)
	inForce(t, m, w.Version, day-1)
	inForce(t, m, second, day) // by time alone
	// One that amends it can be in force no earlier.
	third := w.Amend(second, "effect: {not_before: \"2026-12-24T00:00:00Z\"}\n", "")
	appendAll(t, m, plain(w.Propose(m, third)), plain(w.Sign(m, third, "chris")), plain(w.Sign(m, third, "dana")))
	inForce(t, m, w.Version, day-1)
	inForce(t, m, third, day)
}

func TestPromiseP10_SignedTooLateOrWithdrawn(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.Amend(w.Version, "issuers: {local", "effect: {sign_within: 14d}\nissuers: {local")
	other := w.Amend(w.Version, shorter, "grant: {max: 30m}")
	appendAll(t, m, plain(w.Propose(m, second)), plain(w.Propose(m, other)), plain(w.Sign(m, second, "chris")), plain(w.Sign(m, other, "chris")))
	appendAll(t, m, plain(w.Withdraw(m, other, "dana")))
	if err := m.Check(plain(w.Sign(m, other, "dana"))); !errors.Is(err, record.ErrProposalOver) {
		t.Errorf("a signature over what was withdrawn: %v, want ErrProposalOver", err)
	}
	m.Clock += micros(14 * 24 * time.Hour)
	if err := m.Check(plain(w.Sign(m, second, "dana"))); !errors.Is(err, record.ErrProposalOver) {
		t.Errorf("a signature after 14 days: %v, want ErrProposalOver", err)
	}
	m.Clock--
	appendAll(t, m, plain(w.Sign(m, second, "dana")))
	inForce(t, m, second, m.Clock)
	if err := m.Check(plain(w.Withdraw(m, second, "chris"))); !errors.Is(err, record.ErrExists) {
		t.Errorf("what is signed by all is withdrawn: %v, want ErrExists", err)
	}
}

func TestPromiseP10_ConditionsComeFirst(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	second := w.Amend(w.Version, "issuers: {local", "effect: {conditions: {trained: {clause: §1, met_by: acme}}}\nissuers: {local")
	appendAll(t, m, plain(w.Propose(m, second)), plain(w.Sign(m, second, "chris")), plain(w.Sign(m, second, "dana")))
	inForce(t, m, w.Version, m.Clock)
	m.Clock += 1e6
	met := w.Meet(m, second, "chris", "trained")
	refuses(t, m, plain(met), []refusal{
		{"signed by another", bent(plain(met), func(f *record.ContractCondition) {
			f.Signature = w.Meet(m, second, "dana", "trained").Signature
		}), contract.ErrBadSignature},
		{"of another version", bent(plain(met), func(f *record.ContractCondition) { f.Contract = w.Version.Digest }), contract.ErrOtherContract},
		{"another condition", bent(plain(met), func(f *record.ContractCondition) { f.Condition = "paid" }), record.ErrEvent},
		{"another act", plain(record.ContractCondition{At: m.Now(), Contract: second.Digest, Lineage: second.Lineage(), Condition: "trained", Statement: w.Withdraw(m, second, "chris").Statement, Signature: w.Withdraw(m, second, "chris").Signature}), contract.ErrStatement},
	})
	appendAll(t, m, plain(met))
	inForce(t, m, second, m.Clock)
	inForce(t, m, w.Version, m.Clock-1)
}

// TestPromiseP10_AGrantSurvivesOnlyWhatWouldHaveAllowedIt issues under version 1,
// amends, and asks for the next certificate.
func TestPromiseP10_AGrantSurvivesOnlyWhatWouldHaveAllowedIt(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		old, new string
		want     error
	}{
		{"another title", "title: Access to the demo hosts", "title: More", nil},
		{"more people decide", operator, strings.Replace(operator, "from: [leads]", "from: [leads, owners]", 1), nil},
		{"longer grants", shorter, "grant: {max: 2h}", nil},
		{"shorter than was asked for", shorter, "grant: {max: 5m}", record.ErrNotCarried},
		{"more approvals", operator, strings.Replace(operator, "quorum: 1", "quorum: 2", 1), record.ErrNotCarried},
		{"others decide", operator, strings.Replace(operator, "from: [leads]", "from: [owners]", 1), record.ErrNotCarried},
		{"one more stage", operator, strings.Replace(operator, "timeout: 15m}]", "timeout: 15m}, {id: owner, from: [owners], quorum: 1, timeout: 15m}]", 1), record.ErrNotCarried},
		{"the login is gone", "logins: [deploy, ops]", "logins: [deploy]", record.ErrNotCarried},
		{"the hosts are gone", "hosts: {env: [demo]}", "hosts: {env: [prod]}", record.ErrNotCarried},
		{"longer reasons", "min_words: 2", "min_words: 3", record.ErrNotCarried},
		{"a guard that refuses it", operator, strings.Replace(operator, "clause: §1,", "clause: §1, when: 'grant_seconds <= 60',", 1), record.ErrNotCarried},
		{"a guard of which it is not known", operator, strings.Replace(operator, "clause: §1,", "clause: §1, when: 'grant_seconds <= 3600',", 1), record.ErrNotCarried},
		{"tickets of a form", "request: {reason: {min_words: 2}}", "request: {reason: {min_words: 2}, ticket: {pattern: \"OPS-[0-9]+\"}}", record.ErrNotCarried},
		{"the group is another", "leads: \"oidc:local/leads\"", "leads: \"oidc:local/bosses\"", record.ErrNotCarried},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, m := newLedger(t)
			r := w.Granted(m, 0)
			m.Clock += 1e6
			second := w.Amend(w.Version, tt.old, tt.new)
			w.PutInForceAgain(m, second)
			_, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock)
			if tt.want != nil {
				if !errors.Is(err, tt.want) {
					t.Errorf("a certificate: %v, want %v", err, tt.want)
				}
				if err := m.Check(plain(w.Carry(m, r.ID, second))); !errors.Is(err, tt.want) {
					t.Errorf("carried: %v, want %v", err, tt.want)
				}
				standing, err := record.Standing(m, w.Request(m, r.ID))
				if err != nil || standing.Status(m.Clock.Time()).State != approval.Ended {
					t.Errorf("it is %s, %v; want ended", standing.Status(m.Clock.Time()).State, err)
				}
				return
			}
			if !errors.Is(err, record.ErrUncarried) {
				t.Errorf("a certificate before it is carried: %v, want ErrUncarried", err)
			}
			honest := plain(w.Carry(m, r.ID, second))
			refuses(t, m, honest, []refusal{
				{"to the version before", bent(honest, func(f *record.GrantCarry) { f.To = w.Version.Digest }), record.ErrNotInForce},
				{"from elsewhere", bent(honest, func(f *record.GrantCarry) { f.From = second.Digest }), record.ErrEvent},
				{"another grant's approval", bent(honest, func(f *record.GrantCarry) { f.GrantLeaf = canon.Sum("x") }), record.ErrEvent},
			})
			appendAll(t, m, honest)
			issue, err := w.Issue(m, w.Alice, w.Request(m, r.ID), w.Key())
			if err != nil || issue.Contract != second.Digest {
				t.Fatalf("a certificate under %s, %v; want version 2", issue.Contract, err)
			}
			appendAll(t, m, plain(issue))
			if err := m.Check(honest); !errors.Is(err, record.ErrEvent) {
				t.Errorf("carried twice: %v", err)
			}
		})
	}
}

// TestPromiseP10_WhatAVersionEndedNoLaterOneBringsBack also if nobody asked for a
// certificate in between.
func TestPromiseP10_WhatAVersionEndedNoLaterOneBringsBack(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	m.Clock += 1e6
	second := w.Amend(w.Version, shorter, "grant: {max: 5m}")
	w.PutInForceAgain(m, second)
	m.Clock += 1e6
	third := w.Amend(second, "grant: {max: 5m}", shorter)
	w.PutInForceAgain(m, third)
	if _, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock); !errors.Is(err, record.ErrNotCarried) {
		t.Errorf("%v, want ErrNotCarried", err)
	}
}

// TestPromiseP10_NothingIsIssuedUnderASupersededVersion holds a certificate that names
// the version before to the fold.
func TestPromiseP10_NothingIsIssuedUnderASupersededVersion(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	r := w.Granted(m, 0)
	issue, err := w.Issue(m, w.Alice, r, w.Key())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Check(plain(issue)); err != nil {
		t.Fatal(err)
	}
	second := w.Amend(w.Version, "title: Access to the demo hosts", "title: More")
	w.PutInForceAgain(m, second)
	if err := m.Check(plain(issue)); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("under version 1: %v, want ErrNotInForce", err)
	}
	appendAll(t, m, plain(w.Carry(m, r.ID, second)))
	again, err := w.Issue(m, w.Alice, w.Request(m, r.ID), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	under := bent(plain(again), func(f *record.CertificateIssue) { f.Contract = w.Version.Digest })
	if err := m.Check(under); !errors.Is(err, record.ErrDocument) {
		t.Errorf("under version 1, carried: %v, want ErrDocument", err)
	}
}

func TestPromiseP10_WaitingRequestsGoOnIfTheyAreDecidedAlike(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, old, new string
		want           error
	}{
		{"another title", "title: Access to the demo hosts", "title: More", nil},
		{"all are asked for again", "issuers: {local", "effect: {in_flight: restart}\nissuers: {local", record.ErrNotCarried},
		{"others decide", operator, strings.Replace(operator, "from: [leads]", "from: [leads, owners]", 1), record.ErrNotCarried},
		{"shorter than was asked for", shorter, "grant: {max: 5m}", record.ErrNotCarried},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w, m := newLedger(t)
			ask := w.Ask(m, w.Alice)
			appendAll(t, m, w.Submit(m, w.Alice, ask))
			m.Clock += 1e6
			second := w.Amend(w.Version, tt.old, tt.new)
			w.PutInForceAgain(m, second)
			yes := bent(w.Decide(m, w.Bob, w.Request(m, ask.Doc.Request), approval.Approve, 0), func(f *record.RequestDecide) { f.Contract = second.Digest })
			if err := m.Check(yes); !errors.Is(err, tt.want) {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if tt.want != nil {
				return
			}
			appendAll(t, m, yes)
			issue, err := w.Issue(m, w.Alice, w.Request(m, ask.Doc.Request), w.Key())
			if err != nil || issue.Contract != second.Digest {
				t.Fatalf("a certificate under %s, %v; want version 2", issue.Contract, err)
			}
		})
	}
}

func TestPromiseP10_NothingOutlastsItsContract(t *testing.T) {
	t.Parallel()
	w := recordtest.New(t, t.Name())
	w.Version = w.Contract("acme", "law: {terminate: {clause: §2, notice: 5m, for_cause: true}}\n")
	m := w.NewMap()
	w.Setup(m)
	r := w.Granted(m, 0)
	m.Clock += 1e6
	notice := w.Terminate(m, w.Version, "chris", false)
	refuses(t, m, plain(notice), []refusal{
		{"earlier than the notice", bent(plain(notice), func(f *record.ContractTerminate) { f.EndsAt-- }), record.ErrEvent},
		{"signed by another", bent(plain(notice), func(f *record.ContractTerminate) { f.Signature = w.Terminate(m, w.Version, "dana", false).Signature }), contract.ErrBadSignature},
	})
	appendAll(t, m, plain(notice))
	grant, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock)
	if err != nil || canon.At(grant.End) != notice.EndsAt {
		t.Errorf("a grant until %s, %v; the contract ends at %s", grant.End, err, notice.EndsAt.Time())
	}
	inForce(t, m, w.Version, notice.EndsAt-1)
	if _, err := record.InForce(m, w.Version.Lineage(), notice.EndsAt); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("after its end: %v, want ErrNotInForce", err)
	}
	if err := m.Check(plain(w.Terminate(m, w.Version, "dana", false))); !errors.Is(err, record.ErrExists) {
		t.Errorf("a second notice: %v, want ErrExists", err)
	}
	m.Clock += 1e6
	appendAll(t, m, plain(w.Terminate(m, w.Version, "dana", true)))
	if _, _, err := record.GrantAt(m, r.ID, w.Alice.Claims, m.Clock); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("a certificate after the end: %v, want ErrNotInForce", err)
	}
	if err := m.Check(plain(w.Propose(m, w.Amend(w.Version, shorter, "grant: {max: 2h}")))); !errors.Is(err, record.ErrNotInForce) {
		t.Errorf("an amendment after the end: %v, want ErrNotInForce", err)
	}
	// Its end is in the list of what takes certificates away.
	cert := record.CertificateRow{Before: m.Clock + 1}
	if !record.Covers(w.Terminate(m, w.Version, "dana", true), cert, r) {
		t.Error("a certificate that outlasts the contract is not taken away")
	}
}
