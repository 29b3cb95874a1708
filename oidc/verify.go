package oidc

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	gooidc "github.com/coreos/go-oidc/v3/oidc"
)

// Identity is what a verified ID token says about a person at one moment. Only
// Issuer and Subject together identify; Name, Email and Handle are for display.
type Identity struct {
	// Issuer is the issuer's URL, Client the client the ID token is for and Flow
	// the login flow that the caller expected.
	Issuer, Client, Flow string
	// Subject is the value of the subject claim: 1 to 255 bytes of clean NFC.
	Subject string
	// Name, Email and Handle are empty if absent or not clean; Email also unless
	// email_verified is the JSON value true.
	Name, Email, Handle string
	// Groups are sorted and each once. They mean something only if GroupsKnown:
	// unknown is not "no groups". GroupsWhy then says why they are unknown.
	Groups      []string
	GroupsKnown bool
	GroupsWhy   string
	// AuthTime is when the person last signed in at the provider, zero if the ID
	// token does not say. All times are UTC with whole seconds.
	AuthTime, IssuedAt, Expires time.Time
	// ACR and AMR (sorted) are how the person signed in; empty if absent or
	// malformed, which fails every demand on them.
	ACR string
	AMR []string
	// Raw is the ID token. It is evidence and a secret: never log it.
	Raw string
}

// String names the identity without the ID token and without display names.
func (i Identity) String() string {
	return fmt.Sprintf("subject %q of %s", i.Subject, i.Issuer)
}

// GoString is String, so that %#v does not print the ID token either.
func (i Identity) GoString() string { return i.String() }

// LogValue logs only the issuer: a subject belongs to the person part.
func (i Identity) LogValue() slog.Value {
	return slog.GroupValue(slog.String("issuer", i.Issuer), slog.String("subject", "[redacted]"))
}

// Expect is what an ID token must answer.
type Expect struct {
	// Nonce must equal the nonce claim. It is required: without it an ID token
	// that leaked anywhere could be brought as a fresh login.
	Nonce string
	// Renewed says that the ID token came for a refresh token (OpenID Connect
	// Core §12.2): it may lack the nonce, but if it has one it must be Nonce.
	Renewed bool
	// Flow is how the ID token was obtained; it is copied into the Identity.
	Flow string
	// MaxAge bounds the time since the sign-in at the provider. Zero: not
	// checked. Else an ID token without auth_time is refused.
	MaxAge time.Duration
}

// Verify checks a raw ID token and returns whom it names. Each error wraps one
// sentinel of this package; only ErrUnreachable is worth another try with the
// same ID token.
func (p *Provider) Verify(ctx context.Context, raw string, e Expect) (Identity, error) {
	if e.Nonce == "" {
		return Identity{}, fmt.Errorf("%w: no nonce to compare with", ErrNonce)
	}
	if err := p.checkForm(raw); err != nil {
		return Identity{}, err
	}
	keys := &signatures{provider: p}
	config := &gooidc.Config{ClientID: p.issuer.ClientID, SupportedSigningAlgs: p.issuer.Algs, Now: p.now}
	_, refused := gooidc.NewVerifier(p.issuer.URL, keys, config).Verify(ctx, raw)
	switch {
	case keys.err != nil:
		return Identity{}, keys.err
	case keys.payload == nil:
		return Identity{}, fmt.Errorf("%w: it is not one compact JWS", ErrMalformed)
	}
	// The signature stands. Our own checks come first because they can say what
	// is wrong; the library's verdict on the same claims is then a second opinion.
	c, err := parseClaims(keys.payload)
	if err != nil {
		return Identity{}, err
	}
	id, err := p.issuer.identity(c, e, p.now())
	if err != nil {
		return Identity{}, err
	}
	if refused != nil {
		return Identity{}, fmt.Errorf("%w: its claims are not what OpenID Connect defines", ErrMalformed)
	}
	id.Raw = raw
	return id, nil
}

