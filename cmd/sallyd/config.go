package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// config is config.yaml. Each key has a meaning when absent.
type config struct {
	// URL is where people reach the server: scheme and host, no path.
	URL string `yaml:"url"`
	// Listen is the address to serve on, HOST:PORT.
	Listen string `yaml:"listen"`
	// TLS names the certificate and key; without them the server speaks plain
	// HTTP, which it does on loopback only.
	TLS struct {
		Certificate string `yaml:"certificate,omitempty"` // PEM file, leaf first
		Key         string `yaml:"key,omitempty"`         // PEM file
	} `yaml:"tls,omitempty"`
	// CA says where the user CA key lies; without it, in keys/user-ca.
	CA caConfig `yaml:"ca,omitempty"`
	// Witnesses cosign each checkpoint before a certificate rests on it. Without
	// them the log's own signature suffices.
	Witnesses witnessesConfig `yaml:"witnesses,omitempty"`
	// Ledger says who may read the ledger's tiles.
	Ledger ledgerConfig `yaml:"ledger,omitempty"`
	// Issuers adds to "contract/issuer" what the contract does not hold.
	Issuers map[string]issuerConfig `yaml:"issuers,omitempty"`
}

// ledgerConfig says who may read what of the ledger.
type ledgerConfig struct {
	// PublicTiles lets everybody read the ledger's tiles (kinds, lineages and
	// commitments, no names); without it those who are logged in.
	PublicTiles bool `yaml:"public_tiles,omitempty"`
}

// issuerConfig is what a server adds to an issuer of a contract.
type issuerConfig struct {
	// WebSecretFile holds the secret of the web client; absent for a public one.
	WebSecretFile string `yaml:"web_secret_file,omitempty"`
}

var errConfig = errors.New("config.yaml")

// loadConfig reads config.yaml. Unknown keys, repeated keys and a second
// document are errors that name the line.
func loadConfig(path string) (config, error) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return config{}, fmt.Errorf("%w: %w", errConfig, err)
	}
	var c config
	dec := yaml.NewDecoder(bytes.NewReader(text))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		return config{}, fmt.Errorf("%w: %w", errConfig, err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return config{}, fmt.Errorf("%w: a second document", errConfig)
	}
	return c, c.check()
}

func (c config) check() error {
	u, err := url.Parse(c.URL)
	if err != nil || u.Host == "" || (u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%w: url: %q is not http(s)://HOST[:PORT]", errConfig, c.URL)
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return fmt.Errorf("%w: listen: %q is not HOST:PORT", errConfig, c.Listen)
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("%w: url: the scheme is https, or http on loopback", errConfig)
	case u.Scheme == "http" && !loopback(u.Hostname()):
		return fmt.Errorf("%w: url: plain http is for loopback only; use https and name tls.certificate and tls.key", errConfig)
	case (c.TLS.Certificate == "") != (c.TLS.Key == ""):
		return fmt.Errorf("%w: tls: certificate and key come together", errConfig)
	case c.TLS.Certificate == "" && !loopback(host):
		return fmt.Errorf("%w: listen: plain http is for loopback only; name tls.certificate and tls.key", errConfig)
	}
	if _, _, err := c.Witnesses.cosigners(); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if err := c.CA.check(); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
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

// secrets reads the issuers' web client secrets; relative files lie in dir.
func (c config) secrets(dir string) (func(string) string, error) {
	known := make(map[string]string, len(c.Issuers))
	for ref, i := range c.Issuers {
		if i.WebSecretFile == "" {
			continue
		}
		path := i.WebSecretFile
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		text, err := readPrivate(path)
		if err != nil {
			return nil, fmt.Errorf("%w: issuers.%s.web_secret_file: %w", errConfig, ref, err)
		}
		if known[ref] = strings.TrimSpace(text); known[ref] == "" {
			return nil, fmt.Errorf("%w: issuers.%s.web_secret_file: %s is empty", errConfig, ref, path)
		}
	}
	return func(ref string) string { return known[ref] }, nil
}
