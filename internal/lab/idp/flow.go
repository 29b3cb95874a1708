package idp

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sallyport/sallyport/canon"
)

var (
	errNoRequest = errors.New("this sign-in is over; start it again where you came from")
	errNoPerson  = errors.New("this person has no enabled account")
)

// CreateAuthRequest implements op.AuthStorage: step one, from /authorize. The
// id_token_hint's person is ignored, because every login shows the form.
func (st *store) CreateAuthRequest(_ context.Context, asked *oidc.AuthRequest, _ string) (op.AuthRequest, error) {
	if err := checkAsked(asked); err != nil {
		return nil, err
	}
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		return nil, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	st.sweep(now)
	if len(st.requests) >= maxRequests {
		return nil, errors.New("too many sign-ins at once")
	}
	r := &request{id: string(id), asked: *asked, begun: now}
	st.requests[r.id] = r
	copied := *r
	return &copied, nil
}

// AuthRequestByID implements op.AuthStorage.
func (st *store) AuthRequestByID(_ context.Context, id string) (op.AuthRequest, error) {
	r, err := st.request(id)
	if err != nil {
		return nil, err
	}
	return &r, nil
}

// request returns a copy of an open request.
func (st *store) request(id string) (request, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.requests[id]
	if r == nil || r.over(time.Now()) {
		return request{}, errNoRequest
	}
	return *r, nil
}

// complete notes who signed in, with which browser: step two, from the form.
func (st *store) complete(id, subject, browser string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	r := st.requests[id]
	if r == nil || r.over(now) || r.subject != "" {
		return errNoRequest
	}
	r.subject, r.signedIn, r.browser = subject, now, sha256.Sum256([]byte(browser))
	return nil
}

// wrongPassword counts a wrong password and drops the request after too many.
func (st *store) wrongPassword(id string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if r := st.requests[id]; r != nil {
		if r.tries++; r.tries >= maxPasswords {
			delete(st.requests, id)
		}
	}
}

// SaveAuthCode implements op.AuthStorage: step three, a code is sent. One
// request gets one code.
func (st *store) SaveAuthCode(_ context.Context, id, code string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	r := st.requests[id]
	if r == nil || r.subject == "" || !r.codeAt.IsZero() {
		return errNoRequest
	}
	r.code, r.codeAt = sha256.Sum256([]byte(code)), time.Now()
	return nil
}

// AuthRequestByCode implements op.AuthStorage: step four, the code is brought.
// It works once, whatever comes of it; a second time also ends the access that
// the first gave (RFC 6749 §4.1.2).
func (st *store) AuthRequestByCode(_ context.Context, code string) (op.AuthRequest, error) {
	digest := sha256.Sum256([]byte(code))
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if _, again := st.used[digest]; again {
		for id, a := range st.access {
			if a.code == digest {
				delete(st.access, id)
			}
		}
		st.endLines(func(l *line) bool { return l.code == digest })
		return nil, errors.New("this code was used before")
	}
	for id, r := range st.requests {
		if r.codeAt.IsZero() || r.code != digest {
			continue
		}
		delete(st.requests, id)
		st.used[digest] = now
		switch {
		case r.over(now):
			return nil, errNoRequest
		case st.bySubject(r.subject) == nil:
			return nil, errNoPerson
		}
		return r, nil
	}
	return nil, errNoRequest
}

// DeleteAuthRequest implements op.AuthStorage. The request is gone since its
// code was used.
func (st *store) DeleteAuthRequest(context.Context, string) error { return nil }

// CreateAccessToken implements op.AuthStorage: step five.
func (st *store) CreateAccessToken(_ context.Context, tr op.TokenRequest) (string, time.Time, error) {
	var a access
	switch r := tr.(type) {
	case *request:
		a = access{subject: r.subject, client: r.asked.ClientID, code: r.code}
	case *renewal:
		a = access{subject: r.subject, client: r.client, code: r.code}
	default:
		return "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
	id, err := canon.NewID(rand.Reader)
	if err != nil {
		return "", time.Time{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	st.sweep(now)
	a.until = now.Add(accessLife)
	st.access[string(id)] = a
	return string(id), a.until, nil
}

// SetUserinfoFromScopes implements op.OPStorage. The library wants it empty.
func (st *store) SetUserinfoFromScopes(context.Context, *oidc.UserInfo, string, string, []string) error {
	return nil
}

// SetUserinfoFromRequest implements op.CanSetUserinfoFromRequest: the claims of
// the ID token, as the account is now.
func (st *store) SetUserinfoFromRequest(_ context.Context, info *oidc.UserInfo, r op.IDTokenRequest, _ []string) error {
	return st.describe(info, r.GetSubject())
}

// SetUserinfoFromToken implements op.OPStorage: the userinfo endpoint.
func (st *store) SetUserinfoFromToken(_ context.Context, info *oidc.UserInfo, id, subject, _ string) error {
	if _, err := st.accessTo(id, subject); err != nil {
		return err
	}
	return st.describe(info, subject)
}

// SetIntrospectionFromToken implements op.OPStorage. Only the client that an
// access token is for may ask.
func (st *store) SetIntrospectionFromToken(_ context.Context, answer *oidc.IntrospectionResponse, id, subject, asking string) error {
	a, err := st.accessTo(id, subject)
	if err != nil {
		return err
	}
	if a.client != asking {
		return errNoClient
	}
	answer.Subject, answer.ClientID, answer.Expiration = subject, a.client, oidc.FromTime(a.until)
	return nil
}

// GetPrivateClaimsFromScopes implements op.OPStorage, for access tokens that
// are JWTs, which ours are not.
func (st *store) GetPrivateClaimsFromScopes(context.Context, string, string, []string) (map[string]any, error) {
	return nil, oidc.ErrUnsupportedGrantType()
}

func (st *store) accessTo(id, subject string) (access, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	a, ok := st.access[id]
	if !ok || a.subject != subject || time.Now().After(a.until) {
		return access{}, oidc.ErrAccessDenied()
	}
	return a, nil
}

// describe fills in the claims about a person. The library replaces the ID
// token's sub by what is set here.
func (st *store) describe(info *oidc.UserInfo, subject string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	a := st.bySubject(subject)
	if a == nil {
		return errNoPerson
	}
	info.Subject = a.Subject
	info.Name, info.PreferredUsername = a.Name, cmp.Or(a.Handle, a.Username)
	info.Email, info.EmailVerified = a.Email, oidc.Bool(a.Email != "" && !a.EmailUnverified)
	if a.Groups != nil {
		info.AppendClaims("groups", append([]string{}, a.Groups...))
	}
	return nil
}

// TerminateSession implements op.AuthStorage. There are no sessions, only
// access.
func (st *store) TerminateSession(_ context.Context, subject, asking string) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	for id, a := range st.access {
		if a.subject == subject && a.client == asking {
			delete(st.access, id)
		}
	}
	st.endLines(func(l *line) bool { return l.subject == subject && l.client == asking })
	return nil
}
