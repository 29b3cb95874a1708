package authority

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// plan decides the last ninety days again under the contract with old replaced.
func (w *world) plan(old, with string) contract.Plan {
	w.t.Helper()
	text := w.v.Files[contract.TermsFile]
	if !bytes.Contains(text, []byte(old)) {
		w.t.Fatalf("the terms have no %q", old)
	}
	draft, err := contract.ParseTerms(bytes.ReplaceAll(text, []byte(old), []byte(with)))
	if err != nil {
		w.t.Fatal(err)
	}
	var p contract.Plan
	err = w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		p, err = Plan(r, w.v.Lineage(), draft, canon.At(w.clock().Add(-90*24*time.Hour)), canon.At(w.clock()))
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestPlanReadsTheLedger(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	carol := w.logIn("carol", []string{"leads"})
	denied, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bob.decide(denied, approval.Deny, 0); err != nil {
		t.Fatal(err)
	}
	grant := alice.granted(bob, 0)
	issued, err := alice.issue(grant, newKey(t))
	if err != nil {
		t.Fatal(err)
	}

	same := w.plan("title: Demo", "title: Demonstration")
	if same.Requests != 2 || len(same.Changed)+len(same.Illegal)+same.AcknowledgeCount+same.Unknown != 0 || same.Parent != w.v.Digest {
		t.Errorf("another title: %+v", same)
	}
	shorter := w.plan("grant: {max: 1h}", "grant: {max: 1m}")
	if shorter.Shorter != 2 || len(shorter.Changed) != 2 || shorter.Changed[1].Request != grant.ID || shorter.Changed[1].NewFor != 60 {
		t.Errorf("a shorter grant: %+v", shorter)
	}
	if want := fmt.Sprint([]contract.Unlawful{{Serial: issued.Certificate.Serial, Request: grant.ID, Why: "the draft grants at most 1m"}}); fmt.Sprint(shorter.Illegal) != want {
		t.Errorf("illegal %v, want %v", shorter.Illegal, want)
	}
	dual := w.plan("quorum: 1", "quorum: 2")
	if dual.Unreached != 1 || len(dual.Changed) != 1 || dual.Changed[0].Request != grant.ID {
		t.Errorf("of two requests one was granted, by one person; a quorum of two: %+v", dual)
	}
	others := w.plan("from: [leads]", "from: [engineers]")
	people := []canon.ID{alice.session.Person, bob.session.Person, carol.session.Person}
	slices.Sort(people)
	if len(others.Approvers) != 3 || !slices.Equal(others.Acknowledge, people) {
		t.Errorf("others approve: %+v", others)
	}

	// The labels are those of the time when it was asked for.
	w.relabel(bob, carol, "web-1.demo", "prod")
	if later := w.plan("env: [demo]", "env: [demo, test]"); later.Lost != 0 || later.Turns[0] != (contract.Turn{Old: contract.VerdictAsked, New: contract.VerdictAsked, Count: 2}) {
		t.Errorf("hosts labelled otherwise since: %+v", later)
	}

	// What can't be used any more is not illegal; what is too long ago is not planned.
	w.pass(16 * time.Minute)
	if old := w.plan("grant: {max: 1h}", "grant: {max: 1m}"); len(old.Illegal) != 0 || old.Shorter != 2 {
		t.Errorf("after the certificate's end: %+v", old)
	}
	w.pass(91 * 24 * time.Hour)
	if old := w.plan("grant: {max: 1h}", "grant: {max: 1m}"); old.Requests != 0 {
		t.Errorf("after ninety days: %+v", old)
	}
}

// A certificate that was revoked is not illegal: it opens nothing already.
func TestPlanLeavesOutWhatIsRevoked(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant := alice.granted(bob, 0)
	if _, err := alice.issue(grant, newKey(t)); err != nil {
		t.Fatal(err)
	}
	if n := len(w.plan("grant: {max: 1h}", "grant: {max: 1m}").Illegal); n != 1 {
		t.Fatalf("%d illegal, want 1", n)
	}
	if _, err := bob.revoke(record.Target{Type: record.TargetRequest, ID: grant.ID}); err != nil {
		t.Fatal(err)
	}
	p := w.plan("grant: {max: 1h}", "grant: {max: 1m}")
	if len(p.Illegal) != 0 || p.Requests != 1 {
		t.Errorf("revoked: %+v", p)
	}
	if dual := w.plan("quorum: 1", "quorum: 2"); dual.Unreached != 1 {
		t.Errorf("it was granted before it was revoked: %+v", dual)
	}
}
