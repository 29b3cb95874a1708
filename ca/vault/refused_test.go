package vault

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

// refusedKeys: what is in Vault and can't be an authority's key.
func refusedKeys(t *testing.T, w world) {
	for _, tt := range []struct {
		name    string
		key     labvault.Key
		options map[string]any
		want    string
	}{
		{"exportable", labvault.Key{Name: "exportable", Type: "ed25519"}, map[string]any{"exportable": true}, "exportable=false"},
		{"plaintext backup", labvault.Key{Name: "backup", Type: "ed25519"}, map[string]any{"allow_plaintext_backup": true}, "allow_plaintext_backup=false"},
		{"derived", labvault.Key{Name: "derived", Type: "ed25519"}, map[string]any{"derived": true}, "derived=false"},
		{"RSA", labvault.Key{Name: "rsa", Type: "rsa-2048"}, nil, `type "rsa-2048"; ed25519 and ecdsa-p256 work`},
		{"P-384", labvault.Key{Name: "p384", Type: "ecdsa-p384"}, nil, `type "ecdsa-p384"`},
		{"for encryption", labvault.Key{Name: "aes", Type: "aes256-gcm96"}, nil, `type "aes256-gcm96"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if err := w.NewKey(t.Context(), tt.key, tt.options); err != nil {
				t.Fatal(err)
			}
			refusedAt(t, w.config(t, tt.key.Name), ErrKey, tt.want)
		})
	}
	t.Run("none of this name", func(t *testing.T) {
		t.Parallel()
		refusedAt(t, w.config(t, "nothing"), ErrKey, "there is no transit/keys/nothing")
	})
	t.Run("no transit there", func(t *testing.T) {
		t.Parallel()
		c := w.rootConfig(t, "user-ca")
		c.Mount = "elsewhere"
		refusedAt(t, c, ErrKey, "there is no elsewhere/keys/user-ca")
		c = w.config(t, "user-ca")
		c.Mount = "elsewhere" // Vault tells those without rights no more than that
		refusedAt(t, c, ca.ErrUnavailable, "its policy does not allow this")
	})
}

func refusedAt(t *testing.T, c Config, want error, text string) {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err == nil {
		_ = s.Close() // it should not have been opened
	}
	if !errors.Is(err, want) || !strings.Contains(fmt.Sprint(err), text) {
		t.Errorf("%v; want %v with %q", err, want, text)
	}
}

// versions: a rotation changes nothing, the version stays pinned; what Vault
// would no longer sign with is found at once.
func versions(t *testing.T, w world) {
	ctx := t.Context()
	if err := w.NewKey(ctx, labvault.Key{Name: "rotating", Type: "ed25519"}, nil); err != nil {
		t.Fatal(err)
	}
	c := w.config(t, "rotating")
	s := open(t, c)
	c.Version = 2
	refusedAt(t, c, ErrKey, "no version 2")
	if err := w.Rotate(ctx, "rotating"); err != nil {
		t.Fatal(err)
	}
	two := open(t, c)
	if string(two.PublicKey().Marshal()) == string(s.PublicKey().Marshal()) {
		t.Fatal("both versions are one key")
	}
	for _, signer := range []*Signer{s, two} {
		sig, err := signer.Sign(ctx, []byte("after the rotation"))
		if err != nil {
			t.Fatal(err)
		}
		if err := signer.PublicKey().Verify([]byte("after the rotation"), sig); err != nil {
			t.Error(err)
		}
	}
	c.Public = s.PublicKey()
	refusedAt(t, c, ErrKey, "another key than the ledger's")
	other, err := ssh.NewSignerFromKey(testRSA(t))
	if err != nil {
		t.Fatal(err)
	}
	c.Public = other.PublicKey()
	refusedAt(t, c, ErrKey, "type ssh-rsa")

	if _, err := w.Root().Logical().WriteWithContext(ctx, "transit/keys/rotating/config", map[string]any{"min_encryption_version": 2}); err != nil {
		t.Fatal(err)
	}
	c.Public, c.Version = nil, 1
	refusedAt(t, c, ErrKey, "below its min_encryption_version 2")
	if sig, err := s.Sign(ctx, []byte("retired")); sig != nil || !errors.Is(err, ca.ErrSigner) {
		t.Errorf("%v, %v", sig, err)
	}
	if sig, err := s.Sign(ctx, []byte("retired")); sig != nil || !errors.Is(err, ErrKey) || errors.Is(err, ca.ErrUnavailable) {
		t.Errorf("once more: %v, %v", sig, err)
	}
}

// settings: what is refused before anything is asked.
func settings(t *testing.T, w world) {
	good := w.config(t, "user-ca")
	notPEM := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(notPEM, []byte("no certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"no address", func(c *Config) { c.Address = "" }, "address: "},
		{"no scheme", func(c *Config) { c.Address = "vault.example:8200" }, "address: "},
		{"another scheme", func(c *Config) { c.Address = "unix:///run/vault.sock" }, "address: "},
		{"a path", func(c *Config) { c.Address += "/v1" }, "address: "},
		{"a password", func(c *Config) { c.Address = "https://u:p@vault.example" }, "it names a user; who may ask is said by the token"},
		{"plain http", func(c *Config) { c.Address = "http://vault.example:8200" }, "loopback only"},
		{"mount that climbs", func(c *Config) { c.Mount = "transit/../sys" }, "mount: "},
		{"mount with a slash too many", func(c *Config) { c.Mount = "transit/" }, "mount: "},
		{"no key", func(c *Config) { c.Key = "" }, "key: "},
		{"key that climbs", func(c *Config) { c.Key = "../../sys/seal" }, "key: "},
		{"key with a question", func(c *Config) { c.Key = "user-ca?x=1" }, "key: "},
		{"no version", func(c *Config) { c.Version = 0 }, "version: "},
		{"latest version", func(c *Config) { c.Version = -1 }, "version: "},
		{"no token file", func(c *Config) { c.TokenFile = "" }, "token_file: "},
		{"CA file that is not there", func(c *Config) { c.CAFile = notPEM + ".not" }, "ca_file: "},
		{"CA file without certificate", func(c *Config) { c.CAFile = notPEM }, "no certificate in PEM"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			tt.change(&c)
			refusedAt(t, c, ErrConfig, tt.want)
		})
	}
}
