package idp

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"slices"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/sallyport/sallyport/canon"
)

const refreshLife = 24 * time.Hour // of a whole line of refresh tokens

// line is what all refresh tokens of one login have in common. Each works once
// and is followed by the next; one that comes a second time was copied, and ends
// the line (RFC 9700 §4.14.2).
type line struct {
	subject, client string
	scopes          []string
	signedIn        time.Time
	code            [sha256.Size]byte // of the login
	until           time.Time
	newest          [sha256.Size]byte // digest of the only refresh token that works
}

// renewal is one use of a refresh token. It implements op.RefreshTokenRequest.
type renewal struct {
	line
	scopes []string
}

// GetAMR implements op.RefreshTokenRequest: as at the login.
func (*renewal) GetAMR() []string { return []string{"pwd"} }

// GetAudience implements op.RefreshTokenRequest.
func (r *renewal) GetAudience() []string { return []string{r.client} }

// GetAuthTime implements op.RefreshTokenRequest: that of the login, as OpenID
// Connect Core §12.2 demands.
func (r *renewal) GetAuthTime() time.Time { return r.signedIn }

// GetClientID implements op.RefreshTokenRequest.
func (r *renewal) GetClientID() string { return r.client }

// GetScopes implements op.RefreshTokenRequest.
func (r *renewal) GetScopes() []string { return r.scopes }

// GetSubject implements op.RefreshTokenRequest.
func (r *renewal) GetSubject() string { return r.subject }

// SetCurrentScopes implements op.RefreshTokenRequest.
func (r *renewal) SetCurrentScopes(scopes []string) { r.scopes = slices.Clone(scopes) }

// CreateAccessAndRefreshTokens implements op.AuthStorage: at a login with the
// scope offline_access, and at each use of a refresh token.
func (st *store) CreateAccessAndRefreshTokens(ctx context.Context, tr op.TokenRequest, current string) (string, string, time.Time, error) {
	next, err := canon.NewID(rand.Reader)
	if err != nil {
		return "", "", time.Time{}, err
	}
	id, until, err := st.CreateAccessToken(ctx, tr)
	if err != nil {
		return "", "", time.Time{}, err
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	switch r := tr.(type) {
	case *request:
		st.lines = append(st.lines, &line{
			subject: r.subject, client: r.asked.ClientID, scopes: slices.Clone(r.asked.Scopes), signedIn: r.signedIn,
			code: r.code, until: now.Add(refreshLife), newest: digestOf(string(next)),
		})
	case *renewal:
		l := st.lineOf(current, now)
		if l == nil {
			return "", "", time.Time{}, oidc.ErrInvalidGrant()
		}
		st.spent[l.newest] = l
		l.newest = digestOf(string(next))
	default:
		return "", "", time.Time{}, oidc.ErrUnsupportedGrantType()
	}
	return id, string(next), until, nil
}

// TokenRequestByRefreshToken implements op.AuthStorage.
func (st *store) TokenRequestByRefreshToken(_ context.Context, token string) (op.RefreshTokenRequest, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if stolen := st.spent[digestOf(token)]; stolen != nil {
		st.endLines(func(l *line) bool { return l == stolen })
		return nil, op.ErrInvalidRefreshToken
	}
	l := st.lineOf(token, time.Now())
	if l == nil || st.bySubject(l.subject) == nil {
		return nil, op.ErrInvalidRefreshToken
	}
	return &renewal{line: *l, scopes: slices.Clone(l.scopes)}, nil
}

// GetRefreshTokenInfo implements op.AuthStorage.
func (st *store) GetRefreshTokenInfo(_ context.Context, asking, token string) (subject, id string, err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if l := st.lineOf(token, time.Now()); l != nil && l.client == asking {
		return l.subject, token, nil
	}
	return "", "", op.ErrInvalidRefreshToken
}

// RevokeToken implements op.AuthStorage. As RFC 7009 §2.2 asks, an unknown one
// is no error. Giving up a refresh token ends its line.
func (st *store) RevokeToken(_ context.Context, id, subject, asking string) *oidc.Error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if a, ok := st.access[id]; ok && a.subject == subject && a.client == asking {
		delete(st.access, id)
	}
	digest := digestOf(id)
	st.endLines(func(l *line) bool { return l.newest == digest && l.client == asking })
	return nil
}

// Refreshable tells how many logins of a person could be renewed now.
func (s *Server) Refreshable(username string) int {
	var subject string
	if err := s.store.change(username, func(a *account) { subject = a.Subject }); err != nil {
		return 0
	}
	s.store.mu.Lock()
	defer s.store.mu.Unlock()
	n := 0
	for _, l := range s.store.lines {
		if l.subject == subject && time.Now().Before(l.until) {
			n++
		}
	}
	return n
}

// EndRefresh ends every refresh token of a person, as an admin would.
func (s *Server) EndRefresh(username string) error {
	return s.store.change(username, func(a *account) {
		s.store.endLines(func(l *line) bool { return l.subject == a.Subject })
	})
}

// lineOf returns the line whose newest refresh token this is. The caller holds
// the lock.
func (st *store) lineOf(token string, now time.Time) *line {
	digest := digestOf(token)
	for _, l := range st.lines {
		if l.newest == digest && now.Before(l.until) {
			return l
		}
	}
	return nil
}

// endLines forgets lines. The caller holds the lock.
func (st *store) endLines(which func(*line) bool) {
	st.lines = slices.DeleteFunc(st.lines, which)
	for digest, l := range st.spent {
		if which(l) {
			delete(st.spent, digest)
		}
	}
}

func digestOf(token string) [sha256.Size]byte { return sha256.Sum256([]byte(token)) }
