package server_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
)

// TestWhoSeesWhat compares what the requester, the approver, another lead and a
// stranger see of each entry.
func TestWhoSeesWhat(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, carol, eve := w.logIn("alice"), w.logIn("bob"), w.logIn("carol"), w.logIn("eve")
	q := alice.submit(nil)
	b, page := w.signIn("bob", requestPath(q.ID))
	b.press(page, q.ID, "Approve", map[string]string{"words": "words of bob"})
	two := alice.submit(func(a *ask) { a.Role, a.Logins[0] = "admin", "root" }) // one of two leads says yes, then it is cancelled
	b.press(b.open(requestPath(two.ID)), two.ID, "Approve", map[string]string{"words": "words of bob"})
	into[api.Request](t, alice.call("/v1"+cancelPath(two.ID), alice.cancelBody(two.ID, nil)), 200)
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)

	const facts, part = 1, 2
	want := map[string]map[string]int{ // by kind, of the request's own leaves
		"ledger.open":       {"alice": facts, "bob": facts, "carol": facts, "eve": facts},
		"contract.propose":  {"alice": facts, "bob": facts, "carol": facts},
		"contract.sign":     {"alice": facts, "bob": facts, "carol": facts},
		"host.join":         {"alice": facts, "bob": facts, "carol": facts},
		"request.submit":    {"alice": facts | part, "bob": facts},
		"request.decide":    {"alice": facts, "bob": facts | part},
		"request.cancel":    {"alice": facts, "bob": facts},
		"certificate.issue": {"alice": facts, "bob": facts},
	}
	for name, c := range map[string]*cli{"alice": alice, "bob": bob, "carol": carol, "eve": eve} {
		list := into[api.Entries](t, c.call("/v1/ledger/entries?limit=200", nil), 200)
		logins := 0
		for _, e := range list.Entries {
			checkOpening(t, e)
			own := e.Facts != "" && strings.Contains(e.Facts, string(c.Person))
			switch e.Kind {
			case "person.login":
				if own != (e.Person != "") || own != (e.Facts != "") {
					t.Errorf("%s sees of login %d: facts %v, person part %v", name, e.Index, e.Facts != "", e.Person != "")
				}
				if own {
					logins++
				}
				continue
			case "person.snapshot":
				if e.Facts != "" && !own {
					t.Errorf("%s sees somebody else's groups", name)
				}
				continue
			}
			kind, ok := want[e.Kind]
			if !ok {
				t.Fatalf("no expectation for %s", e.Kind)
			}
			got := 0
			if e.Facts != "" {
				got |= facts
			}
			if e.Person != "" {
				got |= part
			}
			if got != kind[name] {
				t.Errorf("%s sees %d of %s, want %d", name, got, e.Kind, kind[name])
			}
			one := into[api.EntryProof](t, c.call("/v1/ledger/entries/"+itoa(e.Index), nil), 200)
			if (one.Certificate != "") != (e.Kind == "certificate.issue" && got&facts != 0) {
				t.Errorf("%s sees certificate %v of %s", name, one.Certificate != "", e.Kind)
			}
		}
		if logins == 0 {
			t.Errorf("%s sees no login of theirs", name)
		}
	}
	// The request itself: the requester, the approver, and those who could decide.
	for name, c := range map[string]struct {
		who    *cli
		status int
	}{"alice": {alice, 200}, "bob": {bob, 200}, "carol": {carol, 200}, "eve": {eve, 404}, "sam": {w.logIn("sam"), 404}, "nil": {w.logIn("nil"), 403}} {
		if r := c.who.call("/v1"+requestPath(q.ID), nil); r.status != c.status {
			t.Errorf("%s: %d, want %d", name, r.status, c.status)
		}
	}
	// The hosts: those who may ask or decide; groups that are not known show nothing.
	for name, want := range map[string]int{"alice": 3, "bob": 3, "sam": 3, "eve": 0, "nil": 0} {
		if list := into[[]api.Host](t, w.logIn(name).call("/v1/hosts", nil), 200); len(list) != want {
			t.Errorf("%s is shown %d hosts, want %d", name, len(list), want)
		}
	}
	_, gone := w.signIn("eve", requestPath(q.ID))
	if gone.Status != 404 || strings.Contains(gone.Body, "Alice") || strings.Contains(gone.Body, "Back to the request") {
		t.Errorf("a stranger's page: %d", gone.Status)
	}
}

// checkOpening recomputes the commitments of what an entry shows.
func checkOpening(t *testing.T, e api.Entry) {
	t.Helper()
	leaf, err := ledger.ParseLeaf([]byte(e.Leaf))
	must(t, err)
	for _, part := range []struct {
		text, salt string
		commit     func(ledger.Salt, []byte) canon.Digest
		want       canon.Digest
	}{
		{e.Facts, e.FactsSalt, ledger.FactsCommitment, leaf.Facts},
		{e.Person, e.PersonSalt, ledger.PersonCommitment, leaf.Person},
	} {
		if (part.text == "") != (part.salt == "") {
			t.Errorf("entry %d: a salt without text, or text without salt", e.Index)
		}
		if part.text == "" {
			continue
		}
		salt, err := ledger.ParseSalt(part.salt)
		must(t, err)
		if part.commit(salt, []byte(part.text)) != part.want {
			t.Errorf("entry %d: what it shows is not what it commits to", e.Index)
		}
	}
	if leaf.Kind != ledger.Kind(e.Kind) || e.At == 0 {
		t.Errorf("entry %d: %+v", e.Index, e)
	}
}
