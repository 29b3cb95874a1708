package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
)

// Serve answers requests on ln, which it closes, until ctx ends; it refuses new
// requests from then on, and those that run have StopTimeout to finish. Who takes
// longer is cut off, which is no error: nothing that was answered is lost by it.
// conf nil means plain HTTP, which is refused on other than loopback addresses.
func (s *Server) Serve(ctx context.Context, ln net.Listener, conf *tls.Config) error {
	if err := s.checkListener(ln.Addr(), conf); err != nil {
		return errors.Join(err, ln.Close())
	}
	return s.times.serve(ctx, ln, conf, s, s.logger)
}

// serve is Serve for any handler.
func (t times) serve(ctx context.Context, ln net.Listener, conf *tls.Config, h http.Handler, logger *slog.Logger) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: t.header, ReadTimeout: t.read, WriteTimeout: t.write, IdleTimeout: t.idle, MaxHeaderBytes: maxHeader,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	serve := func() error { return srv.Serve(ln) }
	if conf != nil {
		srv.TLSConfig = conf.Clone()
		srv.TLSConfig.MinVersion = max(srv.TLSConfig.MinVersion, tls.VersionTLS12)
		serve = func() error { return srv.ServeTLS(ln, "", "") } // the certificate is in conf
	}
	ended := make(chan error, 1)
	go func() { ended <- serve() }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", errors.Join(err, srv.Close()))
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.stop)
	defer cancel()
	err := srv.Shutdown(stop)
	if errors.Is(err, context.DeadlineExceeded) {
		logger.LogAttrs(ctx, slog.LevelWarn, "requests cut off", slog.String("after", t.stop.String()))
		err = srv.Close()
	}
	if err != nil {
		return fmt.Errorf("stopping: %w", err)
	}
	if closed := <-ended; !errors.Is(closed, http.ErrServerClosed) {
		return fmt.Errorf("serving: %w", closed)
	}
	return nil
}
