package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/sallyport/sallyport/contract/strictyaml"
)

// config is config.yaml. docs/config.md is made from it (`make generate`): each
// comment is what is said of the key, and configKey says what the tags mean.
type config struct {
	// URL is where people reach the server: scheme and host, no path. It decides how cookies are named, and requests for
	// another host are refused. Plain http is for loopback addresses only.
	URL string `yaml:"url" need:"true" form:"https://HOST[:PORT]" example:"https://ca.acme.example"`
	// Listen is the address to serve on. Without a certificate it is a loopback address.
	Listen string `yaml:"listen" need:"true" form:"HOST:PORT" example:"0.0.0.0:443"`
	// TLS names certificate and key. Without them the server speaks plain HTTP, which it does on loopback only: behind a
	// proxy on the same machine, or to try things.
	TLS struct {
		// Certificate is a PEM file with the server's certificate, then those between it and the root. It is read again when it
		// changed, so a renewal needs no restart.
		Certificate string `yaml:"certificate,omitempty" default:"plain HTTP, on loopback only" form:"a file's name" example:"/etc/sallyport/tls.crt"`
		// Key is a PEM file with the key of the certificate, of mode 0600.
		Key string `yaml:"key,omitempty" default:"plain HTTP, on loopback only" form:"a file's name" example:"/etc/sallyport/tls.key" secret:"the file holds it"`
	} `yaml:"tls,omitempty"`
	// CA says where the key lies that signs certificates. Without it, in the file keys/user-ca.
	CA caConfig `yaml:"ca,omitempty"`
	// Database says that the ledger lies in PostgreSQL (docs/postgresql.md). Without it, in the file ledger.db (SQLite).
	Database *databaseConfig `yaml:"database,omitempty"`
	// Mark says where the newest signed checkpoint is remembered, outside of the database. Without it, in the file mark.
	Mark markConfig `yaml:"mark,omitempty"`
	// Witnesses cosign each checkpoint before a certificate rests on it (docs/witnesses.md). Without them the log's own
	// signature suffices.
	Witnesses witnessesConfig `yaml:"witnesses,omitempty"`
	// Cosigners says where the cosigners answer that contracts name (docs/witnesses.md), by the names in their keys. A contract
	// whose cosigner is not here is not taken up.
	Cosigners cosignersConfig `yaml:"cosigners,omitempty" keys:"NAME"`
	// Ledger says who may read the ledger's tiles.
	Ledger ledgerConfig `yaml:"ledger,omitempty"`
	// Issuers adds to an identity provider what the contract does not hold. It is named by the ids of the contract and of the
	// issuer in it, such as acme/okta.
	Issuers map[string]issuerConfig `yaml:"issuers,omitempty" keys:"CONTRACT/ISSUER"`
	// Workloads are identity providers by whose tokens hosts join that a host admin has invited by issuer and subject
	// (docs/hosts.md), by names of your own. Without any, hosts join by invitations with a secret alone.
	Workloads map[string]workloadConfig `yaml:"workloads,omitempty" keys:"NAME"`
	// Limits says how often clients may ask (docs/operations.md).
	Limits limitsConfig `yaml:"limits,omitempty"`
	// TrustedProxies lists the reverse proxies whose X-Forwarded-For is believed, from the right up to the first hop that is
	// none of them. Without any, who connects is the client.
	TrustedProxies []string `yaml:"trusted_proxies,omitempty" default:"nobody is believed" form:"addresses and networks" example:"[10.0.0.7, 10.1.0.0/16]"`
	// Metrics says where figures for Prometheus are shown (docs/operations.md). Without it, nowhere.
	Metrics metricsConfig `yaml:"metrics,omitempty"`
	// SIEM says where the ledger's entries are written for a SIEM, as facts without names and free text (docs/operations.md). Without
	// it, nowhere.
	SIEM siemConfig `yaml:"siem,omitempty"`
	// LogLevel is the least that is logged: debug, info, warn or error.
	LogLevel string `yaml:"log_level,omitempty" default:"info" form:"a word" example:"info"`
}

// ledgerConfig says who may read what of the ledger.
type ledgerConfig struct {
	// PublicTiles lets everybody read the ledger's tiles, which hold kinds, lineages and commitments, and no names.
	PublicTiles bool `yaml:"public_tiles,omitempty" default:"those who are logged in may" example:"true"`
}

// issuerConfig is what a server adds to an issuer of a contract.
type issuerConfig struct {
	// WebSecretFile is a file of mode 0600 with the secret of the web client that the contract names for this identity provider.
	WebSecretFile string `yaml:"web_secret_file,omitempty" default:"a public client, without a secret" form:"a file's name" example:"keys/okta-secret" secret:"the file holds it"`
	// WebSecretEnv is the name of the environment variable that holds this secret, where that is easier than a file.
	WebSecretEnv string `yaml:"web_secret_env,omitempty" default:"the file, if one is named" form:"A_NAME" example:"OKTA_WEB_SECRET" secret:"the variable holds it"`
}

// errConfig begins errors about files that config.yaml names.
var errConfig = errors.New(configFile)

