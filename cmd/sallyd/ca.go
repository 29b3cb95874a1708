package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/ca/vault"
)

// Homes of the user CA key, as --ca names them.
const (
	caFile  = "file"
	caVault = "vault"
)

// caConfig says where the user CA key lies; without any, in keys/user-ca.
type caConfig struct {
	// Vault says that it lies in HashiCorp Vault's transit engine (docs/vault.md).
	Vault *vaultConfig `yaml:"vault,omitempty"`
}

// vaultConfig is ca.vault. Relative files lie in the server's folder.
type vaultConfig struct {
	// Address is the URL of Vault. Plain http is for loopback only, where a Vault agent may listen.
	Address string `yaml:"address" need:"true" form:"https://HOST[:PORT]" example:"https://vault.acme.example:8200"`
	// Mount is where the transit engine is mounted.
	Mount string `yaml:"mount,omitempty" default:"transit" form:"a path" example:"transit"`
	// Key is the name of the key: of type ed25519 or ecdsa-p256, not exportable.
	Key string `yaml:"key" need:"true" form:"a name" example:"sallyport-user-ca"`
	// Version is the version of the key that signs, for good: its public key is in the ledger's first entry.
	Version int `yaml:"version" need:"true" range:"1..2147483647" example:"1"`
	// TokenFile is a file of mode 0600 with a token that may sign with the key. It is read again when Vault refuses the token.
	TokenFile string `yaml:"token_file" need:"true" form:"a file's name" example:"/etc/sallyport/vault-token" secret:"the file holds it"`
	// CAFile is a PEM file with who vouches for Vault's TLS certificate.
	CAFile string `yaml:"ca_file,omitempty" default:"the system's authorities" form:"a file's name" example:"/etc/sallyport/vault-ca.pem"`
}

func (c vaultConfig) config(dir string) vault.Config {
	return vault.Config{
		Address: c.Address, Mount: c.Mount, Key: c.Key, Version: c.Version,
		TokenFile: inFolder(dir, c.TokenFile), CAFile: inFolder(dir, c.CAFile),
	}
}

func (c caConfig) check() error {
	if c.Vault == nil {
		return nil
	}
	return below("ca.vault", c.Vault.config("").Check())
}

// signer opens the key that signs certificates. In Vault it is compared with
// public, what leaf 0 names: then a Vault that is away only delays issuing.
func (c caConfig) signer(ctx context.Context, dir string, public ssh.PublicKey, logger *slog.Logger) (ca.Signer, error) {
	if c.Vault == nil {
		return softkey.Open(filepath.Join(dir, userCAFile), rand.Reader)
	}
	v := c.Vault.config(dir)
	v.Public, v.Logger = public, logger
	s, err := vault.Open(ctx, v)
	if err != nil {
		return nil, fmt.Errorf("ca.vault: %w", err)
	}
	return s, nil
}

// caFlags are the flags of init that say where the user CA key lies.
type caFlags struct {
	home  string
	vault vaultConfig
}

func (o *caFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.home, "ca", caFile, "`HOME` of the user CA key: file or vault")
	f.StringVar(&o.vault.Address, "vault-addr", "", "`URL` of Vault")
	f.StringVar(&o.vault.Mount, "vault-mount", vault.DefaultMount, "`PATH` at which its transit engine is mounted")
	f.StringVar(&o.vault.Key, "vault-key", "", "`NAME` of the transit key, type ed25519 or ecdsa-p256")
	f.IntVar(&o.vault.Version, "vault-version", 0, "version `N` of the key signs, for good")
	f.StringVar(&o.vault.TokenFile, "vault-token-file", "", "`FILE` of mode 0600 with a token that may sign with the key")
	f.StringVar(&o.vault.CAFile, "vault-ca", "", "PEM `FILE` with who vouches for Vault's TLS certificate (default: the system's authorities)")
}

// config is what the flags say, with absolute files.
func (o *caFlags) config(cmd *cobra.Command) (caConfig, error) {
	switch o.home {
	case caVault:
	case caFile:
		for _, name := range []string{"vault-addr", "vault-mount", "vault-key", "vault-version", "vault-token-file", "vault-ca"} {
			if cmd.Flags().Changed(name) {
				return caConfig{}, fmt.Errorf("--%s: is for --ca vault", name)
			}
		}
		return caConfig{}, nil
	default:
		return caConfig{}, fmt.Errorf("--ca %q: it is file or vault", o.home)
	}
	for _, f := range []struct{ name, value string }{
		{"vault-addr", o.vault.Address}, {"vault-key", o.vault.Key}, {"vault-token-file", o.vault.TokenFile},
	} {
		if f.value == "" {
			return caConfig{}, fmt.Errorf("--ca vault: --%s is missing", f.name)
		}
	}
	if o.vault.Version == 0 {
		return caConfig{}, errors.New("--ca vault: --vault-version is missing; a new key has version 1")
	}
	v := o.vault
	for _, path := range []*string{&v.TokenFile, &v.CAFile} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return caConfig{}, err
		}
	}
	return caConfig{Vault: &v}, nil
}

// openVault reads the key for a new folder, and has it sign once, to see that the
// token may.
func (c caConfig) openVault(ctx context.Context) (ca.Signer, error) {
	s, err := c.signer(ctx, "", nil, nil)
	if err != nil {
		return nil, err
	}
	if _, err := s.Sign(ctx, []byte(ca.Probe)); err != nil {
		return nil, errors.Join(fmt.Errorf("ca.vault: signing to see that it works: %w", err), closeIt(s))
	}
	return s, nil
}

// closeIt closes what can be closed.
func closeIt(v any) error {
	if c, ok := v.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
