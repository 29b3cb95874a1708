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
	"github.com/sallyport/sallyport/internal/metrics"
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
	c, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	logger := slog.New(slog.NewJSONHandler(cmd.ErrOrStderr(), &slog.HandlerOptions{Level: logLevels[c.LogLevel]}))
	m := metrics.New(version)
	f, err := c.openFolder(ctx, dir, m, logger)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.auth.CheckCosigners(ctx); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	s, err := c.server(f, m, logger)
	if err != nil {
		return err
	}
	tlsConfig, err := c.tlsConfig(dir)
	if err != nil {
		return err
	}
	sinks, err := c.SIEM.sinks(dir, f, m, logger)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, "listen", c.Listen)
	if err != nil {
		return err
	}
	working, stop := context.WithCancel(ctx)
	var job sync.WaitGroup
	defer func() { stop(); job.Wait() }()
	if c.Metrics.Listen != "" {
		figures, err := listen(ctx, "metrics.listen", c.Metrics.Listen)
		if err != nil {
			return errors.Join(err, listener.Close())
		}
		job.Go(func() { c.Metrics.serve(working, figures, tlsConfig, m, logger) })
	}
	if _, err := fmt.Fprintf(cmd.ErrOrStderr(), "sallyd: serving %s\n", c.URL); err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() {
		_, _ = fmt.Fprintf(cmd.ErrOrStderr(), "sallyd: stopping; what runs has %s to finish, a second signal ends it at once\n", server.StopTimeout)
	})()
	job.Go(func() { sweep(working, f, logger) })
	feed(working, &job, sinks, logger)
	for _, v := range []any{f.signer, f.mark} {
		if v, ok := v.(interface{ KeepToken(context.Context) }); ok {
			job.Go(func() { v.KeepToken(working) })
		}
	}
	return s.Serve(ctx, listener, tlsConfig)
}

// openFolder opens the folder for serving.
func (c config) openFolder(ctx context.Context, dir string, m *metrics.Metrics, logger *slog.Logger) (*folder, error) {
	secrets, err := c.secrets(dir, os.Getenv)
	if err != nil {
		return nil, err
	}
	quorum, cosigners, err := c.Witnesses.cosigners()
	if err != nil {
		return nil, err
	}
	return openFolder(ctx, dir, folderOptions{
		logger: logger, secrets: secrets, metrics: m, quorum: quorum, cosigners: cosigners,
		signer: func(ctx context.Context, public ssh.PublicKey) (ca.Signer, error) {
			s, err := c.CA.signer(ctx, dir, public, logger)
			if err != nil && c.CA.Vault != nil {
				err = fmt.Errorf("%w: %w", errConfig, err)
			}
			return s, err
		},
	})
}

// server makes the server, and has the figures read from it.
func (c config) server(f *folder, m *metrics.Metrics, logger *slog.Logger) (*server.Server, error) {
	proxies, err := c.proxies()
	if err != nil {
		return nil, err
	}
	s, err := server.New(server.Config{
		Authority: f.auth, BaseURL: c.URL, Now: time.Now, Rand: rand.Reader, Logger: logger, Version: version, PublicTiles: c.Ledger.PublicTiles,
		Limits: c.Limits.limits(), TrustedProxies: proxies, Observer: m, Workloads: c.workloads(),
	})
	if err != nil {
		return nil, err
	}
	m.Watch(metrics.Sources{Store: f.store, Ready: s.Ready, Now: time.Now, Logger: logger})
	return s, nil
}

// listen takes an address that a key of config.yaml names.
func listen(ctx context.Context, key, address string) (net.Listener, error) {
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errConfig, key, err)
	}
	return ln, nil
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
