package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/sallyport/sallyport/internal/consumer"
	"github.com/sallyport/sallyport/internal/metrics"
	"github.com/sallyport/sallyport/internal/siem"
)

// siemConfig says where the ledger's entries are written for a SIEM.
type siemConfig struct {
	// File is a file to which each entry is appended as a line of JSON; its folder must be there. It may be moved away, then a new one is made.
	File string `yaml:"file,omitempty" default:"no file" form:"a file's name" example:"/var/log/sallyport/events.jsonl"`
	// Syslog is where each entry is sent as an RFC 5424 message.
	Syslog string `yaml:"syslog,omitempty" default:"no syslog" form:"tls://HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT or unix:///PATH" example:"tls://siem.acme.example:6514"`
	// SyslogCAFile is a PEM file with who vouches for a receiver at tls://.
	SyslogCAFile string `yaml:"syslog_ca_file,omitempty" default:"the system's authorities" form:"a file's name" example:"/etc/sallyport/siem-ca.pem"`
}

// Names of the consumers' cursors, for good.
const (
	siemFile   = "siem_file"
	siemSyslog = "siem_syslog"
)

func (c siemConfig) check() error {
	if c.Syslog == "" {
		if c.SyslogCAFile != "" {
			return badKey("siem.syslog_ca_file", "it is for siem.syslog at tls://")
		}
		return nil
	}
	to, err := siem.ParseAddress(c.Syslog)
	switch {
	case err != nil:
		return badKey("siem.syslog", "%v", err)
	case c.SyslogCAFile != "" && !to.TLS():
		return badKey("siem.syslog_ca_file", "it is for siem.syslog at tls://")
	}
	return nil
}

// sink is a consumer with what it has open.
type sink struct {
	*consumer.Consumer
	close func() error
}

// sinks makes the consumers that the settings ask for.
func (c siemConfig) sinks(dir string, f *folder, m *metrics.Metrics, logger *slog.Logger) ([]sink, error) {
	var out []sink
	add := func(name string, take consumer.Func, end func() error) error {
		one, err := consumer.New(consumer.Config{
			Name: name, Take: take, Ledger: f.auth, Now: time.Now, Rand: rand.Reader, Logger: logger, Failed: func() { m.ConsumerFailed(name) },
		})
		out = append(out, sink{one, end})
		m.WatchConsumer(name)
		return err
	}
	if c.File != "" {
		file := siem.NewFile(f.auth.Origin(), inFolder(dir, c.File))
		if err := add(siemFile, file.Take, file.Close); err != nil {
			return nil, err
		}
	}
	if c.Syslog == "" {
		return out, nil
	}
	to, err := siem.ParseAddress(c.Syslog)
	if err != nil {
		return nil, badKey("siem.syslog", "%v", err)
	}
	roots, err := c.roots(dir)
	if err != nil {
		return nil, err
	}
	syslog := siem.NewSyslog(f.auth.Origin(), to, roots)
	return out, add(siemSyslog, syslog.Take, syslog.Close)
}

// roots are who vouches for the receiver; nil: the system's.
func (c siemConfig) roots(dir string) (*x509.CertPool, error) {
	if c.SyslogCAFile == "" {
		return nil, nil //nolint:nilnil // the system's
	}
	path := inFolder(dir, c.SyslogCAFile)
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return nil, fmt.Errorf("%w: siem.syslog_ca_file: %w", errConfig, err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: siem.syslog_ca_file: %s has no PEM certificate", errConfig, path)
	}
	return roots, nil
}

// run feeds a sink until ctx ends.
func (s sink) run(ctx context.Context, logger *slog.Logger) {
	s.Run(ctx)
	if err := s.close(); err != nil {
		logger.LogAttrs(ctx, slog.LevelError, "export not closed", slog.Any("error", err))
	}
}

// feed starts the sinks.
func feed(ctx context.Context, job *sync.WaitGroup, sinks []sink, logger *slog.Logger) {
	for _, s := range sinks {
		job.Go(func() { s.run(ctx, logger) })
	}
}

// siem checks that what the settings ask for can be written.
func (c *checkup) siem(settings config) {
	s := settings.SIEM
	if s.File != "" {
		path := inFolder(c.dir, s.File)
		if info, err := os.Stat(filepath.Dir(path)); err != nil {
			c.fail("SIEM file", err)
		} else if !info.IsDir() {
			c.fail("SIEM file", fmt.Errorf("%s is no folder", filepath.Dir(path)))
		} else {
			c.pass("SIEM file", "%s, whose folder is there", path)
		}
	}
	if s.Syslog == "" {
		return
	}
	if _, err := s.roots(c.dir); err != nil {
		c.fail("SIEM syslog", err)
		return
	}
	c.unknown("SIEM syslog", "%s was not asked: syslog has no answer", s.Syslog)
}
