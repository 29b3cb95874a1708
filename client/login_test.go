package client

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/ledger/ledgertest"
)

// provider starts a real identity provider and tells the fake server about it.
func provider(t *testing.T, f *fake) *idp.Server {
	t.Helper()
	s, err := idp.Start(t.Context(), idp.Config{Algorithm: "ES256", Accounts: []idp.Account{
		{Username: "alice", Password: "pw", Name: "Alice Example", Email: "alice@acme.example", Groups: []string{"engineers"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	f.issuers = []api.Issuer{{ID: "acme/lab", URL: s.URL(), ClientID: idp.CLIClient, Algs: []string{"ES256"}, Subject: "sub", Groups: "groups"}}
	return s
}

func writePin(t *testing.T, p Pin) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sallyport.pin")
	if err := os.WriteFile(path, []byte(p.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

var pageToOpen = regexp.MustCompile(`sally: open this page to log in: (\S+)\n`)

// browse opens the page that a login prints, in a browser with an account.
func browse(t *testing.T, w *world, password string) error {
	t.Helper()
	var page string
	err := lab.Poll(t.Context(), "the page to open", func() (bool, error) {
		m := pageToOpen.FindAllStringSubmatch(w.stderr(), -1)
		if len(m) > 0 {
			page = m[len(m)-1][1]
		}
		return page != "", nil
	})
	if err != nil {
		return err
	}
	r, err := robot.New(nil)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = r.LogIn(t.Context(), page, "alice", password)
	return err
}

// A login with a real provider and its login form: the fake server checks what
// ties the ID token to the device key.
func TestLogin(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	provider(t, f)
	browsed := make(chan error, 1)
	go func() { browsed <- browse(t, w, "pw") }()
	err := Login(t.Context(), LoginOptions{Env: w.Env, Server: f.url, Pin: writePin(t, f.pin), NoBrowser: true})
	if err := errors.Join(err, <-browsed); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(w.stderr(), "sally: logged in as Alice Example <alice@acme.example> until ") || w.stdout() != "" {
		t.Errorf("said %q, printed %q", w.stderr(), w.stdout())
	}
	a := w.account(t) // the pin and the server are remembered
	if a.at.issuer != "acme/lab" || a.at.pin.String() != f.pin.String() || a.session.Person != f.person || !sameKey(a.device.PublicKey(), f.device) {
		t.Errorf("kept %+v of %v", a.at, a.session)
	}
	if err := Whoami(t.Context(), WhoamiOptions{Env: w.Env}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Alice Example <alice@acme.example>\n", "groups   engineers, as said at ", "(" + testOrigin + ")"} {
		if !strings.Contains(w.stdout(), want) {
			t.Errorf("no %q in %q", want, w.stdout())
		}
	}
	everything := w.stdout() + w.stderr()
	if strings.Contains(everything, f.bearer) || strings.Contains(everything, "PRIVATE KEY") {
		t.Error("a secret was printed")
	}
	kept := keptText(t, w.root)
	if strings.Contains(kept, "eyJ") { // how each ID token starts
		t.Error("an ID token was kept")
	}

	go func() { browsed <- browse(t, w, "pw") }() // again, by itself
	w.mu.Lock()
	w.err.Reset()
	w.mu.Unlock()
	if err := errors.Join(Login(t.Context(), LoginOptions{Env: w.Env, NoBrowser: true}), <-browsed); err != nil {
		t.Errorf("a second login without arguments: %v", err)
	}
}

func keptText(t *testing.T, root string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		all.Write(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

func TestLoginIsRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*testing.T, *fake, *LoginOptions)
		code    int
		want    string
	}{
		{"another origin than the pin's", func(t *testing.T, f *fake, o *LoginOptions) {
			other := f.pin
			other.Origin, other.LogKey = "other.test", ledgertest.New(t, "other.test", "client").PublicKey()
			o.Pin = writePin(t, other)
		}, ExitFailed, `is "ledger.test/prod", but the pin file is for "other.test"`},
		{"no pin file", func(_ *testing.T, _ *fake, o *LoginOptions) { o.Pin = "" }, ExitLogin, "--pin FILE"},
		{"a pin file that is none", func(t *testing.T, _ *fake, o *LoginOptions) {
			o.Pin = filepath.Join(t.TempDir(), "x")
			if err := os.WriteFile(o.Pin, []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, ExitFailed, "not a pin file"},
		{"plain http to elsewhere", func(_ *testing.T, _ *fake, o *LoginOptions) { o.Server = "http://ca.example" }, ExitUsage, "plain http only for this machine"},
		{"an issuer that is not there", func(_ *testing.T, _ *fake, o *LoginOptions) { o.Issuer = "acme/other" }, ExitUsage, "the server knows acme/lab"},
		{"several issuers", func(_ *testing.T, f *fake, _ *LoginOptions) {
			f.issuers = append(f.issuers, api.Issuer{ID: "beta/idp"})
		}, ExitUsage, "add --issuer with one of acme/lab, beta/idp"},
		{"no issuer", func(_ *testing.T, f *fake, _ *LoginOptions) { f.issuers = nil }, ExitFailed, "no contract is in force"},
		{"an identity provider in the clear", func(_ *testing.T, f *fake, _ *LoginOptions) { f.issuers[0].URL = "http://idp.example" }, ExitFailed, "neither https nor http on a loopback host"},
		{"an identity provider that is away", func(_ *testing.T, f *fake, _ *LoginOptions) { f.issuers[0].URL = "http://127.0.0.1:1" }, ExitUnreachable, "the identity provider can't be reached"},
		{"a server that is away", func(_ *testing.T, _ *fake, o *LoginOptions) { o.Server = "http://127.0.0.1:1" }, ExitUnreachable, "does not answer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			f.issuers = []api.Issuer{{ID: "acme/lab", URL: "http://127.0.0.1:1", ClientID: "x", Algs: []string{"ES256"}}}
			o := LoginOptions{Env: w.Env, Server: f.url, Pin: writePin(t, f.pin), NoBrowser: true}
			tt.prepare(t, f, &o)
			wantExit(t, Login(t.Context(), o), tt.code, tt.want)
			if n := f.called("POST"); n != 0 {
				t.Errorf("the server was sent something: %v", f.calls)
			}
			if _, err := os.Stat(w.root); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("something was kept: %v", err)
			}
		})
	}
}

// Ctrl-C while the browser is open ends the login.
func TestLoginIsInterrupted(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	provider(t, f)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		if err := lab.Poll(t.Context(), "the page to open", func() (bool, error) { return pageToOpen.MatchString(w.stderr()), nil }); err != nil {
			t.Error(err)
		}
	}()
	err := Login(ctx, LoginOptions{Env: w.Env, Server: f.url, Pin: writePin(t, f.pin), NoBrowser: true})
	wantExit(t, err, ExitInterrupted)
}

// A server that does not accept the login gets its problem reported, and
// nothing is kept.
func TestLoginThatTheServerRefuses(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	provider(t, f)
	f.refuse["POST /v1/sessions"] = api.Problem{Type: "/problems/groups-unknown", Status: 403, Detail: "your identity provider does not say which groups you are in"}
	browsed := make(chan error, 1)
	go func() { browsed <- browse(t, w, "pw") }()
	err := Login(t.Context(), LoginOptions{Env: w.Env, Server: f.url, Pin: writePin(t, f.pin), NoBrowser: true})
	if err := <-browsed; err != nil {
		t.Fatal(err)
	}
	wantExit(t, err, ExitFailed, "does not say which groups you are in; log in again")
	if _, err := os.Stat(w.root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something was kept: %v", err)
	}
}

func TestLogout(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		prepare func(*fake)
		code    int
		want    string
	}{
		{"told", func(*fake) {}, ExitOK, ""},
		{"over already", func(f *fake) { f.bearer = strings.Repeat("c", 43) }, ExitOK, ""},
		{"the server is away", func(f *fake) { f.stop() }, ExitUnreachable, "logged out on this machine, but the server was not told"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			tt.prepare(f)
			err := Logout(t.Context(), LogoutOptions{w.Env})
			if tt.code == ExitOK && err != nil {
				t.Error(err)
			} else if tt.code != ExitOK {
				wantExit(t, err, tt.code, tt.want)
			}
			if strings.Contains(keptText(t, w.root), "PRIVATE KEY") {
				t.Error("the device key stays")
			}
			wantExit(t, Whoami(t.Context(), WhoamiOptions{Env: w.Env}), ExitLogin, "log in first")
		})
	}
}

func TestBrowserOnlyWhereItIsSeen(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		env  map[string]string
		want bool
	}{
		{"console", nil, runtime.GOOS == "darwin"},
		{"X", map[string]string{"DISPLAY": ":0"}, true},
		{"Wayland", map[string]string{"WAYLAND_DISPLAY": "wayland-0"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := hasDisplay(func(name string) string { return tt.env[name] }); got != tt.want {
				t.Errorf("got %t", got)
			}
		})
	}
}

func TestClockShowsTheDateOnlyWhenItMatters(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.Local)
	w.Now = func() time.Time { return now }
	if got := w.clock(now.Add(time.Hour)); !strings.HasPrefix(got, "13:00:00 ") {
		t.Errorf("today: %q", got)
	}
	if got := w.clock(now.Add(24 * time.Hour)); !strings.HasPrefix(got, "2026-11-24 12:00:00 ") {
		t.Errorf("tomorrow: %q", got)
	}
}
