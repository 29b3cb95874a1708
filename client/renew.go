package client

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/oidc"
)

// errNoRefresh says that nothing is kept to renew the login with.
var errNoRefresh = errors.New("no refresh token is kept")

const (
	almostOld  = 30 * time.Second // claims that are too old so soon are renewed beforehand
	giveUpTime = 5 * time.Second  // for the identity provider at a logout
)

// freshen renews the login if what the identity provider said is about to be too
// old. What goes wrong with that is told only if the server does not take the old
// claims any more.
func (a *account) freshen(ctx context.Context) {
	until := a.session.FreshUntil
	if until != 0 && !a.conn.now().Add(almostOld).Before(until.Time()) {
		a.refused = a.renew(ctx)
	}
}

// renew has the identity provider renew the ID token and brings it to the server
// (DESIGN §6 "People"): same session, same device key. Runs at the same time
// share one renewal, because a refresh token works once.
func (a *account) renew(ctx context.Context) error {
	unlock, err := lock(ctx, filepath.Join(a.dir, refreshLock), func() {})
	if err != nil {
		return err
	}
	defer unlock()
	kept, err := loadSession(a.env, a.dir, a.at)
	switch {
	case err != nil:
		return err
	case kept.Bearer != a.session.Bearer: // what was signed is not that login's
		return fail(ExitLogin, "%w: another sally has logged in meanwhile; run this again", ErrNotLoggedIn)
	case kept.ClaimsAt > a.session.ClaimsAt: // another run was faster
		a.session = kept
		return nil
	case kept.Refresh == "" && a.refused != nil: // it was just refused
		return a.refused
	case kept.Refresh == "":
		return errNoRefresh
	}
	idToken, err := a.refresh(ctx, &kept)
	if err != nil {
		return err
	}
	rz, err := canon.ParseB64(kept.RZ)
	if err != nil {
		return fail(ExitLogin, "the kept session is damaged; log in again: sally login")
	}
	c := newConn(a.env, a.at.server, kept.Bearer)
	s, err := openSession(ctx, c, a.at.pin.Origin, kept.Issuer.ID, idToken, rz, a.device)
	if err != nil {
		return err
	}
	if s.Person != kept.Person {
		return fmt.Errorf("the server at %s renewed the login of another person; tell the operator", c.base)
	}
	kept.ClaimsAt, kept.FreshUntil = s.ClaimsAt, s.FreshUntil
	if err := saveSession(a.dir, kept); err != nil {
		return err
	}
	a.session = kept
	return nil
}

// refresh uses the refresh token up. The next one is kept before anything else
// can go wrong; one that the provider refuses is forgotten.
func (a *account) refresh(ctx context.Context, s *session) (idToken string, err error) {
	provider, err := a.env.provider(s.Issuer)
	if err != nil {
		return "", err
	}
	got, err := provider.Refresh(ctx, s.Refresh)
	if err != nil && !errors.Is(err, oidc.ErrRefresh) {
		return "", signInError(ctx, err)
	}
	s.Refresh = got.Refresh
	if err := errors.Join(err, saveSession(a.dir, *s)); err != nil {
		return "", signInError(ctx, fmt.Errorf("%w; log in again: sally login", err))
	}
	return got.ID, nil
}

// giveUpRefresh tells the identity provider at a logout that nobody will use the
// refresh token. If it does not listen, the refresh token ends by itself, and
// nobody has it.
func (a *account) giveUpRefresh(ctx context.Context) {
	if a.session.Refresh == "" {
		return
	}
	provider, err := a.env.provider(a.session.Issuer)
	if err == nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), giveUpTime) // a token that lives on is worse than a moment
		defer cancel()
		err = provider.Revoke(ctx, a.session.Refresh)
	}
	if err != nil {
		a.env.say("the identity provider was not told of the logout: %v; what was kept of it here is deleted", err)
	}
}
