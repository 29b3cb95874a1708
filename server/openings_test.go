package server_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
)

// overseen is a world with a second contract, "other", that names a cosigner, and
// a host under it.
func overseen(t *testing.T, change func(*server.Config)) (*world, *ledger.CosignerSigner) {
	t.Helper()
	w := makeWorld(t, terms, func(c *server.Config) {
		c.Limits.Login = 6000
		change(c)
	})
	return w, w.oversee()
}

// oversee has the server take up a contract that names a cosigner, and a host under
// it.
func (w *world) oversee() *ledger.CosignerSigner {
	t := w.t
	t.Helper()
	signer := ledgertest.Cosigner(t, "cosigner.example/1")
	w.settings.Parties = func(ledger.CosignerKey) (authority.Cosigner, error) {
		return &yeaSayer{signer: signer, now: w.clock.Now}, nil
	}
	w.authority.Close()
	var err error
	w.authority, err = authority.Open(t.Context(), w.settings)
	must(t, err)
	t.Cleanup(w.authority.Close)
	other := strings.Replace(terms, "id: acme,", "id: other,", 1)
	w.addContract(strings.Replace(other, "ceilings:", "cosigners: {c: {party: acme, key: \""+signer.PublicKey()+"\"}}\nceilings:", 1))
	_, err = w.authority.AddHost(t.Context(), authority.NewHost{
		Name: "web-9.demo", Address: "127.0.0.1", Port: 22, Key: newKey(t).PublicKey(), Labels: map[string]string{"env": "demo"}, Contract: "other",
	})
	must(t, err)
	w.serve()
	return signer
}

// openingsOf is a request for leaves, signed.
func (w *world) openingsOf(s *ledger.CosignerSigner, bend func(*audit.FeedRequest)) api.OpeningsRequest {
	w.t.Helper()
	ask := audit.FeedRequest{ExpiresAt: w.clock.in(30 * time.Second), From: 0, Lineage: w.version.Lineage(), Origin: origin, To: w.size()}
	if bend != nil {
		bend(&ask)
	}
	document, signature, err := ask.Sign(s)
	must(w.t, err)
	return api.OpeningsRequest{Document: document, Signature: signature}
}

func (w *world) askOpenings(body api.OpeningsRequest) reply {
	w.t.Helper()
	text, err := json.Marshal(body)
	must(w.t, err)
	return w.send(http.MethodPost, "/v1/ledger/openings", http.Header{"Content-Type": {"application/json"}}, bytes.NewReader(text))
}

// TestPromiseP15_OpeningsForACosigner: a cosigner that the contract in force names is
// shown the leaves of that contract and the logins and snapshots on which they rest,
// and of nobody and nothing else.
func TestPromiseP15_OpeningsForACosigner(t *testing.T) {
	t.Parallel()
	w, signer := overseen(t, func(*server.Config) {})
	alice := w.logIn("alice")
	eve := w.logIn("eve") // takes no part
	inOther := alice.submit(func(a *ask) { a.Hosts = []sshcert.Host{"web-9.demo"} })
	b, page := w.signIn("bob", "/login?issuer=other/lab&next="+requestPath(inOther.ID))
	b.press(page, inOther.ID, "Approve", nil)
	issued := alice.call("/v1/grants/"+string(inOther.ID)+"/certificates", alice.issueBody(inOther, newKey(t)))
	if issued.status != http.StatusOK {
		t.Fatalf("issuing with the cosigner's word: %d %s", issued.status, issued.body)
	}
	r := w.askOpenings(w.openingsOf(signer, nil))
	if r.status != http.StatusOK || r.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%d %v %s", r.status, r.header, r.body)
	}
	got, err := audit.ReadFeed(bytes.NewReader(r.body), 0, w.size())
	must(t, err)
	kinds := map[ledger.Kind]int{}
	people := map[string]bool{}
	for _, e := range got.Leaves {
		leaf, err := ledger.ParseLeaf(e.Text)
		must(t, err)
		open := e.Opening.Facts != nil
		switch {
		case e.Index == 0 || leaf.Lineage == w.version.Lineage():
			if !open {
				t.Errorf("leaf %d (%s) of the contract is closed", e.Index, leaf.Kind)
			}
		case !leaf.Lineage.IsZero():
			if open {
				t.Errorf("leaf %d (%s) of another contract is open", e.Index, leaf.Kind)
			}
		}
		if !open {
			continue
		}
		kinds[leaf.Kind]++
		for _, who := range []canon.ID{alice.Person, eve.Person} {
			if bytes.Contains(e.Opening.Facts, []byte(who)) {
				people[string(who)] = true
			}
		}
		if leaf.Kind == ledger.PersonLogin && !bytes.Contains(e.Opening.Person, []byte(`"id_token"`)) {
			t.Errorf("login %d is shown without its ID token", e.Index)
		}
	}
	// Alice's and Bob's login and groups, and what they did.
	for kind, n := range map[ledger.Kind]int{
		ledger.PersonLogin: 2, ledger.PersonSnapshot: 2, ledger.RequestSubmit: 1, ledger.RequestDecide: 1, ledger.CertificateIssue: 1, ledger.HostJoin: 1,
	} {
		if kinds[kind] != n {
			t.Errorf("%d leaves of kind %s are open, want %d", kinds[kind], kind, n)
		}
	}
	if !people[string(alice.Person)] || people[string(eve.Person)] {
		t.Errorf("open is what is about %v", people)
	}
	// What is named stands before the leaves, if it is older than they are.
	from := w.size() - 1
	r = w.askOpenings(w.openingsOf(signer, func(a *audit.FeedRequest) { a.From = from }))
	late, err := audit.ReadFeed(bytes.NewReader(r.body), from, w.size())
	must(t, err)
	if len(late.Leaves) != 1 || len(late.Named) != 2 {
		t.Errorf("%d leaves and %d that they name, want the certificate with its login and its groups", len(late.Leaves), len(late.Named))
	}
	if log := w.logs.String(); strings.Contains(log, "eyJ") || strings.Contains(log, "cosigner.example") {
		t.Error("the log says who asked or what was shown")
	}
}

