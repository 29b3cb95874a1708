package authority

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/sshcert"
)

// second puts a second contract in force, with the same people, and returns it.
func (w *world) second() *contract.Version {
	w.t.Helper()
	if err := w.otherContract(); err != nil {
		w.t.Fatal(err)
	}
	var out *contract.Version
	err := w.config.Store.Read(w.t.Context(), func(r *store.Reader) error {
		versions, err := InForce(r, canon.At(w.clock()))
		for _, v := range versions {
			if v.Lineage() != w.v.Lineage() {
				out = v
			}
		}
		return err
	})
	if err != nil || out == nil {
		w.t.Fatalf("there is no second contract: %v", err)
	}
	return out
}

// readd has the operator add the host of m again.
func (m machine) readd(env, in string) error {
	m.w.t.Helper()
	_, err := m.w.a.AddHost(m.w.t.Context(), NewHost{
		Name: m.name, Address: "127.0.0.1", Port: 22, Key: m.key.PublicKey(), Labels: map[string]string{"env": env}, Contract: in,
	})
	return err
}

// TestPromiseP10_AReleasedHostMoves: a host admin of its contract lets a host go, one
// of the other contract's invites it, and it joins; what was granted on it under the
// old contract gives no certificate, and what is granted under the new one does.
func TestPromiseP10_AReleasedHostMoves(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	other := w.second()
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	q := alice.newRequest()
	q.doc.Hosts = []sshcert.Host{m.name}
	granted := w.approved(alice, bob, q)
	if _, err := alice.issue(granted, newKey(t)); err != nil {
		t.Fatal(err)
	}
	doc := record.HostsDoc{Act: record.ActRelease, ID: newID(t), Host: m.name, To: other.Lineage()}
	if _, err := alice.act(doc); !errors.Is(err, contract.ErrNotHolder) {
		t.Errorf("released by who holds no office: %v", err)
	}
	size := w.size()
	for range 2 { // a repeat is the same release
		if _, err := bob.act(doc); err != nil || w.size() != size+1 {
			t.Fatalf("%d leaves, %v", w.size()-size, err)
		}
	}
	if _, err := m.certify(); !errors.Is(err, record.ErrHostRetired) || !strings.Contains(err.Error(), "released it to contract") {
		t.Errorf("a host certificate: %v", err)
	}
	if _, err := alice.issue(granted, newKey(t)); !errors.Is(err, contract.ErrHostNotInRole) {
		t.Errorf("a certificate for a released host: %v", err)
	}
	if err := m.readd("prod", "demo"); !errors.Is(err, record.ErrHostOther) {
		t.Errorf("back into its contract with other labels: %v", err)
	}
	if err := m.readd("demo", "other"); err != nil {
		t.Fatal(err)
	}
	if row := w.host(m.name); row.Lineage != other.Lineage() || row.Retired() {
		t.Errorf("%+v", row)
	}
	if _, err := alice.issue(granted, newKey(t)); !errors.Is(err, contract.ErrHostNotInRole) {
		t.Errorf("a certificate for a host of another contract: %v", err)
	}
	w.v = other
	under := alice.newRequest()
	under.doc.Hosts = []sshcert.Host{m.name}
	again := w.approved(alice, bob, under)
	w.reopen() // nothing is remembered: the host's leaves of both contracts are folded
	if _, err := alice.issue(again, newKey(t)); err != nil {
		t.Errorf("a certificate under the new contract: %v", err)
	}
	w.pass(2 * time.Minute)
	if _, err := m.certify(); err != nil {
		t.Errorf("a host certificate under the new contract: %v", err)
	}
}

// TestPromiseP10_AMovedRowIsNotBelieved: whoever writes into the database that a host
// is in another contract moves no host: what its leaves say counts.
func TestPromiseP10_AMovedRowIsNotBelieved(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	other := w.second()
	body := w.row(record.TableHost, string(m.name))
	w.replace("host", string(m.name), w.v.Lineage().String(), other.Lineage().String())
	if _, err := m.certify(); !errors.Is(err, ErrHalted) {
		t.Errorf("a host certificate for a host that was moved: %v", err)
	}
	w.restore(record.TableHost, string(m.name), body)
	// A release that was put into the row lets the server itself be led astray, and then
	// nothing comes of it.
	w.replace("host", string(m.name), `"port":22`, `"port":22,"released_to":"`+other.Lineage().String()+`","retired_at":1`)
	if err := m.readd("demo", "other"); err != nil {
		t.Fatal(err)
	}
	if _, err := m.certify(); !errors.Is(err, ErrHalted) {
		t.Errorf("a host certificate for a host that nobody released: %v", err)
	}
	alice, bob := w.logIn("alice", []string{"engineers"}), w.logIn("bob", []string{"leads"})
	w.v = other
	q := alice.newRequest()
	q.doc.Hosts = []sshcert.Host{m.name}
	if _, err := alice.issue(w.approved(alice, bob, q), newKey(t)); !errors.Is(err, ErrHalted) {
		t.Errorf("a certificate for a host that nobody released: %v", err)
	}
}
