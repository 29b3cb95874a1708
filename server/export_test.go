package server_test

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/audit/audittest"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/server"
)

// auditOf is what an auditor knows of the world.
func (w *world) auditOf(bundle []byte) audit.Config {
	w.t.Helper()
	r, err := audit.NewReader(bytes.NewReader(bundle))
	must(w.t, err)
	policy, err := ledger.NewPolicy(origin, r.Head().LogKey)
	must(w.t, err)
	// The world keeps the policy and not the key: both believe the same checkpoint.
	w.checkpointOf(policy)
	return audit.Config{LogKeys: []string{r.Head().LogKey}, UserCA: w.ca, Contracts: []canon.Digest{w.version.Digest}, ReadToken: client.ReadIDToken}
}

func (w *world) checkpointOf(p *ledger.Policy) {
	w.t.Helper()
	note := w.send(http.MethodGet, "/checkpoint", nil, nil).body
	for _, p := range []*ledger.Policy{p, w.policy} {
		if _, err := p.OpenCheckpoint(note); err != nil {
			w.t.Fatal(err)
		}
	}
}

// An export is the whole ledger; what of it is open is what the entries show.
func TestExportShowsWhatEntriesShow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob, eve := w.logIn("alice"), w.logIn("bob"), w.logIn("eve")
	q := alice.submit(nil)
	b, page := w.signIn("bob", requestPath(q.ID))
	b.press(page, q.ID, "Approve", map[string]string{"words": "words of bob"})
	issued := into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)

	for name, c := range map[string]*cli{"alice": alice, "bob": bob, "eve": eve} {
		r := c.call("/v1/ledger/export", nil)
		if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/x-ndjson" || !strings.Contains(r.header.Get("Content-Disposition"), "attachment") ||
			r.header.Get("Cache-Control") != "no-store" {
			t.Fatalf("%s: %d %v", name, r.status, r.header)
		}
		if again := c.call("/v1/ledger/export", nil); !bytes.Equal(again.body, r.body) {
			t.Errorf("%s: the second export of the same ledger is another", name)
		}
		_, end, err := audit.CheckTree(t.Context(), bytes.NewReader(r.body), w.auditOf(r.body).LogKeys)
		must(t, err)
		if end.Leaves != w.size() {
			t.Errorf("%s: %d of %d leaves", name, end.Leaves, w.size())
		}
		compareWithEntries(t, name, c, r.body)
		report, err := audit.Verify(t.Context(), bytes.NewReader(r.body), w.auditOf(r.body))
		must(t, err)
		if got := report.Certificates[0].Verdict; got != audit.Unknown || report.OK() {
			t.Errorf("%s, who does not see everything, proves that the certificate is %s", name, got)
		}
	}
	var whole bytes.Buffer
	must(t, w.store.Read(t.Context(), func(r *store.Reader) error {
		_, _, checkpoint, err := r.Checkpoint()
		must(t, err)
		_, err = server.WriteBundle(t.Context(), r, checkpoint, &whole, func(store.Entry) (bool, bool, error) { return true, true, nil })
		return err
	}))
	report, err := audit.Verify(t.Context(), bytes.NewReader(whole.Bytes()), w.auditOf(whole.Bytes()))
	must(t, err)
	c := report.Certificates[0]
	if !report.OK() || c.Verdict != audit.Attested || !c.Signed || len(report.Certificates) != 1 || report.Closed != 0 || report.NoPerson != 0 {
		t.Errorf("the operator's export: %+v", report)
	}
	if !strings.Contains(issued.Certificate, "ssh-ed25519-cert") || c.Principals[0] != "ops@web-1.demo" {
		t.Errorf("issued %s, audited %+v", issued.Certificate, c)
	}
}

// compareWithEntries holds each line of an export to the entry of the same index.
func compareWithEntries(t *testing.T, name string, c *cli, bundle []byte) {
	t.Helper()
	r, err := audit.NewReader(bytes.NewReader(bundle))
	must(t, err)
	for {
		line, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		must(t, err)
		e := into[api.EntryProof](t, c.call("/v1/ledger/entries/"+itoa(line.Index), nil), 200)
		if e.Leaf != string(line.Text) || e.Facts != string(line.Opening.Facts) || e.Person != string(line.Opening.Person) || (e.Certificate != "") != (line.Certificate != nil) {
			t.Errorf("%s: line %d is not what the entry shows", name, line.Index)
		}
	}
}

func TestExportRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	w.send(http.MethodGet, "/v1/ledger/export", nil, nil).wantProblem(t, 401, "unauthenticated")
	w.send(http.MethodGet, "/v1/ledger/export", http.Header{"Authorization": {"Bearer x"}}, nil).wantProblem(t, 401, "unauthenticated")
	alice.call("/v1/ledger/export?from=3", nil).wantProblem(t, 400, "malformed", "from")
	alice.call("/v1/ledger/export", "{}").wantProblem(t, 405, "method-not-allowed")
	r := w.send(http.MethodHead, "/v1/ledger/export", http.Header{"Authorization": {"Bearer " + alice.bearer}}, nil)
	if r.status != http.StatusOK || r.header.Get("Content-Type") != "application/x-ndjson" || len(r.body) > 0 {
		t.Errorf("HEAD: %d, %s, %d bytes", r.status, r.header.Get("Content-Type"), len(r.body))
	}
}

// A bundle that a server has made, with real logins, is as little to be changed as
// the told ones: see package audit.
func TestPromiseP12_AnExportCantBeChanged(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice := w.logIn("alice")
	q := alice.submit(nil)
	b, page := w.signIn("bob", requestPath(q.ID))
	b.press(page, q.ID, "Approve", nil)
	into[api.Certificate](t, alice.call("/v1/grants/"+string(q.ID)+"/certificates", alice.issueBody(q, newKey(t))), 200)
	var whole bytes.Buffer
	must(t, w.store.Read(t.Context(), func(r *store.Reader) error {
		_, _, checkpoint, err := r.Checkpoint()
		must(t, err)
		_, err = server.WriteBundle(t.Context(), r, checkpoint, &whole, func(store.Entry) (bool, bool, error) { return true, true, nil })
		return err
	}))
	config := w.auditOf(whole.Bytes())
	honest, err := audit.Verify(t.Context(), bytes.NewReader(whole.Bytes()), config)
	must(t, err)
	if !honest.OK() {
		t.Fatalf("%+v", honest)
	}
	list := audittest.Tampered(whole.Bytes())
	var wait sync.WaitGroup
	for shard := range 2 {
		wait.Go(func() {
			for i := shard; i < len(list); i += 2 {
				report, err := audit.Verify(t.Context(), bytes.NewReader(list[i].Bundle), config)
				if err != nil || !report.OK() || report.NoPerson > honest.NoPerson || !report.Certificates[0].Signed {
					continue // refused, or told
				}
				t.Errorf("%s: passes", list[i].Name)
			}
		})
	}
	wait.Wait()
}
