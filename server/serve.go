package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
)

// Serve answers requests on ln, which it closes, until ctx ends; it refuses new
// requests from then on, and those that run have StopTimeout to finish. Who takes
// longer is cut off, which is no error: nothing that was answered is lost by it.
// Event streams end at once. conf nil means plain HTTP, which is refused on other
// than loopback addresses.
func (s *Server) Serve(ctx context.Context, ln net.Listener, conf *tls.Config) error {
	if err := s.checkListener(ln.Addr(), conf); err != nil {
		return errors.Join(err, ln.Close())
	}
	defer s.feed.close()
	defer context.AfterFunc(ctx, s.feed.close)()
	defer s.lists.close()
	defer context.AfterFunc(ctx, s.lists.close)()
	return s.times.serve(ctx, ln, conf, s, s.logger)
}

// ServeOther is Serve for a handler that is not the Server's, such as a page for
// operators on a listener of its own, with the same bounds for its clients.
func ServeOther(ctx context.Context, ln net.Listener, conf *tls.Config, h http.Handler, logger *slog.Logger) error {
	if err := onlyLoopback(ln.Addr()); conf == nil && err != nil {
		return errors.Join(err, ln.Close())
	}
	return usualTimes.serve(ctx, ln, conf, h, logger)
}

// serve is Serve for any handler.
func (t times) serve(ctx context.Context, ln net.Listener, conf *tls.Config, h http.Handler, logger *slog.Logger) error {
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: t.header, ReadTimeout: t.read, WriteTimeout: t.write, IdleTimeout: t.idle, MaxHeaderBytes: maxHeader,
		HTTP2:    &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
		ErrorLog: log.New(errorLog{logger}, "", 0),
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

// errorLog takes what net/http has to say. Of a handshake that failed, which any
// stranger can cause, it would repeat where it came from and what was asked for.
type errorLog struct{ logger *slog.Logger }

// Write logs one line.
func (l errorLog) Write(line []byte) (int, error) {
	ctx := context.Background()
	if text := strings.TrimSpace(string(line)); strings.HasPrefix(text, "http: TLS handshake error") {
		l.logger.LogAttrs(ctx, slog.LevelDebug, "tls handshake failed")
	} else {
		l.logger.LogAttrs(ctx, slog.LevelWarn, "connection", slog.String("error", clip(visible(text), maxDetail)))
	}
	return len(line), nil
}
