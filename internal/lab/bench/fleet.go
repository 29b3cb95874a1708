package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
	"github.com/sallyport/sallyport/ledger/trust"
	"github.com/sallyport/sallyport/sshcert"
)

// fleet are many hosts at one site: each with a key, a folder, an address and a real
// agent of its own, all agents in this process. There are no sessions to end.
type fleet struct {
	b        *bench
	site     *site.Site
	hosts    []*polled
	calls    calls
	arrivals arrivals

	stop    context.CancelFunc
	running sync.WaitGroup
}

// polled is one host.
type polled struct {
	name      sshcert.Host
	dir       string
	config    host.Config
	agent     *agent.Agent
	network   *agent.Network
	transport *http.Transport
}

// join makes the hosts: the operator records them and gives them what they pin.
func (f *fleet) join(ctx context.Context) error {
	f.b.tell("recording %d hosts", f.b.size.hosts)
	operator := func(args ...string) error {
		_, err := f.site.Operator.Must(ctx, append([]string{"sallyd", "--dir", f.site.ServerDir()}, args...)...)
		return err
	}
	if err := operator("hosts", "keys"); err != nil {
		return err
	}
	for i := range f.b.size.hosts {
		p := &polled{name: sshcert.Host(fmt.Sprintf("polls-%03d.demo", i))}
		var err error
		if p.dir, err = f.site.Dir.Mkdir(0o755, "fleet", string(p.name)); err != nil {
			return err
		}
		if err := lab.KeyPair(ctx, filepath.Join(p.dir, "key"), string(p.name)); err != nil {
			return err
		}
		err = operator("hosts", "add", string(p.name), "--addr", fmt.Sprintf("10.1.%d.%d:22", i/250, i%250+1), "--host-key", filepath.Join(p.dir, "key.pub"), "--label", "env=demo")
		if err != nil {
			return err
		}
		f.hosts = append(f.hosts, p)
	}
	bundle := f.site.Dir.Path("fleet", "bundle.json")
	if err := operator("hosts", "bundle", "--out", bundle); err != nil {
		return err
	}
	if err := operator("hosts", "publish", bundle); err != nil {
		return err
	}
	return f.pin(bundle)
}

// pin gives each host its files, and makes its agent.
func (f *fleet) pin(file string) error {
	bundle, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	signed, err := trust.Parse(bundle)
	if err != nil {
		return err
	}
	for i, p := range f.hosts {
		p.config = host.Config{Name: p.name, Mode: host.Require, Lineage: signed.Bundle.Lineage}
		if err := os.WriteFile(filepath.Join(p.dir, host.BundleFile), bundle, 0o600); err != nil {
			return err
		}
		client := host.NewHTTP()
		transport, ok := client.Transport.(*http.Transport)
		if !ok {
			return errors.New("hosts do not speak by http.Transport any more")
		}
		p.transport = transport
		dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 1, byte(i/250), byte(i%250+1))}}
		transport.DialContext = dialer.DialContext
		client.Transport = f.calls.of(transport)
		p.network = &agent.Network{Folder: host.Folder{Path: p.dir, Owner: os.Geteuid()}, HostKey: filepath.Join(p.dir, "key"), Now: time.Now, HTTP: client}
		p.agent, err = agent.New(agent.Config{
			Folder: p.network.Folder, State: filepath.Join(p.dir, "state"), Version: "bench", Scopes: session.Scopes{}, Refresh: p.network, Report: p.network, Renew: p.network,
			Now: time.Now, Chance: mathrand.Float64, Log: slog.New(&f.arrivals),
		})
		if err != nil {
			return err
		}
	}
	return f.settle(f.site.URL())
}

// settle says to the hosts where the server is.
func (f *fleet) settle(url string) error {
	for _, p := range f.hosts {
		p.config.Server = url
		text, err := p.config.Marshal()
		if err != nil {
			return err
		}
		file := filepath.Join(p.dir, host.ConfigFile)
		if err := os.WriteFile(file+".new", text, 0o600); err != nil {
			return err
		}
		if err := os.Rename(file+".new", file); err != nil {
			return err
		}
	}
	return nil
}

