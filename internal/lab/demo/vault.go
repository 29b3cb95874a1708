package main

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// noKeyFile demands that a CA key in Vault is nowhere else.
func (s *story) noKeyFile() error {
	if s.Vault == nil {
		return nil
	}
	_, err := os.Stat(filepath.Join(s.ServerDir(), "keys", "user-ca"))
	if !errors.Is(err, fs.ErrNotExist) {
		return wrong("the authority's folder has a file for the CA key: %v", err)
	}
	return nil
}

func (s *story) seal(ctx context.Context) (string, error) {
	if err := s.Seal(ctx); err != nil {
		return "", err
	}
	health, err := s.Vault.Root().Sys().HealthWithContext(ctx)
	if err != nil {
		return "", err
	}
	if !health.Sealed {
		return "", wrong("it is not sealed")
	}
	return "Vault says that it is sealed", nil
}

// waitsForKey reads how the waiting sally ssh ends when it was granted and
// nothing can sign.
func (s *story) waitsForKey(ctx context.Context) (string, error) {
	out, err := s.session.End(ctx, client.ExitUnreachable, "sally ssh")
	s.first = out
	if err != nil {
		return "", err
	}
	const sentence = "the authority key can't be reached, so no certificate was made; the request stays granted; try again, a retry is safe"
	if err := contains(out, "granted by Bob Example", sentence); err != nil {
		return "", err
	}
	return "exit 6; " + sentence, nil
}

func (s *story) tryAgain(ctx context.Context) (string, error) {
	if err := s.Unseal(ctx); err != nil {
		return "", err
	}
	var err error
	s.session, err = s.Alice.Start(ctx, "sally", "ssh", s.Principal(site.Web1), "--key-file", "--", onTheHost)
	if err != nil {
		return "", err
	}
	if _, err := s.session.Expect(ctx, "using the grant of request "+s.request); err != nil {
		return "", err
	}
	return "nobody is asked again: it uses the grant that Bob gave", nil
}