// logLevels are what log_level may be.
var logLevels = map[string]slog.Level{
	"": slog.LevelInfo, "debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError,
}

func (c config) check() error {
	u, err := url.Parse(c.URL)
	switch {
	case err == nil && u.User != nil:
		return badKey("url", "it names a user; write scheme and host only")
	case err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "":
		return badKey("url", "%q is not http(s)://HOST[:PORT]", strictyaml.Clip(c.URL))
	}
	if err := c.checkListen(); err != nil {
		return err
	}
	switch host, _, _ := net.SplitHostPort(c.Listen); {
	case u.Scheme != "http" && u.Scheme != "https":
		return badKey("url", "the scheme is https, or http on loopback")
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return badKey("url", "plain http is for loopback only; use https and name tls.certificate and tls.key")
	case c.TLS.Certificate == "" && c.TLS.Key != "":
		return badKey("tls.certificate", "missing: certificate and key come together")
	case c.TLS.Certificate != "" && c.TLS.Key == "":
		return badKey("tls.key", "missing: certificate and key come together")
	case c.TLS.Certificate == "" && !loopback(host):
		return badKey("listen", "plain http is for loopback only; name tls.certificate and tls.key")
	case c.TLS.Certificate != "" && u.Scheme == "http":
		return badKey("url", "it is http, but tls.certificate is named; make it https")
	}
	if _, _, err := c.Witnesses.cosigners(); err != nil {
		return err
	}
	for _, part := range []interface{ check() error }{c.CA, c.Database, c.Mark, c.Cosigners, c.SIEM} {
		if err := part.check(); err != nil {
			return err
		}
	}
	if err := c.checkIssuers(); err != nil {
		return err
	}
	if err := c.checkWorkloads(); err != nil {
		return err
	}
	if _, err := c.proxies(); err != nil {
		return err
	}
	if _, ok := logLevels[c.LogLevel]; !ok {
		return badKey("log_level", "%q is none of debug, info, warn and error", strictyaml.Clip(c.LogLevel))
	}
	return c.Metrics.check(c.TLS.Certificate != "")
}

func (c config) checkListen() error {
	if _, port, err := net.SplitHostPort(c.Listen); err != nil || !isPort(port) {
		return badKey("listen", "%q is not HOST:PORT, with a port from 0 to 65535", strictyaml.Clip(c.Listen))
	}
	return nil
}

func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

var (
	issuerRef = regexp.MustCompile(`^[a-z][a-z0-9-]{0,62}/[a-z][a-z0-9-]{0,62}$`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,127}$`)
)

func (c config) checkIssuers() error {
	for _, ref := range slices.Sorted(maps.Keys(c.Issuers)) {
		i, key := c.Issuers[ref], "issuers."+ref
		switch {
		case !issuerRef.MatchString(ref):
			return badKey("issuers", "%q is not CONTRACT/ISSUER: the ids of a contract and of an issuer in it, such as acme/okta", strictyaml.Clip(ref))
		case i.WebSecretFile != "" && i.WebSecretEnv != "":
			return badKey(key+".web_secret_env", "the secret is in web_secret_file already; name one of them")
		case i.WebSecretEnv != "" && !envName.MatchString(i.WebSecretEnv):
			return badKey(key+".web_secret_env", "not the name of an environment variable; the secret itself does not stand here")
		}
	}
	return nil
}

// text is config.yaml as init writes it.
func (c config) text() ([]byte, error) {
	body, err := yaml.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	return append([]byte("# Settings of sallyd. Who may get what is in the contract, not here.\n"), body...), nil
}

// secrets reads the issuers' web client secrets, from files or the environment;
// relative files lie in dir.
func (c config) secrets(dir string, getenv func(string) string) (func(string) string, error) {
	known := make(map[string]string, len(c.Issuers))
	for ref, i := range c.Issuers {
		secret, err := i.secret(dir, getenv)
		if err != nil {
			return nil, fmt.Errorf("%w: issuers.%s.%w", errConfig, ref, err)
		}
		known[ref] = secret
	}
	return func(ref string) string { return known[ref] }, nil
}

// secret is the web client's; empty for a public client.
func (i issuerConfig) secret(dir string, getenv func(string) string) (string, error) {
	switch {
	case i.WebSecretEnv != "":
		secret := strings.TrimSpace(getenv(i.WebSecretEnv))
		if secret == "" {
			return "", badKey("web_secret_env", "the environment variable %s is not set, or empty", i.WebSecretEnv)
		}
		return secret, nil
	case i.WebSecretFile == "":
		return "", nil
	}
	path := inFolder(dir, i.WebSecretFile)
	text, err := readPrivate(path)
	if err != nil {
		return "", &keyError{"web_secret_file", err}
	}
	if text = strings.TrimSpace(text); text == "" {
		return "", badKey("web_secret_file", "%s is empty", path)
	}
	return text, nil
}

// inFolder is where a file lies that a setting names: relative to the server's
// folder.
func inFolder(dir, path string) string {
	if path == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
