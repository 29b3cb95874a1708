package ca_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/certproof"
	"github.com/sallyport/sallyport/sshcert"
)

// bend is one way in which a certificate is not the granted one, and what Lint
// says about it.
type bend struct {
	name string
	do   func(*ssh.Certificate)
	says string
}

// bends are told about one by one, each recorded in the ledger and signed by
// the right key: only the comparison with the grant can find them.
func lintRefuses(t *testing.T, list []bend) {
	t.Helper()
	for _, tt := range list {
		i := newIssuance(t)
		err := i.lint(i.bent(i.authority, tt.do))
		if !errors.Is(err, ca.ErrLint) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s, recorded: %v, want a refusal that says %q", tt.name, err, tt.says)
		}
		// And changed behind the ledger's back.
		done := i.finished()
		if err := i.lint(done); err != nil {
			t.Fatalf("the honest certificate: %v", err)
		}
		if err := i.lint(i.changed(done, tt.do)); !errors.Is(err, ca.ErrLint) {
			t.Errorf("%s, after it was recorded: %v, want ErrLint", tt.name, err)
		}
	}
}

func TestPromiseP02_LintComparesEachFieldWithTheGrant(t *testing.T) {
	t.Parallel()
	stranger := newKey(t).PublicKey()
	id := func(f func(*sshcert.KeyID)) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			k, err := sshcert.ParseKeyID(c.KeyId)
			if err != nil {
				t.Fatal(err)
			}
			f(&k)
			c.KeyId = k.String()
		}
	}
	lintRefuses(t, []bend{
		{"a host certificate", func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, "not a user certificate"},
		{"no type", func(c *ssh.Certificate) { c.CertType = 0 }, "not a user certificate"},
		{"the next serial", func(c *ssh.Certificate) { c.Serial++ }, "the serial is not the leaf's"},
		{"serial 0", func(c *ssh.Certificate) { c.Serial = 0 }, "the serial is not the leaf's"},
		{"a nonce of 31 bytes", func(c *ssh.Certificate) { c.Nonce = c.Nonce[:31] }, "the nonce is not 32 bytes"},
		{"a nonce of 33 bytes", func(c *ssh.Certificate) { c.Nonce = append(c.Nonce[:32:32], 0) }, "the nonce is not 32 bytes"},
		{"no nonce", func(c *ssh.Certificate) { c.Nonce = nil }, "the nonce is not 32 bytes"},
		{"another key", func(c *ssh.Certificate) { c.Key = stranger }, "the key is not the proved one"},
		{"no key ID", func(c *ssh.Certificate) { c.KeyId = "" }, "key ID"},
		{"a key ID of free text", func(c *ssh.Certificate) { c.KeyId = "alice" }, "key ID"},
		{"a key ID with a line more", func(c *ssh.Certificate) { c.KeyId += "\nAccepted publickey for root" }, "key ID"},
		{"another person", id(func(k *sshcert.KeyID) { k.Person = "aaaaaaaaaaaaaaaaaaaaaaaaai" }), "the key ID is not the grant's"},
		{"another request", id(func(k *sshcert.KeyID) { k.Request = k.Person }), "the key ID is not the grant's"},
		{"another contract version", id(func(k *sshcert.KeyID) { k.Contract[31]++ }), "the key ID is not the grant's"},
		{"no contract version", id(func(k *sshcert.KeyID) { k.Contract = [32]byte{} }), "the key ID is not the grant's"},
		{"an end one second later", id(func(k *sshcert.KeyID) { k.End = k.End.Add(time.Second) }), "the key ID is not the grant's"},
		{"an end one second earlier", id(func(k *sshcert.KeyID) { k.End = k.End.Add(-time.Second) }), "the key ID is not the grant's"},
		{"a reserved field", func(c *ssh.Certificate) { c.Reserved = []byte("x") }, "the reserved field is not empty"},
	})
}

