package main

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"

	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/internal/metrics"
	"github.com/sallyport/sallyport/server"
)

// metricsConfig is metrics: a page of figures for Prometheus, on a listener of its
// own.
type metricsConfig struct {
	// Listen is the address to show them on, under /metrics; whoever reaches it may read them. On other than loopback addresses
	// it speaks TLS with the server's certificate.
	Listen string `yaml:"listen,omitempty" default:"nothing is shown" form:"HOST:PORT" example:"127.0.0.1:9464"`
}

func (c metricsConfig) check(hasTLS bool) error {
	if c.Listen == "" {
		return nil
	}
	host, port, err := net.SplitHostPort(c.Listen)
	switch {
	case err != nil || !isPort(port):
		return badKey("metrics.listen", "%q is not HOST:PORT, with a port from 0 to 65535", strictyaml.Clip(c.Listen))
	case !hasTLS && !loopback(host):
		return badKey("metrics.listen", "plain http is for loopback only; name tls.certificate and tls.key")
	}
	return nil
}

// serve shows the figures on the listener until ctx ends. What goes wrong is
// logged and keeps nobody from anything.
func (c metricsConfig) serve(ctx context.Context, ln net.Listener, conf *tls.Config, m *metrics.Metrics, logger *slog.Logger) {
	if host, _, err := net.SplitHostPort(c.Listen); err == nil && loopback(host) {
		conf = nil
	}
	if err := server.ServeOther(ctx, ln, conf, m.Handler(logger), logger); err != nil {
		logger.LogAttrs(ctx, slog.LevelError, "figures not shown any more", slog.Any("error", err))
	}
}
