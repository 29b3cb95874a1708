package ca_test

import (
	"encoding/base64"
	"errors"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

func prefixes(list ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(list))
	for i, s := range list {
		out[i] = netip.MustParsePrefix(s)
	}
	return out
}

// fullOptions are all critical options at once.
func fullOptions() approval.Options {
	return approval.Options{SourceAddress: prefixes("9.0.0.0/8", "10.20.0.0/16", "2001:db8::/32"), ForceCommand: `/usr/local/bin/pgro "a b"`, VerifyRequired: true}
}

// optioned is an issuance under a grant with options, over a FIDO key.
func optioned(t *testing.T, o approval.Options) *issuance {
	t.Helper()
	i := newIssuance(t)
	i.grant.Options, i.key = o, sshcerttest.Signer(t, ssh.KeyAlgoSKED25519)
	return i
}

// A certificate carries each option that the grant has, written as stock
// ssh-keygen reads it, and none that it has not.
func TestPromiseP06_ExactlyTheGrantedOptionsStandInACertificate(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		options approval.Options
		want    map[string]string
	}{
		"none":     {approval.Options{}, map[string]string{}},
		"source":   {approval.Options{SourceAddress: prefixes("10.20.0.0/16")}, map[string]string{"source-address": "10.20.0.0/16"}},
		"repeated": {approval.Options{SourceAddress: prefixes("10.20.0.0/16", "10.20.0.0/16")}, map[string]string{"source-address": "10.20.0.0/16"}},
		"command":  {approval.Options{ForceCommand: "/bin/date"}, map[string]string{"force-command": "/bin/date"}},
		"verify":   {approval.Options{VerifyRequired: true}, map[string]string{"verify-required": ""}},
		"all": {fullOptions(), map[string]string{
			"source-address": "10.20.0.0/16,2001:db8::/32,9.0.0.0/8", "force-command": `/usr/local/bin/pgro "a b"`, "verify-required": "",
		}},
	} {
		i := optioned(t, tt.options)
		cert := i.finished()
		if err := i.lint(cert); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !maps.Equal(cert.CriticalOptions, tt.want) {
			t.Errorf("%s: options %q, want %q", name, cert.CriticalOptions, tt.want)
		}
		file := filepath.Join(t.TempDir(), "key-cert.pub")
		if err := os.WriteFile(file, []byte(cert.Type()+" "+base64.StdEncoding.EncodeToString(cert.Marshal())+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-L", "-f", file).CombinedOutput()
		if err != nil {
			t.Fatalf("ssh-keygen -L: %v\n%s", err, out)
		}
		for option, value := range tt.want {
			if !strings.Contains(string(out), strings.TrimSpace(option+" "+value)+"\n") {
				t.Errorf("%s: stock ssh-keygen does not read %s %s:\n%s", name, option, value, out)
			}
		}
	}
}

// The lint finds an option that is left out, widened, narrowed, added or spelled in
// another way, recorded so by the ledger or changed after.
func TestPromiseP06_LintComparesCriticalOptionsWithTheGrant(t *testing.T) {
	t.Parallel()
	set := func(name, value string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.CriticalOptions = maps.Clone(c.CriticalOptions)
			c.CriticalOptions[name] = value
		}
	}
	drop := func(name string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) {
			c.CriticalOptions = maps.Clone(c.CriticalOptions)
			delete(c.CriticalOptions, name)
		}
	}
	for name, do := range map[string]func(*ssh.Certificate){
		"no options":             func(c *ssh.Certificate) { c.CriticalOptions = nil },
		"no source-address":      drop("source-address"),
		"no force-command":       drop("force-command"),
		"no verify-required":     drop("verify-required"),
		"one more network":       set("source-address", "10.20.0.0/16,11.0.0.0/8,2001:db8::/32,9.0.0.0/8"),
		"one network less":       set("source-address", "10.20.0.0/16,9.0.0.0/8"),
		"a wider network":        set("source-address", "10.0.0.0/8,2001:db8::/32,9.0.0.0/8"),
		"from anywhere":          set("source-address", "0.0.0.0/0,::/0"),
		"networks in disorder":   set("source-address", "9.0.0.0/8,10.20.0.0/16,2001:db8::/32"),
		"a network twice":        set("source-address", "10.20.0.0/16,10.20.0.0/16,2001:db8::/32,9.0.0.0/8"),
		"an address spelled out": set("source-address", "10.20.0.0/16,2001:0db8::/32,9.0.0.0/8"),
		"a negated network":      set("source-address", "!10.20.0.0/16,2001:db8::/32,9.0.0.0/8"),
		"no network in the list": set("source-address", ""),
		"another command":        set("force-command", "/bin/sh"),
		"a longer command":       set("force-command", `/usr/local/bin/pgro "a b"; sh`),
		"no command in it":       set("force-command", ""),
		"verify with a value":    set("verify-required", "no"),
		"another option":         set("x@y", ""),
	} {
		i := optioned(t, fullOptions())
		const says = "the critical options are not the grant's"
		if err := i.lint(i.bent(i.authority, do)); !errors.Is(err, ca.ErrLint) || !strings.Contains(err.Error(), says) {
			t.Errorf("%s, recorded: %v, want a refusal that says %q", name, err, says)
		}
		if err := i.lint(i.changed(i.finished(), do)); !errors.Is(err, ca.ErrLint) {
			t.Errorf("%s, after it was recorded: %v, want ErrLint", name, err)
		}
	}
}

