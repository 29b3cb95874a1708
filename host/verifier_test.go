package host_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/ledgertest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

func TestPromiseP08_ACertificateOfTheLedgerOpensItsLogin(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.Issue(template(t, w))
	want := sshcert.Principal{Login: "ops", Host: "web-1.demo"}
	verdict := verifier(t, w, nil).Check(cert.Marshal(), "ops", now)
	if verdict.Refused != nil || verdict.Principal != want || verdict.Stock != want || verdict.WithoutProof != nil {
		t.Fatalf("Check = %+v", verdict)
	}
	got, err := verifier(t, w, nil).Principal(cert.Marshal(), "ops", now)
	if err != nil || got != want {
		t.Errorf("Principal = %v, %v", got, err)
	}
	// Under the host's other name, and with the policy as narrow as may be.
	alias := verifier(t, w, func(c *host.Config, _ *trust.Bundle) {
		c.Name, c.Aliases = "web.internal", []sshcert.Host{"web-1.demo"}
		c.Logins, c.Options, c.MaxCertSeconds, c.KRLMaxAgeSeconds = []sshcert.Login{"ops"}, []string{"permit-pty"}, 360, 60
	})
	if got, err := alias.Principal(cert.Marshal(), "ops", now.Add(time.Minute)); err != nil || got != want {
		t.Errorf("Principal of an alias = %v, %v", got, err)
	}
	// While the log key is replaced, either counts.
	rotated := verifier(t, w, func(_ *host.Config, b *trust.Bundle) {
		b.LogKeys = []string{ledgertest.New(t, hosttest.Origin, "next log").PublicKey(), w.Log.PublicKey()}
	})
	if got, err := rotated.Principal(cert.Marshal(), "ops", now); err != nil || got != want {
		t.Errorf("Principal with two log keys = %v, %v", got, err)
	}
	for _, keyType := range []string{ssh.KeyAlgoECDSA256, ssh.KeyAlgoRSA, ssh.KeyAlgoSKED25519} {
		if got, err := verifier(t, w, nil).Principal(w.Issue(w.Template(subject(t, keyType))).Marshal(), "ops", now); err != nil || got != want {
			t.Errorf("%s: Principal = %v, %v", keyType, got, err)
		}
	}
}

func subject(t testing.TB, keyType string) ssh.PublicKey {
	t.Helper()
	switch keyType {
	case ssh.KeyAlgoRSA:
		return sshcerttest.RSA(t, 3072).PublicKey()
	case ssh.KeyAlgoSKED25519:
		return sshcerttest.NewToken(t, keyType, "ssh:").PublicKey()
	default:
		return sshcerttest.Signer(t, keyType).PublicKey()
	}
}

// changed is a certificate that the ledger holds in spite of what is wrong with it:
// the host refuses it for what is wrong.
type changed struct {
	name   string
	change func(w *hosttest.World, c *ssh.Certificate)
	want   host.Reason
}

