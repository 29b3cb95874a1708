package authority

import (
	"crypto/rand"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// newFleet is a world whose server has keys for hosts and a published trust bundle.
func newFleet(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	signer, err := softkey.Create(filepath.Join(w.dir, "host-ca"), "", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	w.config.HostCA, w.config.KRL = signer, newKey(t)
	w.reopen()
	w.publish()
	return w
}

// publish adds the trust bundle that follows from the ledger now.
func (w *world) publish() trust.Signed {
	w.t.Helper()
	text := w.bundleText(365*24*time.Hour, nil)
	file, err := trust.Signed{Text: text}.Marshal()
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.a.PublishBundle(w.t.Context(), file); err != nil {
		w.t.Fatal(err)
	}
	signed, err := trust.Parse(file)
	if err != nil {
		w.t.Fatal(err)
	}
	return signed
}

// bundleText is the trust bundle that follows from the ledger now.
func (w *world) bundleText(life time.Duration, after *trust.Bundle) string {
	w.t.Helper()
	if _, err := w.a.RecordHostKeys(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	var b trust.Bundle
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) (err error) {
		b, err = TrustBundle(r, NewBundle{Contract: "demo", Now: w.clock(), For: life, After: after})
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	text, err := trust.Make(b)
	if err != nil {
		w.t.Fatal(err)
	}
	return text
}

func newID(t testing.TB) canon.ID {
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// machine is a host with its key.
type machine struct {
	w    *world
	name sshcert.Host
	key  ssh.Signer
}

// call is a call of the machine's, signed now.
func (m machine) call(body hostcall.Body) HostCall {
	m.w.t.Helper()
	text, signature, err := hostcall.Sign(rand.Reader, m.key, hostcall.Header{
		Origin: testOrigin, Host: m.name, At: canon.At(m.w.clock()), Nonce: newID(m.w.t),
	}, body)
	if err != nil {
		m.w.t.Fatal(err)
	}
	return HostCall{Document: text, Signature: signature}
}

// join takes an invitation.
func (m machine) join(id canon.ID, secret []byte) (record.HostRow, error) {
	m.w.t.Helper()
	call := m.call(hostcall.JoinBody{Invitation: id, HostKey: canon.B64(m.key.PublicKey().Marshal())})
	return m.w.a.JoinHost(m.w.t.Context(), JoinCall{HostCall: call, Secret: canon.B64(secret)})
}

func (m machine) certify() (HostCertificate, error) {
	m.w.t.Helper()
	return m.w.a.CertifyHost(m.w.t.Context(), m.call(hostcall.CertifyBody{HostKey: canon.B64(m.key.PublicKey().Marshal())}))
}

func (m machine) tell(events ...hostcall.Event) ([]Told, error) {
	m.w.t.Helper()
	return m.w.a.HostEvents(m.w.t.Context(), m.call(hostcall.EventsBody{Events: events}))
}

// invite is the operator's invitation of a host.
func (w *world) invite(name sshcert.Host, secret []byte) record.HostInvite {
	w.t.Helper()
	f, err := w.a.InviteHost(w.t.Context(), NewInvitation{
		ID: newID(w.t), Name: name, Address: "127.0.0.1", Port: 22, Labels: map[string]string{"env": "demo"},
		Secret: record.InvitationSecret(secret), For: time.Hour,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return f
}

// joined is a host that has joined by an invitation.
func (w *world) joined(name sshcert.Host) machine {
	w.t.Helper()
	m := machine{w: w, name: name, key: newKey(w.t)}
	if _, err := m.join(w.invite(name, []byte("the secret")).Invitation, []byte("the secret")); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// act signs a document about a host and posts it.
func (u user) act(doc record.HostsDoc) (Acted, error) {
	u.w.t.Helper()
	doc.V, doc.Origin, doc.Person, doc.Contract, doc.ExpiresAt = record.HostsVersion, testOrigin, u.session.Person, u.w.v.Digest, canon.At(u.w.clock().Add(5*time.Minute))
	text, err := canon.Marshal(doc)
	if err != nil {
		u.w.t.Fatal(err)
	}
	signature, err := sshcert.Sign(rand.Reader, u.device, sshcert.NamespaceDevice, text)
	if err != nil {
		u.w.t.Fatal(err)
	}
	return u.w.a.ActOnHost(u.w.t.Context(), u.session, HostsCall{Document: string(text), Signature: signature})
}

func (w *world) host(name sshcert.Host) record.HostRow {
	w.t.Helper()
	var row record.HostRow
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) (err error) {
		row, err = record.Host(r, name)
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return row
}

// labelDoc is an act that gives a host the label env.
func (w *world) labelDoc(change canon.ID, name sshcert.Host, env string) record.HostsDoc {
	w.t.Helper()
	was, err := record.LabelsDigest(w.host(name).Labels)
	if err != nil {
		w.t.Fatal(err)
	}
	return record.HostsDoc{Act: record.ActLabel, ID: change, Host: name, Was: was, Labels: []record.Label{{Name: "env", Value: env}}}
}

// relabel has two host admins give a host the label env.
func (w *world) relabel(one, other user, name sshcert.Host, env string) {
	w.t.Helper()
	doc := w.labelDoc(newID(w.t), name, env)
	for i, u := range []user{one, other} {
		if acted, err := u.act(doc); err != nil || acted.Waits != (i == 0) {
			w.t.Fatalf("labels of %s: %+v, %v", name, acted, err)
		}
	}
}

// A host joins by an invitation, once, and whoever lacks any of it is told the same.
func TestHostJoins(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	secret := []byte("a secret of 32 bytes, or about so")
	invite := w.invite("db-1.demo", secret)
	m, stranger := machine{w: w, name: "db-1.demo", key: newKey(t)}, machine{w: w, name: "db-1.demo", key: newKey(t)}
	other := machine{w: w, name: "db-2.demo", key: m.key}
	size := w.size()
	_, wrongSecret := stranger.join(invite.Invitation, []byte("another"))
	_, wrongID := stranger.join(newID(t), secret)
	_, wrongName := other.join(invite.Invitation, secret)
	_, noSecret := stranger.join(invite.Invitation, nil)
	for _, err := range []error{wrongSecret, wrongID, wrongName, noSecret} {
		if !errors.Is(err, record.ErrInvitation) || err.Error() != wrongSecret.Error() {
			t.Errorf("%v, want what another secret is answered: %v", err, wrongSecret)
		}
	}
	if w.size() != size {
		t.Error("a refused host wrote leaves")
	}
	row, err := m.join(invite.Invitation, secret)
	if err != nil || row.HostKey != canon.B64(m.key.PublicKey().Marshal()) || row.Lineage != w.v.Lineage() {
		t.Fatalf("%+v, %v", row, err)
	}
	size = w.size()
	if again, err := m.join(invite.Invitation, secret); err != nil || again.Join != row.Join || w.size() != size {
		t.Errorf("the same host again: %+v, %v, %d leaves", again, err, w.size()-size)
	}
	if _, err := stranger.join(invite.Invitation, secret); !errors.Is(err, record.ErrInvitation) || !strings.Contains(err.Error(), "good once") {
		t.Errorf("another host by the same invitation: %v", err)
	}
	w.pass(2 * time.Hour)
	late := w.invite("db-3.demo", secret)
	w.pass(2 * time.Hour)
	if _, err := (machine{w: w, name: "db-3.demo", key: newKey(t)}).join(late.Invitation, secret); !errors.Is(err, record.ErrInvitation) {
		t.Errorf("an expired invitation: %v", err)
	}
}

// TestPromiseP15_InvitationSecretIsKeptNowhere: neither the ledger nor the database
// has an invitation's secret, also once it was used.
func TestPromiseP15_InvitationSecretIsKeptNowhere(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	secret := []byte("correct-horse-battery-staple")
	m := machine{w: w, name: "db-1.demo", key: newKey(t)}
	if _, err := m.join(w.invite("db-1.demo", secret).Invitation, secret); err != nil {
		t.Fatal(err)
	}
	err := w.config.Store.Read(t.Context(), func(r *store.Reader) error {
		entries, err := r.EntriesFrom(0, 100)
		for _, e := range entries {
			for _, text := range []string{string(secret), canon.B64(secret)} {
				if strings.Contains(string(e.Opening.Facts), text) {
					t.Errorf("leaf %d, %s, has the secret", e.Index, e.Leaf.Kind)
				}
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A call counts once, for its host, ledger and time, and for who signed it.
func TestHostCallsRefused(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	beat := hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "1"}
	keep := func(c HostCall) error { return w.a.KeepHeartbeat(t.Context(), c) }
	good := m.call(beat)
	if err := keep(good); err != nil {
		t.Fatal(err)
	}
	if err := keep(good); !errors.Is(err, ErrReplay) {
		t.Errorf("a heartbeat again: %v", err)
	}
	stranger := machine{w: w, name: m.name, key: newKey(t)}
	nobody := machine{w: w, name: "db-9.demo", key: m.key}
	other := m.call(beat)
	other.Document = strings.Replace(other.Document, testOrigin, "other.example", 1)
	w.pass(6 * time.Minute)
	for name, c := range map[string]HostCall{"by another key": stranger.call(beat), "of no host": nobody.call(beat), "for another ledger": other, "six minutes old": good} {
		if err := keep(c); !errors.Is(err, hostcall.ErrCall) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := keep(m.call(hostcall.CertifyBody{HostKey: canon.B64(m.key.PublicKey().Marshal())})); !errors.Is(err, hostcall.ErrCall) {
		t.Errorf("another call: %v", err)
	}
	event := m.call(hostcall.EventsBody{Events: []hostcall.Event{{What: hostcall.Opened, Session: newID(t), Login: "ops", OpenedAt: canon.At(w.clock())}}})
	if _, err := w.a.HostEvents(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.HostEvents(t.Context(), event); !errors.Is(err, ErrReplay) {
		t.Errorf("events again: %v", err)
	}
	if _, err := w.a.RetireHost(t.Context(), m.name); err != nil {
		t.Fatal(err)
	}
	if err := keep(m.call(beat)); !errors.Is(err, record.ErrHostRetired) {
		t.Errorf("of a retired host: %v", err)
	}
}

// What a host tells is recorded once, each event by itself.
func TestHostEvents(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m, other := w.joined("db-1.demo"), w.joined("db-2.demo")
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	q := alice.newRequest()
	q.doc.Hosts = []sshcert.Host{m.name}
	issued, err := alice.issue(w.approved(alice, bob, q), newKey(t))
	if err != nil {
		t.Fatal(err)
	}
	now := canon.At(w.clock())
	minute := now - now%60e6
	session := newID(t)
	enter := hostcall.Event{What: hostcall.Opened, Session: session, Login: "ops", Serial: issued.Certificate.Serial, OpenedAt: now}
	unknown := hostcall.Event{What: hostcall.Opened, Session: newID(t), Login: "root", Serial: 4711, OpenedAt: now}
	never := hostcall.Event{What: hostcall.Closed, Session: newID(t), How: hostcall.Left, ClosedAt: now}
	leave := hostcall.Event{What: hostcall.Closed, Session: session, How: hostcall.Over, ClosedAt: now}
	refused := hostcall.Event{What: hostcall.Refused, MinuteAt: minute, Counts: []hostcall.Count{{Reason: "expired", Count: 3}}}
	size := w.size()
	told, err := m.tell(enter, unknown, never, leave, refused)
	if err != nil || w.size() != size+4 {
		t.Fatalf("%d leaves, %v", w.size()-size, err)
	}
	for i, want := range []Told{{Recorded: true}, {Recorded: true, Finding: record.LoginUnknown}, {}, {Recorded: true}, {Recorded: true}} {
		if told[i].Recorded != want.Recorded || told[i].Finding != want.Finding || (told[i].Refused != nil) == want.Recorded {
			t.Errorf("event %d: %+v, want %+v", i, told[i], want)
		}
	}
	size = w.size()
	again, err := m.tell(enter, unknown, leave, refused)
	if err != nil || w.size() != size || slices.ContainsFunc(again, func(t Told) bool { return !t.Recorded }) {
		t.Errorf("told again: %+v, %v, %d leaves", again, err, w.size()-size)
	}
	stolen, err := other.tell(enter, leave)
	if err != nil || stolen[0].Recorded || stolen[1].Recorded || w.size() != size {
		t.Errorf("another host tells of the session: %+v, %v", stolen, err)
	}
}

// Host admins do with a signed document what the operator does with the folder.
func TestHostAdmins(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	alice, bob, carol := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"}), w.logIn("carol", []string{"leads"})
	secret, bundle := []byte("secret"), w.newestBundle()
	invite := record.HostsDoc{
		Act: record.ActInvite, ID: newID(t), Host: "db-1.demo", Address: "127.0.0.1", Port: 2222, Labels: []record.Label{{Name: "env", Value: "demo"}},
		Secret: record.InvitationSecret(secret), Bundle: bundle.Digest(), JoinBy: canon.At(w.clock().Add(time.Hour)),
	}
	if _, err := alice.act(invite); !errors.Is(err, contract.ErrNotHolder) {
		t.Errorf("an invitation by who holds no office: %v", err)
	}
	old := invite
	old.Bundle = canon.Digest{1}
	if _, err := bob.act(old); !errors.Is(err, ErrField) {
		t.Errorf("an invitation to another bundle: %v", err)
	}
	for range 2 { // a repeat is safe
		if acted, err := bob.act(invite); err != nil || acted.Host != "db-1.demo" || acted.Waits {
			t.Fatalf("%+v, %v", acted, err)
		}
	}
	m := machine{w: w, name: "db-1.demo", key: newKey(t)}
	if _, err := m.join(invite.ID, secret); err != nil {
		t.Fatal(err)
	}
	label := w.labelDoc(newID(t), m.name, "prod")
	for range 2 {
		if acted, err := bob.act(label); err != nil || !acted.Waits {
			t.Fatalf("%+v, %v", acted, err)
		}
	}
	if got := w.host(m.name).Labels[0].Value; got != "demo" {
		t.Errorf("one host admin made it env=%s", got)
	}
	if acted, err := carol.act(label); err != nil || acted.Waits {
		t.Fatalf("%+v, %v", acted, err)
	}
	if got := w.host(m.name).Labels[0].Value; got != "prod" {
		t.Errorf("two host admins left it env=%s", got)
	}
	retire := record.HostsDoc{Act: record.ActRetire, ID: newID(t), Host: m.name}
	if _, err := alice.act(retire); !errors.Is(err, contract.ErrNotHolder) {
		t.Errorf("a retirement by who holds no office: %v", err)
	}
	for range 2 {
		if _, err := bob.act(retire); err != nil {
			t.Fatal(err)
		}
	}
	if !w.host(m.name).Retired() {
		t.Error("it is not retired")
	}
	forged := user{w: w, device: newKey(t), session: bob.session}
	if _, err := forged.act(retire); !errors.Is(err, record.ErrDocument) {
		t.Errorf("with bob's bearer and another device: %v", err)
	}
}

// How long a revocation took to be in force on a host follows from the ledger and from
// the host's clock, less what that is off. Of a list of before the host joined, of none,
// and of one that the ledger has not, nothing is said.
func TestPromiseP09_HowLongARevocationTook(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	before, err := alice.revoke(grantTarget(alice.granted(bob, 0)))
	if err != nil {
		t.Fatal(err)
	}
	w.pass(time.Second)
	m := w.joined("db-1.demo")
	w.pass(time.Second)
	last, err := alice.revoke(grantTarget(alice.granted(bob, 0)))
	if err != nil {
		t.Fatal(err)
	}
	revoked := w.clock()
	w.pass(3 * time.Second)
	for _, tt := range []struct {
		name  string
		krl   int64
		taken time.Time
		want  time.Duration
	}{
		{"the last one", last.Index + 1, revoked.Add(400 * time.Millisecond), 400 * time.Millisecond},
		{"in no time", last.Index + 1, revoked.Add(-time.Second), time.Millisecond},
		{"before it joined", before.Index + 1, revoked, 0},
		{"none", 0, revoked, 0},
		{"nobody's", 1 << 40, revoked, 0},
		{"at an unknown time", last.Index + 1, time.UnixMicro(0), 0},
	} {
		w.pass(time.Millisecond)
		beat := hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "1", KRL: tt.krl, KRLTakenAt: canon.At(tt.taken)}
		if err := w.a.KeepHeartbeat(t.Context(), m.call(beat)); err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		if got := w.fleetHost("db-1.demo").Refused; got != tt.want {
			t.Errorf("%s: after %s, want %s", tt.name, got, tt.want)
		}
	}
}

// fleetHost is a host as the fleet shows it.
func (w *world) fleetHost(name sshcert.Host) FleetHost {
	w.t.Helper()
	var found FleetHost
	err := w.a.store.Read(w.t.Context(), func(r *store.Reader) error {
		list, err := Fleet(r, w.clock())
		for _, h := range list {
			if h.Name == name {
				found = h
			}
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return found
}
