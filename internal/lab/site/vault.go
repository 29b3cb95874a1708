package site

import (
	"context"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/lab/vault"
)

const (
	// CAKey is the transit key that signs certificates.
	CAKey = "user-ca"
	// caTokenLife is the period of sallyd's token: it has to renew it more than
	// once in a story.
	caTokenLife = 10 * time.Second

	vaultTokenFile = "vault-token"

	// markPath is where the mark lies in Vault.
	markPath      = "sallyport/mark"
	markTokenFile = "mark-token"
)

// startVault starts a Vault with the CA key and gives sallyd a token, if the
// site is to have one.
func (s *Site) startVault(ctx context.Context) error {
	if !s.cfg.Vault && s.cfg.Replicas == 0 {
		return nil
	}
	dir, err := s.Dir.Mkdir(0o700, "vault")
	if err != nil {
		return err
	}
	if s.Vault, err = vault.Start(ctx, dir, vault.Key{Name: CAKey, Type: "ed25519"}); err != nil {
		return err
	}
	if s.cfg.Replicas > 0 {
		if err := s.shareMark(ctx); err != nil {
			return err
		}
	}
	return s.NewVaultToken(ctx)
}

// shareMark gives sallyd a place in Vault for the mark.
func (s *Site) shareMark(ctx context.Context) error {
	if err := s.Vault.MountKV(ctx); err != nil {
		return err
	}
	token, err := s.Vault.NewToken(ctx, "mark", vault.KVPolicy(markPath), time.Hour)
	if err != nil {
		return err
	}
	return vault.WriteToken(s.Dir.Path(markTokenFile), token)
}

// markFlags tell sallyd init where the mark lies.
func (s *Site) markFlags() []string {
	if s.cfg.Replicas == 0 {
		return nil
	}
	return []string{
		"--mark-vault-addr", s.Vault.Address(), "--mark-vault-ca", s.Vault.CAFile(), "--mark-vault-path", markPath,
		"--mark-vault-token-file", s.Dir.Path(markTokenFile),
	}
}

// VaultTokenFile is where sallyd reads its token.
func (s *Site) VaultTokenFile() string { return s.Dir.Path(vaultTokenFile) }

// NewVaultToken puts a new token where sallyd reads it.
func (s *Site) NewVaultToken(ctx context.Context) error {
	token, err := s.Vault.Token(ctx, CAKey, caTokenLife)
	if err != nil {
		return err
	}
	return vault.WriteToken(s.VaultTokenFile(), token)
}

// vaultFlags tell sallyd init where the CA key lies.
func (s *Site) vaultFlags() []string {
	if !s.cfg.Vault {
		return nil
	}
	return []string{
		"--ca", "vault", "--vault-addr", s.Vault.Address(), "--vault-ca", s.Vault.CAFile(),
		"--vault-key", CAKey, "--vault-version", strconv.Itoa(1), "--vault-token-file", s.VaultTokenFile(),
	}
}

// Seal seals Vault, as its keepers do when something is wrong.
func (s *Site) Seal(ctx context.Context) error {
	s.cfg.Tell.Typed("Vault's keeper", "PUT /v1/sys/seal")
	return s.Vault.Seal(ctx)
}

// Unseal opens it again.
func (s *Site) Unseal(ctx context.Context) error {
	s.cfg.Tell.Typed("Vault's keeper", "PUT /v1/sys/unseal")
	return s.Vault.Unseal(ctx)
}
