package authority

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// providerWorld is a world whose contract names a running identity provider, at
// the real time.
type providerWorld struct {
	*world
	idp *idp.Server
}

const webSecret = "a secret of the web client"

func newProviderWorld(t *testing.T) providerWorld {
	t.Helper()
	p, err := idp.Start(t.Context(), idp.Config{
		WebSecret: webSecret, Algorithm: "ES256",
		Accounts: []idp.Account{
			{Username: "alice", Password: "pw", Name: "Alice", Email: "alice@demo.test", Groups: []string{"engineers"}},
			{Username: "bob", Password: "pw", Name: "Bob", Groups: []string{"leads"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	w := newLedgerAt(t, time.Now())
	w.config.Secrets = func(issuer string) string {
		if issuer != "demo/local" {
			t.Errorf("asked for the secret of %q", issuer)
		}
		return webSecret
	}
	files := w.contractFiles("20s")
	delete(files, contract.ManifestFile)
	terms := strings.NewReplacer(testIssuer, p.URL(), "{cli: cli, web: web}", "{cli: "+idp.CLIClient+", web: "+idp.WebClient+"}").Replace(string(files[contract.TermsFile]))
	files[contract.TermsFile] = []byte(terms)
	if files[contract.ManifestFile], err = contract.NewManifest(files); err != nil {
		t.Fatal(err)
	}
	if w.a, err = Open(t.Context(), w.config); err != nil {
		t.Fatal(err)
	}
	added, err := w.a.AddContract(t.Context(), files, w.signatures(files, w.signer))
	if err != nil {
		t.Fatal(err)
	}
	w.v = added.Version
	return providerWorld{world: w, idp: p}
}

// answer sends a browser to an address, where username signs in, and returns
// what came to the redirect URI.
func answer(t *testing.T, l *oidc.Loopback, address, username string) url.Values {
	t.Helper()
	browser, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)
	if _, err := browser.LogIn(t.Context(), address, username, "pw"); err != nil {
		t.Fatal(err)
	}
	got, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func listen(t *testing.T) *oidc.Loopback {
	t.Helper()
	l, err := oidc.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// deviceLogin is a real ID token for a device key.
type deviceLogin struct {
	device ssh.Signer
	rz     [32]byte
	token  string
}

func (w providerWorld) token(t *testing.T, username string) deviceLogin {
	t.Helper()
	d := deviceLogin{device: newKey(t)}
	if _, err := rand.Read(d.rz[:]); err != nil {
		t.Fatal(err)
	}
	p, err := oidc.New(oidc.Issuer{ID: "demo/local", URL: w.idp.URL(), ClientID: idp.CLIClient, Algs: []string{"ES256"}, GroupsClaim: "groups"}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t)
	address, pending, err := p.Start(t.Context(), l.RedirectURI(), oidc.DeviceNonce(d.rz, d.device.PublicKey().Marshal()), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if d.token, err = p.Exchange(t.Context(), pending, answer(t, l, address, username)); err != nil {
		t.Fatal(err)
	}
	return d
}

// call is the honest session call for a login, with a fresh challenge.
func (w providerWorld) call(t *testing.T, d deviceLogin, bend func(*record.SessionDoc)) DeviceLogin {
	t.Helper()
	challenge, _, err := w.a.Challenge(t.Context(), PurposeSession)
	if err != nil {
		t.Fatal(err)
	}
	doc := record.SessionDoc{V: record.SessionVersion, Origin: testOrigin, Server: testServer, IDToken: sha256.Sum256([]byte(d.token)), Challenge: challenge}
	if bend != nil {
		bend(&doc)
	}
	text, err := canon.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return DeviceLogin{
		Server: testServer, Issuer: "demo/local", IDToken: d.token, RZ: canon.B64(d.rz[:]), DeviceKey: canon.B64(d.device.PublicKey().Marshal()),
		Document: string(text), Signature: signed(t, d.device, string(text)),
	}
}

func signed(t *testing.T, key ssh.Signer, text string) string {
	t.Helper()
	sig, err := sshcert.Sign(rand.Reader, key, sshcert.NamespaceDevice, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return sig
}

func TestPromiseP02_ALoginBindsItsDeviceKey(t *testing.T) {
	t.Parallel()
	w := newProviderWorld(t)
	alice := w.token(t, "alice")
	size := w.size()
	other := newKey(t)
	wrongRZ := alice
	wrongRZ.rz[0] ^= 1
	wrongKey := alice
	wrongKey.device = other
	issueChallenge, _, err := w.a.Challenge(t.Context(), PurposeIssue)
	if err != nil {
		t.Fatal(err)
	}
	bob := w.token(t, "bob")
	honest := func(bend func(*DeviceLogin)) DeviceLogin {
		call := w.call(t, alice, nil)
		bend(&call)
		return call
	}
	for _, tt := range []struct {
		name string
		call DeviceLogin
		want error
	}{
		{"another rz", w.call(t, wrongRZ, nil), oidc.ErrNonce},
		{"another device key, that signs", w.call(t, wrongKey, nil), oidc.ErrNonce},
		{"the device key of another login", honest(func(c *DeviceLogin) { c.RZ = canon.B64(bob.rz[:]) }), oidc.ErrNonce},
		{"not signed by the device key", honest(func(c *DeviceLogin) { c.Signature = signed(t, other, c.Document) }), record.ErrDocument},
		{"signed for another address", w.call(t, alice, func(d *record.SessionDoc) { d.Server = "https://ca.demo.example.evil.example" }), record.ErrDocument},
		{"signed for another server", w.call(t, alice, func(d *record.SessionDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"signed for another ID token", w.call(t, alice, func(d *record.SessionDoc) { d.IDToken = sha256.Sum256([]byte(bob.token)) }), record.ErrDocument},
		{"another person's ID token", honest(func(c *DeviceLogin) { c.IDToken = bob.token }), record.ErrDocument},
		{"a challenge that was never given out", w.call(t, alice, func(d *record.SessionDoc) { d.Challenge = canon.Sum("x") }), store.ErrNoChallenge},
		{"a challenge for something else", w.call(t, alice, func(d *record.SessionDoc) { d.Challenge = issueChallenge }), store.ErrNoChallenge},
		{"an rz of 31 bytes", honest(func(c *DeviceLogin) { c.RZ = canon.B64(alice.rz[1:]) }), ErrField},
		{"no device key", honest(func(c *DeviceLogin) { c.DeviceKey = "=" }), ErrField},
		{"junk as device key", honest(func(c *DeviceLogin) { c.DeviceKey = "AAAA" }), sshcert.ErrKeyPolicy},
		{"an issuer of no contract", honest(func(c *DeviceLogin) { c.Issuer = "demo/other" }), ErrIssuer},
		{"an issuer of another contract", honest(func(c *DeviceLogin) { c.Issuer = "local" }), ErrIssuer},
	} {
		if _, _, err := w.a.LoginDevice(t.Context(), tt.call); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if w.size() != size {
		t.Errorf("refused logins left %d leaves", w.size()-size)
	}
	call := w.call(t, alice, nil)
	session, secret, err := w.a.LoginDevice(t.Context(), call)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := w.a.LoginDevice(t.Context(), call); !errors.Is(err, store.ErrNoChallenge) {
		t.Errorf("the same call again: %v, want ErrNoChallenge", err)
	}
	if _, _, err := w.a.LoginDevice(t.Context(), w.call(t, alice, nil)); !errors.Is(err, store.ErrUsed) {
		t.Errorf("the same ID token with a fresh challenge: %v, want ErrUsed", err)
	}
	w.checkLogin(t, session, secret, alice)
}

// checkLogin holds a session and its leaves to the login that they came from.
func (w providerWorld) checkLogin(t *testing.T, session store.Session, secret string, d deviceLogin) {
	t.Helper()
	err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		got, _, err := r.Session(store.SecretHash(secret), store.CLI, canon.At(time.Now()))
		if err != nil || got != session || got.DeviceKey != canon.B64(d.device.PublicKey().Marshal()) {
			t.Errorf("the secret opens %+v, %v", got, err)
		}
		login, err := record.Login(r, session.Login)
		if err != nil || login.Person != session.Person || login.DeviceKey != session.DeviceKey {
			t.Errorf("login row %+v, %v", login, err)
		}
		snapshot, err := record.Snapshot(r, session.Snapshot)
		if err != nil || !slices.Equal(snapshot.Groups, []string{"engineers"}) || !snapshot.GroupsKnown {
			t.Errorf("snapshot %+v, %v", snapshot, err)
		}
		part, err := r.PersonPart(session.Person, ledger.PersonLogin)
		person, _ := part.(record.LoginPerson)
		if err != nil || person.IDToken != d.token || person.RZ != canon.B64(d.rz[:]) || person.Name != "Alice" || person.Email != "alice@demo.test" {
			t.Errorf("person part of %q, %v", person.Name, err)
		}
		name, err := Name(r, session.Person)
		if err != nil || name != "Alice" {
			t.Errorf("shown as %q, %v", name, err)
		}
		subject, err := Subject(r, session)
		if err != nil || subject.Issuer != w.idp.URL() || !subject.GroupsKnown {
			t.Errorf("subject %+v, %v", subject, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A browser's login counts once, and only for the browser that knows its state.
func TestWebLogin(t *testing.T) {
	t.Parallel()
	w := newProviderWorld(t)
	l := listen(t)
	w.idp.AllowRedirect(l.RedirectURI())
	if _, _, err := w.a.StartWeb(t.Context(), "demo/other", l.RedirectURI(), "/"); !errors.Is(err, ErrIssuer) {
		t.Errorf("an issuer of no contract: %v, want ErrIssuer", err)
	}
	address, state, err := w.a.StartWeb(t.Context(), "demo/local", l.RedirectURI(), "/requests/x")
	if err != nil {
		t.Fatal(err)
	}
	got := answer(t, l, address, "bob")
	if _, _, _, err := w.a.FinishWeb(t.Context(), "another state", got); !errors.Is(err, store.ErrNoFlow) {
		t.Errorf("another state: %v, want ErrNoFlow", err)
	}
	session, secret, next, err := w.a.FinishWeb(t.Context(), state, got)
	if err != nil {
		t.Fatal(err)
	}
	if session.Kind != store.Web || session.DeviceKey != "" || next != "/requests/x" || session.Client != idp.WebClient {
		t.Errorf("session %+v, next %q", session, next)
	}
	if _, _, _, err := w.a.FinishWeb(t.Context(), state, got); !errors.Is(err, store.ErrNoFlow) {
		t.Errorf("the same answer again: %v, want ErrNoFlow", err)
	}
	open := func() error {
		return w.config.Store.Read(t.Context(), func(r *store.Reader) error {
			_, _, err := r.Session(store.SecretHash(secret), store.Web, canon.At(w.clock()))
			return err
		})
	}
	if err := open(); err != nil {
		t.Errorf("the secret: %v", err)
	}
	w.pass(10 * time.Minute)
	if err := w.a.Touch(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.pass(10 * time.Minute)
	if err := open(); err != nil {
		t.Errorf("in use: %v", err)
	}
	if err := w.a.LogOut(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if err := open(); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("logged out: %v, want ErrNoSession", err)
	}
	// An answer that the provider did not give uses the login up as well.
	address, state, err = w.a.StartWeb(t.Context(), "demo/local", l.RedirectURI(), "/")
	if err != nil || address == "" {
		t.Fatal(err)
	}
	if _, _, _, err := w.a.FinishWeb(t.Context(), state, url.Values{"state": {state}, "code": {"guessed"}, "iss": {w.idp.URL()}}); !errors.Is(err, oidc.ErrExchange) {
		t.Errorf("a guessed code: %v, want ErrExchange", err)
	}
	if _, _, _, err := w.a.FinishWeb(t.Context(), state, got); !errors.Is(err, store.ErrNoFlow) {
		t.Errorf("after a guess: %v, want ErrNoFlow", err)
	}
}

// A login of the same groups is one leaf; groups that changed are one more, and
// end what the sessions before may do.
func TestPromiseP03_GroupsThatChangedEndOlderSessions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	leaves := func(do func()) int64 {
		t.Helper()
		before := w.size()
		do()
		return w.size() - before
	}
	var again user
	if n := leaves(func() { again = w.logIn("bob", []string{"leads"}) }); n != 1 || again.session.Snapshot != bob.session.Snapshot {
		t.Errorf("a login with the same groups left %d leaves", n)
	}
	r, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	if n := leaves(func() { again = w.logIn("bob", nil) }); n != 2 || again.session.Person != bob.session.Person {
		t.Errorf("a login without groups left %d leaves", n)
	}
	if _, err := bob.decide(r, "approve", 0); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("by the session before: %v, want ErrClaimsOld", err)
	}
	if _, err := again.decide(r, "approve", 0); !errors.Is(err, contract.ErrGroupsUnknown) {
		t.Errorf("with groups unknown: %v, want ErrGroupsUnknown", err)
	}
}

func TestChallengeRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, purpose := range []string{"", "Session", "login"} {
		if _, _, err := w.a.Challenge(t.Context(), purpose); !errors.Is(err, ErrField) {
			t.Errorf("purpose %q: %v, want ErrField", purpose, err)
		}
	}
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	grant, key := alice.granted(bob, 0), newKey(t)
	doc := alice.issueDoc(grant, key)
	w.pass(ChallengeLife)
	doc.ExpiresAt = canon.At(w.clock().Add(time.Minute))
	if _, err := alice.issueAs(grant, doc, alice.device, key); !errors.Is(err, store.ErrNoChallenge) {
		t.Errorf("a challenge of five minutes ago: %v, want ErrNoChallenge", err)
	}
	one, _, err := w.a.Challenge(t.Context(), PurposeIssue)
	if err != nil {
		t.Fatal(err)
	}
	two, _, err := w.a.Challenge(t.Context(), PurposeIssue)
	if err != nil || bytes.Equal(one[:], two[:]) || one.IsZero() {
		t.Errorf("two challenges are %s and %s, %v", one, two, err)
	}
}