func TestPromiseP06_LintComparesPrincipalsAndOptionsWithTheGrant(t *testing.T) {
	t.Parallel()
	principals := func(list ...string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.ValidPrincipals = list }
	}
	const says = "the principals are not the grant's"
	d1, d2, o1, o2 := "deploy@web-1.demo", "deploy@web-2.demo", "ops@web-1.demo", "ops@web-2.demo"
	lintRefuses(t, []bend{
		{"no principal", principals(), says},
		{"one removed", principals(d1, d2, o1), says},
		{"one added", principals(d1, d2, o1, o2, "ops@web-3.demo"), says},
		{"another order", principals(d2, d1, o1, o2), says},
		{"one twice", principals(d1, d1, o1, o2), says},
		{"one twice and all", principals(d1, d2, o1, o1, o2), says},
		{"another host", principals(d1, d2, o1, "ops@web-3.demo"), says},
		{"another login", principals(d1, d2, o1, "root@web-2.demo"), says},
		{"a login without host", principals(d1, d2, o1, "ops"), says},
		{"a host as a pattern", principals(d1, d2, o1, "ops@*"), says},
		{"a login as a pattern", principals("*@web-1.demo", d1, d2, o1), says},
		{"an empty one", principals("", d1, d2, o1), says},
		{"a list in one", principals(d1, d2, o1, "ops@web-2.demo,root"), says},
		{"a critical option", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"force-command": "/bin/sh"} }, "the critical options are not the grant's"},
		{"an unknown critical option", func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{"x@y": ""} }, "the critical options are not the grant's"},
		{"an extension added", func(c *ssh.Certificate) { c.Extensions["permit-X11-forwarding"] = "" }, "the extensions are not the grant's"},
		{"an extension removed", func(c *ssh.Certificate) { delete(c.Extensions, "permit-pty") }, "the extensions are not the grant's"},
		{"an extension for another", func(c *ssh.Certificate) {
			delete(c.Extensions, "permit-pty")
			c.Extensions["permit-user-rc"] = ""
		}, "the extensions are not the grant's"},
		{"an extension with a value", func(c *ssh.Certificate) { c.Extensions["permit-pty"] = "x" }, "the extensions are not the grant's"},
	})
}