func changes() []changed {
	return []changed{
		{"a host certificate", func(_ *hosttest.World, c *ssh.Certificate) { c.CertType = ssh.HostCert }, host.Type},
		{"a type to come", func(_ *hosttest.World, c *ssh.Certificate) { c.CertType = 3 }, host.Type},
		{"no principals", func(_ *hosttest.World, c *ssh.Certificate) { c.ValidPrincipals = nil }, host.NoPrincipals},
		{"65 principals", func(_ *hosttest.World, c *ssh.Certificate) {
			for i := range 64 {
				c.ValidPrincipals = append(c.ValidPrincipals, fmt.Sprintf("ops@web-%d.demo", 100+i))
			}
		}, host.NoPrincipals},
		{"an empty principal", principals(""), host.BadPrincipal},
		{"a login alone", principals("ops"), host.BadPrincipal},
		{"a wildcard", principals("ops@*"), host.BadPrincipal},
		{"two names in one", principals("ops@web-1.demo,root@web-1.demo"), host.BadPrincipal},
		{"two @", principals("ops@web-1.demo@web-1.demo"), host.BadPrincipal},
		{"two @, the other way", principals("ops@ops@web-1.demo"), host.BadPrincipal},
		{"an option before it", principals(`command="reboot" ops@web-1.demo`), host.BadPrincipal},
		{"a line end in it", principals("ops@web-1.demo\nroot@web-1.demo"), host.BadPrincipal},
		{"a letter of another script", principals("ops@we\u0432-1.demo"), host.BadPrincipal},
		{"a letter with a mark", principals("o\u0301ps@web-1.demo"), host.BadPrincipal},
		{"upper case", principals("ops@Web-1.demo"), host.BadPrincipal},
		{"no UTF-8", principals("ops\xff@web-1.demo"), host.BadPrincipal},
		{"a good one and another", principals("ops@web-1.demo", "root"), host.BadPrincipal},
		{"another host's", principals("ops@web-2.demo"), host.Scope},
		{"a host whose name begins alike", principals("ops@web-1.demo.evil.example"), host.Scope},
		{"another login's", principals("deploy@web-1.demo"), host.Scope},
		{"from in a second", func(w *hosttest.World, c *ssh.Certificate) { c.ValidAfter = unix(w.Now) + 1 }, host.NotYet},
		{"until now", func(w *hosttest.World, c *ssh.Certificate) { c.ValidBefore = unix(w.Now) }, host.Expired},
		{"for ever", func(_ *hosttest.World, c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }, host.GrantOver},
		{"never", func(_ *hosttest.World, c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = 1<<63, 1<<63+1 }, host.NotYet},
		{"a second longer than its grant", func(w *hosttest.World, c *ssh.Certificate) { c.KeyId = w.KeyID(w.Now.Add(299 * time.Second)) }, host.GrantOver},
		{"its grant is over", func(w *hosttest.World, c *ssh.Certificate) { c.KeyId = w.KeyID(w.Now) }, host.GrantOver},
		{"no key ID", func(_ *hosttest.World, c *ssh.Certificate) { c.KeyId = "" }, host.KeyID},
		{"an email as key ID", func(_ *hosttest.World, c *ssh.Certificate) { c.KeyId = "alice@acme.example" }, host.KeyID},
		{"more behind the key ID", func(_ *hosttest.World, c *ssh.Certificate) { c.KeyId += ";e=9999999999" }, host.KeyID},
		{"a critical option to come", critical("sealed@openssh.com", ""), host.Option},
		{"a proof for critical option", critical(sshcert.ProofExtension, "x"), host.Option},
		{"64 critical options", func(_ *hosttest.World, c *ssh.Certificate) {
			c.CriticalOptions = map[string]string{}
			for i := range 64 {
				c.CriticalOptions[fmt.Sprintf("option-%02d@example", i)] = "x"
			}
		}, host.Option},
	}
}

func principals(list ...string) func(*hosttest.World, *ssh.Certificate) {
	return func(_ *hosttest.World, c *ssh.Certificate) { c.ValidPrincipals = list }
}

func critical(name, value string) func(*hosttest.World, *ssh.Certificate) {
	return func(_ *hosttest.World, c *ssh.Certificate) { c.CriticalOptions = map[string]string{name: value} }
}

func unix(at time.Time) uint64 { return uint64(at.Unix()) }

// TestPromiseP08_WhatTheLedgerHoldsMustAlsoBeForHere has the ledger hold certificates
// that the authority never makes: a host refuses them by itself.
func TestPromiseP08_WhatTheLedgerHoldsMustAlsoBeForHere(t *testing.T) {
	t.Parallel()
	for _, tt := range changes() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			cert := template(t, w)
			tt.change(w, cert)
			verdict := verifier(t, w, nil).Check(w.Issue(cert).Marshal(), "ops", now)
			if verdict.Refused == nil || verdict.Refused.Reason != tt.want || verdict.Principal != (sshcert.Principal{}) {
				t.Errorf("Check = %+v, %v, want %s", verdict, verdict.Refused, tt.want)
			}
			if verdict.WithoutProof != nil {
				t.Errorf("an alarm for what the ledger holds: %v", verdict.WithoutProof)
			}
		})
	}
}

func TestPromiseP08_OptionsThatOpenSSHKnows(t *testing.T) {
	t.Parallel()
	w := world(t)
	for _, name := range []string{"force-command", "source-address", "verify-required"} {
		cert := template(t, w)
		cert.CriticalOptions = map[string]string{name: "192.0.2.0/24"}
		cert = w.Issue(cert)
		if got, err := verifier(t, w, nil).Principal(cert.Marshal(), "ops", now); err != nil {
			t.Errorf("%s: Principal = %v, %v", name, got, err)
		}
		narrow := verifier(t, w, func(c *host.Config, _ *trust.Bundle) { c.Options = []string{"permit-pty"} })
		if _, err := narrow.Principal(cert.Marshal(), "ops", now); reason(t, err) != host.OtherOption {
			t.Errorf("%s: Principal where the host does not allow it: %v", name, err)
		}
	}
}

