package record_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

func kinds() []ledger.Kind {
	return []ledger.Kind{
		ledger.LedgerOpen, ledger.ContractPropose, ledger.ContractSign, ledger.KeyAdd, ledger.HostJoin, ledger.PersonLogin, ledger.PersonSnapshot, ledger.PersonLink, ledger.PersonErase, ledger.PersonRead,
		ledger.HostInvite, ledger.HostCertify, ledger.HostLabel, ledger.HostRetire, ledger.HostRelease, ledger.LoginOpen, ledger.LoginClose, ledger.LoginRefuse, ledger.LoginOffline,
		ledger.RequestSubmit, ledger.RequestDecide, ledger.RequestExpire, ledger.RequestCancel, ledger.AccessRevoke, ledger.PersonLock, ledger.PersonUnlock, ledger.CertificateIssue, ledger.CertificateVoid,
		ledger.ContractWithdraw, ledger.ContractCondition, ledger.ContractTerminate, ledger.GrantCarry,
	}
}

// allKinds are those and the one that stands behind leaf 0 or nowhere, and so in
// ledgers of its own.
func allKinds() []ledger.Kind { return append(kinds(), ledger.LedgerSucceed) }

// Every kind that the ledger knows has facts, and the seeds below have each.
func TestEveryKindHasFacts(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	everyKind(t, w, m)
	seen := make(map[ledger.Kind]bool)
	for _, e := range m.Entries {
		seen[e.Leaf.Kind] = true
	}
	for _, k := range kinds() {
		if !k.Known() || !seen[k] {
			t.Errorf("%s: known %t, in the story %t", k, k.Known(), seen[k])
		}
	}
}

func FuzzParseFacts(f *testing.F) {
	w := recordtest.New(f, f.Name())
	m := w.NewMap()
	w.Setup(m)
	everyKind(f, w, m)
	for _, e := range m.Entries {
		f.Add(e.Facts)
		if e.Person != nil {
			f.Add(e.Person)
		}
	}
	f.Add([]byte(marshal(f, w.Succeed(m, 0))))
	f.Add([]byte(marshal(f, w.Succeed(m, 1))))
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"at":9007199254740992}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, kind := range allKinds() {
			facts, err := record.ParseFacts(kind, text)
			switch {
			case err != nil:
				if !errors.Is(err, record.ErrEvent) {
					t.Errorf("%s: %v, want ErrEvent", kind, err)
				}
			case facts.Kind() != kind || marshal(t, facts) != string(text):
				t.Errorf("%s: %q is read as %s %s", kind, text, facts.Kind(), marshal(t, facts))
			default:
				// Whatever was read, the fold answers; it never allows these in a ledger
				// that has nothing but leaf 0.
				if _, err := record.Check(m, record.Event{Index: 0, Facts: facts}); err == nil && kind != ledger.LedgerOpen {
					t.Errorf("%s stands as leaf 0", kind)
				}
				_, _ = record.Check(m, record.Event{Index: m.Next(), Facts: facts})
			}
			if part, err := record.ParsePerson(kind, text); err == nil && marshal(t, part) != string(text) {
				t.Errorf("%s: person part %q is read as %s", kind, text, marshal(t, part))
			}
		}
	})
}

// What is read as an erase document has one text, and a sentence that says what
// its members say.
func FuzzParseEraseDoc(f *testing.F) {
	w := recordtest.New(f, f.Name())
	m := w.NewMap()
	w.Setup(m)
	one, two := w.EraseDoc(m, w.Alice), w.EraseDoc(m, w.Alice, w.Bob)
	for _, text := range []string{one, two, strings.Replace(one, "erase/v1", "erase/v2", 1), strings.ReplaceAll(one, "request", "order"), two[:len(two)-1], "{}", "null", ""} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := record.ParseEraseDoc([]byte(text))
		if err != nil {
			if !errors.Is(err, record.ErrDocument) {
				t.Errorf("%v", err)
			}
			return
		}
		again, err := record.NewEraseDoc(d.Origin, d.People, d.Ground, d.ExpiresAt)
		if err != nil || string(again) != text || len(d.People) == 0 || !strings.Contains(d.Intent, string(d.People[0])) {
			t.Errorf("%q is read as %q, %v", text, again, err)
		}
	})
}

// No text is a signed document without its signature, and what is one has one
// text.
func FuzzDocuments(f *testing.F) {
	w := recordtest.New(f, f.Name())
	m := w.NewMap()
	w.Setup(m)
	device := w.Alice.Device
	for _, e := range m.Entries {
		f.Add(string(e.Facts), "")
	}
	session := marshal(f, record.SessionDoc{V: record.SessionVersion, Origin: recordtest.Origin, Server: "https://ca.acme.example", IDToken: w.Digest(), Challenge: w.Digest()})
	f.Add(session, w.Signature(device, sshcert.NamespaceDevice, session))
	ask := w.Ask(m, w.Alice)
	ask.Doc.Commitment = w.Digest()
	request := marshal(f, ask.Doc)
	f.Add(request, w.Signature(device, sshcert.NamespaceDevice, request))
	granted := w.Granted(m, 0)
	issue := marshal(f, w.IssueDoc(m, w.Alice, granted, device))
	f.Add(issue, w.Signature(device, sshcert.NamespaceDevice, issue))
	cancel := marshal(f, w.CancelDoc(m, w.Alice, granted))
	f.Add(cancel, w.Signature(device, sshcert.NamespaceDevice, cancel))
	f.Fuzz(func(t *testing.T, text, sig string) {
		key := device.PublicKey()
		held := sshcert.Verify(key, sshcert.NamespaceDevice, []byte(text), sig) == nil
		if d, err := record.OpenSession(text, sig, key); err == nil && (!held || marshal(t, d) != text) {
			t.Errorf("session document %q", text)
		}
		if d, err := record.OpenRequest(text, sig, key); err == nil && (!held || marshal(t, d) != text) {
			t.Errorf("request document %q", text)
		}
		if d, err := record.OpenCancel(text, sig, key); err == nil && (!held || marshal(t, d) != text) {
			t.Errorf("cancel document %q", text)
		}
		if d, _, err := record.OpenIssue(text, sig, sig, key); err == nil {
			t.Errorf("one signature serves two purposes in %+v", d)
		} else if !errors.Is(err, record.ErrDocument) && !errors.Is(err, sshcert.ErrKeyPolicy) {
			t.Errorf("issue document: %v", err)
		}
		if canon.Check([]byte(text)) != nil {
			if _, err := record.OpenRequest(text, sig, key); err == nil {
				t.Errorf("%q is not canonical", text)
			}
		}
	})
}
