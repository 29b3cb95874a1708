package ca_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// unsignedAt makes the certificate that a grant gives at a moment.
func unsignedAt(g approval.Grant, key ssh.PublicKey, now time.Time) (*ssh.Certificate, error) {
	template, err := ca.NewTemplate(g, key, now)
	if err != nil {
		return nil, err
	}
	return template.Certificate(7, make([]byte, ca.NonceSize), key)
}

func TestPromiseP05_ValidityOfAnyGrantAtAnyMoment(t *testing.T) {
	t.Parallel()
	key := newKey(t).PublicKey()
	made := 0
	rapid.Check(t, func(rt *rapid.T) {
		g := goodGrant()
		micro := func(label string, most time.Duration) time.Duration {
			return time.Duration(rapid.Int64Range(0, most.Microseconds()).Draw(rt, label)) * time.Microsecond
		}
		g.Start = start().Add(micro("start", time.Second))
		length := rapid.SampledFrom([]time.Duration{0, 10 * time.Second, 10 * time.Minute, time.Hour}).Draw(rt, "about") + micro("length", time.Minute)
		g.End = g.Start.Add(length)
		g.TTL = 10*time.Second + micro("ttl", 15*time.Minute)
		// Near the edges, where the rounding is, and in between.
		about := rapid.SampledFrom([]time.Duration{0, ca.Backdate, length / 2, length - ca.MinLife, length}).Draw(rt, "moment")
		now := g.Start.Add(about + time.Duration(rapid.Int64Range(-2e6, 2e6).Draw(rt, "off"))*time.Microsecond)
		cert, err := unsignedAt(g, key, now)
		left := min(g.TTL, g.End.Sub(now))
		if err != nil {
			if !now.Before(g.Start) && left >= ca.MinLife+time.Second {
				rt.Fatalf("refused with %s left: %v", left, err)
			}
			return
		}
		made++
		after, before := time.Unix(int64(cert.ValidAfter), 0), time.Unix(int64(cert.ValidBefore), 0)
		switch {
		case now.Before(g.Start), !now.Before(g.End):
			rt.Fatalf("issued at %s, the grant lasts from %s to %s", now, g.Start, g.End)
		case before.After(g.End), before.After(now.Add(g.TTL)):
			rt.Fatalf("valid before %s; the grant ends %s, one certificate %s", before, g.End, now.Add(g.TTL))
		case before.Sub(now) < ca.MinLife:
			rt.Fatalf("issued for %s", before.Sub(now))
		case now.Sub(after) > ca.Backdate:
			rt.Fatalf("valid after %s, issued at %s", after, now)
		case after.Before(g.Start.Truncate(time.Second)):
			rt.Fatalf("valid after %s, the grant starts %s", after, g.Start)
		case after.After(now):
			rt.Fatalf("not valid before %s, issued at %s", after, now)
		// It is no shorter than it has to be either.
		case min(g.TTL, g.End.Sub(now))-before.Sub(now) >= time.Second:
			rt.Fatalf("valid for %s, %s were possible", before.Sub(now), left)
		}
	})
	if made == 0 {
		t.Error("no certificate was made")
	}
	t.Logf("%d certificates made", made)
}

func TestPromiseP06_PrincipalsAreEveryLoginOnEveryHost(t *testing.T) {
	t.Parallel()
	key := newKey(t).PublicKey()
	rapid.Check(t, func(rt *rapid.T) {
		g := goodGrant()
		g.Logins = rapid.SliceOfNDistinct(rapid.SampledFrom([]sshcert.Login{"a", "b", "ops", "root", "web"}), 0, 5, rapid.ID[sshcert.Login]).Draw(rt, "logins")
		g.Hosts = nil
		for n := range rapid.IntRange(0, 20).Draw(rt, "hosts") {
			g.Hosts = append(g.Hosts, sshcert.Host(fmt.Sprintf("web-%d.demo", n)))
		}
		cert, err := unsignedAt(g, key, start())
		n := len(g.Logins) * len(g.Hosts)
		if (err == nil) != (n > 0 && n <= sshcert.MaxPrincipals) {
			rt.Fatalf("%d principals: %v", n, err)
		}
		if err != nil {
			if !errors.Is(err, ca.ErrTemplate) || !errors.Is(err, sshcert.ErrPrincipal) {
				rt.Fatalf("%v, want ErrTemplate", err)
			}
			return
		}
		if len(cert.ValidPrincipals) != n || !slices.IsSorted(cert.ValidPrincipals) {
			rt.Fatalf("%v for %d principals", cert.ValidPrincipals, n)
		}
		for _, l := range g.Logins {
			for _, h := range g.Hosts {
				if !slices.Contains(cert.ValidPrincipals, string(l)+"@"+string(h)) {
					rt.Fatalf("%s on %s is missing in %v", l, h, cert.ValidPrincipals)
				}
			}
		}
	})
}

