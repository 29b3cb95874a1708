package authority

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// TestPromiseP01_HostCertificateIsRecordedFirst: when the host CA is asked to sign,
// the ledger holds the certificate's leaf under a checkpoint that is signed and kept.
func TestPromiseP01_HostCertificateIsRecordedFirst(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	asked := 0
	w.config.HostCA = watched{Signer: w.config.HostCA, before: func(tbs []byte) error {
		asked++
		return w.config.Store.Read(context.Background(), func(r *store.Reader) error {
			size, _, note, err := r.Checkpoint()
			if err != nil {
				return err
			}
			mark, err := w.config.Mark.Load(context.Background())
			if err != nil || string(mark) != string(note) {
				t.Errorf("the mark is not the checkpoint that is kept: %v", err)
			}
			entry, err := r.Entry(size - 1)
			if err != nil {
				return err
			}
			facts, err := record.ParseFacts(entry.Leaf.Kind, entry.Opening.Facts)
			if f, ok := facts.(record.HostCertify); !ok || f.TBS != canon.B64(tbs) {
				t.Errorf("the newest leaf under the checkpoint is %T, %v; the host CA was asked for something else", facts, err)
			}
			return nil
		})
	}}
	w.reopen()
	made, err := m.certify()
	if err != nil || asked != 1 {
		t.Fatalf("%v, asked %d times", err, asked)
	}
	cert := made.Certificate
	checker := ssh.CertChecker{
		IsHostAuthority: func(key ssh.PublicKey, _ string) bool {
			return string(key.Marshal()) == string(w.config.HostCA.PublicKey().Marshal())
		}, Clock: w.clock,
	}
	for host, ok := range map[string]bool{"db-1.demo:22": true, "db-2.demo:22": false, "web-1.demo:22": false} {
		if err := checker.CheckHostKey(host, nil, cert); (err == nil) != ok {
			t.Errorf("as %s: %v", host, err)
		}
	}
	if cert.CertType != ssh.HostCert || !slices.Equal(cert.ValidPrincipals, []string{"db-1.demo"}) || cert.Serial != ledger.Serial(made.Leaf) {
		t.Errorf("%+v", cert)
	}
	if life := time.Unix(int64(cert.ValidBefore), 0).Sub(w.clock()); life > ca.HostLife || life < ca.HostLife-time.Minute {
		t.Errorf("it is good for %s", life)
	}
}

// TestPromiseP01_HostCertificateLostInBetween: a server that ends between the leaf and
// the signature leaves a leaf and no certificate, and makes another one later.
func TestPromiseP01_HostCertificateLostInBetween(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	good := w.config.HostCA
	w.config.HostCA = watched{Signer: good, before: func([]byte) error { return errBroken }}
	w.reopen()
	size := w.size()
	if made, err := m.certify(); !errors.Is(err, ca.ErrSigner) || made.Certificate != nil {
		t.Fatalf("%+v, %v", made, err)
	}
	lost := w.size()
	if lost != size+1 {
		t.Errorf("%d leaves, want the certificate's", lost-size)
	}
	w.config.HostCA = good
	w.reopen()
	if _, err := m.certify(); !errors.Is(err, ErrTooSoon) {
		t.Errorf("at once: %v", err)
	}
	w.pass(time.Minute + time.Second)
	made, err := m.certify()
	if err != nil || made.Leaf != lost {
		t.Errorf("leaf %d, %v; want %d", made.Leaf, err, lost)
	}
}

// A host key that was put in behind the ledger's back is certified by nobody.
func TestPromiseP06_EditedHostIsNotCertified(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		forge func(w *world, m machine) machine
	}{
		{"its key", func(w *world, m machine) machine {
			mine := machine{w: w, name: m.name, key: newKey(w.t)}
			w.replace("host", string(m.name), canon.B64(m.key.PublicKey().Marshal()), canon.B64(mine.key.PublicKey().Marshal()))
			return mine
		}},
		{"its name", func(w *world, m machine) machine {
			w.edit(`UPDATE state SET body = CAST(replace(CAST(body AS TEXT), 'db-1.demo', 'db-2.demo') AS BLOB), id = 'db-2.demo' WHERE tbl = 'host' AND id = 'db-1.demo'`)
			return machine{w: w, name: "db-2.demo", key: m.key}
		}},
		{"its retirement", func(w *world, m machine) machine {
			before := w.row(record.TableHost, string(m.name))
			if _, err := w.a.RetireHost(w.t.Context(), m.name); err != nil {
				w.t.Fatal(err)
			}
			w.restore(record.TableHost, string(m.name), before)
			return m
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newFleet(t)
			m := w.joined("db-1.demo")
			if _, err := m.certify(); err != nil {
				t.Fatal(err)
			}
			w.pass(2 * time.Minute)
			forged := tt.forge(w, m)
			size := w.size()
			if made, err := forged.certify(); !errors.Is(err, ErrHalted) || made.Certificate != nil {
				t.Errorf("%+v, %v; want ErrHalted", made, err)
			}
			if w.size() != size {
				t.Error("a leaf was appended")
			}
		})
	}
}

func TestHostCertificateNeedsKeys(t *testing.T) {
	t.Parallel()
	w := newFleet(t)
	m := w.joined("db-1.demo")
	w.config.HostCA, w.config.KRL = nil, nil
	w.reopen()
	if _, err := m.certify(); !errors.Is(err, ErrNoHostKeys) {
		t.Errorf("%v", err)
	}
}
