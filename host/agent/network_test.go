package agent_test

import (
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
)

// desk answers a host's calls as the server does, and remembers what was asked.
type desk struct {
	t         *testing.T
	f         *farm
	key       ssh.Signer // the host's
	authority ssh.Signer // signs host certificates
	asked     []string   // queries
	bodies    []hostcall.Body
	answers   []api.HostEventAnswer
	list      agent.List
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.asked = append(d.asked, r.URL.RequestURI())
	var out any
	switch r.URL.Path {
	case "/v1/hosts/krl":
		out = api.RevocationList{Number: 21, KRL: canon.B64(d.list.KRL), Statement: d.list.Statement, Signature: d.list.Signature}
	case "/v1/hosts/bundle":
		if r.URL.Query().Get("number") != "2" {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusNotFound)
			_, _ = w.Write([]byte(`{"type":"/problems/not-found","title":"not found","status":404}`)) // the test sees what is missing
			return
		}
		_, _ = w.Write(d.f.signed(d.f.bundle(2), d.f.root())) // as above
		return
	case "/v1/hosts/calls":
		out = d.call(r)
	}
	if err := json.NewEncoder(w).Encode(out); err != nil {
		d.t.Error(err)
	}
}

func (d *desk) call(r *http.Request) api.HostCallAnswer {
	var body api.HostCallRequest
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		d.t.Error(err)
	}
	header, what, err := hostcall.Parse(body.Document)
	if err != nil || hostcall.Verify(d.key.PublicKey(), body.Document, body.Signature) != nil || header.Host != "web-1.demo" || header.Origin != hosttest.Origin {
		d.t.Errorf("document %s: %+v, %v", body.Document, header, err)
	}
	d.bodies = append(d.bodies, what)
	switch what.(type) {
	case hostcall.EventsBody:
		return api.HostCallAnswer{Events: d.answers}
	case hostcall.CertifyBody:
		cert := d.f.world.Template(d.key.PublicKey())
		cert.CertType, cert.Serial, cert.ValidPrincipals, cert.SignatureKey = ssh.HostCert, 5, []string{"web-1.demo"}, d.authority.PublicKey()
		cert.Extensions = nil
		cert = d.f.world.Sign(cert, d.authority)
		line := func(k ssh.PublicKey) string { return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(k))) }
		return api.HostCallAnswer{Certificate: line(cert), HostCA: line(d.authority.PublicKey())}
	}
	return api.HostCallAnswer{}
}

// newDesk is a host whose server is there.
func newDesk(t *testing.T) (*desk, *agent.Network) {
	t.Helper()
	f := newFarm(t)
	f.begin()
	d := &desk{t: t, f: f, key: hosttest.Signer(t, "host key"), authority: hosttest.Signer(t, "host CA"), list: f.list(21, 7)}
	server := httptest.NewServer(d)
	t.Cleanup(server.Close)
	config, bundle := f.world.Config(), f.bundle(1)
	config.Server = server.URL
	bundle.HostCAs = []trust.Key{hosttest.Key(t, d.authority)}
	f.world.Write(f.agent.Folder.Path, config, bundle)
	private, err := ssh.MarshalPrivateKey(ed25519.NewKeyFromSeed(hosttest.Derived("host key")), "")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(f.agent.Folder.Path, "ssh_host_key")
	if err := os.WriteFile(file, pem.EncodeToMemory(private), 0o600); err != nil {
		t.Fatal(err)
	}
	return d, &agent.Network{Folder: f.agent.Folder, HostKey: file, Now: clock, HTTP: host.NewHTTP()}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	d, n := newDesk(t)
	list, err := n.List(t.Context(), trust.KRL{Number: 20})
	if err != nil || string(list.KRL) != string(d.list.KRL) || list.Statement != d.list.Statement || list.Signature != d.list.Signature {
		t.Errorf("List = %+v, %v", list, err)
	}
	if asked := d.asked[0]; !strings.Contains(asked, "after=20") || !strings.Contains(asked, "wait=20") || !strings.Contains(asked, "lineage="+d.f.world.Lineage.String()) {
		t.Errorf("asked for %s", asked)
	}
	d.list.KRL = nil
	if list, err := n.List(t.Context(), trust.KRL{Number: 21}); err != nil || list.KRL != nil {
		t.Errorf("the same list: %+v, %v", list, err)
	}
	if bundles, err := n.Bundles(t.Context(), 1); err != nil || len(bundles) != 1 || string(bundles[0]) != string(d.f.signed(d.f.bundle(2), d.f.root())) {
		t.Errorf("Bundles = %d, %v", len(bundles), err)
	}
	if bundles, err := n.Bundles(t.Context(), 2); err != nil || len(bundles) != 0 {
		t.Errorf("Bundles = %d, %v; there is none after the last", len(bundles), err)
	}
	if err := n.Heartbeat(t.Context(), hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "0.1.0", Spooled: 3}); err != nil {
		t.Error(err)
	}
	d.answers = []api.HostEventAnswer{{Recorded: true}, {Refused: "no\x1b[2J such session"}}
	refused, err := n.Tell(t.Context(), []hostcall.Event{closed(1), closed(2)})
	if err != nil || len(refused) != 1 || refused[1] != `no\x1b[2J such session` {
		t.Errorf("Tell = %v, %v", refused, err)
	}
	d.answers = []api.HostEventAnswer{{}, {}}
	if _, err := n.Tell(t.Context(), []hostcall.Event{closed(1), closed(2)}); err == nil {
		t.Error("an answer that says nothing counts")
	}
	if len(d.bodies) != 3 || d.bodies[0].Call() != hostcall.Heartbeat || d.bodies[1].Call() != hostcall.Events {
		t.Errorf("told %+v", d.bodies)
	}
}

// TestHostCertificatesAreRenewed when half of their life is over, and taken from no key
// that the bundle does not name.
func TestHostCertificatesAreRenewed(t *testing.T) {
	t.Parallel()
	d, n := newDesk(t)
	pause, err := n.Renew(t.Context())
	if err != nil || pause <= 0 || pause > 3*time.Minute {
		t.Fatalf("Renew = %s, %v", pause, err)
	}
	first := d.f.read(host.HostCertFile)
	if pause, err := n.Renew(t.Context()); err != nil || pause <= 0 || len(d.bodies) != 1 {
		t.Errorf("it was renewed at once: %s, %v", pause, err)
	}
	at := clock()
	n.Now = func() time.Time { return at.Add(4 * time.Minute) }
	if _, err := n.Renew(t.Context()); err != nil || len(d.bodies) != 2 {
		t.Errorf("it was not renewed in time: %v", err)
	}
	d.authority = hosttest.Signer(t, "mallory")
	if _, err := n.Renew(t.Context()); err == nil || !strings.Contains(err.Error(), "the trust bundle does not name") {
		t.Errorf("signed by another: %v", err)
	}
	if got := d.f.read(host.HostCertFile); got != first {
		t.Errorf("the file holds %s", got)
	}
}
