package authority

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// Refresh renews what the identity provider says about the person of a live
// command-line session. It can bind nothing that the session's login did not:
// the caller brings the session's secret and an ID token of the same issuer,
// client and person, newer than the last, for which the session's own device key
// has signed. The session lives no longer for it.
func (a *Authority) Refresh(ctx context.Context, secret string, l DeviceLogin) (store.Session, error) {
	hash := store.SecretHash(secret)
	var before store.Session
	err := a.store.Read(ctx, func(r *store.Reader) (err error) {
		before, _, err = r.Session(hash, store.CLI, canon.At(a.now()))
		return err
	})
	if err != nil {
		return store.Session{}, err
	}
	login, err := a.openLogin(l)
	if err != nil {
		return store.Session{}, err
	}
	if l.DeviceKey != before.DeviceKey {
		return store.Session{}, fmt.Errorf("this is another device key than the session's: %w", record.ErrRefresh)
	}
	provider, err := a.provider(ctx, l.Issuer, store.CLI)
	if err != nil {
		return store.Session{}, err
	}
	id, err := provider.Verify(ctx, l.IDToken, oidc.Expect{Nonce: login.nonce, Renewed: true, Flow: record.FlowRefresh})
	if err != nil {
		return store.Session{}, err
	}
	var after store.Session
	err = a.store.Write(ctx, func(tx *store.Tx) error {
		if err := a.useLogin(tx, login); err != nil {
			return err
		}
		after, err = a.renew(tx, hash, notAhead(id, tx.Now()), l)
		return err
	})
	if err != nil {
		return store.Session{}, err
	}
	a.settle(ctx)
	return after, nil
}

// renew records the refresh, the groups if they changed, and the session's new
// claims.
func (a *Authority) renew(tx *store.Tx, hash canon.Digest, id oidc.Identity, l DeviceLogin) (store.Session, error) {
	s, _, err := tx.Session(hash, store.CLI, tx.Now())
	if err != nil {
		return store.Session{}, err
	}
	person, err := record.Identity(tx, id.Issuer, id.Subject)
	if err != nil && !isNotFound(err) {
		return store.Session{}, err
	}
	if err != nil || person != s.Person || id.Issuer != s.Issuer || id.Client != s.Client || l.DeviceKey != s.DeviceKey {
		return store.Session{}, fmt.Errorf("the ID token is not for this session's person, identity provider and client: %w", record.ErrRefresh)
	}
	if s.Login, err = a.appendLogin(tx, id, person, s.DeviceKey, l.RZ); err != nil {
		return store.Session{}, err
	}
	if s.Snapshot, err = a.appendSnapshot(tx, id, person, s.Login); err != nil {
		return store.Session{}, err
	}
	s.ClaimsAt = canon.At(id.IssuedAt)
	return s, tx.RenewSession(hash, s)
}

// FreshUntil is when a session's claims become too old to ask for anything or to
// have a certificate made under some contract of its issuer; 0 if no contract in
// force has that issuer.
func FreshUntil(r *store.Reader, s store.Session, now canon.Micros) (canon.Micros, error) {
	issuers, err := Issuers(r, now)
	if err != nil {
		return 0, err
	}
	var until canon.Micros
	for _, i := range issuers {
		if i.Issuer.URL != s.Issuer {
			continue
		}
		end := canon.At(s.ClaimsAt.Time().Add(i.Contract.Terms.Ceilings.ClaimsMaxAge.Issue))
		if until == 0 || end < until {
			until = end
		}
	}
	return until, nil
}
