package authority

import (
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// issuerTerms is one issuer of a contract; settings is YAML that is put in front
// of what all have.
func issuerTerms(id, url, settings string) string {
	if !strings.Contains(settings, "clients:") {
		settings += fmt.Sprintf("clients: {cli: %s, web: web}, ", hostile.ClientID)
	}
	return fmt.Sprintf("  %s: {url: %q, %salgs: [RS256]}\n", id, url, settings)
}

// accessFiles is a contract id with these issuers, signed by w.signer. Members
// of a and leads of any issuer named corp may ask and decide.
func (w *world) accessFiles(id, issuers string) map[string][]byte {
	w.t.Helper()
	files := map[string][]byte{
		contract.ProseFile: []byte("# §1 Operators\n\nEngineers may operate demo hosts when a lead agrees.\n"),
		contract.TermsFile: []byte(`terms: sallyport/v1
contract: {id: ` + id + `, title: Demo}
parties: {demo: {name: Demo}}
signatories: [{party: demo, capacity: owner, need: 1, of: {chris: ` + string(ssh.MarshalAuthorizedKey(w.signer.PublicKey()))[:80] + `}}]
issuers:
` + issuers + `groups: {engineers: "oidc:corp/a", leads: "oidc:corp/leads"}
ceilings: {grant: 2h, cert_ttl: 15m}
roles:
  operator:
    clause: §1
    who: [engineers]
    hosts: {env: [demo]}
    logins: [ops, deploy]
    grant: {max: 1h}
    cert: {ttl: 20s}
    request: {reason: {min_words: 2}}
    paths: [{id: normal, clause: §1, stages: [{id: lead, from: [leads], quorum: 1, timeout: 90m}]}]
`),
	}
	manifest, err := contract.NewManifest(files)
	if err != nil {
		w.t.Fatal(err)
	}
	files[contract.ManifestFile] = manifest
	return files
}

// addAccess puts such a contract in force.
func (w *world) addAccess(id, issuers string) (Added, error) {
	w.t.Helper()
	files := w.accessFiles(id, issuers)
	return w.a.AddContract(w.t.Context(), files, w.signatures(files, w.signer))
}

// newIssuerWorld is a world whose contract names these providers, the first one
// as corp, the second one as partner.
func newIssuerWorld(t *testing.T, providers ...*hostile.Provider) *world {
	t.Helper()
	w := newLedger(t)
	var issuers string
	for i, p := range providers {
		p.Clock.Advance(w.clock().Sub(p.Clock.Now()))
		issuers += issuerTerms([]string{"corp", "partner"}[i], p.URL, "")
	}
	added, err := w.addAccess("demo", issuers)
	if err != nil {
		t.Fatal(err)
	}
	w.v = added.Version
	w.addHost("web-1.demo", map[string]string{"env": "demo"})
	return w
}

// passAll moves every clock.
func (w *world) passAll(d time.Duration, providers ...*hostile.Provider) {
	w.pass(d)
	for _, p := range providers {
		p.Clock.Advance(d)
	}
}

// device is a client's side of logins with one device key.
type device struct {
	w   *world
	key ssh.Signer
	rz  [32]byte
}

func (w *world) newDevice() device { return device{w: w, key: newKey(w.t), rz: [32]byte{7}} }

// nonce is the one that the ID token of a login must have.
func (d device) nonce() string { return oidc.DeviceNonce(d.rz, d.key.PublicKey().Marshal()) }

// login is what the client posts about an ID token; bend changes the document.
func (d device) login(issuer, idToken string, bend func(*record.SessionDoc)) DeviceLogin {
	t := d.w.t
	t.Helper()
	challenge, _, err := d.w.a.Challenge(t.Context(), PurposeSession)
	if err != nil {
		t.Fatal(err)
	}
	doc := record.SessionDoc{V: record.SessionVersion, Origin: testOrigin, Server: testServer, IDToken: sha256.Sum256([]byte(idToken)), Challenge: challenge}
	if bend != nil {
		bend(&doc)
	}
	text, err := canon.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := sshcert.Sign(rand.Reader, d.key, sshcert.NamespaceDevice, text)
	if err != nil {
		t.Fatal(err)
	}
	return DeviceLogin{
		Server: testServer, Issuer: issuer, IDToken: idToken, RZ: canon.B64(d.rz[:]), DeviceKey: canon.B64(d.key.PublicKey().Marshal()),
		Document: string(text), Signature: sig,
	}
}

// opened is a session with its secret.
type opened struct {
	user
	device
	secret string
}

// open logs in with the ID token, to which the nonce is added.
func (d device) open(issuer string, f *hostile.Forged) opened {
	d.w.t.Helper()
	s, secret, err := d.w.a.LoginDevice(d.w.t.Context(), d.login(issuer, f.With(map[string]any{"nonce": d.nonce()}).String(), nil))
	if err != nil {
		d.w.t.Fatal(err)
	}
	return opened{user: user{w: d.w, device: d.key, session: s}, device: d, secret: secret}
}

func (w *world) leaf(index int64) record.Facts {
	w.t.Helper()
	var facts record.Facts
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		entry, err := r.Entry(index)
		if err != nil {
			return err
		}
		facts, err = record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return facts
}