func TestNewTemplateRefuses(t *testing.T) {
	t.Parallel()
	key := newKey(t).PublicKey()
	for _, tt := range []struct {
		name string
		bend func(*approval.Grant)
		now  time.Time
		want error
	}{
		{"before the grant", nil, start().Add(-time.Microsecond), approval.ErrNotGranted},
		{"at its end", nil, start().Add(10 * time.Minute), approval.ErrGrantOver},
		{"long after it", nil, start().Add(time.Hour), approval.ErrGrantOver},
		{"with less than 5 s left", nil, start().Add(10*time.Minute - 4*time.Second), approval.ErrGrantOver},
		{"of no length", func(g *approval.Grant) { g.End = g.Start }, start(), approval.ErrGrantOver},
		{"without login", func(g *approval.Grant) { g.Logins = nil }, start(), ca.ErrTemplate},
		{"without host", func(g *approval.Grant) { g.Hosts = nil }, start(), ca.ErrTemplate},
		{"with a login twice", func(g *approval.Grant) { g.Logins = []sshcert.Login{"ops", "ops"} }, start(), ca.ErrTemplate},
		{"with 65 hosts", func(g *approval.Grant) { g.Logins, g.Hosts = g.Logins[:1], hosts(65) }, start(), ca.ErrTemplate},
		{"with certificates of no length", func(g *approval.Grant) { g.TTL = 0 }, start(), ca.ErrTemplate},
		{"with certificates of over a day", func(g *approval.Grant) { g.TTL, g.End = 25*time.Hour, start().Add(48*time.Hour) }, start(), ca.ErrTemplate},
		{"with certificates of under 5 s", func(g *approval.Grant) { g.TTL = 4 * time.Second }, start(), approval.ErrGrantOver},
		{"with an unknown extension", func(g *approval.Grant) { g.Extensions = []string{"permit-everything"} }, start(), ca.ErrTemplate},
		{"with the proof as extension", func(g *approval.Grant) { g.Extensions = []string{sshcert.ProofExtension} }, start(), ca.ErrTemplate},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := goodGrant()
			if tt.bend != nil {
				tt.bend(&g)
			}
			if _, err := ca.NewTemplate(g, key, tt.now); !errors.Is(err, tt.want) {
				t.Errorf("%v, want %v", err, tt.want)
			}
		})
	}
	g := goodGrant()
	g.Logins, g.Hosts = g.Logins[:1], hosts(64)
	if _, err := ca.NewTemplate(g, key, start()); err != nil {
		t.Errorf("64 principals: %v", err)
	}
}

func hosts(n int) []sshcert.Host {
	var out []sshcert.Host
	for i := range n {
		out = append(out, sshcert.Host(fmt.Sprintf("web-%d.demo", i)))
	}
	return out
}

func TestNewTemplateRefusesKeys(t *testing.T) {
	t.Parallel()
	tried := 0
	for _, refused := range sshcerttest.RefusedKeys(t) {
		public, err := ssh.ParsePublicKey(refused.Wire)
		if err != nil || !bytes.Equal(public.Marshal(), refused.Wire) {
			continue // no caller can have it
		}
		tried++
		if _, err := ca.NewTemplate(goodGrant(), public, start()); !errors.Is(err, sshcert.ErrKeyPolicy) {
			t.Errorf("%s: %v, want ErrKeyPolicy", refused.Name, err)
		}
	}
	if tried < 20 {
		t.Errorf("only %d keys were tried", tried)
	}
	i := newIssuance(t)
	if _, err := ca.NewTemplate(goodGrant(), i.finished(), start()); !errors.Is(err, sshcert.ErrKeyPolicy) {
		t.Errorf("a certificate as key: %v, want ErrKeyPolicy", err)
	}
}

func TestTemplateCertificateRefuses(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	template, err := ca.NewTemplate(i.grant, i.key.PublicKey(), i.now)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, ca.NonceSize)
	for _, tt := range []struct {
		name      string
		serial    uint64
		nonce     []byte
		authority ssh.PublicKey
	}{
		{"serial 0", 0, nonce, i.authority.PublicKey()},
		{"no nonce", 7, nil, i.authority.PublicKey()},
		{"a short nonce", 7, nonce[1:], i.authority.PublicKey()},
		{"a long nonce", 7, append(nonce[:32:32], 0), i.authority.PublicKey()},
		{"a certificate as authority", 7, nonce, i.finished()},
	} {
		if _, err := template.Certificate(tt.serial, tt.nonce, tt.authority); !errors.Is(err, ca.ErrTemplate) {
			t.Errorf("%s: %v, want ErrTemplate", tt.name, err)
		}
	}
}

// The key ID names person, request, contract version and the grant's end, and
// the certificate has no field that the grant does not give it.
func TestPromiseP02_TheTemplateIsTheGrant(t *testing.T) {
	t.Parallel()
	i := newIssuance(t)
	cert := i.unsigned()
	id, err := sshcert.ParseKeyID(cert.KeyId)
	want := sshcert.KeyID{Person: i.grant.Person, Request: i.grant.ID, Contract: i.grant.Contract, End: i.grant.End.Truncate(time.Second)}
	if err != nil || id != want {
		t.Errorf("key ID %+v, %v; want %+v", id, err, want)
	}
	if cert.CertType != ssh.UserCert || len(cert.CriticalOptions) != 0 || len(cert.Reserved) != 0 || len(cert.Extensions) != len(i.grant.Extensions) {
		t.Errorf("certificate %+v", cert)
	}
	for _, name := range i.grant.Extensions {
		if value, ok := cert.Extensions[name]; !ok || value != "" {
			t.Errorf("extension %s is %q, %t", name, value, ok)
		}
	}
	// What a caller does to one certificate is not in the next.
	template, err := ca.NewTemplate(i.grant, i.key.PublicKey(), i.now)
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, ca.NonceSize)
	first, err := template.Certificate(7, nonce, i.authority.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	first.ValidPrincipals[0], first.Extensions["x"], nonce[0] = "root@web-1.demo", "y", 1
	second, err := template.Certificate(7, nonce, i.authority.PublicKey())
	if err != nil || slices.Contains(second.ValidPrincipals, "root@web-1.demo") || len(second.Extensions) != 2 || first.Nonce[0] != 0 {
		t.Errorf("the second certificate is %+v, %v", second, err)
	}
}
