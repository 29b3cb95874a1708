// Package vault owns what lies in HashiCorp Vault: the authority key in its transit
// engine, where Vault signs the bytes that it is given and never shows the key, and
// a value in its KV engine that several processes change by compare-and-swap.
//
// One key version is pinned for good: the public key is part of the bytes that
// are signed, so a rotation in Vault must not change it in between. Every
// signature is verified here before it leaves: asked for the wrong hash or
// version, Vault answers 200 with a useless signature.
//
// Whatever may pass by itself (Vault sealed, away, slow, the token refused) is
// ca.ErrUnavailable. No error and no log line holds the token, what was to be
// signed, or text of Vault's own.
package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
)

// Reasons why no signer is made.
var (
	ErrConfig = errors.New("not a usable setting")
	ErrKey    = errors.New("not a usable authority key in Vault")
	ErrToken  = errors.New("token file of Vault refused")
)

const (
	// DefaultMount is where the transit engine is mounted unless said otherwise.
	DefaultMount = "transit"
	// DefaultTimeout bounds one call to Sign, waiting for its turn included.
	DefaultTimeout = 3 * time.Second
	// MaxBatch is how many signatures one request to Vault asks for at most.
	MaxBatch = 64
)

// Config says which key signs, and how Vault is reached.
type Config struct {
	// Address is Vault's URL: https://HOST[:PORT], or http on loopback.
	Address string
	// CAFile holds, in PEM, who vouches for Vault's TLS certificate. Empty: the
	// system's authorities.
	CAFile string
	// TokenFile holds the token, readable by its owner alone. It is read again
	// when Vault refuses the token.
	TokenFile string
	Mount     string // of the transit engine; DefaultMount if empty
	Key       string // name of the key, type ed25519 or ecdsa-p256
	Version   int    // the pinned version of the key, from 1
	// Public is what the pinned version must be. Nil: what Vault says, so Vault
	// must be reachable. With it a Vault that is away only delays the comparison
	// until before the first signature.
	Public  ssh.PublicKey
	Timeout time.Duration // DefaultTimeout if zero
	Logger  *slog.Logger  // nil: nothing is logged

	wrap func(http.RoundTripper) http.RoundTripper // between us and Vault, in tests
}

// Signer signs through Vault. Calls to Sign that come together share one
// request. It is safe for concurrent use.
type Signer struct {
	*client

	c      Config
	public ssh.PublicKey
	kind   kind

	checked bool // the key was compared and nothing speaks against it since; owned by work once that runs

	jobs   chan *job
	cancel context.CancelFunc
	done   chan struct{} // closed when work has ended
}

// Check refuses settings that can't be meant, without touching file or network.
// Errors wrap ErrConfig and begin with the setting's name.
func (c Config) Check() error {
	if err := checkAddress(c.Address); err != nil {
		return err
	}
	if err := checkMount(c.Mount, DefaultMount); err != nil {
		return err
	}
	switch {
	case !names.MatchString(c.Key):
		return fmt.Errorf("key: %w: %q is not the name of a transit key", ErrConfig, c.Key)
	case c.Version < 1:
		return fmt.Errorf("version: %w: name the version of the key that signs, from 1", ErrConfig)
	}
	return checkTokenFile(c.TokenFile)
}

// Open reads the token, compares the key in Vault with what it must be, and
// starts the signer. Errors wrap ErrConfig, ErrToken or ErrKey, or
// ca.ErrUnavailable if Vault must be reachable and is not. ctx bounds only the
// opening; Close ends the signer.
func Open(ctx context.Context, c Config) (*Signer, error) {
	if c.Mount == "" {
		c.Mount = DefaultMount
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	if err := c.Check(); err != nil {
		return nil, err
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Signer{c: c, public: c.Public, jobs: make(chan *job), done: make(chan struct{})}
	s.client = &client{
		address: c.Address, caFile: c.CAFile, tokenFile: c.TokenFile, timeout: c.Timeout, logger: c.Logger, wrap: c.wrap,
		what: fmt.Sprintf("version %d of %s", c.Version, s.keyPath()), refused: ErrKey, away: ca.ErrUnavailable,
	}
	if err := s.connect(); err != nil {
		return nil, err
	}
	if err := s.open(ctx); err != nil {
		s.idle()
		return nil, err
	}
	var working context.Context
	working, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go s.work(working)
	return s, nil
}

func (s *Signer) open(ctx context.Context) error {
	if s.public != nil {
		var ok bool
		if s.kind, ok = kindOf(s.public); !ok {
			return fmt.Errorf("%w: the ledger names a key of type %s; ed25519 and ecdsa-p256 work with Vault", ErrKey, s.public.Type())
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	err := s.compare(ctx)
	if s.public != nil && errors.Is(err, ca.ErrUnavailable) {
		s.logger.LogAttrs(ctx, slog.LevelWarn, "authority key not reachable at start", slog.Any("error", err))
		return nil
	}
	return err
}

// compare reads the pinned version's public key and demands that it is the one
// it must be. The first time without one, it takes what it reads.
func (s *Signer) compare(ctx context.Context) error {
	public, k, err := s.readKey(ctx)
	if err != nil {
		return err
	}
	if s.public == nil {
		s.public, s.kind = public, k
	}
	if !bytes.Equal(public.Marshal(), s.public.Marshal()) {
		return fmt.Errorf("%w: version %d of %s is another key than the ledger's; check mount, key and version", ErrKey, s.c.Version, s.keyPath())
	}
	s.checked = true
	return nil
}

// Ready asks Vault for the key, for whoever wants to know whether a certificate
// could be signed now. Errors are those of Open.
func (s *Signer) Ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.Timeout)
	defer cancel()
	public, _, err := s.readKey(ctx)
	if err == nil && !bytes.Equal(public.Marshal(), s.public.Marshal()) {
		err = fmt.Errorf("%w: version %d of %s is another key than the ledger's", ErrKey, s.c.Version, s.keyPath())
	}
	return err
}

// Close ends the signer. Calls that wait get ca.ErrUnavailable. It may be called
// again.
func (s *Signer) Close() error {
	s.cancel()
	<-s.done
	s.idle()
	return nil
}

// PublicKey returns the pinned version's public key.
func (s *Signer) PublicKey() ssh.PublicKey { return s.public }

func (s *Signer) keyPath() string  { return s.c.Mount + "/keys/" + s.c.Key }
func (s *Signer) signPath() string { return s.c.Mount + "/sign/" + s.c.Key }
