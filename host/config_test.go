package host_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// full is a config with everything in it.
func full(t testing.TB) host.Config {
	t.Helper()
	return host.Config{
		V: host.Version, Name: "web-1.prod", Aliases: []sshcert.Host{"web-1", "www.example"}, Mode: host.Observe, Server: "https://ca.example:8443",
		Lineage: canon.Digest(hosttest.Derived("lineage")), MaxCertSeconds: 600, Logins: []sshcert.Login{"deploy", "ops"},
		Options: []string{"permit-pty", "source-address"}, KRLMaxAgeSeconds: 3600, GraceSeconds: 30,
		Offline: []host.Offline{{Login: "rescue", Keys: []trust.Key{hosttest.Key(t, hosttest.Signer(t, "offline"))}}},
	}
}

func TestAConfigIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	least := world(t).Config()
	for _, want := range []host.Config{full(t), least} {
		text, err := want.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		got, err := host.ParseConfig(text)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("ParseConfig = %+v, %v, want %+v", got, err, want)
		}
	}
	if names := full(t).Names(); !reflect.DeepEqual(names, []sshcert.Host{"web-1.prod", "web-1", "www.example"}) {
		t.Errorf("Names = %v", names)
	}
}

func TestPromiseP08_ConfigsThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(*host.Config)
		want   string
	}{
		{"no name", func(c *host.Config) { c.Name = "" }, "not canonical"},
		{"a name in upper case", func(c *host.Config) { c.Name = "Web-1" }, "not a host name"},
		{"a wildcard", func(c *host.Config) { c.Name = "*" }, "not a host name"},
		{"no mode", func(c *host.Config) { c.Mode = "" }, "not canonical"},
		{"another mode", func(c *host.Config) { c.Mode = "off" }, "observe or require"},
		{"no lineage", func(c *host.Config) { c.Lineage = canon.Digest{} }, "lineage is zero"},
		{"no server", func(c *host.Config) { c.Server = "" }, "not canonical"},
		{"a server without scheme", func(c *host.Config) { c.Server = "ca.example" }, "server is a URL"},
		{"a file for server", func(c *host.Config) { c.Server = "file:///etc/passwd" }, "server is a URL"},
		{"a server with a password", func(c *host.Config) { c.Server = "https://a:b@ca.example" }, "server is a URL"},
		{"negative seconds", func(c *host.Config) { c.MaxCertSeconds = -1 }, "not canonical"},
		{"too many seconds", func(c *host.Config) { c.MaxCertSeconds = 1 << 40 }, "max_cert_seconds is from 0"},
		{"too old a list", func(c *host.Config) { c.KRLMaxAgeSeconds = 1 << 40 }, "krl_max_age_seconds is from 0"},
		{"too long a grace", func(c *host.Config) { c.GraceSeconds = 86401 }, "grace_seconds is from 0"},
		{"logins out of order", func(c *host.Config) { c.Logins = []sshcert.Login{"ops", "deploy"} }, "logins are sorted"},
		{"a login twice", func(c *host.Config) { c.Logins = []sshcert.Login{"ops", "ops"} }, "logins are sorted"},
		{"a login that is none", func(c *host.Config) { c.Logins = []sshcert.Login{"ops,root"} }, "not a login"},
		{"the own name as alias", func(c *host.Config) { c.Aliases = []sshcert.Host{c.Name} }, "the host's own name"},
		{"aliases out of order", func(c *host.Config) { c.Aliases = []sshcert.Host{"b", "a"} }, "aliases are sorted"},
		{"too many aliases", func(c *host.Config) {
			c.Aliases = nil
			for i := range 17 {
				c.Aliases = append(c.Aliases, sshcert.Host(fmt.Sprintf("a%02d", i)))
			}
		}, "17 aliases, at most 16"},
		{"an option that is none", func(c *host.Config) { c.Options = []string{"permit pty"} }, "no name of an option"},
		{"options out of order", func(c *host.Config) { c.Options = []string{"permit-pty", "force-command"} }, "options are sorted"},
		{"an offline login without keys", func(c *host.Config) { c.Offline[0].Keys = nil }, "not canonical"},
		{"an offline login twice", func(c *host.Config) { c.Offline = append(c.Offline, c.Offline[0]) }, "offline logins are sorted"},
		{"an offline key twice", func(c *host.Config) { c.Offline[0].Keys = append(c.Offline[0].Keys, c.Offline[0].Keys[0]) }, "are sorted"},
	} {
		c := full(t)
		tt.change(&c)
		if text, err := c.Marshal(); !errors.Is(err, host.ErrConfig) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: Marshal = %s, %v, want %q", tt.name, text, err, tt.want)
		}
	}
	good, err := full(t).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nothing":              "",
		"white space":          string(good) + "\n",
		"an unknown member":    strings.Replace(string(good), `"aliases"`, `"aaa":1,"aliases"`, 1),
		"no limit of lifetime": strings.Replace(string(good), `"max_cert_seconds":600,`, "", 1),
		"no limit of age":      strings.Replace(string(good), `"krl_max_age_seconds":3600,`, "", 1),
		"no mode":              strings.Replace(string(good), `"mode":"observe",`, "", 1),
		"another version":      strings.Replace(string(good), "host/v1", "host/v2", 1),
		"too long":             string(good) + strings.Repeat(" ", 64<<10),
	} {
		if c, err := host.ParseConfig([]byte(bad)); !errors.Is(err, host.ErrConfig) {
			t.Errorf("%s: ParseConfig = %+v, %v", name, c, err)
		}
	}
}