// TestPromiseP15_OpeningsForNobodyElse: whoever is not named by the contract in
// force, or does not ask for just this, is shown nothing.
func TestPromiseP15_OpeningsForNobodyElse(t *testing.T) {
	t.Parallel()
	w, signer := overseen(t, func(*server.Config) {})
	stranger := ledgertest.Cosigner(t, "stranger.example/1")
	good := w.openingsOf(signer, nil)
	if r := w.askOpenings(good); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	for _, tt := range []struct {
		name   string
		body   api.OpeningsRequest
		status int
		slug   string
	}{
		{"a cosigner that nobody names", w.openingsOf(stranger, nil), 403, "forbidden"},
		{"another's signature", api.OpeningsRequest{Document: good.Document, Signature: w.openingsOf(stranger, nil).Signature}, 403, "forbidden"},
		{"no signature", api.OpeningsRequest{Document: good.Document}, 403, "forbidden"},
		{"more than was signed for", api.OpeningsRequest{Document: strings.Replace(good.Document, `"from":0`, `"from":1`, 1), Signature: good.Signature}, 403, "forbidden"},
		{"a contract that names nobody", w.openingsOf(signer, func(a *audit.FeedRequest) { a.Lineage = w.firstLineage() }), 403, "forbidden"},
		{"a contract that there is not", w.openingsOf(signer, func(a *audit.FeedRequest) { a.Lineage = canon.Digest{1} }), 403, "forbidden"},
		{"another ledger", w.openingsOf(signer, func(a *audit.FeedRequest) { a.Origin = "other.example" }), 403, "forbidden"},
		{"too late", w.openingsOf(signer, func(a *audit.FeedRequest) { a.ExpiresAt = w.clock.in(-time.Second) }), 422, "field-refused"},
		{"for longer than may be", w.openingsOf(signer, func(a *audit.FeedRequest) { a.ExpiresAt = w.clock.in(time.Hour) }), 422, "field-refused"},
		{"no document", api.OpeningsRequest{Document: "{}", Signature: good.Signature}, 422, "field-refused"},
		{"leaves that there are not", w.openingsOf(signer, func(a *audit.FeedRequest) { a.From, a.To = 1000, 1001 }), 404, "not-found"},
	} {
		r := w.askOpenings(tt.body)
		r.wantProblem(t, tt.status, tt.slug)
		if bytes.Contains(r.body, []byte("facts")) {
			t.Errorf("%s: %s", tt.name, r.body)
		}
	}
}

// firstLineage is the contract "acme", which names no cosigner.
func (w *world) firstLineage() canon.Digest {
	w.t.Helper()
	about := into[api.Server](w.t, w.send(http.MethodGet, "/v1/server", nil, nil), 200)
	for _, c := range about.Contracts {
		if c.Lineage != w.version.Lineage() {
			return c.Lineage
		}
	}
	w.t.Fatal("there is one contract")
	return canon.Digest{}
}

// TestOpeningsAreCounted: who signs is counted for itself, who does not for its
// address.
func TestOpeningsAreCounted(t *testing.T) {
	t.Parallel()
	w, signer := overseen(t, func(c *server.Config) { c.Limits.Address = 3 })
	for range 10 {
		if r := w.askOpenings(w.openingsOf(signer, nil)); r.status != http.StatusOK {
			t.Fatalf("the cosigner: %d %s", r.status, r.body)
		}
	}
	stranger := w.openingsOf(ledgertest.Cosigner(t, "stranger.example/1"), nil)
	for range 3 {
		w.askOpenings(stranger).wantProblem(t, 403, "forbidden")
	}
	w.askOpenings(stranger).wantProblem(t, 429, "rate")
}

// TestOpeningsThatAreNamedCount: an answer ends with the leaf with which it is full,
// and what that leaf names counts as it does.
func TestOpeningsThatAreNamedCount(t *testing.T) {
	t.Parallel()
	w, _ := overseen(t, func(*server.Config) {})
	alice := w.logIn("alice")
	from := w.size()
	for range 2 {
		alice.submit(func(a *ask) { a.Hosts = []sshcert.Host{"web-9.demo"} })
	}
	must(t, w.store.Read(t.Context(), func(r *store.Reader) error {
		show := func(most int) audit.FeedPage {
			page, err := server.OpenFor(r, audit.FeedRequest{From: from, To: w.size(), Lineage: w.version.Lineage()}, most)
			must(t, err)
			return page
		}
		whole := show(1 << 20)
		if len(whole.Leaves) != 2 || len(whole.Named) != 2 {
			t.Fatalf("%d leaves and %d that they name, want two requests, a login and its groups", len(whole.Leaves), len(whole.Named))
		}
		weight := func(list ...audit.Entry) (n int) {
			for _, e := range list {
				n += len(e.Opening.Facts) + len(e.Opening.Person)
			}
			return n
		}
		request, named := weight(whole.Leaves[0]), weight(whole.Named...)
		for most, want := range map[int]int{request: 1, request + named - 1: 1, request + named: 2} {
			if page := show(most); len(page.Leaves) != want || len(page.Named) != 2 {
				t.Errorf("a request of %d bytes names %d; of at most %d there are %d leaves and %d named, want %d and 2", request, named, most, len(page.Leaves), len(page.Named), want)
			}
		}
		return nil
	}))
}
