package oidc_test

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/oidc"
)

// TestRealLogin runs code + PKCE with a device key's nonce against a provider
// that we did not write, through its login form, and then tries to use the ID
// token for what it is not.
func TestRealLogin(t *testing.T) {
	t.Parallel()
	s, err := idp.Start(t.Context(), idp.Config{
		WebSecret: secret,
		Accounts:  []idp.Account{{Username: "alice", Password: "pw", Name: "Alice", Email: "alice@demo.test", Groups: []string{"oncall", "engineers"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	settings := oidc.Issuer{ID: "demo", URL: s.URL(), ClientID: idp.CLIClient, Algs: []string{"RS256"}, GroupsClaim: "groups"}
	p := mustNew(t, settings, time.Now)

	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	device, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	var rz [32]byte
	if _, err := rand.Read(rz[:]); err != nil {
		t.Fatal(err)
	}
	nonce := oidc.DeviceNonce(rz, device.Marshal())

	l := listen(t)
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), nonce, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)
	if _, err := browser.LogIn(t.Context(), authURL, "alice", "pw"); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.Exchange(t.Context(), pending, answer)
	if err != nil {
		t.Fatal(err)
	}
	expect := oidc.Expect{Nonce: nonce, Flow: "code", MaxAge: time.Minute}
	id, err := p.Verify(t.Context(), raw, expect)
	if err != nil {
		t.Fatal(err)
	}
	account, err := s.Account("alice")
	if err != nil {
		t.Fatal(err)
	}
	if id.Subject != account.Subject || id.Email != "alice@demo.test" || !slices.Equal(id.Groups, []string{"engineers", "oncall"}) || !id.GroupsKnown {
		t.Errorf("got %v with %q, groups %v", id, id.Email, id.Groups)
	}

	rz[0] ^= 1
	web := settings
	web.ClientID = idp.WebClient
	ec := settings
	ec.Algs = []string{"ES256"}
	later := func(d time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(d) } }
	for _, tt := range []struct {
		name   string
		p      *oidc.Provider
		expect oidc.Expect
		want   error
	}{
		{"another device key", p, oidc.Expect{Nonce: oidc.DeviceNonce(rz, device.Marshal())}, oidc.ErrNonce},
		{"another client", mustNew(t, web, time.Now), expect, oidc.ErrAudience},
		{"an algorithm that the contract lacks", mustNew(t, ec, time.Now), expect, oidc.ErrAlgorithm},
		{"later", mustNew(t, settings, later(time.Hour)), expect, oidc.ErrExpired},
		{"earlier", mustNew(t, settings, later(-time.Hour)), expect, oidc.ErrNotYet},
	} {
		if _, err := tt.p.Verify(t.Context(), raw, tt.expect); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
}

func mustNew(t *testing.T, i oidc.Issuer, now func() time.Time) *oidc.Provider {
	t.Helper()
	p, err := oidc.New(i, now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}
