package main

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/lab/site"
)

// cosignerKey makes what the contract names: without its word there will be no
// certificate.
func (s *story) cosignerKey(ctx context.Context) (string, error) {
	if err := s.MakeCosigner(ctx); err != nil {
		return "", err
	}
	if err := contains(s.CosignerKey(), site.CosignerName+"+"); err != nil {
		return "", err
	}
	return "exit 0; its public key is what the contract will name", nil
}

// cosign starts the cosigner, which goes on until the end.
func (s *story) cosign(ctx context.Context) (string, error) {
	task, err := s.StartCosigner(ctx)
	if err != nil {
		return "", err
	}
	line, err := task.Expect(ctx, "replayed the ledger up to ")
	if err != nil {
		return "", err
	}
	if len(s.contract.Terms.Cosigners) != 1 || s.contract.Terms.Cosigners[0].Key != s.CosignerKey() {
		return "", wrong("the contract names %v", s.contract.Terms.Cosigners)
	}
	return fmt.Sprintf("it says %q; every certificate from now on carries its word", line), nil
}