// TestPromiseP08_AnEndedGrantIsSaid: whoever reads the log learns that the grant is
// over, not that the certificate is too long.
func TestPromiseP08_AnEndedGrantIsSaid(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := template(t, w)
	cert.KeyId = w.KeyID(now)
	_, err := verifier(t, w, nil).Principal(w.Issue(cert).Marshal(), "ops", now)
	if reason(t, err) != host.GrantOver || !strings.Contains(err.Error(), "the grant ended at 2026-") {
		t.Errorf("Principal: %v", err)
	}
}

// stolen is what somebody with the authority's key, but without the ledger's, can
// make.
type stolen struct {
	name string
	make func(t testing.TB, w *hosttest.World) *ssh.Certificate
	want host.Reason
}

func forgeries() []stolen {
	return []stolen{
		{"no proof", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			c := template(t, w)
			c.Serial = 6
			return w.Sign(c, w.CA)
		}, host.NoProof},
		{"another certificate's proof", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			real := w.Issue(template(t, w))
			c := template(t, w)
			c.Serial, c.Nonce = real.Serial, hosttest.Derived("thief")
			return w.Sign(w.Embed(c, []byte(real.Extensions[sshcert.ProofExtension])), w.CA)
		}, host.NotInLedger},
		{"a real one for longer", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			real := w.Issue(template(t, w))
			real.ValidBefore += 600
			return w.Sign(real, w.CA)
		}, host.NotInLedger},
		{"a real one for another login", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			c := template(t, w)
			c.ValidPrincipals = []string{"deploy@web-1.demo"}
			real := w.Issue(c)
			real.ValidPrincipals = []string{"ops@web-1.demo"}
			return w.Sign(real, w.CA)
		}, host.NotInLedger},
		{"a real one under another serial", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			c := template(t, w)
			c.Serial = 99 // the leaf's index gives 6
			return w.Sign(w.Embed(c, w.Prove(c, w.Log, w.Lineage, hosttest.Cosigner)), w.CA)
		}, host.NotInLedger},
		{"a ledger of the thief's", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return w.IssueBy(template(t, w), ledgertest.New(t, hosttest.Origin, "thief"), w.Lineage, hosttest.Cosigner)
		}, host.Checkpoint},
		{"another ledger", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return w.IssueBy(template(t, w), ledgertest.New(t, "other.example", "log"), w.Lineage)
		}, host.Checkpoint},
		{"no cosigner", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return w.IssueBy(template(t, w), w.Log, w.Lineage)
		}, host.Checkpoint},
		{"another cosigner", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return w.IssueBy(template(t, w), w.Log, w.Lineage, "w1.example")
		}, host.Checkpoint},
		{"junk for a proof", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return withProof(t, w, "c2sp.org/tlog-proof@v1\n")
		}, host.BadProof},
		{"a proof of 90 KB", func(t testing.TB, w *hosttest.World) *ssh.Certificate {
			return withProof(t, w, strings.Repeat("x", 90000))
		}, host.BadProof},
		{"an empty proof", func(t testing.TB, w *hosttest.World) *ssh.Certificate { return withProof(t, w, "") }, host.NoProof},
	}
}

func withProof(t testing.TB, w *hosttest.World, text string) *ssh.Certificate {
	t.Helper()
	c := template(t, w)
	c.Serial = 6
	c.Extensions = map[string]string{sshcert.ProofExtension: text}
	return w.Sign(c, w.CA)
}

// TestPromiseP08_TheAuthoritysKeyAloneOpensNothing: who stole it is refused, and
// betrayed.
func TestPromiseP08_TheAuthoritysKeyAloneOpensNothing(t *testing.T) {
	t.Parallel()
	for _, tt := range forgeries() {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			verdict := verifier(t, w, nil).Check(tt.make(t, w).Marshal(), "ops", now)
			if verdict.Refused == nil || verdict.Refused.Reason != tt.want || verdict.Principal != (sshcert.Principal{}) {
				t.Errorf("Check = %+v, %v, want %s", verdict, verdict.Refused, tt.want)
			}
			if verdict.WithoutProof == nil {
				t.Error("nobody is told that the authority signs past the ledger")
			}
		})
	}
}

