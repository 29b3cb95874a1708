package oidc

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// metadata is the part of OpenID Connect Discovery 1.0 §3, RFC 8414 and RFC
// 9207 that this package uses.
type metadata struct {
	Issuer      string   `json:"issuer"`
	AuthURL     string   `json:"authorization_endpoint"`
	TokenURL    string   `json:"token_endpoint"`
	KeysURL     string   `json:"jwks_uri"`
	PKCE        []string `json:"code_challenge_methods_supported"`
	AuthMethods []string `json:"token_endpoint_auth_methods_supported"`
	RevokeURL   string   `json:"revocation_endpoint"` // RFC 7009; may be absent
	Scopes      []string `json:"scopes_supported"`
	Subjects    []string `json:"subject_types_supported"`
	SendsIssuer bool     `json:"authorization_response_iss_parameter_supported"`
}

func metadataTimes() fetchTimes {
	return fetchTimes{fresh: time.Hour, keep: 24 * time.Hour, again: time.Minute, retry: 5 * time.Second}
}

// metadata returns the provider's checked metadata.
func (p *Provider) metadata(ctx context.Context) (metadata, error) {
	return p.meta.get(ctx, func(metadata) bool { return true })
}

func (p *Provider) fetchMetadata(ctx context.Context) (metadata, error) {
	var m metadata
	where := strings.TrimSuffix(p.issuer.URL, "/") + "/.well-known/openid-configuration"
	if err := p.getJSON(ctx, "the metadata", where, &m); err != nil {
		return metadata{}, err
	}
	if err := p.checkMetadata(m); err != nil {
		return metadata{}, err
	}
	return m, nil
}

func (p *Provider) checkMetadata(m metadata) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: issuer %q: %s", ErrMetadata, p.issuer.ID, fmt.Sprintf(format, args...))
	}
	if m.Issuer != p.issuer.URL {
		return bad("the metadata under %s names another issuer; the contract's url must equal it to the last slash", p.issuer.URL)
	}
	// OpenID Connect Core §8.1: a pairwise sub differs from client to client, so
	// one account would be two people, of whom one could approve for the other.
	ownSub := p.issuer.SubjectClaim == "" || p.issuer.SubjectClaim == "sub"
	if p.issuer.SeveralClients && ownSub && len(m.Subjects) > 0 && !slices.Contains(m.Subjects, "public") {
		return bad("its sub differs from client to client (subject_types_supported has no public), and the contract names several clients; let the contract's subject be a claim that is the same for all")
	}
	// Where the issuer itself is reached over https, nothing it names may be less.
	loopback := strings.HasPrefix(p.issuer.URL, "http://")
	for _, e := range []struct{ name, value string }{
		{"authorization_endpoint", m.AuthURL}, {"token_endpoint", m.TokenURL}, {"jwks_uri", m.KeysURL},
	} {
		u, err := url.Parse(e.value)
		if err != nil || u.Fragment != "" || !secureURL(u, loopback) {
			return bad("%s in the metadata is missing or not https", e.name)
		}
	}
	if m.RevokeURL != "" {
		if u, err := url.Parse(m.RevokeURL); err != nil || u.Fragment != "" || !secureURL(u, loopback) {
			return bad("revocation_endpoint in the metadata is not https")
		}
	}
	// Absent says nothing: some large providers do PKCE without listing it.
	if m.PKCE != nil && !slices.Contains(m.PKCE, "S256") {
		return bad("it does not support PKCE with S256")
	}
	if _, ok := p.authStyle(m); !ok {
		return bad("it supports neither client_secret_basic nor client_secret_post at its token endpoint")
	}
	return nil
}

// authStyle says how the client names itself at the token endpoint. It is
// never found out by trying: a second try would burn the code.
func (p *Provider) authStyle(m metadata) (oauth2.AuthStyle, bool) {
	switch {
	case p.issuer.ClientSecret == "":
		return oauth2.AuthStyleInParams, true // a public client sends only its id
	case m.AuthMethods == nil, slices.Contains(m.AuthMethods, "client_secret_basic"):
		return oauth2.AuthStyleInHeader, true // the default of Discovery 1.0 §3
	case slices.Contains(m.AuthMethods, "client_secret_post"):
		return oauth2.AuthStyleInParams, true
	default:
		return 0, false
	}
}
