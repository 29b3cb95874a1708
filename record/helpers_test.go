package record_test

import (
	"crypto/rand"
	"errors"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// newLedger is a ledger in memory that every honest story begins with.
func newLedger(t *testing.T) (*recordtest.World, *recordtest.Map) {
	t.Helper()
	w := recordtest.New(t, t.Name())
	m := w.NewMap()
	w.Setup(m)
	return w, m
}

// refusal is an event that Check must refuse, and why.
type refusal struct {
	name  string
	draft recordtest.Draft
	want  error
}

// refuses holds Check to allowing the honest event and to refusing all others.
func refuses(t *testing.T, m *recordtest.Map, honest recordtest.Draft, list []refusal) {
	t.Helper()
	if err := m.Check(honest); err != nil {
		t.Fatalf("the honest event: %v", err)
	}
	size := len(m.Rows)
	for _, r := range list {
		if err := m.Check(r.draft); !errors.Is(err, r.want) {
			t.Errorf("%s: %v, want %v", r.name, err, r.want)
		}
	}
	if len(m.Rows) != size {
		t.Error("Check changed the state")
	}
}

// bent returns d with its facts changed.
func bent[F record.Facts](d recordtest.Draft, bend func(*F)) recordtest.Draft {
	f, ok := d.Facts.(F)
	if !ok {
		panic("facts of another kind")
	}
	bend(&f)
	d.Facts = f
	return d
}

func plain(f record.Facts) recordtest.Draft { return recordtest.Draft{Facts: f} }

func appendAll(t *testing.T, m *recordtest.Map, drafts ...recordtest.Draft) {
	t.Helper()
	for _, d := range drafts {
		if _, err := m.Append(d); err != nil {
			t.Fatalf("%s: %v", d.Facts.Kind(), err)
		}
	}
}

func logIn(t *testing.T, w *recordtest.World, m *recordtest.Map, users ...*recordtest.User) {
	t.Helper()
	for _, u := range users {
		if err := w.LogIn(m, u); err != nil {
			t.Fatalf("%s: %v", u.Name, err)
		}
	}
}

// certificateWire is a certificate where a key should be.
func certificateWire(t *testing.T, w *recordtest.World) string {
	t.Helper()
	cert := &ssh.Certificate{Key: w.Key().PublicKey(), CertType: ssh.UserCert, ValidBefore: 1}
	if err := cert.SignCert(rand.Reader, w.CA); err != nil {
		t.Fatal(err)
	}
	return canon.B64(cert.Marshal())
}