// TestPromiseP08_AForgeryIsBetrayedWhateverElseIsWrong: also where another check
// refuses first.
func TestPromiseP08_AForgeryIsBetrayedWhateverElseIsWrong(t *testing.T) {
	t.Parallel()
	w := world(t)
	for name, change := range map[string]func(*ssh.Certificate){
		"another host's": func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ops@web-2.demo"} },
		"expired":        func(c *ssh.Certificate) { c.ValidBefore = 1 },
		"a free key ID":  func(c *ssh.Certificate) { c.KeyId = "root" },
		"for a host":     func(c *ssh.Certificate) { c.CertType = ssh.HostCert },
	} {
		c := template(t, w)
		change(c)
		verdict := verifier(t, w, nil).Check(w.Sign(c, w.CA).Marshal(), "ops", now)
		if verdict.Refused == nil || verdict.WithoutProof == nil {
			t.Errorf("%s: Check = %+v", name, verdict)
		}
	}
	// Who has not even the authority's key raises no alarm: anybody could.
	thief := hosttest.Signer(t, "thief")
	c := template(t, w)
	c.SignatureKey = thief.PublicKey()
	for name, cert := range map[string]*ssh.Certificate{"another authority": w.Sign(c, thief), "a signature that does not verify": w.Sign(template(t, w), thief)} {
		if verdict := verifier(t, w, nil).Check(cert.Marshal(), "ops", now); verdict.Refused == nil || verdict.WithoutProof != nil || verdict.Stock != (sshcert.Principal{}) {
			t.Errorf("%s: Check = %+v", name, verdict)
		}
	}
}

// TestPromiseP08_WhatThePoliciesDoNotAllow gives a host other files than those by
// which the certificate is good.
func TestPromiseP08_WhatThePoliciesDoNotAllow(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(w *hosttest.World, c *host.Config, b *trust.Bundle)
		want   host.Reason
	}{
		{"another authority", func(_ *hosttest.World, _ *host.Config, b *trust.Bundle) {
			b.UserCAs = []trust.Key{hosttest.Key(t, hosttest.Signer(t, "next user CA"))}
		}, host.Authority},
		{"the host CA is no user CA", func(_ *hosttest.World, _ *host.Config, b *trust.Bundle) {
			b.HostCAs, b.UserCAs = b.UserCAs, []trust.Key{hosttest.Key(t, hosttest.Signer(t, "next user CA"))}
		}, host.Authority},
		{"another log key", func(_ *hosttest.World, _ *host.Config, b *trust.Bundle) {
			b.LogKeys = []string{ledgertest.New(t, hosttest.Origin, "other").PublicKey()}
		}, host.Checkpoint},
		{"a cosigner more", func(_ *hosttest.World, _ *host.Config, b *trust.Bundle) {
			b.Cosigners = append(b.Cosigners, ledgertest.Cosigner(t, "cosigner.bank.example").PublicKey())
		}, host.Checkpoint},
		{"witnesses", func(_ *hosttest.World, _ *host.Config, b *trust.Bundle) {
			b.Witnesses = &trust.Witnesses{Need: 1, Keys: []string{ledgertest.Cosigner(t, "w1.example").PublicKey()}}
		}, host.Checkpoint},
		{"an expired bundle", func(w *hosttest.World, _ *host.Config, b *trust.Bundle) { b.ExpiresAt = canon.At(w.Now) }, host.BundleOver},
		{"shorter certificates", func(_ *hosttest.World, c *host.Config, _ *trust.Bundle) { c.MaxCertSeconds = 359 }, host.LongLived},
		{"other logins", func(_ *hosttest.World, c *host.Config, _ *trust.Bundle) { c.Logins = []sshcert.Login{"deploy"} }, host.OtherLogin},
		{"other options", func(_ *hosttest.World, c *host.Config, _ *trust.Bundle) {
			c.Options = []string{"permit-port-forwarding"}
		}, host.OtherOption},
		{"another name", func(_ *hosttest.World, c *host.Config, _ *trust.Bundle) { c.Name = "web-2.demo" }, host.Scope},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			cert := w.Issue(template(t, w))
			v := verifier(t, w, func(c *host.Config, b *trust.Bundle) { tt.change(w, c, b) })
			if got, err := v.Principal(cert.Marshal(), "ops", now); reason(t, err) != tt.want {
				t.Errorf("Principal = %v, %v, want %s", got, err, tt.want)
			}
		})
	}
}

func TestPromiseP08_TheLeafIsOfTheHostsContract(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.IssueBy(template(t, w), w.Log, canon.Digest(hosttest.Derived("another lineage")), hosttest.Cosigner)
	verdict := verifier(t, w, nil).Check(cert.Marshal(), "ops", now)
	if verdict.Refused == nil || verdict.Refused.Reason != host.Lineage || verdict.WithoutProof != nil {
		t.Errorf("Check = %+v, %v", verdict, verdict.Refused)
	}
	c := w.Config()
	c.Lineage = canon.Digest(hosttest.Derived("another lineage"))
	if _, err := host.NewVerifier(c, w.Bundle(), nil); reason(t, err) != host.Bundle {
		t.Errorf("a bundle of another lineage: %v", err)
	}
}