// checkForm looks at everything that can be judged before any key is used.
func (p *Provider) checkForm(raw string) error {
	if len(raw) > MaxTokenBytes {
		return fmt.Errorf("%w: %d bytes, at most %d are accepted; ask the provider's admin to send fewer groups", ErrTokenTooLarge, len(raw), MaxTokenBytes)
	}
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return fmt.Errorf("%w: it is not one compact JWS", ErrMalformed)
	}
	for _, part := range parts {
		// Line breaks are skipped by Go's decoder; refused here so that one ID
		// token has one text.
		if _, err := base64.RawURLEncoding.Strict().DecodeString(part); err != nil || strings.ContainsAny(part, "\r\n") {
			return fmt.Errorf("%w: it is not unpadded base64url", ErrMalformed)
		}
	}
	header, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err != nil {
		return fmt.Errorf("%w: it is not unpadded base64url", ErrMalformed)
	}
	return p.issuer.checkHeader(header)
}

func (i Issuer) checkHeader(header []byte) error {
	h, err := parseObject(header)
	if err != nil {
		return fmt.Errorf("%w: its header %w", ErrMalformed, err)
	}
	for name := range h {
		switch strings.ToLower(name) {
		case "crit", "b64", "zip", "enc": // each changes what the bytes mean
			return fmt.Errorf("%w: its header has extensions that are not supported", ErrMalformed)
		case "alg", "typ", "kid":
			if name != strings.ToLower(name) {
				return fmt.Errorf("%w: its header has a second spelling of a parameter", ErrMalformed)
			}
		}
	}
	alg, ok := jsonString(h["alg"])
	if !ok || !slices.Contains(i.Algs, alg) {
		return fmt.Errorf("%w: the contract allows %s for issuer %q", ErrAlgorithm, strings.Join(i.Algs, ", "), i.ID)
	}
	// An access token (at+jwt) or logout token (logout+jwt) is no ID token.
	if raw, present := h["typ"]; present {
		if typ, ok := jsonString(raw); !ok || !strings.EqualFold(typ, "JWT") {
			return fmt.Errorf("%w: its header says that it is something else", ErrMalformed)
		}
	}
	return nil
}

// identity checks the claims of an ID token whose signature is good.
func (i Issuer) identity(c claims, e Expect, now time.Time) (Identity, error) {
	id := Identity{Issuer: i.URL, Client: i.ClientID, Flow: e.Flow}
	if err := i.checkParties(c); err != nil {
		return Identity{}, err
	}
	if err := id.readTimes(c, e, now); err != nil {
		return Identity{}, err
	}
	nonce, present, err := c.text("nonce")
	if err != nil {
		return Identity{}, err
	}
	if (present || !e.Renewed) && subtle.ConstantTimeCompare([]byte(nonce), []byte(e.Nonce)) != 1 {
		return Identity{}, fmt.Errorf("%w: its nonce is missing or another; log in again", ErrNonce)
	}
	if err := i.describe(&id, c); err != nil {
		return Identity{}, err
	}
	return id, nil
}

// describe reads who it is and how they signed in.
func (i Issuer) describe(id *Identity, c claims) error {
	var err error
	if id.Subject, err = i.subject(c); err != nil {
		return err
	}
	const maxDisplay, maxEmail = 256, 320
	id.Name = c.called("name", maxDisplay)
	id.Handle = c.called("preferred_username", maxDisplay)
	if string(c["email_verified"]) == "true" {
		id.Email = c.called("email", maxEmail)
	}
	id.Groups, id.GroupsWhy = c.groups(i.GroupsClaim)
	id.GroupsKnown = id.GroupsWhy == ""
	id.ACR = c.display("acr", maxDisplay)
	id.AMR = c.methods()
	return nil
}

