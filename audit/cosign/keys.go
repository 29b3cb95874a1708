package cosign

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

// errUndecided says that there is no verdict yet. Trying again is safe.
var errUndecided = errors.New("it can't be judged yet")

const (
	keysFresh = 15 * time.Minute // so old may what was fetched be
	keysKeep  = 6 * time.Hour    // and so old while the provider is away
	keysPause = 5 * time.Second  // between two askings
	keysTime  = 2 * time.Second  // for one
	maxKept   = 200              // keys of one provider
)

// keptKey is a key of an identity provider, with the times at which the provider
// was seen to have it.
type keptKey struct {
	Key    string       `json:"key"`               // a JSON Web Key
	SeenAt canon.Micros `json:"seen_at"`           // when it was fetched last
	GoneAt canon.Micros `json:"gone_at,omitempty"` // when it was first missing; absent while it is there
}

// good reports whether what the key signed counts at a time: as long as a server
// would have gone by it.
func (k keptKey) good(at time.Time) bool {
	if k.GoneAt != 0 {
		return at.Before(k.GoneAt.Time().Add(keysFresh))
	}
	return at.Before(k.SeenAt.Time().Add(keysKeep))
}

// provider is what is kept of one identity provider.
type provider struct {
	URL  string       `json:"url"`
	At   canon.Micros `json:"at"` // of the last fetch
	Keys []keptKey    `json:"keys"`
}

// keyring keeps the keys of identity providers. It is safe for concurrent use.
type keyring struct {
	file  string
	now   func() time.Time
	fetch func(ctx context.Context, i oidc.Issuer) ([]oidc.Key, error)

	mu        sync.Mutex
	providers map[string]*provider
	asked     map[string]time.Time
}

// keyFile is what lies in the keyring's file.
type keyFile struct {
	Providers []provider `json:"providers"`
	V         string     `json:"v"`
}

const keyFileVersion = "sallyport.cosigner.keys/v1"

// openKeyring reads the file, if there is one.
func openKeyring(file string, now func() time.Time, fetch func(context.Context, oidc.Issuer) ([]oidc.Key, error)) (*keyring, error) {
	k := &keyring{file: file, now: now, fetch: fetch, providers: make(map[string]*provider), asked: make(map[string]time.Time)}
	text, err := readIfThere(file)
	if err != nil || text == nil {
		return k, err
	}
	var kept keyFile
	if err := canon.Unmarshal(text, &kept); err != nil || kept.V != keyFileVersion {
		return nil, fmt.Errorf("%s: %w; put the file of a backup back", file, ErrState)
	}
	for _, p := range kept.Providers {
		for _, key := range p.Keys {
			if _, err := oidc.ParseKey(key.Key); err != nil {
				return nil, fmt.Errorf("%s: %w: %w; put the file of a backup back", file, ErrState, err)
			}
		}
		k.providers[p.URL] = &p
	}
	return k, nil
}

// verify judges an ID token by the keys that its provider had at a time. Its error
// wraps errUndecided if it is no verdict: the keys can't be had now.
func (k *keyring) verify(ctx context.Context, i oidc.Issuer, raw string, at time.Time) (oidc.Identity, string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	stale := k.stale(i.URL)
	id, nonce, err := k.judge(i, raw, at)
	if err == nil && !stale || err != nil && !errors.Is(err, oidc.ErrSignature) {
		return id, nonce, err
	}
	away := k.ask(ctx, i)
	id, nonce, err = k.judge(i, raw, at)
	if away != nil && errors.Is(err, oidc.ErrSignature) {
		return id, nonce, fmt.Errorf("%w: the keys of %s can't be had: %w", errUndecided, i.URL, away)
	}
	return id, nonce, err
}

// stale reports whether a provider is to be asked again, so that keys which it has
// withdrawn are noticed.
func (k *keyring) stale(url string) bool {
	p := k.providers[url]
	return p == nil || k.now().Sub(p.At.Time()).Abs() >= keysFresh
}

// ledgerLag is how much later than it was judged a login may be recorded.
const ledgerLag = 10 * time.Second

func (k *keyring) judge(i oidc.Issuer, raw string, at time.Time) (oidc.Identity, string, error) {
	var keys []oidc.Key
	if p := k.providers[i.URL]; p != nil {
		for _, kept := range p.Keys {
			if key, err := oidc.ParseKey(kept.Key); err == nil && kept.good(at) {
				keys = append(keys, key)
			}
		}
	}
	id, nonce, err := i.VerifyKept(raw, keys, at)
	if errors.Is(err, oidc.ErrExpired) || errors.Is(err, oidc.ErrTokenTooOld) {
		return i.VerifyKept(raw, keys, at.Add(-ledgerLag))
	}
	return id, nonce, err
}

// ask fetches a provider's keys, unless that was done a moment ago, and keeps them.
func (k *keyring) ask(ctx context.Context, i oidc.Issuer) error {
	now := k.now()
	if since := now.Sub(k.asked[i.URL]); since >= 0 && since < keysPause {
		return errors.New("they were asked for a moment ago")
	}
	k.asked[i.URL] = now
	ctx, cancel := context.WithTimeout(ctx, keysTime)
	defer cancel()
	fetched, err := k.fetch(ctx, i)
	if err != nil {
		return err
	}
	p := k.providers[i.URL]
	if p == nil {
		p = &provider{URL: i.URL}
		k.providers[i.URL] = p
	}
	p.take(fetched, canon.At(now))
	return k.save()
}

// take notes which keys a provider has now.
func (p *provider) take(fetched []oidc.Key, now canon.Micros) {
	p.At = now
	there := make(map[string]bool, len(fetched))
	for _, key := range fetched {
		text := key.String()
		there[text] = true
		if at := slices.IndexFunc(p.Keys, func(k keptKey) bool { return k.Key == text }); at >= 0 {
			p.Keys[at].SeenAt, p.Keys[at].GoneAt = now, 0
		} else {
			p.Keys = append(p.Keys, keptKey{Key: text, SeenAt: now})
		}
	}
	for i, k := range p.Keys {
		if !there[k.Key] && k.GoneAt == 0 {
			p.Keys[i].GoneAt = now
		}
	}
	if most := len(p.Keys) - maxKept; most > 0 {
		slices.SortStableFunc(p.Keys, func(a, b keptKey) int { return int(a.SeenAt - b.SeenAt) })
		p.Keys = slices.Delete(p.Keys, 0, most) // seen last long ago
	}
}

func (k *keyring) save() error {
	file := keyFile{V: keyFileVersion}
	for _, url := range slices.Sorted(maps.Keys(k.providers)) {
		file.Providers = append(file.Providers, *k.providers[url])
	}
	text, err := canon.Marshal(file)
	if err != nil {
		return err
	}
	return replace(k.file, text)
}
