package idp

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sallyport/sallyport/canon"
)

const (
	accessLife      = 5 * time.Minute
	defaultLifetime = 5 * time.Minute
	rsaBits         = 2048
)

// access is one access token that was given out.
type access struct {
	subject, client string
	code            [sha256.Size]byte // of the code it was given for
	until           time.Time
}

// store is everything the provider knows. It implements op.Storage.
type store struct {
	loginURL  string
	webSecret [sha256.Size]byte
	hasWeb    bool
	noRefresh bool
	key       signingKey

	mu           sync.Mutex
	webRedirects []string
	lifetime     time.Duration
	accounts     []*account
	requests     map[string]*request
	access       map[string]access
	used         map[[sha256.Size]byte]time.Time // codes that were exchanged
	lines        []*line
	spent        map[[sha256.Size]byte]*line // refresh tokens that were used
}

var (
	_ op.Storage                   = (*store)(nil)
	_ op.CanSetUserinfoFromRequest = (*store)(nil)
)

func newStore(cfg Config) (*store, error) {
	accounts, err := newAccounts(cfg.Accounts)
	if err != nil {
		return nil, err
	}
	key, err := newSigningKey(cfg.Algorithm)
	if err != nil {
		return nil, err
	}
	if cfg.IDTokenLifetime == 0 {
		cfg.IDTokenLifetime = defaultLifetime
	}
	return &store{
		webSecret: sha256.Sum256([]byte(cfg.WebSecret)),
		hasWeb:    cfg.WebSecret != "",
		noRefresh: cfg.NoRefresh,
		key:       key, webRedirects: slices.Clone(cfg.WebRedirects), lifetime: cfg.IDTokenLifetime,
		accounts: accounts,
		requests: map[string]*request{},
		access:   map[string]access{},
		used:     map[[sha256.Size]byte]time.Time{},
		spent:    map[[sha256.Size]byte]*line{},
	}, nil
}

// sweep forgets what is over. The caller holds the lock.
func (st *store) sweep(now time.Time) {
	for id, r := range st.requests {
		if r.over(now) {
			delete(st.requests, id)
		}
	}
	for id, a := range st.access {
		if now.After(a.until) {
			delete(st.access, id)
		}
	}
	st.endLines(func(l *line) bool { return now.After(l.until) })
	for code, at := range st.used {
		if now.Sub(at) > accessLife {
			delete(st.used, code)
		}
	}
}

// signingKey implements op.SigningKey and, seen from outside, op.Key.
type signingKey struct {
	id  string
	alg jose.SignatureAlgorithm
	key any
	pub any
}

func newSigningKey(alg string) (signingKey, error) {
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		return signingKey{}, err
	}
	switch alg {
	case "", "RS256":
		k, err := rsa.GenerateKey(rand.Reader, rsaBits)
		if err != nil {
			return signingKey{}, fmt.Errorf("identity provider: %w", err)
		}
		return signingKey{id: string(id), alg: jose.RS256, key: k, pub: k.Public()}, nil
	case "ES256":
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return signingKey{}, fmt.Errorf("identity provider: %w", err)
		}
		return signingKey{id: string(id), alg: jose.ES256, key: k, pub: k.Public()}, nil
	default:
		return signingKey{}, fmt.Errorf("identity provider: algorithm %q is neither RS256 nor ES256", alg)
	}
}

// SignatureAlgorithm implements op.SigningKey.
func (k signingKey) SignatureAlgorithm() jose.SignatureAlgorithm { return k.alg }

// Key implements op.SigningKey.
func (k signingKey) Key() any { return k.key }

// ID implements op.SigningKey.
func (k signingKey) ID() string { return k.id }

// publicKey implements op.Key.
type publicKey struct{ signingKey }

// Algorithm implements op.Key.
func (k publicKey) Algorithm() jose.SignatureAlgorithm { return k.alg }

// Use implements op.Key.
func (k publicKey) Use() string { return "sig" }

// Key implements op.Key; it hides the private one.
func (k publicKey) Key() any { return k.pub }

// SigningKey implements op.AuthStorage.
func (st *store) SigningKey(context.Context) (op.SigningKey, error) { return st.key, nil }

// SignatureAlgorithms implements op.AuthStorage.
func (st *store) SignatureAlgorithms(context.Context) ([]jose.SignatureAlgorithm, error) {
	return []jose.SignatureAlgorithm{st.key.alg}, nil
}

// KeySet implements op.AuthStorage.
func (st *store) KeySet(context.Context) ([]op.Key, error) {
	return []op.Key{publicKey{st.key}}, nil
}

// Health implements op.Storage.
func (st *store) Health(context.Context) error { return nil }

var errNoClient = errors.New("unknown client")

// GetClientByClientID implements op.OPStorage.
func (st *store) GetClientByClientID(_ context.Context, id string) (op.Client, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	c := client{id: id, loginURL: st.loginURL, lifetime: st.lifetime, refresh: id == CLIClient && !st.noRefresh}
	switch {
	case id == CLIClient:
		c.redirects = []string{"http://127.0.0.1/callback"}
	case id == WebClient && st.hasWeb:
		c.web, c.redirects = true, st.webRedirects
	default:
		return nil, errNoClient
	}
	return c, nil
}

// AuthorizeClientIDSecret implements op.OPStorage.
func (st *store) AuthorizeClientIDSecret(_ context.Context, id, secret string) error {
	got := sha256.Sum256([]byte(secret))
	if id != WebClient || !st.hasWeb || subtle.ConstantTimeCompare(got[:], st.webSecret[:]) != 1 {
		return errNoClient
	}
	return nil
}

// GetKeyByIDAndClientID implements op.OPStorage: no client signs assertions.
func (st *store) GetKeyByIDAndClientID(context.Context, string, string) (*jose.JSONWebKey, error) {
	return nil, errNoClient
}

// ValidateJWTProfileScopes implements op.OPStorage: no client signs assertions.
func (st *store) ValidateJWTProfileScopes(context.Context, string, []string) ([]string, error) {
	return nil, oidc.ErrUnsupportedGrantType()
}
