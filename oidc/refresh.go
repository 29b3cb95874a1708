package oidc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// MaxRefreshBytes bounds a refresh token: Microsoft's have about 1500 bytes.
const MaxRefreshBytes = 8 << 10

// Tokens is what a provider's token endpoint gave. Both are secrets.
type Tokens struct {
	// ID is the ID token, not verified yet: give it to Verify.
	ID string
	// Refresh is the refresh token, empty if the provider gave none. It replaces
	// the one that was used before.
	Refresh string
}

// String hides both.
func (Tokens) String() string { return "tokens [redacted]" }

// GoString is String, so that %#v does not print secrets either.
func (t Tokens) GoString() string { return t.String() }

// LogValue hides both.
func (t Tokens) LogValue() slog.Value { return slog.StringValue(t.String()) }

// Refresh renews the ID token (OpenID Connect Core §12). Its error wraps
// ErrRefresh if the provider said no, so that only a new login helps, or
// ErrUnreachable if it said nothing. Many providers rotate: a refresh token
// works once, and one that is used again ends the whole line. So one caller at a
// time calls this, and keeps what it returns before doing anything else.
func (p *Provider) Refresh(ctx context.Context, refresh string) (Tokens, error) {
	if refresh == "" || len(refresh) > MaxRefreshBytes {
		return Tokens{}, fmt.Errorf("%w: there is no refresh token that could be used", ErrRefresh)
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return Tokens{}, err
	}
	ctx = gooidc.ClientContext(ctx, p.client)
	got, err := p.oauth(m, "").TokenSource(ctx, &oauth2.Token{RefreshToken: refresh}).Token()
	if err != nil {
		return Tokens{}, p.refreshError(err)
	}
	out, err := p.tokens(got)
	if errors.Is(err, ErrExchange) { // OpenID Connect Core §12.2 leaves the ID token to the provider
		err = fmt.Errorf("%w: %w", ErrRefresh, err)
	}
	return out, err
}

// Revoke tells the provider that a refresh token is given up (RFC 7009). A
// provider without a revocation endpoint is not told.
func (p *Provider) Revoke(ctx context.Context, refresh string) error {
	m, err := p.metadata(ctx)
	if err != nil {
		return err
	}
	if m.RevokeURL == "" {
		return nil
	}
	form := url.Values{"token": {refresh}, "token_type_hint": {"refresh_token"}}
	style, _ := p.authStyle(m) // m was checked to have one
	if style == oauth2.AuthStyleInParams {
		form.Set("client_id", p.issuer.ClientID)
		if p.issuer.ClientSecret != "" {
			form.Set("client_secret", p.issuer.ClientSecret)
		}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.RevokeURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%w: the revocation endpoint has an address that is no URL", ErrMetadata)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if style == oauth2.AuthStyleInHeader {
		req.SetBasicAuth(url.QueryEscape(p.issuer.ClientID), url.QueryEscape(p.issuer.ClientSecret))
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return p.unreachable("the revocation endpoint", err)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	switch {
	case err != nil:
		return p.unreachable("the revocation endpoint", err)
	case resp.StatusCode != http.StatusOK: // RFC 7009 §2.2: also for one that it does not know
		return fmt.Errorf("%w: issuer %q did not take back the refresh token, it answered with status %d", ErrRefresh, p.issuer.ID, resp.StatusCode)
	}
	return nil
}

// tokens reads an answer of the token endpoint.
func (p *Provider) tokens(got *oauth2.Token) (Tokens, error) {
	raw, ok := got.Extra("id_token").(string)
	switch {
	case !ok || raw == "":
		return Tokens{}, fmt.Errorf("%w: issuer %q sent no ID token; the client %q must be allowed the scope openid", ErrExchange, p.issuer.ID, p.issuer.ClientID)
	case len(raw) > MaxTokenBytes:
		return Tokens{}, fmt.Errorf("%w: %d bytes, at most %d are accepted; ask the provider's admin to send fewer groups", ErrTokenTooLarge, len(raw), MaxTokenBytes)
	case len(got.RefreshToken) > MaxRefreshBytes:
		return Tokens{ID: raw}, nil // one that can't be kept is none: the person logs in again
	}
	return Tokens{ID: raw, Refresh: got.RefreshToken}, nil
}

// refreshError says why there is no new ID token. A 5xx is the provider's
// trouble and passes; every other answer is its no.
func (p *Provider) refreshError(err error) error {
	r, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		if err = p.exchangeError(err); errors.Is(err, ErrExchange) {
			return fmt.Errorf("%w: %w", ErrRefresh, err)
		}
		return err
	case statusOf(r) >= http.StatusInternalServerError:
		return fmt.Errorf("%w: the token endpoint of issuer %q answered with status %d; try again in a moment", ErrUnreachable, p.issuer.ID, statusOf(r))
	}
	return fmt.Errorf("%w: issuer %q answered with status %d and %s", ErrRefresh, p.issuer.ID, statusOf(r), errorCode(r.ErrorCode))
}

func statusOf(r *oauth2.RetrieveError) int {
	if r.Response == nil {
		return 0
	}
	return r.Response.StatusCode
}