// TestPromiseP08_Clocks: a host's clock decides, without any tolerance.
func TestPromiseP08_Clocks(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.Issue(template(t, w))
	v := verifier(t, w, func(c *host.Config, _ *trust.Bundle) { c.KRLMaxAgeSeconds = 240 })
	for _, tt := range []struct {
		off  time.Duration
		want host.Reason
	}{
		{-10 * time.Minute, host.NotYet},
		{-60*time.Second - time.Microsecond, host.NotYet},
		{-60 * time.Second, ""},
		{0, ""},
		{240 * time.Second, ""},
		{240*time.Second + time.Microsecond, host.StaleKRL},
		{300*time.Second - time.Microsecond, host.StaleKRL},
		{300 * time.Second, host.Expired},
		{10 * time.Minute, host.Expired},
		{100 * 365 * 24 * time.Hour, host.Expired},
		{-100 * 365 * 24 * time.Hour, host.NotYet},
	} {
		if got, err := v.Principal(cert.Marshal(), "ops", now.Add(tt.off)); reason(t, err) != tt.want {
			t.Errorf("%s off: Principal = %v, %v, want %q", tt.off, got, err, tt.want)
		}
	}
}

func TestPromiseP08_TheRevocationListIsNew(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.Issue(template(t, w))
	good := w.SignedKRL(now)
	forged := bytes.Replace(good, []byte(`\"number\":7`), []byte(`\"number\":8`), 1)
	for _, tt := range []struct {
		name string
		file []byte
		most int64
		want host.Reason
	}{
		{"new", good, 60, ""},
		{"old enough", w.SignedKRL(now.Add(-60 * time.Second)), 60, ""},
		{"a second too old", w.SignedKRL(now.Add(-61 * time.Second)), 60, host.StaleKRL},
		{"old, and the policy does not mind", w.SignedKRL(now.Add(-61 * time.Hour)), 0, ""},
		{"a little ahead", w.SignedKRL(now.Add(5 * time.Minute)), 60, ""},
		{"from the future", w.SignedKRL(now.Add(5*time.Minute + time.Second)), 60, host.FutureKRL},
		{"none", nil, 60, host.NoKRL},
		{"none, and the policy does not mind", nil, 0, ""},
		{"forged", forged, 60, host.BadKRL},
		{"forged, and the policy does not mind", forged, 0, host.BadKRL},
		{"empty", []byte{}, 0, host.BadKRL},
	} {
		c := w.Config()
		c.KRLMaxAgeSeconds = tt.most
		v, err := host.NewVerifier(c, w.Bundle(), tt.file)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := v.Principal(cert.Marshal(), "ops", now); reason(t, err) != tt.want {
			t.Errorf("%s: Principal = %v, %v, want %q", tt.name, got, err, tt.want)
		}
	}
}

func TestPromiseP08_UsersThatNoCertificateNames(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.Issue(template(t, w))
	for _, tt := range []struct {
		user string
		want host.Reason
	}{
		{"root", host.Scope},
		{"deploy", host.Scope},
		{"", host.User},
		{"Ops", host.User},
		{"ops@web-1.demo", host.User},
		{"ops,root", host.User},
		{"ops\n", host.User},
		{"--dir=/tmp", host.User},
		{"*", host.User},
		{strings.Repeat("o", 33), host.User},
		{"o\u0301ps", host.User},
	} {
		if got, err := verifier(t, w, nil).Principal(cert.Marshal(), tt.user, now); reason(t, err) != tt.want {
			t.Errorf("%q: Principal = %v, %v, want %s", tt.user, got, err, tt.want)
		}
	}
}

// TestTheReasonsAreDistinct: logs and counts tell them apart.
func TestTheReasonsAreDistinct(t *testing.T) {
	t.Parallel()
	seen := map[host.Reason]bool{}
	for _, r := range host.Reasons() {
		if seen[r] || r == "" || strings.ContainsFunc(string(r), func(c rune) bool { return c != '-' && (c < 'a' || c > 'z') }) {
			t.Errorf("reason %q", r)
		}
		seen[r] = true
	}
	if len(seen) < 30 {
		t.Error(slices.Collect(maps.Keys(seen)))
	}
}
