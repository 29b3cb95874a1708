package server_test

import (
	"crypto/rand"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
)

// TestPromiseP08_AHostJoinsByItsWorkloadsToken: a host that is invited by issuer and
// subject joins by an identity token of a real identity provider for exactly that
// subject and its own host key, and by nothing else; the ledger says by whose.
func TestPromiseP08_AHostJoinsByItsWorkloadsToken(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	issuer := oidc.Issuer{ID: "ci", URL: w.idp.URL(), ClientID: idp.CLIClient, Algs: []string{"ES256"}}
	w.change = func(c *server.Config) { c.Limits.Login, c.Workloads = 6000, []oidc.Issuer{issuer} }
	w.serve()
	bob := w.logIn("bob")
	subject := func(token string) string {
		t.Helper()
		i := issuer
		i.SubjectClaim = "sub"
		id, _, err := i.ReadUnverified(token)
		must(t, err)
		return id.Subject
	}
	c := w.caller("app-1.demo")
	nonce := hostcall.WorkloadNonce(c.Key.PublicKey())
	token := w.idToken("alice", nonce)
	workload := record.Workload{Issuer: issuer.URL, Subject: record.WorkloadSubject(issuer.URL, subject(token))}
	invited := func(name sshcert.Host, change func(*record.HostsDoc)) (hostcall.Invitation, reply) {
		t.Helper()
		i, err := hostcall.NewInvitation(rand.Reader, origin, bundle.Digest())
		must(t, err)
		i.Secret = [hostcall.SecretSize]byte{}
		doc := record.HostsDoc{
			Act: record.ActInvite, ID: i.ID, Host: name, Address: "127.0.0.1", Port: 22, Labels: []record.Label{{Name: "env", Value: "demo"}},
			Workload: workload, Bundle: bundle.Digest(), JoinBy: w.clock.in(time.Hour),
		}
		if change != nil {
			change(&doc)
		}
		return i, bob.act(doc)
	}
	for name, change := range map[string]func(*record.HostsDoc){
		"a secret, too":  func(d *record.HostsDoc) { d.Secret = canon.Digest{1} },
		"neither":        func(d *record.HostsDoc) { d.Workload = record.Workload{} },
		"no subject":     func(d *record.HostsDoc) { d.Workload.Subject = canon.Digest{} },
		"no issuer's":    func(d *record.HostsDoc) { d.Workload.Issuer = "ci" },
		"in the clear":   func(d *record.HostsDoc) { d.Workload.Issuer = "http://ci.example" },
		"an odd address": func(d *record.HostsDoc) { d.Workload.Issuer = "https://ci.example?x" },
	} {
		if _, r := invited("app-1.demo", change); r.status != http.StatusUnprocessableEntity {
			t.Errorf("invited with %s: %d %s", name, r.status, r.body)
		}
	}
	i, r := invited("app-1.demo", nil)
	if r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	// The line alone opens nothing, whatever secret is shown with it.
	for _, secret := range []byte{0, 1} {
		bare := i
		bare.Secret[0] = secret
		if _, err := c.Join(t.Context(), bare); !refusedAs(err, "invitation-refused") {
			t.Errorf("without a token: %v", err)
		}
	}
	other := w.caller("app-1.demo")
	forged := token[:len(token)-8] + strings.Repeat("A", 8)
	for name, try := range map[string]func() error{
		"of another subject":   func() error { _, err := c.JoinBy(t.Context(), i, w.idToken("bob", nonce)); return err },
		"for another host key": func() error { _, err := other.JoinBy(t.Context(), i, token); return err },
		"that nobody signed":   func() error { _, err := c.JoinBy(t.Context(), i, forged); return err },
		"that is none":         func() error { _, err := c.JoinBy(t.Context(), i, "x.y.z"); return err },
		"for another name":     func() error { _, err := w.caller("app-2.demo").JoinBy(t.Context(), i, token); return err },
	} {
		if err := try(); !refusedAs(err, "invitation-refused") {
			t.Errorf("a token %s: %v", name, err)
		}
	}
	// A token does not stand in for a secret.
	if _, err := c.JoinBy(t.Context(), w.invitedWithout("app-1.demo", bundle.Digest()), token); !refusedAs(err, "invitation-refused") {
		t.Errorf("a token in the place of a secret: %v", err)
	}
	joined, err := c.JoinBy(t.Context(), i, token)
	if err != nil || joined.Name != "app-1.demo" {
		t.Fatalf("%+v, %v", joined, err)
	}
	if again, err := c.JoinBy(t.Context(), i, token); err != nil || again.Leaf != joined.Leaf {
		t.Errorf("again: %+v, %v", again, err)
	}
	must(t, w.store.Read(t.Context(), func(r *store.Reader) error {
		entry, err := r.Entry(joined.Leaf)
		must(t, err)
		facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		must(t, err)
		if f, ok := facts.(record.HostJoin); !ok || f.Workload != workload {
			t.Errorf("the ledger says %+v", facts)
		}
		if strings.Contains(string(entry.Opening.Facts), subject(token)) {
			t.Error("the ledger has the subject itself")
		}
		return nil
	}))
	if strings.Contains(w.logs.String(), token) {
		t.Error("the log has the token")
	}
	// An issuer or an audience that the server does not know vouches for nobody.
	for name, bend := range map[string]func(*oidc.Issuer){
		"issuer":   func(i *oidc.Issuer) { i.URL = "https://ci.example" },
		"audience": func(i *oidc.Issuer) { i.ClientID = "another" },
	} {
		known := issuer
		bend(&known)
		w.change = func(c *server.Config) { c.Limits.Login, c.Workloads = 6000, []oidc.Issuer{known} }
		w.serve()
		at := w.caller("app-3.demo")
		invite, _ := invited("app-3.demo", nil)
		if _, err := at.JoinBy(t.Context(), invite, w.idToken("alice", hostcall.WorkloadNonce(at.Key.PublicKey()))); !refusedAs(err, "invitation-refused") {
			t.Errorf("another %s: %v", name, err)
		}
	}
}

// invitedWithout is an invitation with a secret that whoever has it does not know.
func (w *world) invitedWithout(name sshcert.Host, bundle canon.Digest) hostcall.Invitation {
	i := w.invited(name, bundle)
	i.Secret = [hostcall.SecretSize]byte{}
	return i
}
