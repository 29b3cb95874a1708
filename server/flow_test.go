package server_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/ledger/certproof"
)

// TestFlow goes the whole way over HTTP: login, request, decision on the page,
// certificate, proof.
func TestFlow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	if alice.Name != "Alice Ampère" || alice.Email != "alice@acme.test" || !alice.GroupsKnown || len(alice.Groups) != 2 ||
		alice.DeviceKey != ssh.FingerprintSHA256(alice.device.PublicKey()) {
		t.Errorf("session is %+v", alice.Session)
	}
	q := alice.submit(nil)
	if q.State != "pending" || q.ByName != "Alice Ampère" || q.Reason != "INC-42 checkout latency" || q.Need != 1 || q.From[0] != "leads" ||
		q.URL != w.base+requestPath(q.ID) || q.Contract.Digest != w.version.Digest || q.Clause != "§1" {
		t.Errorf("request is %+v", q)
	}
	body := alice.requestBody(nil)
	if first, again := alice.call("/v1/requests", body), alice.call("/v1/requests", body); first.status != 201 || again.status != 200 || !bytes.Equal(first.body, again.body) {
		t.Errorf("a repeat of the same document: %d then %d", first.status, again.status)
	}

	bob, page := w.signIn("bob", requestPath(q.ID))
	contains(t, page.Text(), "Your decision is asked for", "Alice Ampère (alice@acme.test) asks for ops on web-1.demo for 10 minutes",
		"if approved now, because", "INC-42 checkout latency", "version 1", "clause §1", "clause §2", "0 of 1 approvals, from leads", "ops@web-1.demo")
	after := bob.press(page, q.ID, "Approve", map[string]string{"minutes": "5", "words": "go ahead"})
	if after.Status != 200 || after.URL.Path != requestPath(q.ID) {
		t.Fatalf("after the decision: %d at %s", after.Status, after.URL)
	}
	contains(t, after.Text(), "Granted", "approved by Bob for 5 minutes", "go ahead")

	q = into[api.Request](t, alice.call("/v1"+requestPath(q.ID), nil), 200)
	if q.State != "granted" || q.Grant == nil || !q.Grant.Active || q.Grant.End-q.Grant.Start != 5*60*1e6 ||
		len(q.Decisions) != 1 || q.Decisions[0].ByName != "Bob" || q.Decisions[0].Words != "go ahead" {
		t.Errorf("request is %+v", q)
	}

	key := newKey(t)
	issued := into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, key)), 200)
	parsed, _, _, _, err := ssh.ParseAuthorizedKey([]byte(issued.Certificate))
	must(t, err)
	cert := parsed.(*ssh.Certificate)
	if !bytes.Equal(cert.Key.Marshal(), key.PublicKey().Marshal()) || !bytes.Equal(cert.SignatureKey.Marshal(), w.ca.Marshal()) ||
		strings.Join(cert.ValidPrincipals, " ") != "ops@web-1.demo" || cert.Serial != issued.Serial || issued.ValidBefore > issued.GrantEnd ||
		issued.Challenge.Challenge.IsZero() {
		t.Errorf("certificate is %+v of %+v", cert, issued)
	}
	if _, err := certproof.Verify(cert, w.policy); err != nil {
		t.Error(err)
	}
	w.proveEntries(alice, issued)
}

// proveEntries reads the ledger as a client and checks the proof of each entry.
func (w *world) proveEntries(c *cli, issued api.Certificate) {
	t := w.t
	list := into[api.Entries](t, c.call("/v1/ledger/entries?limit=200", nil), 200)
	if list.Size != w.size() || int64(len(list.Entries)) != list.Size || list.Entries[0].Index != list.Size-1 {
		t.Fatalf("%d of %d entries", len(list.Entries), list.Size)
	}
	for _, e := range list.Entries {
		one := into[api.EntryProof](t, c.call("/v1/ledger/entries/"+itoa(e.Index), nil), 200)
		if one.Entry != e {
			t.Errorf("entry %d differs between list and itself", e.Index)
		}
		if result, err := w.policy.VerifyProof([]byte(one.Proof), tlog.RecordHash([]byte(one.Leaf))); err != nil || result.Index != e.Index {
			t.Errorf("entry %d: %v", e.Index, err)
		}
		if (one.Certificate != "") != (e.Kind == "certificate.issue") || one.Certificate != "" && one.Certificate != issued.Certificate {
			t.Errorf("entry %d (%s) has certificate %q", e.Index, e.Kind, one.Certificate)
		}
	}
	older := into[api.Entries](t, c.call("/v1/ledger/entries?before=3&limit=2", nil), 200)
	if len(older.Entries) != 2 || older.Entries[0].Index != 2 || older.Entries[1].Index != 1 {
		t.Errorf("before 3: %+v", older)
	}
	note := w.send(http.MethodGet, "/checkpoint", nil, nil)
	if checkpoint, err := w.policy.OpenCheckpoint(note.body); err != nil || checkpoint.Size != w.size() {
		t.Errorf("checkpoint: %v, %+v", err, checkpoint)
	}
}
