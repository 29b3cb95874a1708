package client

import (
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/sshcert"
)

// The server is a stranger: whatever it puts into a certificate that is not
// what was asked for, the client does not use it and keeps nothing of it.
func TestServersCertificateIsVerified(t *testing.T) {
	t.Parallel()
	p := sshcert.Principal{Login: "ops", Host: "web-1.demo"}
	tests := []struct {
		name   string
		spoil  func(*testing.T, *fake)
		want   string // empty: accepted
		reason error
	}{
		{"as asked", func(*testing.T, *fake) {}, "", nil},
		{"for another key", func(t *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.Key = newSigner(t).PublicKey() }
		}, "it is for another key", nil},
		{"by another CA", func(t *testing.T, f *fake) { f.signer = newSigner(t) }, "another CA than the pin file's", nil},
		{"a principal more", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "root@web-1.demo") }
		}, "more than what was granted", nil},
		{"a wildcard more", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidPrincipals = append(c.ValidPrincipals, "*") }
		}, "more than what was granted", nil},
		{"no principal", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidPrincipals = nil }
		}, "it is not valid for ops@web-1.demo", nil},
		{"a host certificate", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.CertType = ssh.HostCert }
		}, "not a user certificate", nil},
		{"of another person", func(t *testing.T, f *fake) { changeKeyID(t, f, func(k *sshcert.KeyID) { k.Person = newID(t) }) }, "another person", nil},
		{"of another request", func(t *testing.T, f *fake) { changeKeyID(t, f, func(k *sshcert.KeyID) { k.Request = newID(t) }) }, "another request", nil},
		{"a free key ID", func(_ *testing.T, f *fake) { f.tamper = func(c *ssh.Certificate) { c.KeyId = "alice" } }, "not a key ID of ours", sshcert.ErrKeyID},
		{"outliving the grant", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(time.Hour).Unix()) }
		}, "it outlives the grant", nil},
		{"for ever", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }
		}, "it outlives the grant", nil},
		{"over", func(_ *testing.T, f *fake) {
			f.tamper = func(c *ssh.Certificate) { c.ValidBefore = uint64(time.Now().Add(-time.Second).Unix()) }
		}, "not valid any more", nil},
		{"without proof", func(_ *testing.T, f *fake) {
			f.finish = func(c *ssh.Certificate) {
				c.Extensions = maps.Clone(c.Extensions)
				delete(c.Extensions, sshcert.ProofExtension)
			}
		}, "carries no ledger proof", certproof.ErrNoProof},
		{"changed after it was recorded", func(_ *testing.T, f *fake) {
			f.finish = func(c *ssh.Certificate) { c.Extensions["permit-port-forwarding"] = "" }
		}, "does not hold this leaf", ledger.ErrNotIncluded},
		{"recorded in another ledger of that name", func(t *testing.T, f *fake) { f.proofLog = ledgertest.New(t, testOrigin, "other") }, "not signed by a trusted log key", ledger.ErrUntrusted},
		{"recorded in another ledger", func(t *testing.T, f *fake) { f.proofLog = ledgertest.New(t, "other.test", "client") }, "not the log's origin", ledger.ErrOrigin},
		{"another serial than its leaf's", func(_ *testing.T, f *fake) { f.tamper = func(c *ssh.Certificate) { c.Serial += 5 } }, "not the one that the ledger gave", certproof.ErrSerial},
		{"another serial than the answer's", func(_ *testing.T, f *fake) { f.answer = func(a *api.Certificate) { a.Serial++ } }, "serial is not the one", nil},
		{"a signature that is none", func(_ *testing.T, f *fake) {
			f.answer = func(a *api.Certificate) { a.Certificate = flipLastByte(a.Certificate) }
		}, "signature does not verify", certproof.ErrSignature},
		{"a comment behind it", func(_ *testing.T, f *fake) { f.answer = func(a *api.Certificate) { a.Certificate += " x" } }, "base64", sshcert.ErrCertificate},
		{"two lines", func(_ *testing.T, f *fake) {
			f.answer = func(a *api.Certificate) { a.Certificate += "\n" + a.Certificate }
		}, "base64", sshcert.ErrCertificate},
		{"a plain key", func(t *testing.T, f *fake) {
			f.answer = func(a *api.Certificate) { a.Certificate = keyLine(newSigner(t).PublicKey()) }
		}, "a plain ssh-ed25519 key", sshcert.ErrCertificate},
		{"nothing", func(_ *testing.T, f *fake) { f.answer = func(a *api.Certificate) { a.Certificate = "" } }, "not one line", sshcert.ErrCertificate},
		{"a megabyte", func(_ *testing.T, f *fake) {
			f.answer = func(a *api.Certificate) { a.Certificate += strings.Repeat("A", 500<<10) }
		}, "at most", sshcert.ErrCertificate},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			q := f.granted(10*time.Minute, "web-1.demo")
			tt.spoil(t, f)
			exec := &execRecorder{}
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{p.String()}}, Exec: exec.exec})
			if tt.want == "" {
				if err != nil || exec.argv == nil || f.called("POST /v1/grants/"+string(q.ID)) != 1 {
					t.Errorf("not accepted: %v", err)
				}
				return
			}
			wantExit(t, err, ExitFailed, tt.want)
			if !errors.Is(err, ErrCertificate) || (tt.reason != nil && !errors.Is(err, tt.reason)) {
				t.Errorf("%v does not wrap its reasons", err)
			}
			if exec.argv != nil {
				t.Error("ssh was started")
			}
			for _, path := range []string{w.account(t).certFile(p), w.account(t).keyFile(p)} {
				if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
					t.Errorf("%s was kept: %v", path, err)
				}
			}
		})
	}
}

func changeKeyID(t *testing.T, f *fake, change func(*sshcert.KeyID)) {
	t.Helper()
	f.tamper = func(c *ssh.Certificate) {
		id, err := sshcert.ParseKeyID(c.KeyId)
		if err != nil {
			t.Error(err)
		}
		change(&id)
		c.KeyId = id.String()
	}
}

// flipLastByte changes the last byte of the signature in a certificate line.
func flipLastByte(line string) string {
	cert, err := parseCertificateLine(line)
	if err != nil {
		return err.Error()
	}
	cert.Signature.Blob = slices.Clone(cert.Signature.Blob)
	cert.Signature.Blob[len(cert.Signature.Blob)-1] ^= 1
	return keyLine(cert)
}

// A certificate that was recorded under another contract than the request's is
// refused although the ledger holds it.
func TestCertificateOfAnotherContractIsRefused(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	q := f.granted(10*time.Minute, "web-1.demo")
	a := w.account(t)
	key := newSigner(t)
	recorded := q
	recorded.Contract.Lineage = canon.Sum("test", []byte("other"))
	cert := f.issue(&recorded, key.PublicKey())
	answer := api.Certificate{Certificate: keyLine(cert), Serial: cert.Serial}
	p := sshcert.Principal{Login: "ops", Host: "web-1.demo"}
	if _, err := a.checkCertificate(answer, recorded, key.PublicKey(), p); err != nil {
		t.Errorf("refused under its own contract: %v", err)
	}
	_, err := a.checkCertificate(answer, q, key.PublicKey(), p)
	wantExit(t, err, ExitFailed, "another contract than the request")
	if !errors.Is(err, ErrCertificate) {
		t.Errorf("%v does not wrap ErrCertificate", err)
	}
}
