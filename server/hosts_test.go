package server_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/server"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// fleetWorld is a world whose contract has host admins, the leads, and whose server
// has keys for hosts and a published trust bundle.
func fleetWorld(t *testing.T) (*world, trust.Signed) {
	t.Helper()
	w := makeWorld(t, strings.Replace(terms, "ceilings:", "offices: {host-admin: [leads]}\nceilings:", 1), func(c *server.Config) { c.Limits.Login = 6000 })
	signer, err := softkey.Create(filepath.Join(t.TempDir(), "host-ca"), "", rand.Reader)
	must(t, err)
	w.settings.HostCA, w.settings.KRL = signer, newKey(t)
	w.authority.Close()
	w.authority, err = authority.Open(t.Context(), w.settings)
	must(t, err)
	t.Cleanup(w.authority.Close)
	_, err = w.authority.RecordHostKeys(t.Context())
	must(t, err)
	var b trust.Bundle
	must(t, w.store.Read(t.Context(), func(r *store.Reader) (err error) {
		b, err = authority.TrustBundle(r, authority.NewBundle{Now: w.clock.Now(), For: 24 * time.Hour})
		return err
	}))
	text, err := trust.Make(b)
	must(t, err)
	file, err := trust.Signed{Text: text}.Marshal()
	must(t, err)
	_, err = w.authority.PublishBundle(t.Context(), file)
	must(t, err)
	signed, err := trust.Parse(file)
	must(t, err)
	w.serve()
	return w, signed
}

// invited is an invitation of a host by the operator.
func (w *world) invited(name sshcert.Host, bundle canon.Digest) hostcall.Invitation {
	w.t.Helper()
	i, err := hostcall.NewInvitation(rand.Reader, origin, bundle)
	must(w.t, err)
	_, err = w.authority.InviteHost(w.t.Context(), authority.NewInvitation{
		ID: i.ID, Name: name, Address: "127.0.0.1", Port: 22, Labels: map[string]string{"env": "demo"}, Secret: record.InvitationSecret(i.Secret[:]), For: time.Hour,
	})
	must(w.t, err)
	return i
}

// caller speaks as a host with a key of its own.
func (w *world) caller(name sshcert.Host) *host.Caller {
	w.t.Helper()
	base, err := url.Parse(w.base)
	must(w.t, err)
	return &host.Caller{Server: base, Origin: origin, Host: name, Key: newKey(w.t), Now: w.clock.Now, Rand: rand.Reader, HTTP: w.validated()}
}

// validated is a client whose exchanges are held to docs/openapi.json.
func (w *world) validated() *http.Client {
	c := host.NewHTTP()
	c.Transport = held{w, c.Transport}
	return c
}

type held struct {
	w    *world
	next http.RoundTripper
}

// RoundTrip asks the server, and looks at question and answer.
func (h held) RoundTrip(r *http.Request) (*http.Response, error) {
	var body bytes.Buffer
	if r.Body != nil {
		if _, err := body.ReadFrom(r.Body); err != nil {
			return nil, err
		}
	}
	reply := h.w.send(r.Method, r.URL.RequestURI(), r.Header, bytes.NewReader(body.Bytes()))
	recorded := &http.Response{StatusCode: reply.status, Status: http.StatusText(reply.status), Header: reply.header, Body: nopBody{bytes.NewReader(reply.body)}, Request: r}
	return recorded, nil
}

type nopBody struct{ *bytes.Reader }

func (nopBody) Close() error { return nil }

// refusedAs reports whether a host was refused with a problem.
func refusedAs(err error, slug string) bool {
	e, ok := errors.AsType[*host.RefusedError](err)
	return ok && e.Slug == slug
}

