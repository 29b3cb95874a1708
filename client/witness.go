package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/ledger/witness"
)

// WitnessOptions are the settings of [Witness].
type WitnessOptions struct {
	Env
	// Dir is the witness's folder: its key and what it has seen.
	Dir string
	// Name is what the witness calls itself; needed when its key is made.
	Name string
	// Listen is the address to answer on; 127.0.0.1:7380 if empty.
	Listen string
	// Certificate and Key are PEM files for TLS; without them only a loopback
	// address is listened on.
	Certificate, Key string
	// Pin is the pin file of the ledger that it watches.
	Pin string
	// Ready is told the address once it listens; for tests.
	Ready func(addr string)

	is string // "cosigner"; empty: "witness"
}

const (
	witnessKeyFile = "key"
	witnessTimeout = 10 * time.Second
)

// Witness runs a witness until ctx ends: it cosigns checkpoints of the pinned
// ledgers that only grew since it last saw them.
func Witness(ctx context.Context, o WitnessOptions) (err error) {
	if o.Listen == "" {
		o.Listen = "127.0.0.1:7380"
	}
	policy, err := o.check()
	if err != nil {
		return err
	}
	if err := privateDir(o.Dir); err != nil {
		return err
	}
	heads, err := witness.OpenFolder(filepath.Join(o.Dir, "seen"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, heads.Close()) }()
	signer, err := o.signer()
	if err != nil {
		return err
	}
	w, err := witness.New(witness.Config{Signer: signer, Logs: []*ledger.Policy{policy}, Heads: heads, Now: o.Now, Seen: o.seen})
	if err != nil {
		return err
	}
	return o.serve(ctx, signer, w)
}

// check refuses what can't be meant before anything is made, and returns what the
// ledger's checkpoints are believed by.
func (o WitnessOptions) check() (*ledger.Policy, error) {
	if err := o.checkPlace(); err != nil {
		return nil, err
	}
	if o.Pin == "" {
		return nil, Usagef("--pin: name the pin file of the ledger to watch")
	}
	pin, err := ReadPin(o.Pin)
	if err != nil {
		return nil, err
	}
	return pin.policy()
}

// checkPlace refuses what can't be meant of folder and address.
func (o WitnessOptions) checkPlace() error {
	switch host, _, err := net.SplitHostPort(o.Listen); {
	case o.Dir == "":
		return Usagef("--dir: name the folder where the %s keeps its key and what it has seen", o.kind())
	case err != nil:
		return Usagef("--listen %q: want HOST:PORT", o.Listen)
	case (o.Certificate == "") != (o.Key == ""):
		return Usagef("--tls-cert and --tls-key come together")
	case o.Certificate == "" && !loopbackHost(host):
		return Usagef("--listen %s: without --tls-cert and --tls-key only on a loopback address, behind a proxy that speaks TLS", o.Listen)
	}
	return nil
}

// kind is what it is.
func (o WitnessOptions) kind() string {
	if o.is != "" {
		return o.is
	}
	return "witness"
}

func loopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// signer reads the witness's key, and makes it at the first start.
func (o WitnessOptions) signer() (*ledger.CosignerSigner, error) {
	path := filepath.Join(o.Dir, witnessKeyFile)
	text, err := readPrivate(path)
	if errors.Is(err, fs.ErrNotExist) {
		if o.Name == "" {
			return nil, Usagef("--name: the first start makes the %s's key, so say what it calls itself, such as --name %s.example/1", o.kind(), o.kind())
		}
		private, _, err := ledger.NewCosignerKey(o.Rand, o.Name)
		if err != nil {
			return nil, Usagef("--name: %w", err)
		}
		if err := writeFile(path, []byte(private+"\n"), 0o600); err != nil {
			return nil, err
		}
		o.say("made the key of %s in %s", o.Name, path)
		return ledger.NewCosignerSigner(private)
	}
	if err != nil {
		return nil, err
	}
	signer, err := ledger.NewCosignerSigner(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if o.Name != "" && o.Name != signer.Key().Name() {
		return nil, Usagef("--name %s: the key in %s is that of %s; a %s keeps its name", o.Name, path, signer.Key().Name(), o.kind())
	}
	return signer, nil
}

func (o WitnessOptions) serve(ctx context.Context, signer *ledger.CosignerSigner, w http.Handler) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	srv := &http.Server{Handler: w, ReadHeaderTimeout: witnessTimeout, ReadTimeout: witnessTimeout, WriteTimeout: witnessTimeout, MaxHeaderBytes: 16 << 10}
	// Results go to standard output: what the ledger's operator has to be given.
	if err := o.print(signer.PublicKey()); err != nil {
		return errors.Join(err, listener.Close())
	}
	o.say("%s %s answers on %s; give the operator of the ledger the line above and your address", o.kind(), signer.Key().Name(), listener.Addr())
	if o.Ready != nil {
		o.Ready(listener.Addr().String())
	}
	ended := make(chan error, 1)
	go func() {
		if o.Certificate != "" {
			ended <- srv.ServeTLS(listener, o.Certificate, o.Key)
			return
		}
		ended <- srv.Serve(listener)
	}()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), witnessTimeout)
	defer cancel()
	return srv.Shutdown(stop)
}

// seen writes one line for each request. What a stranger sent is not in it.
func (o WitnessOptions) seen(origin string, size int64, status int, err error) {
	switch {
	case err == nil:
		o.say("cosigned %s at size %d", origin, size)
	case origin == "":
		o.say("refused a request (%d)", status)
	default:
		o.say("refused %s at size %d (%d): %v", origin, size, status, err)
	}
}
