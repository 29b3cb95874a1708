package site

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// front is a reverse proxy before sallyd: people know only its address.
type front struct {
	inner *lab.Port // where sallyd listens
	srv   *http.Server
	ended chan struct{} // closed when srv has ended
}

// startFront starts the proxy on the site's port, if the site is to have one.
func (s *Site) startFront(ctx context.Context) error {
	if s.cfg.Front == nil {
		return nil
	}
	inner, err := lab.ReservePort(ctx)
	if err != nil {
		return err
	}
	s.front = &front{inner: inner, ended: make(chan struct{})}
	if err := s.port.Release(); err != nil {
		return err
	}
	ln, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", s.port.Addr())
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: inner.Addr()})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		ErrorLog: log.New(io.Discard, "", 0), // sallyd that is away is a story's business
	}
	s.front.srv = &http.Server{Handler: s.cfg.Front(proxy), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		defer close(s.front.ended)
		_ = s.front.srv.Serve(ln) // until it is closed; a dead listener people notice
	}()
	return nil
}

// close ends the proxy.
func (f *front) close() error {
	err := f.inner.Release()
	if f.srv != nil {
		_ = f.srv.Close() // connections of people who are gone
		<-f.ended
	}
	return err
}

// listens is where sallyd listens.
func (s *Site) listens() *lab.Port {
	if s.front != nil {
		return s.front.inner
	}
	return s.port
}