// A host takes an invitation, says that it lives, gets a certificate, and tells of
// what happens on it; the server shows what it knows.
func TestHostsJoinAndCall(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	i := w.invited("app-1.demo", bundle.Digest())
	c, other := w.caller("app-1.demo"), w.caller("app-1.demo")
	file, err := c.Bundle(t.Context(), w.version.Lineage(), 0)
	must(t, err)
	if _, err := trust.First(file, i.Bundle, w.clock.Now()); err != nil {
		t.Errorf("the bundle is not the one that the invitation names: %v", err)
	}
	wrong := i
	wrong.Secret[0] ^= 1
	if _, err := other.Join(t.Context(), wrong); !refusedAs(err, "invitation-refused") {
		t.Errorf("another secret: %v", err)
	}
	if err := c.Heartbeat(t.Context(), hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "1"}); !refusedAs(err, "forbidden") {
		t.Errorf("a heartbeat before joining: %v", err)
	}
	joined, err := c.Join(t.Context(), i)
	if err != nil || joined.Lineage != w.version.Lineage() || joined.Labels["env"] != "demo" {
		t.Fatalf("%+v, %v", joined, err)
	}
	if again, err := c.Join(t.Context(), i); err != nil || again.Leaf != joined.Leaf {
		t.Errorf("joining again: %+v, %v", again, err)
	}
	if _, err := other.Join(t.Context(), i); !refusedAs(err, "invitation-refused") {
		t.Errorf("the invitation again: %v", err)
	}
	alice := w.logIn("alice")
	if h := alice.host(t, "app-1.demo"); h.Standing != "unenforced" || h.Heartbeat != nil {
		t.Errorf("before its first word: %+v", h)
	}
	must(t, c.Heartbeat(t.Context(), hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "0.4.0", Findings: 2, Bundle: 1, KRL: 7, KRLMadeAt: canon.At(w.clock.Now())}))
	if h := alice.host(t, "app-1.demo"); h.Standing != "enforcing" || h.Heartbeat == nil || h.Heartbeat.Findings != 2 || h.Heartbeat.KRL != 7 {
		t.Errorf("after it: %+v", h)
	}
	cert, by, err := c.Certify(t.Context())
	if err != nil || string(by.Marshal()) != string(w.settings.HostCA.PublicKey().Marshal()) || cert.CertType != ssh.HostCert {
		t.Fatalf("%+v, %v", cert, err)
	}
	if _, _, err := c.Certify(t.Context()); !refusedAs(err, "rate") {
		t.Errorf("a second certificate at once: %v", err)
	}
	id, err := canon.NewID(rand.Reader)
	must(t, err)
	offline := newID(t)
	told, err := c.Events(t.Context(), []hostcall.Event{
		{What: hostcall.Opened, Session: id, Login: "ops", Serial: 4711, OpenedAt: canon.At(w.clock.Now())},
		{What: hostcall.Closed, Session: id, How: hostcall.Left, ClosedAt: canon.At(w.clock.Now())},
		{What: hostcall.Closed, Session: canon.ID(strings.Repeat("a", 26)), How: hostcall.Left, ClosedAt: canon.At(w.clock.Now())},
		{What: hostcall.Offline, Session: offline, Login: "ops", Key: canon.B64(sshcerttest.SKEd25519(ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))[32:], "ssh:")), OpenedAt: canon.At(w.clock.Now())},
		{What: hostcall.Closed, Session: offline, How: hostcall.Left, ClosedAt: canon.At(w.clock.Now())},
	})
	if err == nil && (len(told) != 5 || !told[3].Recorded || !told[4].Recorded) {
		t.Errorf("an offline login and its end: %+v", told)
	}
	if err != nil || !told[0].Recorded || told[0].Finding != "unknown" || !told[1].Recorded || told[2].Recorded || told[2].Refused == "" {
		t.Errorf("%+v, %v", told, err)
	}
	_, err = w.authority.RetireHost(t.Context(), "app-1.demo")
	must(t, err)
	if err := c.Heartbeat(t.Context(), hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "1"}); !refusedAs(err, "host-retired") {
		t.Errorf("a heartbeat of a retired host: %v", err)
	}
	if strings.Contains(w.logs.String(), canon.B64(i.Secret[:])) {
		t.Error("the log has the invitation's secret")
	}
}

// host returns a host as the inventory lists it.
func (c *cli) host(t *testing.T, name sshcert.Host) api.Host {
	t.Helper()
	var list []api.Host
	must(t, json.Unmarshal(c.call("/v1/hosts", nil).body, &list))
	for _, h := range list {
		if h.Name == name {
			return h
		}
	}
	t.Fatalf("%s is not listed", name)
	return api.Host{}
}

func newID(t *testing.T) canon.ID {
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	must(t, err)
	return id
}

// signAct is what somebody does about a host, signed by a key.
func (c *cli) signAct(key ssh.Signer, doc record.HostsDoc) api.HostActRequest {
	c.w.t.Helper()
	doc.V, doc.Origin, doc.Person, doc.Contract, doc.ExpiresAt = record.HostsVersion, origin, c.Person, c.w.version.Digest, c.w.clock.in(time.Minute)
	text, err := canon.Marshal(doc)
	must(c.w.t, err)
	signature, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceDevice, text)
	must(c.w.t, err)
	return api.HostActRequest{Document: string(text), Signature: signature}
}

// act does something about a host.
func (c *cli) act(doc record.HostsDoc) reply {
	c.w.t.Helper()
	return c.call("/v1/hosts/acts", c.signAct(c.device, doc))
}

