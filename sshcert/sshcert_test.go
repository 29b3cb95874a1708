package sshcert_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/sshcert"
)

func newSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func newCertificate(t testing.TB) *ssh.Certificate {
	t.Helper()
	ca := newSigner(t)
	cert := &ssh.Certificate{
		Key: newSigner(t).PublicKey(), Serial: 7, CertType: ssh.UserCert, KeyId: "x",
		ValidPrincipals: []string{"ops@web-1.demo"}, ValidAfter: 10, ValidBefore: 20,
		Permissions: ssh.Permissions{Extensions: map[string]string{"permit-pty": ""}},
	}
	if err := cert.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestNamesRefuse(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "Root", "a,b", "a\nb", "a b", "*", "-a", "1a", "a@b", "ä", "a\x00", strings.Repeat("a", 33), "root,alice", "?", "!root"} {
		if _, err := sshcert.ParseLogin(s); !errors.Is(err, sshcert.ErrLogin) {
			t.Errorf("ParseLogin(%q) = %v, want ErrLogin", s, err)
		}
	}
	for _, s := range []string{"", "Web", "*.demo", "a..b", ".a", "a.", "-a", "a-", "a b", "a,b", "a@b", "a\n", strings.Repeat("a", 64), strings.Repeat("a.", 48) + "a"} {
		if _, err := sshcert.ParseHost(s); !errors.Is(err, sshcert.ErrHost) {
			t.Errorf("ParseHost(%q) = %v, want ErrHost", s, err)
		}
	}
	for _, s := range []string{"", "ops", "@web", "ops@", "Ops@web", "ops@web@x y", "a@b@c"} {
		if _, err := sshcert.ParsePrincipal(s); !errors.Is(err, sshcert.ErrPrincipal) {
			t.Errorf("ParsePrincipal(%q) = %v, want ErrPrincipal", s, err)
		}
	}
	if _, err := sshcert.ParseLogins(nil); !errors.Is(err, sshcert.ErrLogin) {
		t.Errorf("ParseLogins(nil) = %v, want ErrLogin", err)
	}
	if _, err := sshcert.ParseHosts(nil); !errors.Is(err, sshcert.ErrHost) {
		t.Errorf("ParseHosts(nil) = %v, want ErrHost", err)
	}
}

func TestPromiseP06_PrincipalsNeverEmptyNeverWild(t *testing.T) {
	t.Parallel()
	if _, err := sshcert.Principals(nil, []sshcert.Host{"a"}); !errors.Is(err, sshcert.ErrPrincipal) {
		t.Errorf("no login: %v", err)
	}
	many := make([]sshcert.Host, 65)
	if _, err := sshcert.Principals([]sshcert.Login{"ops"}, many); !errors.Is(err, sshcert.ErrPrincipal) {
		t.Errorf("65 principals: %v", err)
	}
	rapid.Check(t, func(t *rapid.T) {
		if p, err := sshcert.ParsePrincipal(rapid.String().Draw(t, "s")); err == nil && strings.ContainsAny(p.String(), "*?!, \n\t\x00\"'`$\\") {
			t.Fatalf("%q got through", p)
		}
	})
}

func TestKeyID(t *testing.T) {
	t.Parallel()
	k := sshcert.KeyID{Person: canon.ID(strings.Repeat("a", 26)), Request: canon.ID("mzxw6ytboi2dqmrvgm4tanrwge"), Contract: canon.Sum("x"), End: time.Unix(1795000000, 0).UTC()}
	got, err := sshcert.ParseKeyID(k.String())
	if err != nil || got != k {
		t.Errorf("ParseKeyID(%s) = %+v, %v", k, got, err)
	}
	good := k.String()
	for _, s := range []string{"", good + "\n", " " + good, strings.Replace(good, "e=", "e=0", 1), strings.ToUpper(good), strings.Replace(good, ";r=", ";q=", 1), good + ";x=1"} {
		if _, err := sshcert.ParseKeyID(s); !errors.Is(err, sshcert.ErrKeyID) {
			t.Errorf("ParseKeyID(%q) = %v, want ErrKeyID", s, err)
		}
	}
}

func TestTBSLeavesOutOnlyTheProof(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t)
	before := sshcert.TBS(cert)
	cert.Extensions[sshcert.ProofExtension] = "proof"
	if string(sshcert.TBS(cert)) != string(before) {
		t.Error("the proof changes the recorded bytes")
	}
	if cert.Extensions[sshcert.ProofExtension] != "proof" {
		t.Error("TBS changed its argument")
	}
	if string(sshcert.SignedBytes(cert)) == string(before) {
		t.Error("the proof is not signed")
	}
	cert.Extensions["permit-X11-forwarding"] = ""
	if string(sshcert.TBS(cert)) == string(before) {
		t.Error("another extension is not recorded")
	}
}

func TestParseCertificateRefuses(t *testing.T) {
	t.Parallel()
	cert := newCertificate(t)
	wire := cert.Marshal()
	if _, err := sshcert.ParseCertificate(wire); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		wire []byte
	}{
		{"nothing", nil},
		{"truncated", wire[:len(wire)-1]},
		{"a byte more", append(wire[:len(wire):len(wire)], 0)},
		{"a plain key", cert.Key.Marshal()},
		{"too long", make([]byte, sshcert.MaxCertificate+1)},
	} {
		if _, err := sshcert.ParseCertificate(tt.wire); err == nil {
			t.Errorf("%s was accepted", tt.name)
		}
	}
}

func FuzzParseCertificate(f *testing.F) {
	f.Add(newCertificate(f).Marshal())
	f.Add([]byte("junk"))
	f.Fuzz(func(t *testing.T, wire []byte) {
		cert, err := sshcert.ParseCertificate(wire)
		if err == nil && string(cert.Marshal()) != string(wire) {
			t.Fatal("accepted, but not canonical")
		}
	})
}

func FuzzParseKeyID(f *testing.F) {
	f.Add("p=aaaaaaaaaaaaaaaaaaaaaaaaaa;r=aaaaaaaaaaaaaaaaaaaaaaaaaa;c=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA;e=1795000000")
	f.Fuzz(func(t *testing.T, s string) {
		if k, err := sshcert.ParseKeyID(s); err == nil && k.String() != s {
			t.Fatalf("%q reads as %q", s, k)
		}
	})
}
