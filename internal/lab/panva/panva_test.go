package panva_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/panva"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/oidc"
)

const (
	nonce     = "nonce-of-the-login"
	webSecret = "secret-of-the-web-client"
)

func start(t *testing.T) *panva.Server {
	t.Helper()
	s, err := panva.Start(t.Context(), t.TempDir(), panva.Config{Accounts: panva.Accounts(), WebSecret: webSecret})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(s.Log())
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func client(t *testing.T, url, alg, id, secret string) *oidc.Provider {
	t.Helper()
	p, err := oidc.New(oidc.Issuer{
		ID: "lab", URL: url, ClientID: id, ClientSecret: secret, Algs: []string{alg}, GroupsClaim: "groups", Offline: true,
	}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// logIn runs the code flow through the provider's login form.
func logIn(t *testing.T, p *oidc.Provider, username, password string) (oidc.Tokens, error) {
	t.Helper()
	l, err := oidc.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	if _, err := browser.LogIn(t.Context(), authURL, username, password); err != nil {
		return oidc.Tokens{}, err
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Redeem(t.Context(), pending, answer)
	if err == nil {
		if _, err := p.Redeem(t.Context(), pending, answer); !errors.Is(err, oidc.ErrExchange) {
			t.Errorf("the code a second time: %v", err)
		}
		// The provider took the second use for a theft, and ended what the first gave.
		if _, err := p.Refresh(t.Context(), got.Refresh); !errors.Is(err, oidc.ErrRefresh) {
			t.Errorf("a refresh after the code came twice: %v", err)
		}
	}
	return got, err
}

// TestBothProviders: what our side does works with two providers of different
// people, and does not rest on the mistakes of one.
func TestBothProviders(t *testing.T) {
	t.Parallel()
	own, err := idp.Start(t.Context(), idp.Config{Algorithm: "ES256", Accounts: []idp.Account{
		{Username: "alice", Password: "alice-pw", Name: "Alice", Email: "alice@demo.test", Groups: []string{"engineers", "leads"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Close(); err != nil {
			t.Error(err)
		}
	})
	for _, tt := range []struct {
		name, url  string
		acr        string
		keepsNonce bool // in a renewed ID token
	}{
		{"idp", own.URL(), "", false},
		{"panva", start(t).URL(), "urn:panva:password", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := client(t, tt.url, "ES256", panva.CLIClient, "")
			if _, err := logIn(t, p, "alice", "wrong"); !errors.Is(err, robot.ErrLogin) {
				t.Errorf("a wrong password: %v", err)
			}
			got, err := logIn(t, p, "alice", "alice-pw")
			if err != nil {
				t.Fatal(err)
			}
			id, err := p.Verify(t.Context(), got.ID, oidc.Expect{Nonce: nonce, Flow: "code", MaxAge: time.Minute})
			if err != nil {
				t.Fatal(err)
			}
			if !id.GroupsKnown || !slices.Equal(id.Groups, []string{"engineers", "leads"}) || id.ACR != tt.acr || id.Email == "" || id.Name == "" {
				t.Errorf("groups %v %t (%s), acr %q, email %q, name %q", id.Groups, id.GroupsKnown, id.GroupsWhy, id.ACR, id.Email, id.Name)
			}
			renewals(t, p, id, tt.keepsNonce)
		})
	}
}

// renewals uses refresh tokens as they are meant, and twice, and after a logout.
func renewals(t *testing.T, p *oidc.Provider, id oidc.Identity, keepsNonce bool) {
	t.Helper()
	first := honest(t, p)
	second, err := p.Refresh(t.Context(), first.Refresh)
	if err != nil {
		t.Fatal(err)
	}
	if second.Refresh == first.Refresh || second.Refresh == "" || second.ID == first.ID {
		t.Error("the refresh token was not replaced")
	}
	again, err := p.Verify(t.Context(), second.ID, oidc.Expect{Nonce: nonce, Renewed: true, Flow: "refresh", MaxAge: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	if again.Subject != id.Subject || !slices.Equal(again.Groups, id.Groups) || again.AuthTime.IsZero() {
		t.Errorf("renewed: %v, groups %v, signed in at %s", again, again.Groups, again.AuthTime)
	}
	if _, err := p.Verify(t.Context(), second.ID, oidc.Expect{Nonce: "nonce of another login", Renewed: true}); errors.Is(err, oidc.ErrNonce) != keepsNonce {
		t.Errorf("with another nonce: %v", err)
	}
	if _, err := p.Verify(t.Context(), second.ID, oidc.Expect{Nonce: nonce}); (err == nil) != keepsNonce {
		t.Errorf("as a login: %v", err)
	}
	if _, err := p.Refresh(t.Context(), first.Refresh); !errors.Is(err, oidc.ErrRefresh) {
		t.Errorf("a refresh token that was used: %v", err)
	}
	if _, err := p.Refresh(t.Context(), second.Refresh); !errors.Is(err, oidc.ErrRefresh) {
		t.Errorf("the next one, after the first came twice: %v", err)
	}
	third := honest(t, p)
	if err := p.Revoke(t.Context(), third.Refresh); err != nil {
		t.Errorf("logging out: %v", err)
	}
	if _, err := p.Refresh(t.Context(), third.Refresh); !errors.Is(err, oidc.ErrRefresh) {
		t.Errorf("after the logout: %v", err)
	}
}

// honest is a login whose code is used once.
func honest(t *testing.T, p *oidc.Provider) oidc.Tokens {
	t.Helper()
	l, err := oidc.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() }) // it has had its answer
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(browser.Close)
	if _, err := browser.LogIn(t.Context(), authURL, "alice", "alice-pw"); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Redeem(t.Context(), pending, answer)
	if err != nil || got.Refresh == "" {
		t.Fatalf("%v, refresh token: %t", err, got.Refresh != "")
	}
	return got
}

// TestGroupsThatPanvaDoesNotSend: no groups claim, and overage, are unknown.
func TestGroupsThatPanvaDoesNotSend(t *testing.T) {
	t.Parallel()
	s := start(t)
	for username, why := range map[string]string{"nogroups": "sent no groups claim", "many": "too many"} {
		p := client(t, s.URL(), "ES256", panva.WebClient, webSecret)
		got, err := logIn(t, p, username, username+"-pw")
		if err != nil {
			t.Fatal(err)
		}
		id, err := p.Verify(t.Context(), got.ID, oidc.Expect{Nonce: nonce})
		if err != nil || id.GroupsKnown || !strings.Contains(id.GroupsWhy, why) {
			t.Errorf("%s: known %t, %q, %v", username, id.GroupsKnown, id.GroupsWhy, err)
		}
	}
	wrong := client(t, s.URL(), "ES256", panva.WebClient, "another secret")
	if _, err := logIn(t, wrong, "alice", "alice-pw"); !errors.Is(err, oidc.ErrExchange) {
		t.Errorf("a wrong client secret: %v", err)
	}
	if _, err := logIn(t, client(t, s.URL(), "RS256", panva.CLIClient, ""), "alice", "alice-pw"); err != nil {
		t.Errorf("the algorithm is judged at Verify: %v", err)
	}
}

func TestCloseEndsTheProcess(t *testing.T) {
	t.Parallel()
	s, err := panva.Start(t.Context(), t.TempDir(), panva.Config{Accounts: panva.Accounts(), WebSecret: webSecret})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if !lab.PortClosed(t.Context(), strings.TrimPrefix(s.URL(), "http://")) {
		t.Error("it still listens")
	}
}
