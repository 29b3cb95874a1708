package main

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const exampleVerifier = "witness.customer.example/1+260e37ed+BIqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c"

const goodConfig = "url: http://127.0.0.1:8443\nlisten: 127.0.0.1:8443\n"

// writeConfig writes a config.yaml of this text.
func writeConfig(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), configFile)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestConfigRefusals loads files that are refused, each with the place, the key
// and what would pass.
func TestConfigRefusals(t *testing.T) {
	t.Parallel()
	vault := func(line string) string {
		return goodConfig + "ca:\n  vault:\n    address: https://vault.example\n    key: user-ca\n    version: 1\n    token_file: token\n" + line
	}
	for _, tt := range []struct{ name, text, want string }{
		// The file.
		{"empty", "", "1:1: empty; at least url and listen must be there (docs/config.md)"},
		{"a comment alone", "# nothing\n", "1:1: empty; "},
		{"a list", "- url\n", "1:1: expected a mapping with the keys url, listen, "},
		{"text", "url\n", "1:1: expected a mapping with the keys url, listen, "},
		{"no YAML", goodConfig + "tls: {\n", "not YAML at or just before here: "},
		{"not UTF-8", goodConfig + "# \xff\n", "3:3: not UTF-8"},
		{"a byte order mark", "\ufeff" + goodConfig, "1:1: a byte order mark"},
		{"an escape", goodConfig + "# \x1b[2J\n", "3:3: the character U+001B, which not every screen shows alike"},
		{"right to left", goodConfig + "# \u202e\n", "3:3: the character U+202E"},
		{"too large", goodConfig + "#" + strings.Repeat("x", maxConfig), "1:1: 65"},
		{"a second document", goodConfig + "---\nurl: x\n", "3:1: a second document; settings are one document"},
		{"an anchor", "url: &u http://127.0.0.1:1\nlisten: 127.0.0.1:1\n", "1:6: url: an anchor; settings have no anchors and aliases"},
		{"an alias", "url: &u http://127.0.0.1:1\nlisten: *u\n", "1:6: url: an anchor"},
		{"an alias to nothing", goodConfig + "tls: *u\n", "3:6: an alias; write the value out, settings have no anchors and aliases"},
		{"a merge key", goodConfig + "<<: {}\n", "3:1: a merge key; write the keys out"},
		{"a tag", "url: !!str http://127.0.0.1:1\nlisten: 127.0.0.1:1\n", "1:6: url: a tag; settings have no YAML tags"},

		// Keys.
		{"unknown", goodConfig + "colour: red\n", "3:1: colour: unknown key, expected one of url, listen, "},
		{"a slip", goodConfig + "tsl: {}\n", "3:1: tsl: unknown key, did you mean tls?"},
		{"capitals", "URL: http://127.0.0.1:1\n", "1:1: URL: unknown key, "},
		{"one level too high", goodConfig + "certificate: x\n", "3:1: certificate: unknown key, did you mean tls.certificate?"},
		{"one that hides", goodConfig + "\"\\x1b[2J\": x\n", `3:1: "\x1b[2J": unknown key, `},
		{"twice", goodConfig + "url: http://127.0.0.1:2\n", "3:1: url: stands twice, first in line 1"},
		{"twice below", goodConfig + "tls:\n  key: a\n  key: b\n", "5:3: tls.key: stands twice, first in line 4"},
		{"no text", goodConfig + "1: x\n", "3:1: 1: the key is the number 1; put it in quotes"},
		{"a secret in place of a file", goodConfig + "issuers:\n  acme/okta:\n    web_secret: hunter2\n", "5:5: issuers.acme/okta.web_secret: unknown key, did you mean web_secret_file?"},

		// Values of a type.
		{"no value", "url:\nlisten: 127.0.0.1:1\n", "1:5: url: no value; write one or leave the key out"},
		{"null", "url: null\nlisten: 127.0.0.1:1\n", "1:6: url: no value"},
		{"empty text", "url: \"\"\nlisten: 127.0.0.1:1\n", "1:6: url: empty; write a value or leave the key out"},
		{"a number for text", "url: 8443\nlisten: 127.0.0.1:1\n", "1:6: url: expected text, found the number 8443; put it in quotes"},
		{"a truth value for text", "url: true\nlisten: 127.0.0.1:1\n", "1:6: url: expected text, found the truth value true"},
		{"a word that is a truth value elsewhere", "url: off\nlisten: 127.0.0.1:1\n", "1:6: url: expected text, found \"off\" without quotes"},
		{"a list for text", "url: [a]\nlisten: 127.0.0.1:1\n", "1:6: url: expected text, found a list"},
		{"a mapping for text", "url: {a: b}\nlisten: 127.0.0.1:1\n", "1:6: url: expected text, found a mapping"},
		{"two lines", "url: |\n  http://127.0.0.1:1\n  x\nlisten: 127.0.0.1:1\n", "1:6: url: more than one line"},
		{"text for a mapping", goodConfig + "tls: x\n", "3:6: tls: expected a mapping with the keys certificate, key, found \"x\""},
		{"a list for a mapping", goodConfig + "issuers: [x]\n", "3:10: issuers: expected a mapping, found a list"},
		{"text for a number", vault("    version: one\n"), "9:5: ca.vault.version: stands twice"},

		// What the values say.
		{"a witness too few", goodConfig + "witnesses:\n  need: 1\n  of:\n    a: {verifier: x, url: https://a.example}\n    b: {verifier: zz, url: https://b.example}\n", "4:9: witnesses.need: 1 of 2; more than half"},
		{"more witnesses than there are", goodConfig + "witnesses: {need: 1}\n", "3:19: witnesses.need: 1 of 0; more than half"},
		{"none of the witnesses", goodConfig + "witnesses:\n  of:\n    a: {verifier: x, url: https://a.example}\n", "witnesses.need: 0 of 1"},
		{"a witness without url", goodConfig + "witnesses:\n  need: 1\n  of:\n    a: {verifier: x}\n", "witnesses.of.a.url: missing"},
		{"a witness's key that is none", goodConfig + "witnesses:\n  need: 1\n  of:\n    a: {verifier: x, url: https://a.example}\n", "witnesses.of.a.verifier: \"x\": not a cosigner's key"},
		{"a witness in the clear", goodConfig + "witnesses:\n  need: 1\n  of:\n    a: {verifier: " + exampleVerifier + ", url: http://a.example}\n", "witnesses.of.a.url: "},
		{
			"one witness under two names", goodConfig + "witnesses:\n  need: 2\n  of:\n    a: {verifier: " + exampleVerifier + ", url: https://a.example}\n    b: {verifier: " + exampleVerifier + ", url: https://b.example}\n",
			"witnesses.of.b.verifier: two witnesses are named witness.customer.example/1; each counts once",
		},
		{"a cosigner without url", goodConfig + "cosigners:\n  c.example/1: {}\n", "4:16: cosigners.\"c.example/1\".url: missing"},
		{"a cosigner in the clear", goodConfig + "cosigners:\n  c.example/1: {url: http://c.example}\n", "4:22: cosigners.\"c.example/1\".url: "},
		{"a cosigner's key", goodConfig + "cosigners:\n  c.example/1: {url: https://c.example, verifier: x}\n", "4:41: cosigners.\"c.example/1\".verifier: unknown key"},
		{"a cosigner by address alone", goodConfig + "cosigners:\n  c.example/1: https://c.example\n", "4:16: cosigners.\"c.example/1\": expected a mapping with the keys url"},
		{"url missing", "listen: 127.0.0.1:1\n", "1:1: url: missing"},
		{"listen missing", "url: http://127.0.0.1:1\n", "1:1: listen: missing"},
		{"url without a scheme", "url: ca.example\nlisten: 127.0.0.1:1\n", `1:6: url: "ca.example" is not http(s)://HOST[:PORT]`},
		{"url with a path", "url: https://ca.example/x\nlisten: 127.0.0.1:1\n", "1:6: url: "},
		{"url with a query", "url: https://ca.example?x=1\nlisten: 127.0.0.1:1\n", "1:6: url: "},
		{"url with a user", "url: https://a:secret@ca.example\nlisten: 127.0.0.1:1\n", "1:6: url: it names a user; write scheme and host only"},
		{"url of another scheme", "url: ftp://ca.example\nlisten: 127.0.0.1:1\n", "1:6: url: the scheme is https, or http on loopback"},
		{"plain http for everybody", "url: http://ca.example\nlisten: 127.0.0.1:1\n", "1:6: url: plain http is for loopback only; use https"},
		{"listen without a port", "url: http://127.0.0.1:1\nlisten: 127.0.0.1\n", `2:9: listen: "127.0.0.1" is not HOST:PORT`},
		{"listen beyond ports", "url: http://127.0.0.1:1\nlisten: 127.0.0.1:65536\n", "2:9: listen: "},
		{"listen on a named port", "url: http://127.0.0.1:1\nlisten: 127.0.0.1:https\n", "2:9: listen: "},
		{"listen for everybody without TLS", "url: https://ca.example\nlisten: 0.0.0.0:443\n", "2:9: listen: plain http is for loopback only; name tls.certificate and tls.key"},
		{"a certificate without key", goodConfig + "tls: {certificate: a.pem}\n", "3:6: tls.key: missing: certificate and key come together"},
		{"a key without certificate", goodConfig + "tls: {key: a.pem}\n", "3:6: tls.certificate: missing: certificate and key come together"},
		{"TLS for a plain url", goodConfig + "tls: {certificate: a.pem, key: a.pem}\n", "1:6: url: it is http, but tls.certificate is named; make it https"},
		{"a workload's issuer in the clear", goodConfig + "workloads:\n  ci: {issuer: \"http://ci.example\", audience: a, algs: [ES256]}\n", `4:16: workloads.ci.issuer: "http://ci.example" is not the URL of an identity provider`},
		{"a workload without audience", goodConfig + "workloads:\n  ci: {issuer: \"https://ci.example\", algs: [ES256]}\n", "4:7: workloads.ci.audience: missing"},
		{"a workload without algorithms", goodConfig + "workloads:\n  ci: {issuer: \"https://ci.example\", audience: a}\n", "workloads.ci.algs: "},
		{"a workload's odd algorithm", goodConfig + "workloads:\n  ci: {issuer: \"https://ci.example\", audience: a, algs: [HS256]}\n", "workloads.ci.algs: "},
		{"an issuer without contract", goodConfig + "issuers:\n  okta: {web_secret_file: x}\n", `4:3: issuers: "okta" is not CONTRACT/ISSUER`},
		{"an issuer in capitals", goodConfig + "issuers:\n  acme/Okta: {web_secret_file: x}\n", `4:3: issuers: "acme/Okta" is not CONTRACT/ISSUER`},
		{"a secret in two places", goodConfig + "issuers:\n  acme/okta:\n    web_secret_file: x\n    web_secret_env: X\n", "6:21: issuers.acme/okta.web_secret_env: the secret is in web_secret_file already"},
		{"a secret in place of a name", goodConfig + "issuers:\n  acme/okta: {web_secret_env: \"pa$$word\"}\n", "4:31: issuers.acme/okta.web_secret_env: not the name of an environment variable; the secret itself does not stand here"},
		{"Vault without address", goodConfig + "ca: {vault: {key: a, version: 1, token_file: x}}\n", "3:13: ca.vault.address: missing"},
		{"Vault in the clear", strings.Replace(vault(""), "https:", "http:", 1), "5:14: ca.vault.address: not a usable setting: plain http would show the token"},
		{"version 0", strings.Replace(vault(""), "version: 1", "version: 0", 1), "7:14: ca.vault.version: expected a whole number from 1 to 2147483647 in plain digits, found the number 0"},
		{"a version in words", strings.Replace(vault(""), "version: 1", "version: latest", 1), `7:14: ca.vault.version: expected a whole number from 1 to 2147483647 in plain digits, found "latest"`},
		{"a version in quotes", strings.Replace(vault(""), "version: 1", `version: "1"`, 1), "7:14: ca.vault.version: expected a whole number"},
		{"a version in hex", strings.Replace(vault(""), "version: 1", "version: 0x1", 1), "7:14: ca.vault.version: expected a whole number"},
		{"a broken version", strings.Replace(vault(""), "version: 1", "version: 1.0", 1), "7:14: ca.vault.version: expected a whole number"},
		{"a version beyond numbers", strings.Replace(vault(""), "version: 1", "version: 99999999999999999999", 1), "7:14: ca.vault.version: expected a whole number"},

		// Limits and proxies.
		{"a negative limit", goodConfig + "limits: {person_per_minute: -1}\n", "3:29: limits.person_per_minute: expected a whole number from 1 to 1000000 in plain digits, found the number -1"},
		{"a limit of nothing", goodConfig + "limits: {login_per_minute: 0}\n", "3:28: limits.login_per_minute: expected a whole number from 1 to 1000000"},
		{"a limit beyond reason", goodConfig + "limits: {address_per_minute: 1000001}\n", "3:30: limits.address_per_minute: expected a whole number from 1 to 1000000"},
		{"a broken limit", goodConfig + "limits: {logins_per_minute: 1.5}\n", "3:29: limits.logins_per_minute: expected a whole number"},
		{"a limit in words", goodConfig + "limits: {login_per_minute: fast}\n", "3:28: limits.login_per_minute: expected a whole number"},
		{"a limit of something else", goodConfig + "limits: {everything: 5}\n", "3:10: limits.everything: unknown key, expected one of person_per_minute, "},
		{"one limit for all", goodConfig + "limits: 5\n", "3:9: limits: expected a mapping with the keys person_per_minute, "},
		{"a proxy that is no list", goodConfig + "trusted_proxies: 10.0.0.1\n", "3:18: trusted_proxies: expected a list, found "},
		{"a proxy's name", goodConfig + "trusted_proxies: [proxy.example]\n", `3:19: trusted_proxies[0]: "proxy.example" is neither an address nor a network such as 10.0.0.0/8`},
		{"an empty proxy", goodConfig + "trusted_proxies: [\"\"]\n", "3:19: trusted_proxies[0]: empty"},
		{"a proxy with port", goodConfig + "trusted_proxies: [\"10.0.0.1:80\"]\n", "3:19: trusted_proxies[0]: \"10.0.0.1:80\" is neither"},
		{"a proxy with zone", goodConfig + "trusted_proxies: [\"fe80::1%eth0\"]\n", "3:19: trusted_proxies[0]: \"fe80::1%eth0\" is neither"},
		{"a proxy in two spellings", goodConfig + "trusted_proxies: [\"::ffff:10.0.0.1\"]\n", "3:19: trusted_proxies[0]: \"::ffff:10.0.0.1\": write it as IPv4"},
		{"a network with bits behind it", goodConfig + "trusted_proxies: [127.0.0.1, 10.1.2.3/8]\n", `3:30: trusted_proxies[1]: "10.1.2.3/8" has bits behind its network; write 10.0.0.0/8 or the one address`},
		{"everybody a proxy", goodConfig + "trusted_proxies: [0.0.0.0/0]\n", `3:19: trusted_proxies[0]: "0.0.0.0/0" is everybody, who could then write any address; name the proxies`},
		{"everybody of IPv6 a proxy", goodConfig + "trusted_proxies: [\"::/0\"]\n", "3:19: trusted_proxies[0]: \"::/0\" is everybody"},
		{"a proxy twice", goodConfig + "trusted_proxies: [10.0.0.1, 10.0.0.1]\n", `3:29: trusted_proxies[1]: "10.0.0.1" stands twice in the list`},
		// Figures and the log.
		{"figures without host", goodConfig + "metrics: {listen: \"9464\"}\n", `3:19: metrics.listen: "9464" is not HOST:PORT, with a port from 0 to 65535`},
		{"figures beyond ports", goodConfig + "metrics: {listen: \"127.0.0.1:99999\"}\n", "3:19: metrics.listen: \"127.0.0.1:99999\" is not HOST:PORT"},
		{"figures for everybody without TLS", goodConfig + "metrics: {listen: \"0.0.0.0:9464\"}\n", "3:19: metrics.listen: plain http is for loopback only; name tls.certificate and tls.key"},
		{"figures on every address without TLS", goodConfig + "metrics: {listen: \":9464\"}\n", "3:19: metrics.listen: plain http is for loopback only"},
		{"figures by another key", goodConfig + "metrics: {port: 9464}\n", "3:11: metrics.port: unknown key, expected one of listen"},
		{"figures switched on", goodConfig + "metrics: true\n", "3:10: metrics: expected a mapping with the keys listen, found the truth value true"},
		{"syslog nowhere", goodConfig + "siem: {syslog: siem.acme.example}\n", "3:16: siem.syslog: not an address for syslog; it is written tls://HOST:PORT, "},
		{"syslog with a password", goodConfig + "siem: {syslog: \"tcp://me:secret@siem.acme.example:601\"}\n", "3:16: siem.syslog: not an address for syslog; it is written "},
		{"a socket by half of its path", goodConfig + "siem: {syslog: \"unix://dev/log\"}\n", "3:16: siem.syslog: not an address for syslog: a socket is named by its whole path"},
		{"who vouches for nobody", goodConfig + "siem: {syslog_ca_file: ca.pem}\n", "3:24: siem.syslog_ca_file: it is for siem.syslog at tls://"},
		{"who vouches in the clear", goodConfig + "siem: {syslog: \"tcp://siem.acme.example:601\", syslog_ca_file: ca.pem}\n", "siem.syslog_ca_file: it is for siem.syslog at tls://"},
		{"a SIEM file that is a list", goodConfig + "siem: {file: [x]}\n", "3:14: siem.file: expected text, found a list"},
		{"another log level", goodConfig + "log_level: verbose\n", `3:12: log_level: "verbose" is none of debug, info, warn and error`},
		{"a log level in capitals", goodConfig + "log_level: DEBUG\n", `3:12: log_level: "DEBUG" is none of`},
		{"log levels", goodConfig + "log_level: [debug]\n", "3:12: log_level: expected text, found a list"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := writeConfig(t, tt.text)
			_, err := loadConfig(path)
			if err == nil {
				t.Fatal("it is taken")
			}
			got := strings.TrimPrefix(err.Error(), path+":")
			if got == err.Error() || !strings.Contains(got, tt.want) {
				t.Errorf("%q, want %q", err, tt.want)
			}
		})
	}
}