// trust says to the hosts who vouches for the server.
func (f *fleet) trust(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate", file)
	}
	for _, p := range f.hosts { // the server is away, so nobody begins a connection by it
		p.transport.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
	}
	return nil
}

// begin starts the agents, spread over a while as hosts are that were started at any
// time.
func (f *fleet) begin(ctx context.Context) error {
	f.b.tell("starting %d agents in %s", len(f.hosts), f.b.size.settle)
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	f.stop = stop
	f.arrivals.begin()
	begin := time.Now()
	for i, p := range f.hosts {
		f.running.Go(func() { p.agent.Run(run) })
		next := begin.Add(time.Duration(i+1) * f.b.size.settle / time.Duration(len(f.hosts)))
		if err := pause(ctx, time.Until(next)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	_, err := f.arrivals.wait(ctx, len(f.hosts), begin) // each has a first list
	return err
}

// askBundles asks for the next trust bundle as often as so many agents do in the long run,
// each all ten minutes; in a run of a few minutes they would not.
func (f *fleet) askBundles(ctx context.Context) {
	for i := 0; pause(ctx, 10*time.Minute/time.Duration(len(f.hosts))) == nil; i++ {
		if _, err := f.hosts[i%len(f.hosts)].network.Bundles(ctx, 1); err != nil && ctx.Err() == nil {
			f.b.tell("a host asked for the next trust bundle: %v", err)
		}
	}
}

// close ends the agents.
func (f *fleet) close() error {
	if f.stop != nil {
		f.stop()
	}
	f.running.Wait()
	var errs []error
	for _, p := range f.hosts {
		if p.agent != nil {
			errs = append(errs, p.agent.Close())
		}
	}
	return errors.Join(errs...)
}

// calls counts what the hosts ask for.
type calls struct{ lists, signed, bundles atomic.Int64 }

func (c *calls) begin() {
	for _, n := range []*atomic.Int64{&c.lists, &c.signed, &c.bundles} {
		n.Store(0)
	}
}

func (c *calls) end() (lists, signed, bundles int64) {
	return c.lists.Load(), c.signed.Load(), c.bundles.Load()
}

// of counts on the way to a transport.
func (c *calls) of(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		answer, err := next.RoundTrip(r)
		switch {
		case err != nil:
		case strings.HasSuffix(r.URL.Path, "/krl"):
			c.lists.Add(1)
		case strings.HasSuffix(r.URL.Path, "/bundle"):
			c.bundles.Add(1)
		default:
			c.signed.Add(1)
		}
		return answer, err
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip calls it.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// arrivals is the log of all agents. It notes when one says that it has another list.
type arrivals struct {
	mu   sync.Mutex
	at   []time.Time   // guarded by mu
	last string        // what went wrong last; guarded by mu
	more chan struct{} // closed when there is another, and made anew; guarded by mu
}

func (a *arrivals) begin() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at, a.last, a.more = nil, "", make(chan struct{})
}

// wait returns how long after begin each of n lists came.
func (a *arrivals) wait(ctx context.Context, n int, begin time.Time) (sample, error) {
	for {
		a.mu.Lock()
		at, more, last := a.at, a.more, a.last
		a.mu.Unlock()
		if len(at) >= n {
			var s sample
			for _, t := range at {
				s = append(s, t.Sub(begin))
			}
			return s, nil
		}
		select {
		case <-more:
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d hosts have the list: %w; %s", len(at), n, context.Cause(ctx), last)
		}
	}
}

// Enabled is true.
func (a *arrivals) Enabled(context.Context, slog.Level) bool { return true }

// Handle notes one record.
func (a *arrivals) Handle(_ context.Context, r slog.Record) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case r.Level >= slog.LevelWarn:
		a.last = r.Message
		r.Attrs(func(attr slog.Attr) bool { a.last += " " + canon.Visible(attr.String()); return true })
	case r.Message == "new revocation list":
		a.at = append(a.at, r.Time)
		close(a.more)
		a.more = make(chan struct{})
	}
	return nil
}

// WithAttrs is not used by agents.
func (a *arrivals) WithAttrs([]slog.Attr) slog.Handler { return a }

// WithGroup is not used by agents.
func (a *arrivals) WithGroup(string) slog.Handler { return a }
