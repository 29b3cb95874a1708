package host_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

var now = time.Unix(1795000000, 0).UTC()

func world(t testing.TB) *hosttest.World {
	t.Helper()
	return hosttest.New(t, now, "ops", "web-1.demo")
}

// template is a certificate of the world before it is recorded.
func template(t testing.TB, w *hosttest.World) *ssh.Certificate {
	t.Helper()
	return w.Template(hosttest.Signer(t, "subject").PublicKey())
}

// verifier is one whose files say otherwise than usual, if change is not nil.
func verifier(t testing.TB, w *hosttest.World, change func(*host.Config, *trust.Bundle)) *host.Verifier {
	t.Helper()
	c, b := w.Config(), w.Bundle()
	if change != nil {
		change(&c, &b)
	}
	v, err := host.NewVerifier(c, b, w.SignedKRL(now))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// reason is the word of a refusal, empty if there is none.
func reason(t testing.TB, err error) host.Reason {
	t.Helper()
	if err == nil {
		return ""
	}
	r, ok := errors.AsType[*host.Refusal](err)
	if !ok {
		t.Fatalf("an error without a reason: %v", err)
	}
	if !errors.Is(err, r.Reason) {
		t.Errorf("errors.Is does not find %s", r.Reason)
	}
	return r.Reason
}

// folder is a host's folder that nobody else can write to, with the files of the
// world.
func folder(t testing.TB, w *hosttest.World) host.Folder {
	t.Helper()
	d, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	path, err := d.Mkdir(0o755, "sallyport")
	if err != nil {
		t.Fatal(err)
	}
	w.Write(path, w.Config(), w.Bundle())
	return host.Folder{Path: path, Owner: os.Geteuid()}
}

// asked is what the command says.
type asked struct {
	folder host.Folder
	spool  string
	at     time.Time
	out    bytes.Buffer
	log    bytes.Buffer
	loud   []host.Severity
}

func ask(t testing.TB, f host.Folder) *asked {
	t.Helper()
	return &asked{folder: f, spool: filepath.Join(t.TempDir(), "nowhere"), at: now}
}

func (a *asked) principals(certificate, user string) {
	host.Principals(host.PrincipalsOptions{
		Folder: a.folder, Spool: a.spool, Out: &a.out, Now: func() time.Time { return a.at },
		Log: func(s host.Severity, line string) { a.loud = append(a.loud, s); host.WriterLog(&a.log)(s, line) },
	}, certificate, user)
}

func b64(cert *ssh.Certificate) string { return base64.StdEncoding.EncodeToString(cert.Marshal()) }
