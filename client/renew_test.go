package client

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	provided "github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/internal/lab/idp"
)

// loggedIn is a machine with a login at a real provider.
func loggedIn(t *testing.T, f *fake) (*world, *idp.Server) {
	t.Helper()
	w := newWorld(t)
	s := provider(t, f)
	w.logInAt(t, f)
	return w, s
}

// logInAt logs in through the provider's login form.
func (w *world) logInAt(t *testing.T, f *fake) {
	t.Helper()
	browsed := make(chan error, 1)
	go func() { browsed <- browse(t, w, "pw") }()
	err := Login(t.Context(), LoginOptions{Env: w.Env, Server: f.url, Pin: writePin(t, f.pin), NoBrowser: true})
	if err := errors.Join(err, <-browsed); err != nil {
		t.Fatal(err)
	}
}

func (w *world) ask(t *testing.T) error {
	t.Helper()
	return Request(t.Context(), RequestOptions{
		Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}, For: "10m", Because: "INC-42"}, New: true, NoWait: true,
	})
}

// Claims that the server finds too old are renewed in silence, with a refresh
// token that is replaced each time.
func TestRenew(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w, s := loggedIn(t, f)
	before := w.account(t).session
	if before.Refresh == "" || s.Refreshable("alice") != 1 {
		t.Fatalf("no refresh token is kept (%d at the provider)", s.Refreshable("alice"))
	}
	said := w.stderr()
	for range 2 {
		f.mu.Lock()
		f.tooOld = true
		f.mu.Unlock()
		if err := w.ask(t); err != nil {
			t.Fatal(err)
		}
	}
	after := w.account(t).session
	if after.Refresh == before.Refresh || after.Refresh == "" || after.ClaimsAt <= before.ClaimsAt ||
		after.DeviceKey != before.DeviceKey || after.Bearer != before.Bearer || after.ExpiresAt != before.ExpiresAt {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if n := f.called("POST /v1/sessions"); n != 3 {
		t.Errorf("%d logins and renewals", n)
	}
	told := strings.TrimPrefix(w.stderr(), said)
	if strings.Contains(told, "log in") || strings.Contains(w.stdout()+w.stderr(), after.Refresh) {
		t.Errorf("said %q", told)
	}
	info, err := os.Stat(filepath.Join(originDir(w.root, testOrigin), sessionFile))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the session's file: %v, %v", info.Mode(), err)
	}
	if text := after.String() + after.GoString(); strings.Contains(text, after.Refresh) {
		t.Errorf("prints as %q", text)
	}
}

// Claims that are about to be too old are renewed beforehand, once.
func TestRenewBeforehand(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.fresh = almostOld - time.Second
	w, _ := loggedIn(t, f)
	f.mu.Lock()
	f.fresh = time.Hour
	f.mu.Unlock()
	for range 2 {
		if err := w.ask(t); err != nil {
			t.Fatal(err)
		}
	}
	if n := f.called("POST /v1/sessions"); n != 2 {
		t.Errorf("%d logins and renewals", n)
	}
}

