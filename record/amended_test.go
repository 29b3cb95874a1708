package record_test

import (
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// amended tells of a contract from its version 1 to its end: an amendment that is
// withdrawn, and one that waits for a condition and under which a grant goes on. It
// returns the acts.
func amended(t testing.TB, w *recordtest.World, m *recordtest.Map) (withdraw record.ContractWithdraw, meet record.ContractCondition, end record.ContractTerminate) {
	t.Helper()
	before := w.Version
	w.Version = w.Contract("wharf", "law: {terminate: {clause: §2, notice: 1h}}\n")
	defer func() { w.Version = before }()
	add := func(drafts ...recordtest.Draft) {
		for _, d := range drafts {
			if _, err := m.Append(d); err != nil {
				t.Fatalf("%s: %v", d.Facts.Kind(), err)
			}
		}
	}
	w.PutInForce(m, w.Version)
	petra, quinn := w.User("petra", "engineers"), w.User("quinn", "leads")
	for _, u := range []*recordtest.User{petra, quinn} {
		if err := w.LogIn(m, u); err != nil {
			t.Fatal(err)
		}
	}
	w.Joined(m, w.Version, "quay-1.demo", "demo", w.Key())
	ask := w.Ask(m, petra)
	ask.Doc.Hosts = []sshcert.Host{"quay-1.demo"}
	add(w.Submit(m, petra, ask))
	add(w.Decide(m, quinn, w.Request(m, ask.Doc.Request), approval.Approve, 0))
	m.Clock += micros(time.Second)
	rival := w.Amend(w.Version, shorter, "grant: {max: 2h}")
	second := w.Amend(w.Version, "issuers: {local", "effect: {conditions: {trained: {clause: §1, met_by: acme}}}\nissuers: {local")
	add(plain(w.Propose(m, rival)), plain(w.Sign(m, rival, "chris")))
	withdraw = w.Withdraw(m, rival, "dana")
	add(plain(withdraw))
	w.PutInForceAgain(m, second)
	m.Clock += micros(time.Second)
	meet = w.Meet(m, second, "chris", "trained")
	add(plain(meet), plain(w.Carry(m, ask.Doc.Request, second)))
	issue, err := w.Issue(m, petra, w.Request(m, ask.Doc.Request), w.Key())
	if err != nil {
		t.Fatal(err)
	}
	if issue.Contract != second.Digest {
		t.Fatalf("the certificate is under %s, want version 2", issue.Contract)
	}
	add(plain(issue))
	end = w.Terminate(m, second, "dana", false)
	add(plain(end))
	return withdraw, meet, end
}

// addAmendments tells of a contract that is amended and ends.
func (v *vectors) addAmendments(t *testing.T, w *recordtest.World, m *recordtest.Map) {
	t.Helper()
	withdraw, meet, end := amended(t, w, m)
	for _, act := range []struct{ text, signature, by string }{
		{withdraw.Statement, withdraw.Signature, line(w.Dana)}, {meet.Statement, meet.Signature, line(w.Chris)}, {end.Statement, end.Signature, line(w.Dana)},
	} {
		v.Documents = append(v.Documents, documentVector{"act", act.text, []signatureVector{{sshcert.NamespaceContract, act.by, act.signature}}})
	}
	v.Refused = append(v.Refused, documentVector{"act: signed for another", withdraw.Statement, []signatureVector{{sshcert.NamespaceContract, line(w.Dana), end.Signature}}})
}