// TestPromiseP15_SettingsDoNotRepeatSecrets puts a secret where none belongs: the
// refusal names the place, never the secret.
func TestPromiseP15_SettingsDoNotRepeatSecrets(t *testing.T) {
	t.Parallel()
	const secret = "hunter2-canary"
	for name, text := range map[string]string{
		"under an unknown key":         goodConfig + "password: " + secret + "\n",
		"in place of the file's key":   goodConfig + "issuers: {acme/okta: {web_secret: " + secret + "}}\n",
		"in place of a variable":       goodConfig + "issuers: {acme/okta: {web_secret_env: \"" + secret + "!\"}}\n",
		"Vault's token":                goodConfig + "ca: {vault: {address: \"https://v.example\", key: k, version: 1, token: " + secret + "}}\n",
		"in the URL":                   "url: https://op:" + secret + "@ca.example\nlisten: 127.0.0.1:1\n",
		"in Vault's URL":               goodConfig + "ca: {vault: {address: \"https://op:" + secret + "@v.example\", key: k, version: 1, token_file: t}}\n",
		"under a key that is repeated": goodConfig + "tls: {key: a, key: " + secret + "}\n",
	} {
		_, err := loadConfig(writeConfig(t, text))
		if err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConfigFile: who else can write to the settings could put in others.
func TestConfigFile(t *testing.T) {
	t.Parallel()
	path := writeConfig(t, goodConfig)
	if _, err := loadConfig(path); err != nil {
		t.Fatal(err)
	}
	for _, mode := range []os.FileMode{0o620, 0o602, 0o666} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := loadConfig(path); err == nil || !strings.Contains(err.Error(), "others can write to it, so make it 0600") {
			t.Errorf("mode %o: %v", mode, err)
		}
	}
	for path, want := range map[string]string{filepath.Dir(path): "is not a file", path + ".not": "is not there; `sallyd init` writes one"} {
		if _, err := loadConfig(path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// allTypes has a key of each type that a setting may have.
type allTypes struct {
	Text  string        `yaml:"text"`
	Count int           `yaml:"count" range:"-1..9"`
	Any   int64         `yaml:"any"`
	On    bool          `yaml:"on"`
	For   time.Duration `yaml:"for" range:"10s..1h"`
	Hours time.Duration `yaml:"hours"`
	List  []string      `yaml:"list"`
	Few   []int         `yaml:"few" range:"1..3"`
	When  time.Time     `yaml:"when"`
	Below *struct {
		Text string `yaml:"text" need:"true"`
	} `yaml:"below"`
	Named map[string]int `yaml:"named"`
}

func readAll(t *testing.T, text string) (allTypes, string) {
	t.Helper()
	var out allTypes
	if flaw := readSettings([]byte(text), reflect.ValueOf(&out).Elem(), func() error { return nil }); flaw != nil {
		return out, flaw.Error()
	}
	return out, ""
}

// TestConfigTypes reads each type of setting, in and out of its range.
func TestConfigTypes(t *testing.T) {
	t.Parallel()
	got, flaw := readAll(t, "{text: a, count: -1, any: 2147483647, \"on\": true, for: 1h, hours: 30d, list: [a, b], few: [1, 3], when: \"2026-12-01T00:00:00Z\", below: {text: x}, named: {a: 1}}")
	want := allTypes{
		Text: "a", Count: -1, Any: 2147483647, On: true, For: time.Hour, Hours: 720 * time.Hour, List: []string{"a", "b"}, Few: []int{1, 3},
		When: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Named: map[string]int{"a": 1}, Below: got.Below,
	}
	if flaw != "" || !reflect.DeepEqual(got, want) || got.Below == nil || got.Below.Text != "x" {
		t.Errorf("%q, %+v", flaw, got)
	}
	for text, want := range map[string]string{
		"{count: 10}":                 "1:9: count: expected a whole number from -1 to 9 in plain digits, found the number 10",
		"{count: -2}":                 "1:9: count: expected a whole number from -1 to 9",
		"{any: -1}":                   "1:7: any: expected a whole number from 0 to 2147483647",
		"{on: \"true\"}":              "1:2: on: the key is \"on\" without quotes",
		"{\"on\": yes}":               "1:8: on: expected true or false, found \"yes\" without quotes",
		"{\"on\": 1}":                 "1:8: on: expected true or false, found the number 1",
		"{\"on\": True}":              "1:8: on: expected true or false",
		"{for: 10}":                   "1:7: for: expected a duration such as 20s, 5m, 8h or 30d, found the number 10",
		"{for: 10x}":                  `1:7: for: "10x" is no duration; write a whole number and a unit such as 20s, 5m, 8h or 30d`,
		"{for: 1h30m}":                `1:7: for: "1h30m" is no duration`,
		"{for: 1.5h}":                 `1:7: for: "1.5h" is no duration`,
		"{for: -5m}":                  `1:7: for: "-5m" is no duration`,
		"{for: 9s}":                   "1:7: for: 9s is not from 10s to 1h",
		"{for: 61m}":                  "1:7: for: 61m is not from 10s to 1h",
		"{for: [1h]}":                 "1:7: for: expected a duration such as 20s, 5m, 8h or 30d, found a list",
		"{hours: 367d}":               "1:9: hours: 367d is too long; at most 366d",
		"{list: a}":                   "1:8: list: expected a list, found \"a\"",
		"{list: [a, 1]}":              "1:12: list[1]: expected text, found the number 1",
		"{list: [a, a]}":              `1:12: list[1]: "a" stands twice in the list`,
		"{few: [1, 4]}":               "1:11: few[1]: expected a whole number from 1 to 3",
		"{when: \"tomorrow\"}":        "1:8: when: parsing time",
		"{below: {}}":                 "1:9: below.text: missing",
		"{below: {text: a, text: b}}": "1:19: below.text: stands twice",
		"{named: [a]}":                "1:9: named: expected a mapping, found a list",
		"{named: {a: b}}":             "1:13: named.a: expected a whole number from 0 to 2147483647",
		"{named: {a: 1, a: 2}}":       "1:16: named.a: stands twice, first in line 1",
		"{counts: 1}":                 "1:2: counts: unknown key, did you mean count?",
	} {
		if _, flaw := readAll(t, text); !strings.Contains(flaw, want) {
			t.Errorf("%s: %q, want %q", text, flaw, want)
		}
	}
}

// TestSecrets: from a file of its owner's alone or from the environment, and
// never empty.
func TestSecrets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"good": 0o600, "open": 0o640} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(" a secret\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "empty"), []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"SECRET": "from outside\n", "BLANK": " "}
	for _, tt := range []struct {
		name   string
		issuer issuerConfig
		want   string // the secret, or what the error says
		fails  bool
	}{
		{"a file", issuerConfig{WebSecretFile: "good"}, "a secret", false},
		{"an absolute file", issuerConfig{WebSecretFile: filepath.Join(dir, "good")}, "a secret", false},
		{"a variable", issuerConfig{WebSecretEnv: "SECRET"}, "from outside", false},
		{"neither", issuerConfig{}, "", false},
		{"a file that others read", issuerConfig{WebSecretFile: "open"}, "issuers.acme/okta.web_secret_file: " + dir + "/open has mode 640; others can read it, so make it 0600", true},
		{"an empty file", issuerConfig{WebSecretFile: "empty"}, "web_secret_file: " + dir + "/empty is empty", true},
		{"no file", issuerConfig{WebSecretFile: "none"}, "web_secret_file: " + dir + "/none is not there", true},
		{"an empty variable", issuerConfig{WebSecretEnv: "BLANK"}, "web_secret_env: the environment variable BLANK is not set, or empty", true},
		{"no variable", issuerConfig{WebSecretEnv: "NONE"}, "web_secret_env: the environment variable NONE is not set", true},
	} {
		secrets, err := config{Issuers: map[string]issuerConfig{"acme/okta": tt.issuer}}.secrets(dir, func(name string) string { return env[name] })
		switch {
		case tt.fails != (err != nil), err != nil && !strings.Contains(err.Error(), tt.want):
			t.Errorf("%s: %v", tt.name, err)
		case err == nil && secrets("acme/okta") != tt.want:
			t.Errorf("%s: %q", tt.name, secrets("acme/okta"))
		}
	}
}
