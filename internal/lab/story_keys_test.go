package lab_test

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

var serialPattern = regexp.MustCompile(`certificate serial ([0-9]+) for`)

// TestStoryKeyTypes: one approval, then a certificate for a key of each type of
// the profile from the real authority into a real sshd; each proves itself in the
// ledger. A key that the policy refuses asks nobody for anything.
func TestStoryKeyTypes(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	s := openSite(t, ctx, site.Config{Plan: site.Plan{CertTTL: time.Minute}})
	provider, err := lab.FIDOProvider()
	must(t, err)
	s.Alice.Setenv("SSH_SK_PROVIDER", provider)
	filed, err := s.Alice.Must(ctx, "sally", "request", s.Principal(site.Web1), "--for", "10m", "--because", "every type of key", "--no-wait")
	must(t, err)
	path, _ := page(t, filed.Output)
	decide(t, ctx, s, path, "approve", "")

	connect := func(shown string, args ...string) {
		t.Helper()
		before := len(s.Hosts[site.Web1].Log())
		r, err := s.Alice.Must(ctx, slices.Concat([]string{"sally", "ssh", s.Principal(site.Web1)}, args, []string{"--", "id -un"})...)
		must(t, err)
		if strings.TrimSpace(r.Stdout) != string(s.Account.Login) {
			t.Errorf("%q: the host answers %q", args, r.Output)
		}
		line, err := s.Hosts[site.Web1].WaitLogAfter(ctx, before, "Accepted publickey")
		must(t, err)
		m := serialPattern.FindStringSubmatch(r.Output)
		if m == nil || !strings.Contains(line, ": "+shown+" SHA256:") || !strings.Contains(line, "(serial "+m[1]+")") {
			t.Fatalf("%q: sally says %s\nsshd %s", args, r.Output, line)
		}
		entry, err := s.Alice.Must(ctx, "sally", "ledger", "show", m[1])
		must(t, err)
		if strings.Contains(entry.Stdout, "✗") || strings.Contains(entry.Stdout, "?") || !strings.Contains(entry.Stdout, "✓ proof") {
			t.Errorf("%q: the ledger's entry does not check out:\n%s", args, entry.Output)
		}
	}
	for name, shown := range map[string]string{
		"ed25519": "ED25519-CERT", "ecdsa-p256": "ECDSA-CERT", "ecdsa-p384": "ECDSA-CERT", "ecdsa-p521": "ECDSA-CERT", "rsa-3072": "RSA-CERT",
	} {
		connect(shown, "--key-type", name)
	}
	for name, shown := range map[string]string{"ed25519-sk": "ED25519-SK-CERT", "ecdsa-sk": "ECDSA-SK-CERT"} {
		key := s.Alice.Home("id_" + name)
		must(t, lab.KeyPairOf(ctx, key, "alice", "-t", name))
		connect(shown, "-i", key)
	}
	short := s.Alice.Home("id_rsa")
	must(t, lab.KeyPairOf(ctx, short, "alice", "-t", "rsa", "-b", "2048"))
	expect(t, ctx, s, 2, "an RSA key of 2048 bits, at least 3072; ssh-keygen -t rsa -b 3072, or better ssh-keygen -t ed25519",
		"sally", "ssh", s.Principal(site.Web1), "--identity", filepath.Base(short), "--", "id -un")
}