// Parallel runs use one refresh token once: a second use would end them all.
func TestRenewIsShared(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w, s := loggedIn(t, f)
	accounts := []*account{w.account(t), w.account(t), w.account(t)}
	var wg sync.WaitGroup
	for _, a := range accounts {
		wg.Go(func() {
			if err := a.renew(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := f.called("POST /v1/sessions"); n != 2 {
		t.Errorf("%d logins and renewals", n)
	}
	if s.Refreshable("alice") != 1 {
		t.Error("the provider has ended the refresh tokens")
	}
}

// Why a login could not be renewed beforehand is told if it turns out to matter.
func TestRenewBeforehandThatFails(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.fresh = time.Second
	w, s := loggedIn(t, f)
	if err := s.EndRefresh("alice"); err != nil {
		t.Fatal(err)
	}
	a := w.account(t)
	a.freshen(t.Context())
	if _, err := a.mine(t.Context()); err != nil {
		t.Errorf("what needs no fresh claims: %v", err)
	}
	f.mu.Lock()
	f.tooOld = true
	f.mu.Unlock()
	err := a.conn.post(t.Context(), "/v1/requests", struct{}{}, nil)
	wantExit(t, err, ExitLogin, "does not renew the sign-in", "invalid_grant", "sally login")
}

// What cannot be renewed needs the person.
func TestRenewThatFails(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*testing.T, *fake, *world, *idp.Server)
		code    int
		want    string
		keeps   bool // the refresh token
	}{
		{"ended by the provider", func(t *testing.T, _ *fake, _ *world, s *idp.Server) {
			if err := s.EndRefresh("alice"); err != nil {
				t.Error(err)
			}
		}, ExitLogin, "does not renew the sign-in: issuer \"acme/lab\" answered with status 400 and invalid_grant; log in again: sally login", false},
		{"disabled account", func(t *testing.T, _ *fake, _ *world, s *idp.Server) {
			if err := s.SetDisabled("alice", true); err != nil {
				t.Error(err)
			}
		}, ExitLogin, "log in again: sally login", false},
		{"the provider is away", func(t *testing.T, _ *fake, w *world, _ *idp.Server) {
			w.change(t, func(s *session) { s.Issuer.URL = "http://127.0.0.1:1" })
		}, ExitUnreachable, "the identity provider can't be reached", true},
		{"nothing kept", func(t *testing.T, _ *fake, w *world, _ *idp.Server) {
			w.change(t, func(s *session) { s.Refresh = "" })
		}, ExitLogin, "too old; log in again", false},
		{"the session is over", func(_ *testing.T, f *fake, _ *world, _ *idp.Server) { f.bearer = strings.Repeat("c", 43) }, ExitLogin, "sally login", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			w, s := loggedIn(t, f)
			tt.prepare(t, f, w, s)
			f.mu.Lock()
			f.tooOld = true
			f.mu.Unlock()
			wantExit(t, w.ask(t), tt.code, tt.want)
			if kept := w.account(t).session.Refresh; (kept != "") != tt.keeps {
				t.Errorf("kept: %t", kept != "")
			}
		})
	}
}

// A renewal never goes where the server says: the provider is that of the login.
func TestRefreshTokenGoesOnlyToItsProvider(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w, _ := loggedIn(t, f)
	thief := provided.New(t, false)
	f.mu.Lock()
	f.issuers[0].URL, f.tooOld = thief.URL, true
	f.mu.Unlock()
	if err := w.ask(t); err != nil {
		t.Error(err)
	}
	if thief.Count("/token") != 0 || thief.Count("/.well-known/openid-configuration") != 0 {
		t.Error("another provider was asked")
	}
}

// A login that happens meanwhile is another one: what was signed is not its.
func TestRenewAfterAnotherLogin(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w, _ := loggedIn(t, f)
	a := w.account(t)
	w.change(t, func(s *session) { s.Bearer = strings.Repeat("d", 43) })
	wantExit(t, a.renew(t.Context()), ExitLogin, "run this again")
}

func TestLogoutGivesTheRefreshTokenUp(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	w, s := loggedIn(t, f)
	if err := Logout(t.Context(), LogoutOptions{w.Env}); err != nil {
		t.Fatal(err)
	}
	if n := s.Refreshable("alice"); n != 0 {
		t.Errorf("%d refresh tokens still work", n)
	}

	f = newFake(t)
	w, _ = loggedIn(t, f)
	w.change(t, func(s *session) { s.Issuer.URL = "http://127.0.0.1:1" })
	if err := Logout(t.Context(), LogoutOptions{w.Env}); err != nil || !strings.Contains(w.stderr(), "the identity provider was not told of the logout") {
		t.Errorf("the provider is away: %v; said %q", err, w.stderr())
	}
}

func TestRedirectPort(t *testing.T) {
	t.Parallel()
	for _, port := range []int{-1, 65536} {
		wantExit(t, Login(t.Context(), LoginOptions{Env: newWorld(t).Env, RedirectPort: port}), ExitUsage, "--redirect-port", "65535")
	}
}

// change changes the kept session.
func (w *world) change(t *testing.T, change func(*session)) {
	t.Helper()
	a := w.account(t)
	change(&a.session)
	if err := saveSession(a.dir, a.session); err != nil {
		t.Fatal(err)
	}
}
