package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/vault"
	"github.com/sallyport/sallyport/record"
)

// markConfig says where the newest signed checkpoint is remembered, outside of the
// database.
type markConfig struct {
	// Vault says that it lies in HashiCorp Vault's KV engine, version 2, where several servers on one database share it.
	Vault *markVaultConfig `yaml:"vault,omitempty"`
}

// markVaultConfig is mark.vault. Relative files lie in the server's folder.
type markVaultConfig struct {
	// Address is the URL of Vault. Plain http is for loopback only, where a Vault agent may listen.
	Address string `yaml:"address" need:"true" form:"https://HOST[:PORT]" example:"https://vault.acme.example:8200"`
	// Mount is where the KV engine is mounted.
	Mount string `yaml:"mount,omitempty" default:"secret" form:"a path" example:"secret"`
	// Path is where the mark lies in it. It belongs to one ledger.
	Path string `yaml:"path" need:"true" form:"a path" example:"sallyport/mark"`
	// TokenFile is a file of mode 0600 with a token that may read and write the mark. It is read again when Vault refuses the token.
	TokenFile string `yaml:"token_file" need:"true" form:"a file's name" example:"/etc/sallyport/vault-token" secret:"the file holds it"`
	// CAFile is a PEM file with who vouches for Vault's TLS certificate.
	CAFile string `yaml:"ca_file,omitempty" default:"the system's authorities" form:"a file's name" example:"/etc/sallyport/vault-ca.pem"`
}

func (c markVaultConfig) config(dir string) vault.KVConfig {
	return vault.KVConfig{
		Address: c.Address, Mount: c.Mount, Path: c.Path, TokenFile: inFolder(dir, c.TokenFile), CAFile: inFolder(dir, c.CAFile),
	}
}

func (c markConfig) check() error {
	if c.Vault == nil {
		return nil
	}
	return below("mark.vault", c.Vault.config("").Check())
}

// shared reports whether other servers may write to the same database: only those
// that share the mark.
func (c config) shared() bool { return c.Database != nil && c.Mark.Vault != nil }

// open opens the mark of a folder.
func (c markConfig) open(dir string, logger *slog.Logger) (authority.Mark, error) {
	if c.Vault == nil {
		return fileMark(filepath.Join(dir, markFile)), nil
	}
	v := c.Vault.config(dir)
	v.Logger = logger
	kv, err := vault.OpenKV(v)
	if err != nil {
		return nil, fmt.Errorf("mark.vault: %w", err)
	}
	return &vaultMark{KV: kv}, nil
}

// fileMark keeps the newest signed checkpoint in a file beside the database. It
// is for one process: the folder's lock keeps others out.
type fileMark string

// String names it in errors.
func (m fileMark) String() string { return "the mark file" }

// Load returns the file's content.
func (m fileMark) Load(context.Context) ([]byte, error) {
	text, err := os.ReadFile(string(m))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", string(m), record.ErrNotFound)
	}
	return text, err
}

// Save replaces the file and syncs it.
func (m fileMark) Save(ctx context.Context, old, next []byte) error {
	switch there, err := m.Load(ctx); {
	case errors.Is(err, record.ErrNotFound) && old == nil:
	case err != nil:
		return err
	case !bytes.Equal(there, old):
		return authority.ErrMarkMoved
	}
	return writeFile(string(m), next, 0o600)
}

// vaultMark keeps it in Vault.
type vaultMark struct {
	*vault.KV

	mu      sync.Mutex
	note    []byte // guarded by mu; what was there when this process looked last
	version int    // guarded by mu; of it, 0 if there was none
}

// String names it in errors.
func (m *vaultMark) String() string { return "the mark " + m.KV.String() }

// Load returns what lies in Vault.
func (m *vaultMark) Load(ctx context.Context) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.load(ctx)
}

func (m *vaultMark) load(ctx context.Context) ([]byte, error) {
	text, version, err := m.Read(ctx)
	if errors.Is(err, vault.ErrNoValue) {
		m.note, m.version = nil, 0
		return nil, fmt.Errorf("%w: %w", record.ErrNotFound, err)
	}
	if err != nil {
		return nil, err
	}
	m.note, m.version = []byte(text), version
	return m.note, nil
}

// Save replaces what lies in Vault, if that is still old.
func (m *vaultMark) Save(ctx context.Context, old, next []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Equal(m.note, old) {
		if _, err := m.load(ctx); err != nil && !errors.Is(err, record.ErrNotFound) {
			return err
		}
		if !bytes.Equal(m.note, old) {
			return authority.ErrMarkMoved
		}
	}
	version, err := m.Write(ctx, string(next), m.version)
	if errors.Is(err, vault.ErrMoved) {
		m.note, m.version = nil, 0
		return authority.ErrMarkMoved
	}
	if err != nil {
		return err
	}
	m.note, m.version = next, version
	return nil
}

// markFlags are the flags of init that say where the mark lies.
type markFlags struct{ vault markVaultConfig }

func (o *markFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.vault.Address, "mark-vault-addr", "", "`URL` of the Vault that remembers the newest checkpoint, for several servers (default: the file DIR/mark)")
	f.StringVar(&o.vault.Mount, "mark-vault-mount", vault.DefaultKVMount, "where its KV engine is mounted, a `PATH`")
	f.StringVar(&o.vault.Path, "mark-vault-path", "", "where the mark lies in it, a `PATH` for this ledger alone")
	f.StringVar(&o.vault.TokenFile, "mark-vault-token-file", "", "`FILE` of mode 0600 with a token that may read and write it")
	f.StringVar(&o.vault.CAFile, "mark-vault-ca", "", "PEM `FILE` with who vouches for Vault's TLS certificate (default: the system's authorities)")
}

// config is what the flags say, with absolute files.
func (o *markFlags) config(cmd *cobra.Command) (markConfig, error) {
	if o.vault.Address == "" {
		for _, name := range []string{"mark-vault-mount", "mark-vault-path", "mark-vault-token-file", "mark-vault-ca"} {
			if cmd.Flags().Changed(name) {
				return markConfig{}, fmt.Errorf("--%s: is for --mark-vault-addr", name)
			}
		}
		return markConfig{}, nil
	}
	for _, f := range []struct{ name, value string }{{"mark-vault-path", o.vault.Path}, {"mark-vault-token-file", o.vault.TokenFile}} {
		if f.value == "" {
			return markConfig{}, fmt.Errorf("--mark-vault-addr: --%s is missing", f.name)
		}
	}
	v := o.vault
	for _, path := range []*string{&v.TokenFile, &v.CAFile} {
		if *path == "" {
			continue
		}
		var err error
		if *path, err = filepath.Abs(*path); err != nil {
			return markConfig{}, err
		}
	}
	return markConfig{Vault: &v}, nil
}