// checkParties checks who issued the ID token and for whom.
func (i Issuer) checkParties(c claims) error {
	iss, _, err := c.text("iss")
	if err != nil {
		return err
	}
	if iss != i.URL {
		return fmt.Errorf("%w: the contract's issuer %q is %s", ErrIssuer, i.ID, i.URL)
	}
	aud, err := c.audience()
	if err != nil {
		return err
	}
	if !slices.Contains(aud, i.ClientID) {
		return fmt.Errorf("%w: aud does not name client %q", ErrAudience, i.ClientID)
	}
	azp, present, err := c.text("azp")
	if err != nil {
		return err
	}
	if (present || len(aud) > 1) && azp != i.ClientID {
		return fmt.Errorf("%w: azp is not client %q, as OpenID Connect demands with several audiences", ErrAudience, i.ClientID)
	}
	return nil
}

// readTimes checks exp, iat, nbf and auth_time.
func (id *Identity) readTimes(c claims, e Expect, now time.Time) error {
	var err error
	var hasExp, hasIat, hasAuth bool
	if id.Expires, hasExp, err = c.seconds("exp"); err != nil {
		return err
	}
	if id.IssuedAt, hasIat, err = c.seconds("iat"); err != nil {
		return err
	}
	if id.AuthTime, hasAuth, err = c.seconds("auth_time"); err != nil {
		return err
	}
	notBefore, hasNbf, err := c.seconds("nbf")
	if err != nil {
		return err
	}
	latest := now.Add(MaxSkew)
	switch {
	case !hasExp || !hasIat:
		return fmt.Errorf("%w: exp or iat is missing", ErrMalformed)
	case !now.Before(id.Expires):
		return fmt.Errorf("%w: it was valid until %s; log in again", ErrExpired, id.Expires.Format(time.RFC3339))
	case id.IssuedAt.After(latest), hasNbf && notBefore.After(latest), hasAuth && id.AuthTime.After(latest):
		return fmt.Errorf("%w: iat, nbf or auth_time is more than %s ahead; compare the clocks", ErrNotYet, MaxSkew)
	case id.IssuedAt.Before(now.Add(-MaxSkew)):
		return fmt.Errorf("%w: it was issued at %s, more than %s ago; log in again, and compare the clocks if that does not help",
			ErrTokenTooOld, id.IssuedAt.Format(time.RFC3339), MaxSkew)
	case !id.Expires.After(id.IssuedAt), id.Expires.Sub(id.IssuedAt) > MaxLifetime:
		return fmt.Errorf("%w: exp must lie after iat by at most %s", ErrLifetime, MaxLifetime)
	case e.MaxAge != 0 && !hasAuth:
		return fmt.Errorf("%w: the identity provider does not say when it was, and at most %s are allowed", ErrAuthTime, e.MaxAge)
	case e.MaxAge != 0 && id.AuthTime.Before(now.Add(-e.MaxAge)):
		return fmt.Errorf("%w: it was at %s, and at most %s are allowed; sign in again", ErrAuthTime, id.AuthTime.Format(time.RFC3339), e.MaxAge)
	}
	return nil
}

// subject returns the subject claim. sub must be sound even where another
// claim identifies the person, because OpenID Connect demands it.
func (i Issuer) subject(c claims) (string, error) {
	var subject string
	for _, name := range []string{"sub", i.SubjectClaim} {
		s, present, err := c.at(name).text(name)
		if err != nil {
			return "", err
		}
		if !present || s == "" || !clean(s, MaxSubjectBytes) {
			return "", fmt.Errorf("%w: the claim %s is missing, empty, longer than %d bytes, not NFC or has control characters", ErrSubject, name, MaxSubjectBytes)
		}
		subject = s
	}
	return subject, nil
}

// methods returns amr, or nothing unless it is a short array of clean strings.
func (c claims) methods() []string {
	const maxMethods, maxMethodBytes = 32, 64
	list, ok := jsonStrings(c["amr"])
	if !ok || len(list) > maxMethods {
		return nil
	}
	for _, m := range list {
		if m == "" || !clean(m, maxMethodBytes) {
			return nil
		}
	}
	return sortedSet(list)
}

// sortedSet returns the entries in order and each once, never sharing list.
func sortedSet(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}
