package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/site"
)

// fleetTime is how long one step with the fleet may take.
const fleetTime = 5 * time.Minute

// polling measures hosts: the verifier as sshd starts it, the list of revoked
// certificates as sshd reads it, and what hosts that poll cost a real sallyd.
func polling(ctx context.Context, b *bench) (err error) {
	if err := b.verifier(ctx); err != nil {
		return err
	}
	if err := b.revocations(ctx); err != nil {
		return err
	}
	bin := b.work.Path("bin")
	if err := site.Build(ctx, bin); err != nil {
		return err
	}
	s, err := site.Open(ctx, site.Config{Bin: bin, Tell: quiet{}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	f, err := b.newFleet(ctx, s)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.close()) }()
	if err := f.revoked(ctx); err != nil {
		return err
	}
	return f.cost(ctx)
}

// quiet is a site's Teller that tells nobody.
type quiet struct{}

// Typed is not told.
func (quiet) Typed(string, string) {}

// Answered is not told.
func (quiet) Answered(string) {}

// newFleet sets a site up whose inventory has so many hosts more, and has their agents
// begin, one after the other.
func (b *bench) newFleet(ctx context.Context, s *site.Site) (*fleet, error) {
	f := &fleet{b: b, site: s}
	for _, act := range []func(context.Context) error{
		s.Init,
		func(context.Context) error { return s.WriteContract() },
		s.SignContract,
		func(ctx context.Context) error { _, err := s.AddContract(ctx); return err },
		func(ctx context.Context) error { return s.AddHost(ctx, site.Web1) },
		func(ctx context.Context) error { return s.ConfigureHost(ctx, site.Web1) },
		func(ctx context.Context) error { return s.StartHost(ctx, site.Web1) },
		f.join,
		s.Serve,
		f.begin,
	} {
		if err := act(ctx); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	return f, nil
}

// revoked measures how long after somebody begins to type `sally revoke` every host of
// the fleet has the new list.
func (f *fleet) revoked(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	request, err := f.grant(ctx)
	if err != nil {
		return err
	}
	f.arrivals.begin()
	begin := time.Now()
	if _, err := f.site.Alice.Must(ctx, "sally", "revoke", "--request", request, "--because", "measured"); err != nil {
		return err
	}
	answered := time.Since(begin)
	took, err := f.arrivals.wait(ctx, len(f.hosts), begin)
	if err != nil {
		return err
	}
	f.b.figure(fmt.Sprintf("from `sally revoke` to the list on %d polling hosts", len(f.hosts)),
		fmt.Sprintf("%s, last %s", took, milliseconds(slices.Max(took))), "the command itself "+milliseconds(answered))
	return nil
}

var requestPath = regexp.MustCompile(`/requests/([a-z2-7]{26})`)

// grant lets Alice ask, Bob approve, and Alice go in: there is a certificate to revoke.
func (f *fleet) grant(ctx context.Context) (request string, err error) {
	s := f.site
	if err := s.Alice.LogIn(ctx); err != nil {
		return "", err
	}
	if _, err := s.Bob.SignIn(ctx, "/"); err != nil {
		return "", err
	}
	principal := s.Principal(site.Web1)
	filed, err := s.Alice.Must(ctx, "sally", "request", principal, "--for", "10m", "--because", "to be revoked", "--no-wait")
	if err != nil {
		return "", err
	}
	m := requestPath.FindStringSubmatch(filed.Output)
	if m == nil {
		return "", fmt.Errorf("no request in %q", filed.Output)
	}
	page, err := s.Bob.OpenPage(ctx, m[0])
	if err != nil {
		return "", err
	}
	if _, err := s.Bob.Submit(ctx, page, m[0]+"/decisions", map[string]string{"words": ""}, "approve"); err != nil {
		return "", err
	}
	_, err = s.Alice.Must(ctx, "sally", "ssh", principal, "--", "true")
	return m[1], err
}

// cost measures what the hosts take of one core, over TLS, with each host's connections
// from an address of its own: first the server begins anew, as after an upgrade, and all
// come back.
func (f *fleet) cost(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fleetTime)
	defer cancel()
	if err := f.site.StopServing(); err != nil {
		return err
	}
	if err := f.overTLS(ctx); err != nil {
		return err
	}
	if err := pause(ctx, f.b.size.settle); err != nil {
		return err
	}
	asking, stop := context.WithCancel(ctx)
	defer stop()
	f.running.Go(func() { f.askBundles(asking) })
	f.calls.begin()
	before, err := processorTime(f.site.ServerPID())
	if err != nil {
		return err
	}
	begin := time.Now()
	if err := pause(ctx, f.b.size.polled); err != nil {
		return err
	}
	after, err := processorTime(f.site.ServerPID())
	if err != nil {
		return err
	}
	took := time.Since(begin)
	share := 100 * (after - before).Seconds() / took.Seconds()
	lists, calls, bundles := f.calls.end()
	f.b.figure(fmt.Sprintf("%d hosts that poll, of one core, TLS", len(f.hosts)), fmt.Sprintf("%.1f %%", share),
		fmt.Sprintf("%.1f questions for the list, %.1f signed calls, %.1f for the bundle a second, over %.0f s; %.2f ms of the processor each",
			float64(lists)/took.Seconds(), float64(calls)/took.Seconds(), float64(bundles)/took.Seconds(), took.Seconds(),
			1e3*(after-before).Seconds()/float64(max(lists+calls+bundles, 1))))
	return nil
}

// overTLS serves again, with a certificate, and tells the hosts.
func (f *fleet) overTLS(ctx context.Context) error {
	if err := lab.WriteTLS(f.site.ServerDir()); err != nil {
		return err
	}
	file := filepath.Join(f.site.ServerDir(), "config.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	plain, safe := f.site.URL(), strings.Replace(f.site.URL(), "http:", "https:", 1)
	changed := strings.ReplaceAll(string(text), plain, safe) + fmt.Sprintf("tls: {certificate: %s, key: %s}\n", lab.TLSCertificate, lab.TLSKey)
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		return err
	}
	if err := f.trust(filepath.Join(f.site.ServerDir(), lab.TLSAuthority)); err != nil {
		return err
	}
	if err := f.settle(safe); err != nil {
		return err
	}
	server, err := f.site.Launch(ctx)
	if err != nil {
		return err
	}
	_, err = server.Expect(ctx, "serving "+safe)
	return err
}

// pause waits.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ticksPerSecond is the unit of /proc/PID/stat on all Linux machines that Go runs on
// (USER_HZ).
const ticksPerSecond = 100

// processorTime is what a process has used of the processors (proc(5), utime and stime).
func processorTime(pid int) (time.Duration, error) {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return 0, err
	}
	_, behind, _ := strings.Cut(string(text), ") ") // the name may have blanks
	fields := strings.Fields(behind)
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	var ticks int64
	for _, field := range fields[11:13] {
		n, err := strconv.ParseInt(field, 10, 64)
		if err != nil {
			return 0, err
		}
		ticks += n
	}
	return time.Duration(ticks) * time.Second / ticksPerSecond, nil
}
