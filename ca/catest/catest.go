// Package catest owns the suite that each home of an authority key passes, and
// the making of a certificate that a test can finish with it.
package catest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
)

// callers is how many sign at once in the suite.
const callers = 64

// Exercise holds a Signer to what ca.Signer says. open is called once per part
// and returns a signer of the same key each time, which the test that it is
// given closes, if need be, when it ends.
func Exercise(t *testing.T, open func(t *testing.T) ca.Signer) {
	t.Helper()
	t.Run("signatures verify", func(t *testing.T) {
		t.Parallel()
		signatures(t, open(t))
	})
	t.Run("one key for good", func(t *testing.T) {
		t.Parallel()
		oneKey(t, open(t), open(t))
	})
	t.Run("many at once", func(t *testing.T) {
		t.Parallel()
		manyAtOnce(t, open(t))
	})
	t.Run("the end of ctx", func(t *testing.T) {
		t.Parallel()
		endOfContext(t, open(t))
	})
	t.Run("finished certificate", func(t *testing.T) {
		t.Parallel()
		finished(t, open(t))
	})
}

// signatures: over exactly these bytes, however many or few, by the one key.
func signatures(t *testing.T, s ca.Signer) {
	for _, tbs := range [][]byte{{}, {0}, []byte("a certificate"), bytes.Repeat([]byte{0xff, 0}, 1<<15)} {
		sig, err := s.Sign(t.Context(), tbs)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(tbs), err)
		}
		if err := s.PublicKey().Verify(tbs, sig); err != nil {
			t.Errorf("%d bytes: %v", len(tbs), err)
		}
		if err := s.PublicKey().Verify(append([]byte("x"), tbs...), sig); err == nil {
			t.Errorf("%d bytes: the signature is good for other bytes, too", len(tbs))
		}
		if sig.Format != s.PublicKey().Type() || len(sig.Rest) != 0 {
			t.Errorf("%d bytes: format %q, rest %x", len(tbs), sig.Format, sig.Rest)
		}
	}
}

func oneKey(t *testing.T, a, b ca.Signer) {
	if _, ok := a.PublicKey().(*ssh.Certificate); ok {
		t.Error("the public key is a certificate")
	}
	if !bytes.Equal(a.PublicKey().Marshal(), b.PublicKey().Marshal()) {
		t.Error("two signers of one key have different public keys")
	}
	sig, err := a.Sign(t.Context(), []byte("again"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.PublicKey().Verify([]byte("again"), sig); err != nil {
		t.Error(err)
	}
}

// manyAtOnce: each caller gets the signature of its own bytes, though a key
// service may have been asked for all of them together.
func manyAtOnce(t *testing.T, s ca.Signer) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			tbs := fmt.Appendf(nil, "certificate %d of %d", i, callers)
			sig, err := s.Sign(t.Context(), tbs)
			if err != nil {
				t.Errorf("caller %d: %v", i, err)
				return
			}
			if err := s.PublicKey().Verify(tbs, sig); err != nil {
				t.Errorf("caller %d got a signature over other bytes: %v", i, err)
			}
		})
	}
	all.Wait()
}

// endOfContext: the end of one caller is no error of the next.
func endOfContext(t *testing.T, s ca.Signer) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if sig, err := s.Sign(ctx, []byte("too late")); !errors.Is(err, context.Canceled) || sig != nil {
		t.Errorf("after its end: %v, %v", sig, err)
	}
	if _, err := s.Sign(t.Context(), []byte("the next")); err != nil {
		t.Error(err)
	}
}

// finished: OpenSSH reads the certificate, signature included, and so do we.
func finished(t *testing.T, s ca.Signer) {
	d := Record(t, s.PublicKey())
	cert, err := ca.Finish(t.Context(), s, d.Certificate, d.Proof, d.Policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := ca.Lint(cert.Marshal(), d.Grant, d.Certificate.Key, s.PublicKey(), d.Certificate.Serial, d.Issued, d.Policy); err != nil {
		t.Error(err)
	}
	printed := Print(t, cert)
	for _, want := range []string{
		"Signing CA: ", ssh.FingerprintSHA256(s.PublicKey()), "(using " + s.PublicKey().Type() + ")",
		"user certificate", "ops@web-1.demo", fmt.Sprintf("Serial: %d", cert.Serial), sshcert.ProofExtension,
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("ssh-keygen -L says no %q:\n%s", want, printed)
		}
	}
	if cert.Signature.Blob[0] ^= 1; len(PrintFails(t, cert)) == 0 {
		t.Error("ssh-keygen -L takes a certificate whose signature is damaged, so it showed nothing")
	}
}

// Print returns what ssh-keygen -L says about a certificate.
func Print(t *testing.T, cert *ssh.Certificate) string {
	t.Helper()
	out, err := keygen(t, cert)
	if err != nil {
		t.Fatalf("ssh-keygen -L: %v: %s", err, out)
	}
	return out
}

// PrintFails returns what ssh-keygen -L says against a certificate, and nothing
// if it takes it.
func PrintFails(t *testing.T, cert *ssh.Certificate) string {
	t.Helper()
	out, err := keygen(t, cert)
	if err == nil {
		return ""
	}
	return out + err.Error()
}

func keygen(t *testing.T, cert *ssh.Certificate) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "key-cert.pub")
	if err := os.WriteFile(file, ssh.MarshalAuthorizedKey(cert), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", file).CombinedOutput() //nolint:gosec // a file of the test's own
	return string(out), err
}

// Recorded is a certificate that a ledger holds and nobody has signed.
type Recorded struct {
	Certificate *ssh.Certificate
	Grant       approval.Grant
	Issued      time.Time
	Proof       []byte
	Policy      *ledger.Policy
}

// Record makes a grant and a certificate under it, for a new key, and records it
// in a ledger of its own.
func Record(t testing.TB, authority ssh.PublicKey) Recorded {
	t.Helper()
	issued := time.Date(2026, 12, 1, 8, 0, 0, 250000000, time.UTC)
	g := approval.Grant{
		ID: newID(t), Person: newID(t), Contract: sum("contract"), Lineage: sum("lineage"),
		Logins: []sshcert.Login{"ops"}, Hosts: []sshcert.Host{"web-1.demo"},
		Start: issued.Add(-time.Minute), End: issued.Add(time.Hour), TTL: 5 * time.Minute, Extensions: []string{"permit-pty"},
	}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	template, err := ca.NewTemplate(g, key, issued)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, ca.NonceSize)
	if _, err := rand.Read(nonce); err != nil {
		t.Fatal(err)
	}
	log := ledgertest.New(t, "ledger.example/catest", "catest")
	cert, err := template.Certificate(1, nonce, authority)
	if err != nil {
		t.Fatal(err)
	}
	facts := sum("facts")
	index := log.Append(ledger.Leaf{
		Kind: ledger.CertificateIssue, Lineage: g.Lineage, Reference: canon.Digest(sha256.Sum256(sshcert.TBS(cert))).String(), Facts: facts,
	})
	return Recorded{
		Certificate: cert, Grant: g, Issued: issued,
		Proof: log.Prove(index, index+1, certproof.Extra(g.Lineage, facts)), Policy: log.Policy(),
	}
}

func newID(t testing.TB) canon.ID {
	t.Helper()
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func sum(text string) canon.Digest { return sha256.Sum256([]byte("sallyport catest: " + text)) }