// Host admins act by signed documents; a bearer alone does nothing, and nobody else
// does either.
func TestHostActs(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	bob, carol, mallory := w.logIn("bob"), w.logIn("carol"), w.logIn("mallory")
	id := func() canon.ID { return newID(t) }
	act := func(c *cli, doc record.HostsDoc) reply { return c.act(doc) }
	invite := record.HostsDoc{
		Act: record.ActInvite, ID: id(), Host: "app-1.demo", Address: "127.0.0.1", Port: 22, Labels: []record.Label{{Name: "env", Value: "demo"}},
		Secret: canon.Digest{1}, Bundle: bundle.Digest(), JoinBy: w.clock.in(time.Hour),
	}
	bad := invite
	bad.Address = "Not an address"
	act(bob, bad).wantProblem(t, http.StatusUnprocessableEntity, "field-refused")
	act(mallory, invite).wantProblem(t, http.StatusForbidden, "contract-forbids")
	bob.call("/v1/hosts/acts", bob.signAct(newKey(t), invite)).wantProblem(t, http.StatusUnprocessableEntity, "field-refused")
	if r := act(bob, invite); r.status != http.StatusOK {
		t.Fatalf("%d %s", r.status, r.body)
	}
	was, err := record.LabelsDigest([]record.Label{{Name: "env", Value: "demo"}})
	must(t, err)
	label := record.HostsDoc{Act: record.ActLabel, ID: id(), Host: "web-1.demo", Was: was, Labels: []record.Label{{Name: "env", Value: "prod"}}}
	var acted api.HostAct
	must(t, json.Unmarshal(act(bob, label).body, &acted))
	if !acted.Waits {
		t.Errorf("%+v", acted)
	}
	must(t, json.Unmarshal(act(carol, label).body, &acted))
	if acted.Waits || bob.host(t, "web-1.demo").Labels["env"] != "prod" || bob.host(t, "web-1.demo").LabelLeaf == 0 {
		t.Errorf("%+v", acted)
	}
	stale := label
	stale.ID = id()
	act(bob, stale).wantProblem(t, http.StatusUnprocessableEntity, "field-refused")
	retire := record.HostsDoc{Act: record.ActRetire, ID: id(), Host: "web-1.demo"}
	if r := act(bob, retire); r.status != http.StatusOK {
		t.Errorf("%d %s", r.status, r.body)
	}
	act(bob, stale).wantProblem(t, http.StatusGone, "host-retired")
}

// The page of the hosts says which of them do not enforce the ledger.
func TestFleetPage(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	c := w.caller("app-1.demo")
	_, err := c.Join(t.Context(), w.invited("app-1.demo", bundle.Digest()))
	must(t, err)
	must(t, c.Heartbeat(t.Context(), hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "0.4.0", Findings: 1, Bundle: 1}))
	_, err = w.authority.RetireHost(t.Context(), "web-2.demo")
	must(t, err)
	bob := w.logIn("bob")
	released := bob.act(record.HostsDoc{Act: record.ActRelease, ID: newID(t), Host: "db-1.demo", To: canon.Digest{7}})
	if released.status != http.StatusOK {
		t.Fatalf("%d %s", released.status, released.body)
	}
	b, _ := w.signIn("bob", "/")
	page := b.open("/hosts")
	for _, want := range []string{"app-1.demo", "enforcing", "1 finding", "no revocation list", "not enforcing", "web-1.demo", "Retired or released", "web-2.demo", "bundle 1", "released to contract <code>BwAAAA"} {
		if !strings.Contains(string(page.Body), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.Body)
		}
	}
	w.clock.advance(10 * time.Minute)
	if page := b.open("/hosts"); !strings.Contains(string(page.Body), "silent") {
		t.Errorf("after ten minutes without a word:\n%s", page.Body)
	}
}

// Pages of hosts have each host once, in order, also while others join and leave.
func TestHostsComeInPages(t *testing.T) {
	t.Parallel()
	w, bundle := fleetWorld(t)
	alice := w.logIn("alice")
	join := func(name sshcert.Host) {
		t.Helper()
		_, err := w.caller(name).Join(t.Context(), w.invited(name, bundle.Digest()))
		must(t, err)
	}
	join("app-1.demo")
	join("app-3.demo")
	page := func(query string) []string {
		t.Helper()
		var names []string
		for _, h := range into[[]api.Host](t, alice.call("/v1/hosts"+query, nil), http.StatusOK) {
			names = append(names, string(h.Name))
		}
		return names
	}
	if got := strings.Join(page(""), " "); got != "app-1.demo app-3.demo db-1.demo web-1.demo web-2.demo" {
		t.Errorf("all: %s", got)
	}
	if got := strings.Join(page("?limit=2"), " "); got != "app-1.demo app-3.demo" {
		t.Errorf("the first page: %s", got)
	}
	join("app-2.demo") // before where the next page begins
	join("app-4.demo")
	_, err := w.authority.RetireHost(t.Context(), "app-3.demo")
	must(t, err)
	if got := strings.Join(page("?limit=2&after=app-3.demo"), " "); got != "app-4.demo db-1.demo" {
		t.Errorf("the second page: %s", got)
	}
	if got := strings.Join(page("?limit=1000&after=db-1.demo"), " "); got != "web-1.demo web-2.demo" {
		t.Errorf("the last page: %s", got)
	}
	if got := page("?limit=2&after=web-2.demo"); len(got) != 0 {
		t.Errorf("behind it: %s", got)
	}
	for _, bad := range []string{"?limit=0", "?limit=1001", "?limit=x", "?limit=1&limit=2", "?after=A", "?after=", "?before=x"} {
		if r := alice.call("/v1/hosts"+bad, nil); r.status/100 != 4 {
			t.Errorf("%s: %d", bad, r.status)
		}
	}
}
