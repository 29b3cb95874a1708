package record_test

import (
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
	"github.com/sallyport/sallyport/sshcert"
)

// TestPromiseP01_HostCertificateIsWhatTheLedgerSays: the recorded bytes are those that
// the host's name, its key and the host CA determine, and nothing else is recorded.
func TestPromiseP01_HostCertificateIsWhatTheLedgerSays(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key, other := w.Key(), w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	good := plain(w.Certify(m, "db-1.demo", key))
	bend := func(f func(*record.HostCertify)) recordtest.Draft { return bent(good, f) }
	call := func(name sshcert.Host, signer ssh.Signer, body hostcall.Body) recordtest.Draft {
		return bend(func(f *record.HostCertify) { f.Document, f.Signature = w.Call(m, name, signer, body) })
	}
	asked := hostcall.CertifyBody{HostKey: recordtest.Wire(key.PublicKey())}
	tbs := func(f func(*ssh.Certificate)) recordtest.Draft {
		return bend(func(c *record.HostCertify) {
			raw, err := canon.ParseB64(c.TBS)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := sshcert.ParseTBS(raw)
			if err != nil {
				t.Fatal(err)
			}
			f(cert)
			c.TBS = canon.B64(sshcert.TBS(cert))
		})
	}
	refuses(t, m, good, []refusal{
		{"of a host that is none", bend(func(f *record.HostCertify) { f.Host = "db-2.demo" }), record.ErrNotFound},
		{"of another host than asks", bend(func(f *record.HostCertify) { f.Host = "web-1.demo" }), record.ErrDocument},
		{"in another lineage", bend(func(f *record.HostCertify) { f.Lineage = w.Other.Lineage() }), record.ErrEvent},
		{"with another serial", bend(func(f *record.HostCertify) { f.Serial++ }), record.ErrEvent},
		{"by another host CA", bend(func(f *record.HostCertify) { f.Authority = recordtest.Wire(other.PublicKey()) }), record.ErrEvent},
		{"by the user CA", bend(func(f *record.HostCertify) { f.Authority = recordtest.Wire(w.CA.PublicKey()) }), record.ErrEvent},
		{"for longer than it says", bend(func(f *record.HostCertify) { f.Seconds++ }), record.ErrEvent},
		{"for no time", bend(func(f *record.HostCertify) { f.Seconds = 0 }), ca.ErrTemplate},
		{"for ever", bend(func(f *record.HostCertify) { f.Seconds = 31 * 24 * 3600 }), record.ErrEvent},
		{"for less than nothing", bend(func(f *record.HostCertify) { f.Seconds = -1 }), canon.ErrNotCanonical},
		{"with another nonce", bend(func(f *record.HostCertify) { f.Nonce = canon.B64(make([]byte, 32)) }), record.ErrEvent},
		{"for users", tbs(func(c *ssh.Certificate) { c.CertType = ssh.UserCert }), record.ErrEvent},
		{"for another name", tbs(func(c *ssh.Certificate) { c.ValidPrincipals = []string{"web-1.demo"} }), record.ErrEvent},
		{"for every name", tbs(func(c *ssh.Certificate) { c.ValidPrincipals = nil }), record.ErrEvent},
		{"for another key", tbs(func(c *ssh.Certificate) { c.Key = other.PublicKey() }), record.ErrEvent},
		{"with an extension", tbs(func(c *ssh.Certificate) { c.Extensions = map[string]string{"permit-pty": ""} }), record.ErrEvent},
		{"without signature", bend(func(f *record.HostCertify) { f.Signature = "" }), canon.ErrNotCanonical},
		{"asked for by another key", call("db-1.demo", other, asked), record.ErrDocument},
		{"for another key than the ledger's", call("db-1.demo", key, hostcall.CertifyBody{HostKey: recordtest.Wire(other.PublicKey())}), record.ErrDocument},
		{"by another call", call("db-1.demo", key, hostcall.HeartbeatBody{Mode: hostcall.Require, Verifier: "1"}), record.ErrDocument},
	})
	stale := bend(func(f *record.HostCertify) { f.At += micros(hostcall.Skew) + 1 })
	if err := m.Check(stale); !errors.Is(err, record.ErrDocument) {
		t.Errorf("a call of five minutes ago: %v", err)
	}
	appendAll(t, m, plain(w.Retire(m, w.Bob, w.Version, "db-1.demo")))
	if err := m.Check(plain(w.Certify(m, "db-1.demo", key))); !errors.Is(err, record.ErrHostRetired) {
		t.Errorf("of a retired host: %v", err)
	}
}

// The newest host CA signs.
func TestNewestHostCASigns(t *testing.T) {
	t.Parallel()
	w, m := newFleet(t)
	key := w.Key()
	w.Joined(m, w.Version, "db-1.demo", "demo", key)
	before := plain(w.Certify(m, "db-1.demo", key))
	next := w.AddKey(m, record.KeyHostCA)
	appendAll(t, m, plain(next))
	before = bent(before, func(f *record.HostCertify) { f.Serial = uint64(m.Next()) + 1 })
	if err := m.Check(before); !errors.Is(err, record.ErrEvent) {
		t.Errorf("by the host CA of before: %v", err)
	}
	after := w.Certify(m, "db-1.demo", key)
	if err := m.Check(plain(after)); err != nil || after.Authority != next.Key {
		t.Errorf("by %s: %v", after.Authority, err)
	}
}
