package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/vault"
	"github.com/sallyport/sallyport/server"
)

// sweepEvery is how often expiries are recorded. It decides nothing: a request
// expires by itself.
const sweepEvery = 5 * time.Second

func serveCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Serve the API and the pages",
		Long: "Serves until it is told to stop (SIGTERM or SIGINT). Then it takes nothing new, finishes what it is doing within 10\n" +
			"seconds and ends with exit code 0; a second signal ends it at once. Settings are in DIR/config.yaml (docs/config.md);\n" +
			"`sallyd check` says what is wrong with them. docs/operations.md says what there is to watch.",
		Example: "  sallyd serve --dir /var/lib/sallyport",
		Args:    exactly(),
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return runServe(cmd, *dir) }),
	}
}

func runServe(cmd *cobra.Command, dir string) (err error) {
	ctx := cmd.Context()
	if err := isFolder(dir); err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), nil))
	c, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	secrets, err := c.secrets(dir, os.Getenv)
	if err != nil {
		return err
	}
	f, err := openFolder(ctx, dir, folderOptions{
		logger: logger, secrets: secrets,
		signer: func(ctx context.Context, public ssh.PublicKey) (ca.Signer, error) {
			s, err := c.CA.signer(ctx, dir, public, logger)
			if err != nil && c.CA.Vault != nil {
				err = fmt.Errorf("%w: %w", errConfig, err)
			}
			return s, err
		},
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	proxies, err := c.proxies()
	if err != nil {
		return err
	}
	s, err := server.New(server.Config{
		Authority: f.auth, BaseURL: c.URL, Now: time.Now, Rand: rand.Reader, Logger: logger, Version: version,
		Limits: c.Limits.limits(), TrustedProxies: proxies,
	})
	if err != nil {
		return err
	}
	tlsConfig, err := c.tlsConfig(dir)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("%w: listen: %w", errConfig, err)
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "sallyd: serving %s\n", c.URL); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "sallyd: stopping; what runs has %s to finish, a second signal ends it at once\n", server.StopTimeout)
	})()
	sweeping, stop := context.WithCancel(ctx)
	var job sync.WaitGroup
	job.Go(func() { sweep(sweeping, f, logger) })
	if v, ok := f.signer.(*vault.Signer); ok {
		job.Go(func() { v.KeepToken(sweeping) })
	}
	err = s.Serve(ctx, listener, tlsConfig)
	stop()
	job.Wait()
	return err
}

// sweep records expiries until ctx ends.
func sweep(ctx context.Context, f *folder, logger *slog.Logger) {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if _, err := f.auth.Sweep(ctx); err != nil && ctx.Err() == nil {
				logger.LogAttrs(ctx, slog.LevelError, "expiry not recorded", slog.Any("error", err))
			}
		}
	}
}

// keyPair is the certificate and key that the settings name.
func (c config) keyPair(dir string) *keyPair {
	return &keyPair{certificate: inFolder(dir, c.TLS.Certificate), key: inFolder(dir, c.TLS.Key)}
}

// tlsConfig loads the certificate anew for each connection that finds the files
// changed, so a renewal needs no restart.
func (c config) tlsConfig(dir string) (*tls.Config, error) {
	if c.TLS.Certificate == "" {
		return nil, nil //nolint:nilnil // plain HTTP on loopback
	}
	files := c.keyPair(dir)
	if _, err := files.get(nil); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.get}, nil
}
