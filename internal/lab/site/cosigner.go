package site

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab"
)

// CosignerName is what the cosigner of a party calls itself, where the contract
// names one.
const CosignerName = "cosigner.sallyport.test/1"

// cosigner is the program of a party that has to confirm the ledger.
type cosigner struct {
	port *lab.Port
	key  string // its vkey
}

// reserveCosigner finds the address of the cosigner, if there is to be one.
func (s *Site) reserveCosigner(ctx context.Context) error {
	if !s.cfg.Cosigner {
		return nil
	}
	port, err := lab.ReservePort(ctx)
	if err != nil {
		return err
	}
	s.cosigner = &cosigner{port: port}
	return nil
}

// CosignerDir is the cosigner's folder.
func (s *Site) CosignerDir() string { return s.Auditor.Home("cosigner") }

// CosignerKey is the cosigner's key, once it is made.
func (s *Site) CosignerKey() string { return s.cosigner.key }

// MakeCosigner has the cosigner's key made, which the contract will name.
func (s *Site) MakeCosigner(ctx context.Context) error {
	if s.cosigner == nil {
		return nil
	}
	r, err := s.Auditor.Must(ctx, "sally", "cosign", "--dir", s.CosignerDir(), "--name", CosignerName)
	if err != nil {
		return err
	}
	s.cosigner.key = strings.TrimSpace(r.Stdout)
	return nil
}

// ContractDigest is the digest of the contract's version 1, as its signatory knows
// it.
func (s *Site) ContractDigest() (canon.Digest, error) {
	manifest, err := os.ReadFile(filepath.Join(s.ContractDir(), contract.ManifestFile))
	return canon.Sum("sallyport.manifest/v1", manifest), err
}

// StartCosigner starts the cosigner and returns when it answers.
func (s *Site) StartCosigner(ctx context.Context, more ...string) (*Task, error) {
	digest, err := s.ContractDigest()
	if err != nil {
		return nil, err
	}
	if err := s.cosigner.port.Release(); err != nil {
		return nil, err
	}
	task, err := s.Auditor.Start(ctx, slices.Concat([]string{
		"sally", "cosign", "--dir", s.CosignerDir(), "--contract", digest.String(), "--server", s.URL(), "--pin", s.PinFile(), "--listen", s.cosigner.port.Addr(),
	}, more)...)
	if err != nil {
		return nil, err
	}
	_, err = task.Expect(ctx, "answers on")
	return task, err
}

func (s *Site) cosignerKey() string {
	if s.cosigner == nil {
		return ""
	}
	return s.cosigner.key
}
