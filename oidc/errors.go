package oidc

import (
	"errors"
	"strings"
)

// Sentinels. Each error of this package wraps one of them and adds a sentence
// for the person. No error carries the ID token, a code, a secret or a message
// of the provider.
var (
	// ErrConfig means that the settings of an issuer or a call are unusable.
	ErrConfig = errors.New("unusable identity provider settings")
	// ErrUnreachable means that the provider, its metadata or its keys could not
	// be fetched. Trying again later is safe.
	ErrUnreachable = errors.New("the identity provider can't be reached")
	// ErrMetadata means that the provider answered, but with metadata or keys
	// that this package does not accept.
	ErrMetadata = errors.New("unacceptable identity provider metadata")

	// ErrTokenTooLarge means that an ID token is longer than MaxTokenBytes.
	ErrTokenTooLarge = errors.New("the ID token is too large")
	// ErrMalformed means that an ID token is not what OpenID Connect defines.
	ErrMalformed = errors.New("malformed ID token")
	// ErrAlgorithm means that an ID token is signed with an algorithm that the
	// contract does not allow.
	ErrAlgorithm = errors.New("signature algorithm not allowed")
	// ErrSignature means that no key of the provider verifies an ID token.
	ErrSignature = errors.New("the ID token's signature does not verify")
	// ErrIssuer means that an ID token or a login answer is from another issuer.
	ErrIssuer = errors.New("issued by another identity provider")
	// ErrAudience means that an ID token was issued for another client.
	ErrAudience = errors.New("issued for another client")
	// ErrExpired means that the time of an ID token is over.
	ErrExpired = errors.New("the ID token has expired")
	// ErrTokenTooOld means that an ID token was issued more than MaxSkew ago.
	ErrTokenTooOld = errors.New("the ID token is too old")
	// ErrNotYet means that an ID token speaks of a time that has not come.
	ErrNotYet = errors.New("the ID token is from the future")
	// ErrLifetime means that an ID token is valid for longer than MaxLifetime.
	ErrLifetime = errors.New("the ID token lives too long")
	// ErrNonce means that an ID token does not answer this login.
	ErrNonce = errors.New("the ID token belongs to another login")
	// ErrAuthTime means that the person's last sign-in at the provider is
	// unknown or too long ago.
	ErrAuthTime = errors.New("the sign-in is not recent enough")
	// ErrSubject means that an ID token names nobody, or not in a usable way.
	ErrSubject = errors.New("no usable subject")

	// ErrState means that a login answer does not belong to this login.
	ErrState = errors.New("the answer belongs to another login")
	// ErrAnswer means that a login answer is not what OAuth 2.0 defines.
	ErrAnswer = errors.New("malformed login answer")
	// ErrDenied means that the provider answered a login with an error.
	ErrDenied = errors.New("the identity provider refused the login")
	// ErrExchange means that the provider did not give an ID token for a code.
	ErrExchange = errors.New("the code was not exchanged")
	// ErrRefresh means that the provider does not renew an ID token any more.
	ErrRefresh = errors.New("the identity provider does not renew the sign-in")
	// ErrNoAnswer means that no answer of the provider arrived in time.
	ErrNoAnswer = errors.New("no answer of the identity provider")
)

// cause is an error of the network below us. Its text may quote what the other
// side sent (a host name in a certificate, a malformed status line), so only
// printable ASCII of it is shown, and not much.
type cause struct{ err error }

const maxCauseBytes = 200

func (c cause) Error() string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, c.err.Error())
	return text[:min(len(text), maxCauseBytes)]
}

func (c cause) Unwrap() error { return c.err }