// A certificate is made over keys of the types that the grant names; verify-required
// never over one that can't verify its user, because sshd would not ask it.
func TestPromiseP06_KeyTypesOfTheGrant(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		keys   []string
		verify bool
		key    string
		ok     bool
	}{
		{nil, false, ssh.KeyAlgoED25519, true},
		{[]string{ssh.KeyAlgoED25519, ssh.KeyAlgoSKED25519}, false, ssh.KeyAlgoED25519, true},
		{[]string{ssh.KeyAlgoSKED25519}, false, ssh.KeyAlgoED25519, false},
		{[]string{ssh.KeyAlgoSKED25519}, false, ssh.KeyAlgoSKECDSA256, false},
		{[]string{ssh.KeyAlgoSKED25519}, true, ssh.KeyAlgoSKED25519, true},
		{nil, true, ssh.KeyAlgoSKECDSA256, true},
		{nil, true, ssh.KeyAlgoED25519, false},
	} {
		i := newIssuance(t)
		i.grant.Keys, i.grant.Options.VerifyRequired = tt.keys, tt.verify
		key := sshcerttest.Signer(t, tt.key)
		_, err := ca.NewTemplate(i.grant, key.PublicKey(), i.now)
		if (err == nil) != tt.ok || !tt.ok && !errors.Is(err, sshcert.ErrKeyPolicy) {
			t.Errorf("%v, verified %v, a key of type %s: %v", tt.keys, tt.verify, tt.key, err)
		}
		// And the lint by itself: recorded over that key all the same.
		open := i.grant
		open.Keys = nil
		open.Options.VerifyRequired = false
		real := i.grant
		i.grant, i.key = open, key
		cert := i.bent(i.authority, func(c *ssh.Certificate) {
			if real.Options.VerifyRequired {
				c.CriticalOptions = map[string]string{"verify-required": ""}
			}
		})
		i.grant = real
		if err := i.lint(cert); (err == nil) != tt.ok || !tt.ok && !errors.Is(err, ca.ErrLint) {
			t.Errorf("%v, verified %v, lint over a key of type %s: %v", tt.keys, tt.verify, tt.key, err)
		}
	}
}

func TestTemplateRefusesOptions(t *testing.T) {
	t.Parallel()
	many := make([]netip.Prefix, 65)
	for n := range many {
		many[n] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(n), 0, 0}), 16)
	}
	for name, o := range map[string]approval.Options{
		"host bits":            {SourceAddress: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("10.20.0.1"), 16)}},
		"no network":           {SourceAddress: make([]netip.Prefix, 1)},
		"IPv4 inside IPv6":     {SourceAddress: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:10.20.0.0"), 112)}},
		"too many networks":    {SourceAddress: many},
		"a line in a command":  {ForceCommand: "/bin/date\n/bin/sh"},
		"a NUL in a command":   {ForceCommand: "/bin/date\x00"},
		"no UTF-8":             {ForceCommand: "/bin/\xff"},
		"a command of 1001":    {ForceCommand: "/" + strings.Repeat("a", 1000)},
		"an escape in command": {ForceCommand: "/bin/\x1b[2J"},
	} {
		i := newIssuance(t)
		i.grant.Options = o
		if _, err := ca.NewTemplate(i.grant, i.key.PublicKey(), i.now); !errors.Is(err, ca.ErrTemplate) {
			t.Errorf("%s: %v, want ErrTemplate", name, err)
		}
	}
}
