package authority

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
)

// providers keeps one oidc.Provider for each issuer and client in use: it holds
// the provider's keys.
type providers struct {
	secrets func(string) string
	now     func() time.Time
	asked   func(document string, err error)
	mu      sync.Mutex
	open    map[string]*oidc.Provider
}

// Issuer is an identity provider of a contract in force.
type Issuer struct {
	Ref      string // "contract/issuer"
	Contract *contract.Version
	Issuer   contract.Issuer
}

// anyClient is a kind of login for which the issuer has a client.
func (i Issuer) anyClient() store.SessionKind {
	if i.Issuer.Clients.CLI == "" {
		return store.Web
	}
	return store.CLI
}

// Issuers returns the identity providers of all contracts in force.
func Issuers(r *store.Reader, now canon.Micros) ([]Issuer, error) {
	versions, err := InForce(r, now)
	if err != nil {
		return nil, err
	}
	var out []Issuer
	for _, v := range versions {
		for _, i := range v.Terms.Issuers {
			out = append(out, Issuer{Ref: v.Terms.ID + "/" + i.ID, Contract: v, Issuer: i})
		}
	}
	return out, nil
}

// provider returns the client for an issuer that a contract in force names.
func (a *Authority) provider(ctx context.Context, ref string, kind store.SessionKind) (*oidc.Provider, error) {
	var all []Issuer
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		all, err = Issuers(r, canon.At(a.now()))
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, i := range all {
		if i.Ref == ref {
			return a.ids.get(i, kind)
		}
	}
	return nil, fmt.Errorf("issuer %q: %w", ref, ErrIssuer)
}

func (p *providers) get(i Issuer, kind store.SessionKind) (*oidc.Provider, error) {
	settings := oidc.Issuer{
		ID: i.Ref, URL: i.Issuer.URL, ClientID: i.Issuer.Clients.CLI, Algs: i.Issuer.Algs,
		SubjectClaim: i.Issuer.Subject, GroupsClaim: i.Issuer.Groups, Fetched: p.asked,
		SeveralClients: i.Issuer.Clients.CLI != "" && i.Issuer.Clients.Web != "" && i.Issuer.Clients.CLI != i.Issuer.Clients.Web,
	}
	if kind == store.Web {
		settings.ClientID, settings.ClientSecret = i.Issuer.Clients.Web, p.secrets(i.Ref)
	}
	if settings.ClientID == "" {
		return nil, fmt.Errorf("issuer %q has no client for this kind of login: %w", i.Ref, ErrIssuer)
	}
	// A version's digest covers every setting, so a provider is never used with
	// those of another version.
	key := strings.Join([]string{i.Contract.Digest.String(), i.Ref, string(kind)}, " ")
	p.mu.Lock()
	defer p.mu.Unlock()
	if provider := p.open[key]; provider != nil {
		return provider, nil
	}
	provider, err := oidc.New(settings, p.now)
	if err != nil {
		return nil, err
	}
	p.open[key] = provider
	return provider, nil
}
