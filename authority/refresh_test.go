package authority

import (
	"errors"
	"testing"
	"time"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/oidc"
	"github.com/sallyport/sallyport/record"
)

// renewed is a renewed ID token: newer, without a nonce, the sign-in's time kept.
func renewed(p *hostile.Provider, s store.Session, claims map[string]any) *hostile.Forged {
	return p.Forge().With(map[string]any{"nonce": nil, "auth_time": s.AuthAt.Time().Unix()}).With(claims)
}

// TestRefresh: claims that are too old are renewed, and the session goes on as
// the person that it was, no longer than before.
func TestRefresh(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	w := newIssuerWorld(t, p)
	alice := w.newDevice().open("demo/corp", p.Forge())
	for _, nonce := range []any{nil, alice.nonce()} {
		w.passAll(61*time.Minute, p)
		if _, err := alice.submit(alice.newRequest()); !errors.Is(err, record.ErrClaimsOld) {
			t.Fatalf("61 minutes after the login: %v", err)
		}
		before, size := alice.session, w.size()
		after, err := w.a.Refresh(t.Context(), alice.secret, alice.login("demo/corp", renewed(p, before, map[string]any{"nonce": nonce}).String(), nil))
		if err != nil {
			t.Fatal(err)
		}
		if after.Person != before.Person || after.DeviceKey != before.DeviceKey || after.ExpiresAt != before.ExpiresAt || after.AuthAt != before.AuthAt ||
			after.Snapshot != before.Snapshot || after.Login == before.Login || after.ClaimsAt != canon.At(p.Clock.Now().Truncate(time.Second)) {
			t.Errorf("before %+v, after %+v", before, after)
		}
		if w.size() != size+1 { // the groups are the same: no snapshot
			t.Errorf("%d new leaves", w.size()-size)
		}
		f, ok := w.leaf(size).(record.PersonLogin)
		if !ok || f.Flow != record.FlowRefresh || f.DeviceKey != before.DeviceKey || f.ClaimsAt != after.ClaimsAt || f.Person != before.Person {
			t.Errorf("recorded %+v", f)
		}
		err = w.config.Store.Read(t.Context(), func(r *store.Reader) error {
			kept, _, err := r.Session(store.SecretHash(alice.secret), store.CLI, canon.At(w.clock()))
			if err == nil && kept != after {
				t.Errorf("kept %+v", kept)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		alice.session = after
		if _, err := alice.submit(alice.newRequest()); err != nil {
			t.Errorf("after the refresh: %v", err)
		}
	}
}

// TestRefreshTakesGroupsAway: what the provider says now counts at once, also
// for what was granted before and in other sessions.
func TestRefreshTakesGroupsAway(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	w := newIssuerWorld(t, p)
	alice, other := w.newDevice().open("demo/corp", p.Forge()), w.newDevice().open("demo/corp", p.Forge())
	lead := w.newDevice().open("demo/corp", p.Forge().With(map[string]any{"sub": "u-2", "groups": []string{"leads"}}))
	grant := alice.granted(lead.user, 0)
	w.passAll(time.Minute, p)
	for _, tt := range []struct {
		groups any
		want   error
	}{
		{[]string{"b"}, contract.ErrNotMember},
		{nil, contract.ErrGroupsUnknown},
		{[]string{"a"}, nil},
	} {
		w.passAll(time.Second, p)
		var err error
		if alice.session, err = w.a.Refresh(t.Context(), alice.secret, alice.login("demo/corp", renewed(p, alice.session, map[string]any{"groups": tt.groups}).String(), nil)); err != nil {
			t.Fatal(err)
		}
		if _, err := alice.submit(alice.newRequest()); !errors.Is(err, tt.want) {
			t.Errorf("groups %v: asking: %v, want %v", tt.groups, err, tt.want)
		}
		if _, err := alice.issue(grant, newKey(t)); !errors.Is(err, tt.want) {
			t.Errorf("groups %v: issuing: %v, want %v", tt.groups, err, tt.want)
		}
		if _, err := other.submit(other.newRequest()); !errors.Is(err, record.ErrClaimsOld) {
			t.Errorf("groups %v: the other session: %v", tt.groups, err)
		}
	}
}

// A refresh brings nothing but newer words about the same person: no other
// person, device key, identity provider, client or sign-in.
func TestPromiseP03_RefreshBindsNothingNew(t *testing.T) {
	t.Parallel()
	p, evil := hostile.New(t, false), hostile.New(t, false)
	w := newIssuerWorld(t, p, evil)
	victim := w.newDevice().open("demo/corp", p.Forge())
	mallory := w.newDevice().open("demo/corp", p.Forge().With(map[string]any{"sub": "u-2"}))
	partner := w.newDevice().open("demo/partner", evil.Forge())
	w.passAll(time.Minute, p, evil)
	token := func(claims map[string]any) string { return renewed(p, victim.session, claims).String() }
	used := victim.login("demo/corp", token(nil), nil)
	if _, err := w.a.Refresh(t.Context(), victim.secret, used); err != nil {
		t.Fatal(err)
	}
	w.passAll(time.Minute, p, evil)
	_, webSecret, err := w.a.logIn(t.Context(), oidc.Identity{
		Issuer: p.URL, Client: "web", Flow: "code", Subject: "u-1", IssuedAt: w.clock().Truncate(time.Second), Raw: "x",
	}, store.Web, "", "", func(*store.Tx) error { return nil })
	if err != nil {
		t.Fatal(err)
	}
	foreign := w.newDevice()
	size := w.size()
	for _, tt := range []struct {
		name, secret string
		login        DeviceLogin
		want         error
	}{
		{"no session", "x", victim.login("demo/corp", token(nil), nil), store.ErrNoSession},
		{"the secret of a web session", webSecret, victim.login("demo/corp", token(nil), nil), store.ErrNoSession},
		{"another device key", victim.secret, foreign.login("demo/corp", token(nil), nil), record.ErrRefresh},
		{"another device key, with a nonce for it", victim.secret, foreign.login("demo/corp", token(map[string]any{"nonce": foreign.nonce()}), nil), record.ErrRefresh},
		{"a stolen bearer with one's own device key", victim.secret, mallory.login("demo/corp", token(map[string]any{"sub": "u-2"}), nil), record.ErrRefresh},
		{"another person's ID token", mallory.secret, mallory.login("demo/corp", token(nil), nil), record.ErrRefresh},
		{"somebody whom nobody knows", victim.secret, victim.login("demo/corp", token(map[string]any{"sub": "u-3"}), nil), record.ErrRefresh},
		{"the same subject at another issuer", victim.secret, victim.login("demo/partner", renewed(evil, victim.session, nil).String(), nil), record.ErrRefresh},
		{"an ID token of one issuer brought as another's", victim.secret, victim.login("demo/partner", token(nil), nil), oidc.ErrIssuer},
		{"and the other way round", partner.secret, partner.login("demo/corp", renewed(evil, partner.session, nil).String(), nil), oidc.ErrIssuer},
		{"an issuer that no contract names", victim.secret, victim.login("demo/gone", token(nil), nil), ErrIssuer},
		{"another client", victim.secret, victim.login("demo/corp", token(map[string]any{"aud": "web"}), nil), oidc.ErrAudience},
		{"the nonce of another login", victim.secret, victim.login("demo/corp", token(map[string]any{"nonce": mallory.nonce()}), nil), oidc.ErrNonce},
		{"another sign-in", victim.secret, victim.login("demo/corp", token(map[string]any{"auth_time": p.Clock.Now().Unix()}), nil), record.ErrRefresh},
		{"nothing newer", victim.secret, victim.login("demo/corp", token(map[string]any{"iat": p.Clock.Now().Add(-time.Minute).Unix()}), nil), record.ErrRefresh},
		{"the same again", victim.secret, used, store.ErrNoChallenge},
		{"signed for another ID token", victim.secret, victim.login("demo/corp", token(nil), func(d *record.SessionDoc) { d.IDToken = canon.Sum("x") }), record.ErrDocument},
		{"signed for another server", victim.secret, victim.login("demo/corp", token(nil), func(d *record.SessionDoc) { d.Origin = "evil.example" }), record.ErrDocument},
		{"a challenge never given out", victim.secret, victim.login("demo/corp", token(nil), func(d *record.SessionDoc) { d.Challenge = canon.Sum("x") }), store.ErrNoChallenge},
	} {
		if s, err := w.a.Refresh(t.Context(), tt.secret, tt.login); !errors.Is(err, tt.want) || s != (store.Session{}) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
	}
	if w.size() != size {
		t.Errorf("%d leaves were added", w.size()-size)
	}
	if _, err := w.a.Refresh(t.Context(), victim.secret, victim.login("demo/corp", token(nil), nil)); err != nil {
		t.Errorf("an honest one behind all that: %v", err)
	}
	if err := w.a.LogOut(t.Context(), mallory.secret); err != nil {
		t.Fatal(err)
	}
	if _, err := w.a.Refresh(t.Context(), mallory.secret, mallory.login("demo/corp", token(map[string]any{"sub": "u-2"}), nil)); !errors.Is(err, store.ErrNoSession) {
		t.Errorf("after the logout: %v", err)
	}
}

// A login that was renewed for twelve hours is over.
func TestRefreshDoesNotProlongASession(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	w := newIssuerWorld(t, p)
	alice := w.newDevice().open("demo/corp", p.Forge())
	var err error
	for range 12 {
		if err != nil {
			t.Fatal(err)
		}
		w.passAll(time.Hour, p)
		alice.session, err = w.a.Refresh(t.Context(), alice.secret, alice.login("demo/corp", renewed(p, alice.session, nil).String(), nil))
	}
	if !errors.Is(err, store.ErrNoSession) {
		t.Errorf("twelve hours after the login: %v", err)
	}
}

// Somebody cannot take over a device key by logging in with it.
func TestDeviceKeyBelongsToOnePerson(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	w := newIssuerWorld(t, p)
	d := w.newDevice()
	d.open("demo/corp", p.Forge())
	login := d.login("demo/corp", p.Forge().With(map[string]any{"sub": "u-2", "nonce": d.nonce()}).String(), nil)
	if _, _, err := w.a.LoginDevice(t.Context(), login); !errors.Is(err, record.ErrEvent) {
		t.Errorf("another person with the same device key: %v", err)
	}
	w.passAll(time.Second, p)
	d.open("demo/corp", p.Forge()) // again, the same person
}

// What is asked of the fold is asked of a decision too: an approver's session has
// no device key, so it is not renewed, and its claims grow old.
func TestWebSessionIsNotRenewed(t *testing.T) {
	t.Parallel()
	p := hostile.New(t, false)
	w := newIssuerWorld(t, p)
	alice := w.newDevice().open("demo/corp", p.Forge())
	id := oidc.Identity{
		Issuer: p.URL, Client: "web", Flow: "code", Subject: "u-2", Groups: []string{"leads"}, GroupsKnown: true, IssuedAt: w.clock().Truncate(time.Second), Raw: "x",
	}
	lead := user{w: w}
	var err error
	if lead.session, _, err = w.a.logIn(t.Context(), id, store.Web, "", "", func(*store.Tx) error { return nil }); err != nil {
		t.Fatal(err)
	}
	q, err := alice.submit(alice.newRequest())
	if err != nil {
		t.Fatal(err)
	}
	w.passAll(16*time.Minute, p)
	if _, err := lead.decide(q, approval.Approve, 0); !errors.Is(err, record.ErrClaimsOld) {
		t.Errorf("16 minutes after the sign-in: %v", err)
	}
}