func TestPromiseP05_LintHoldsTheTimesToTheGrant(t *testing.T) {
	t.Parallel()
	// Issued at 08:02:00.7 under a grant from 08:00:00.7 to 08:10:00.7, certificates of 5 minutes.
	at := func(second string) uint64 {
		when, err := time.Parse(time.RFC3339, "2026-12-01T"+second+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return uint64(when.Unix())
	}
	lintRefuses(t, []bend{
		{"over 60 s before it was issued", func(c *ssh.Certificate) { c.ValidAfter = at("08:01:00") }, "valid before it was issued"},
		{"since ever", func(c *ssh.Certificate) { c.ValidAfter = 0 }, "valid before it was issued"},
		{"not yet valid", func(c *ssh.Certificate) { c.ValidAfter = at("08:02:01") }, "not valid yet when issued"},
		{"longer than one certificate may", func(c *ssh.Certificate) { c.ValidBefore = at("08:07:01") }, "outlives the limit"},
		{"longer than the grant", func(c *ssh.Certificate) { c.ValidBefore = at("08:10:01") }, "outlives the grant"},
		{"for ever", func(c *ssh.Certificate) { c.ValidBefore = ssh.CertTimeInfinity }, "certificate"},
		{"over before it begins", func(c *ssh.Certificate) { c.ValidBefore = c.ValidAfter }, "ends before it begins"},
	})
	for name, do := range map[string]func(*ssh.Certificate){
		"60 s before it was issued": func(c *ssh.Certificate) { c.ValidAfter = at("08:01:01") },
		"the second of issue":       func(c *ssh.Certificate) { c.ValidAfter = at("08:02:00") },
		"all of one certificate":    func(c *ssh.Certificate) { c.ValidBefore = at("08:07:00") },
		"shorter":                   func(c *ssh.Certificate) { c.ValidBefore = at("08:03:00") },
	} {
		i := newIssuance(t)
		if err := i.lint(i.bent(i.authority, do)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Near the grant's edges its own second decides, whatever the backdating.
	for _, tt := range []struct {
		name string
		now  time.Duration // after the grant's start
		do   func(*ssh.Certificate)
		ok   bool
	}{
		{"the grant's first second", time.Second, func(c *ssh.Certificate) { c.ValidAfter = at("08:00:00") }, true},
		{"the second before the grant", time.Second, func(c *ssh.Certificate) { c.ValidAfter = at("07:59:59") }, false},
		{"the grant's last second", 9 * time.Minute, func(c *ssh.Certificate) { c.ValidBefore = at("08:10:00") }, true},
		{"the second after the grant", 9 * time.Minute, func(c *ssh.Certificate) { c.ValidBefore = at("08:10:01") }, false},
	} {
		i := newIssuance(t)
		i.now = start().Add(tt.now)
		if err := i.lint(i.bent(i.authority, tt.do)); (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// A certificate by another authority, or without its own proof, is none of ours,
// however well it is made.
func TestPromiseP02_LintRefusesOtherAuthoritiesAndProofs(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	other := newAuthority(t)
	byOther := i.bent(other, func(c *ssh.Certificate) { c.SignatureKey = other.PublicKey() })
	if err := i.lint(byOther); !errors.Is(err, ca.ErrLint) || !strings.Contains(err.Error(), "the authority is not the pinned one") {
		t.Errorf("another authority: %v", err)
	}
	wrong := i.finished()
	wrong.Signature = i.sign(other, wrong).Signature
	if err := i.lint(wrong); !errors.Is(err, certproof.ErrSignature) {
		t.Errorf("signed by another key than it names: %v, want ErrSignature", err)
	}
	first := i.finished()
	second := i.finished()
	unproved := i.changed(second, func(c *ssh.Certificate) { delete(c.Extensions, sshcert.ProofExtension) })
	if err := i.lint(unproved); !errors.Is(err, ca.ErrLint) {
		t.Errorf("no proof: %v, want ErrLint", err)
	}
	for name, proof := range map[string]string{"the proof of another certificate": first.Extensions[sshcert.ProofExtension], "junk as proof": "x"} {
		swapped := i.changed(second, func(c *ssh.Certificate) { c.Extensions[sshcert.ProofExtension] = proof })
		if err := i.lint(swapped); !errors.Is(err, ca.ErrLint) {
			t.Errorf("%s: %v, want ErrLint", name, err)
		}
	}
	stranger := newVKey(t, i.log.Origin())
	policy, err := ledger.NewPolicy(i.log.Origin(), stranger)
	if err != nil {
		t.Fatal(err)
	}
	serial := second.Serial
	if err := ca.Lint(second.Marshal(), i.grant, i.key.PublicKey(), i.authority.PublicKey(), serial, i.now, policy); !errors.Is(err, ledger.ErrUntrusted) {
		t.Errorf("a checkpoint by another log key: %v, want ErrUntrusted", err)
	}
	for name, wire := range map[string][]byte{
		"nothing": nil, "a plain key": i.key.PublicKey().Marshal(), "a byte more": append(second.Marshal(), 0), "a byte less": second.Marshal()[:100],
	} {
		if err := ca.Lint(wire, i.grant, i.key.PublicKey(), i.authority.PublicKey(), serial, i.now, i.log.Policy()); !errors.Is(err, ca.ErrLint) {
			t.Errorf("%s: %v, want ErrLint", name, err)
		}
	}
	// A grant that was never made right does not make a certificate right.
	odd := i.grant
	odd.Extensions = []string{"permit-everything", "permit-pty"}
	strange := i.bent(i.authority, func(c *ssh.Certificate) {
		c.Extensions = map[string]string{"permit-everything": "", "permit-pty": ""}
	})
	if err := ca.Lint(strange.Marshal(), odd, i.key.PublicKey(), i.authority.PublicKey(), strange.Serial, i.now, i.log.Policy()); !errors.Is(err, ca.ErrLint) {
		t.Errorf("an extension that nobody knows: %v, want ErrLint", err)
	}
}

// Whatever NewTemplate makes of a random grant, Lint finds nothing in it, and
// finds each single byte that is changed.
func TestPromiseP02_TemplateAndLintAgree(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	good := i.grant
	rapid.Check(t, func(rt *rapid.T) {
		i.grant = good
		i.grant.Logins = rapid.SliceOfNDistinct(rapid.SampledFrom([]sshcert.Login{"a", "b", "ops", "root"}), 1, 4, rapid.ID[sshcert.Login]).Draw(rt, "logins")
		i.grant.Hosts = hosts(rapid.IntRange(1, 16).Draw(rt, "hosts"))
		i.grant.Extensions = rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"permit-pty", "permit-user-rc", "permit-X11-forwarding"}), 0, 3, rapid.ID[string]).Draw(rt, "extensions")
		slices.Sort(i.grant.Extensions)
		i.grant.End = i.grant.Start.Add(time.Duration(rapid.Int64Range(10e6, 3600e6).Draw(rt, "length")) * time.Microsecond)
		i.grant.TTL = time.Duration(rapid.IntRange(10, 900).Draw(rt, "ttl")) * time.Second
		i.now = i.grant.Start.Add(time.Duration(rapid.Int64Range(0, 3600e6).Draw(rt, "now")) * time.Microsecond)
		if _, err := ca.NewTemplate(i.grant, i.key.PublicKey(), i.now); err != nil {
			if !errors.Is(err, approval.ErrGrantOver) {
				rt.Fatal(err)
			}
			return
		}
		cert := i.finished()
		if err := i.lint(cert); err != nil {
			rt.Fatalf("%+v at %s: %v", i.grant, i.now, err)
		}
		wire := bytes.Clone(cert.Marshal())
		at := rapid.IntRange(0, len(wire)-1).Draw(rt, "byte")
		wire[at] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
		if err := ca.Lint(wire, i.grant, i.key.PublicKey(), i.authority.PublicKey(), cert.Serial, i.now, i.log.Policy()); !errors.Is(err, ca.ErrLint) {
			rt.Fatalf("byte %d changed: %v, want ErrLint", at, err)
		}
	})
}

// Lint compares with the grant that it is given, not with one that is wider.
func TestPromiseP06_LintRefusesWhatAnotherGrantAllows(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	cert := i.finished()
	for name, change := range map[string]func(*approval.Grant){
		"another person":      func(g *approval.Grant) { g.Person = "aaaaaaaaaaaaaaaaaaaaaaaaai" },
		"another request":     func(g *approval.Grant) { g.ID = "aaaaaaaaaaaaaaaaaaaaaaaaai" },
		"another contract":    func(g *approval.Grant) { g.Contract[0]++ },
		"a login less":        func(g *approval.Grant) { g.Logins = g.Logins[:1] },
		"a host less":         func(g *approval.Grant) { g.Hosts = g.Hosts[:1] },
		"another login":       func(g *approval.Grant) { g.Logins = []sshcert.Login{"deploy", "root"} },
		"another host":        func(g *approval.Grant) { g.Hosts = []sshcert.Host{"web-1.demo", "web-3.demo"} },
		"an extension less":   func(g *approval.Grant) { g.Extensions = g.Extensions[1:] },
		"one more extension":  func(g *approval.Grant) { g.Extensions = append(slices.Clone(g.Extensions), "permit-user-rc") },
		"an earlier end":      func(g *approval.Grant) { g.End = g.Start.Add(3 * time.Minute) },
		"shorter certificate": func(g *approval.Grant) { g.TTL = 4 * time.Minute },
		"a later start":       func(g *approval.Grant) { g.Start = g.Start.Add(90 * time.Second) },
	} {
		j := *i
		change(&j.grant)
		if err := j.lint(cert); !errors.Is(err, ca.ErrLint) {
			t.Errorf("%s: %v, want ErrLint", name, err)
		}
	}
	if err := i.lint(cert); err != nil {
		t.Errorf("the grant itself: %v", err)
	}
}
