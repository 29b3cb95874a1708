package idp

import (
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"
)

// client implements op.Client for both clients.
type client struct {
	id        string
	web       bool
	redirects []string
	loginURL  string // without the request's id
	lifetime  time.Duration
	refresh   bool
}

// GetID implements op.Client.
func (c client) GetID() string { return c.id }

// RedirectURIs implements op.Client. For a native client the library ignores
// the port of a loopback URI (RFC 8252 §7.3).
func (c client) RedirectURIs() []string { return c.redirects }

// PostLogoutRedirectURIs implements op.Client: there is no session to end.
func (c client) PostLogoutRedirectURIs() []string { return nil }

// ApplicationType implements op.Client.
func (c client) ApplicationType() op.ApplicationType {
	if c.web {
		return op.ApplicationTypeWeb
	}
	return op.ApplicationTypeNative
}

// AuthMethod implements op.Client.
func (c client) AuthMethod() oidc.AuthMethod {
	if c.web {
		return oidc.AuthMethodBasic
	}
	return oidc.AuthMethodNone
}

// ResponseTypes implements op.Client: the code flow only.
func (c client) ResponseTypes() []oidc.ResponseType {
	return []oidc.ResponseType{oidc.ResponseTypeCode}
}

// GrantTypes implements op.Client.
func (c client) GrantTypes() []oidc.GrantType {
	if c.refresh {
		return []oidc.GrantType{oidc.GrantTypeCode, oidc.GrantTypeRefreshToken}
	}
	return []oidc.GrantType{oidc.GrantTypeCode}
}

// LoginURL implements op.Client.
func (c client) LoginURL(id string) string { return c.loginURL + id }

// AccessTokenType implements op.Client.
func (c client) AccessTokenType() op.AccessTokenType { return op.AccessTokenTypeBearer }

// IDTokenLifetime implements op.Client.
func (c client) IDTokenLifetime() time.Duration { return c.lifetime }

// DevMode implements op.Client: redirect URIs are always checked.
func (c client) DevMode() bool { return false }

// RestrictAdditionalIdTokenScopes implements op.Client.
func (c client) RestrictAdditionalIdTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// RestrictAdditionalAccessTokenScopes implements op.Client.
func (c client) RestrictAdditionalAccessTokenScopes() func([]string) []string {
	return func(scopes []string) []string { return scopes }
}

// IsScopeAllowed implements op.Client, for scopes beyond the standard ones.
func (c client) IsScopeAllowed(scope string) bool { return scope == "groups" }

// IDTokenUserinfoClaimsAssertion implements op.Client: claims stand in the ID
// token, not only at the userinfo endpoint.
func (c client) IDTokenUserinfoClaimsAssertion() bool { return true }

// ClockSkew implements op.Client.
func (c client) ClockSkew() time.Duration { return 0 }
