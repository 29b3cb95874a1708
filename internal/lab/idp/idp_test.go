package idp_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/oidc"
)

const webSecret = "web-secret"

func start(t *testing.T, change func(*idp.Config)) *idp.Server {
	t.Helper()
	cfg := idp.Config{
		Algorithm: "ES256",
		WebSecret: webSecret,
		Accounts: []idp.Account{
			{Username: "alice", Password: "alice-pw", Name: "Alice Ampère", Email: "alice@demo.test", Groups: []string{"engineers", "oncall"}},
			{Username: "bob", Password: "bob-pw", Subject: "u-bob", Email: "bob@demo.test", EmailUnverified: true},
			{Username: "carol", Password: "carol-pw", Groups: []string{}},
		},
	}
	if change != nil {
		change(&cfg)
	}
	s, err := idp.Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func provider(t *testing.T, s *idp.Server, client, secret string) *oidc.Provider {
	t.Helper()
	p, err := oidc.New(oidc.Issuer{
		ID: "demo", URL: s.URL(), ClientID: client, ClientSecret: secret,
		Algs: []string{"ES256", "RS256"}, GroupsClaim: "groups", Scopes: []string{"profile", "email", "groups"},
	}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newRobot(t *testing.T) *robot.Robot {
	t.Helper()
	r, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// loopback listens for one login answer.
func loopback(t *testing.T) *oidc.Loopback {
	t.Helper()
	l, err := oidc.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// login runs the whole code flow with a browser of its own.
func login(t *testing.T, p *oidc.Provider, username, password string) (oidc.Identity, error) {
	t.Helper()
	l := loopback(t)
	nonce := "nonce-of-" + username
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), nonce, nil)
	if err != nil {
		t.Fatal(err)
	}
	page, err := newRobot(t).LogIn(t.Context(), authURL, username, password)
	if err != nil {
		return oidc.Identity{}, err
	}
	if !strings.HasPrefix(page.URL.String(), l.RedirectURI()+"?") || !strings.Contains(page.Text(), "You can close this page") {
		t.Fatalf("landed on %s: %s", page.URL, page.Text())
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.Exchange(t.Context(), pending, answer)
	if err != nil {
		return oidc.Identity{}, err
	}
	return p.Verify(t.Context(), raw, oidc.Expect{Nonce: nonce, Flow: "code", MaxAge: time.Minute})
}

func TestLogin(t *testing.T) {
	t.Parallel()
	for _, alg := range []string{"ES256", "RS256"} {
		t.Run(alg, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(c *idp.Config) { c.Algorithm, c.IDTokenLifetime = alg, 7*time.Minute })
			id, err := login(t, provider(t, s, idp.CLIClient, ""), "alice", "alice-pw")
			if err != nil {
				t.Fatal(err)
			}
			a, err := s.Account("alice")
			if err != nil || !regexp.MustCompile(`^u-[a-z2-7]{26}$`).MatchString(a.Subject) || a.Password != "" {
				t.Fatalf("account %+v, %v", a, err)
			}
			if id.Issuer != s.URL() || id.Client != idp.CLIClient || id.Flow != "code" || id.Subject != a.Subject {
				t.Errorf("identity is %v, client %s, flow %s", id, id.Client, id.Flow)
			}
			if id.Name != "Alice Ampère" || id.Email != "alice@demo.test" || id.Handle != "alice" {
				t.Errorf("display claims: %q %q %q", id.Name, id.Email, id.Handle)
			}
			if !id.GroupsKnown || !slices.Equal(id.Groups, []string{"engineers", "oncall"}) || !slices.Equal(id.AMR, []string{"pwd"}) {
				t.Errorf("groups %v %v (%s), amr %v", id.GroupsKnown, id.Groups, id.GroupsWhy, id.AMR)
			}
			if got := id.Expires.Sub(id.IssuedAt); got < 7*time.Minute-time.Second || got > 7*time.Minute+time.Second {
				t.Errorf("lives %s", got)
			}
			if d := time.Since(id.AuthTime); d < -time.Second || d > time.Minute {
				t.Errorf("auth_time is %s ago", d)
			}
		})
	}
}

func TestPeople(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := provider(t, s, idp.CLIClient, "")

	bob, err := login(t, p, "bob", "bob-pw")
	if err != nil || bob.Subject != "u-bob" || bob.Email != "" || bob.GroupsKnown {
		t.Errorf("bob has an unverified email and no groups claim: %v %q %v, %v", bob, bob.Email, bob.GroupsKnown, err)
	}
	carol, err := login(t, p, "carol", "carol-pw")
	if err != nil || !carol.GroupsKnown || len(carol.Groups) != 0 {
		t.Errorf("carol has no groups, which is known: %v %v, %v", carol.GroupsKnown, carol.Groups, err)
	}

	if err := s.SetGroups("carol", []string{"approvers"}); err != nil {
		t.Fatal(err)
	}
	s.SetIDTokenLifetime(time.Minute)
	again, err := login(t, p, "carol", "carol-pw")
	if err != nil || !slices.Equal(again.Groups, []string{"approvers"}) || again.Subject != carol.Subject {
		t.Errorf("changed groups show at the next login: %v, %v", again.Groups, err)
	}
	if got := again.Expires.Sub(again.IssuedAt); got > time.Minute+time.Second {
		t.Errorf("lives %s after the lifetime was set to a minute", got)
	}

	_, err = login(t, p, "carol", "bob-pw")
	if !errors.Is(err, robot.ErrLogin) || !strings.Contains(err.Error(), "Username or password is wrong.") {
		t.Errorf("wrong password: %v", err)
	}
	if err := s.SetDisabled("carol", true); err != nil {
		t.Fatal(err)
	}
	_, err = login(t, p, "carol", "carol-pw")
	if !errors.Is(err, robot.ErrLogin) || !strings.Contains(err.Error(), "This account is disabled.") {
		t.Errorf("disabled account: %v", err)
	}
	if err := s.SetGroups("nobody", nil); !errors.Is(err, idp.ErrNoAccount) {
		t.Errorf("unknown username: %v", err)
	}
}

// TestDisabledBetween disables an account after its code was sent.
func TestDisabledBetween(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := provider(t, s, idp.CLIClient, "")
	pending, answer := answered(t, p, "alice", "alice-pw")
	if err := s.SetDisabled("alice", true); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exchange(t.Context(), pending, answer); !errors.Is(err, oidc.ErrExchange) || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("got %v", err)
	}
}

// TestSecondUseEndsAccess brings a code twice and looks at what the first gave.
func TestSecondUseEndsAccess(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	pending, answer := answered(t, provider(t, s, idp.CLIClient, ""), "alice", "alice-pw")
	exchange := func() (status int, access string) {
		form := url.Values{
			"grant_type": {"authorization_code"}, "client_id": {idp.CLIClient}, "code": {answer.Get("code")},
			"code_verifier": {pending.Verifier}, "redirect_uri": {pending.RedirectURI},
		}
		resp := send(t, http.MethodPost, s.URL()+"/oauth/token", form.Encode(), map[string]string{"Content-Type": "application/x-www-form-urlencoded"})
		var got struct {
			Access string `json:"access_token"`
		}
		if err := json.NewDecoder(resp.Body).Decode(&got); err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, got.Access
	}
	status, access := exchange()
	userinfo := func() int {
		return send(t, http.MethodGet, s.URL()+"/userinfo", "", map[string]string{"Authorization": "Bearer " + access}).StatusCode
	}
	if got := userinfo(); status != http.StatusOK || got != http.StatusOK {
		t.Fatalf("first use: status %d, userinfo %d", status, got)
	}
	if status, _ := exchange(); status != http.StatusBadRequest {
		t.Errorf("second use: status %d", status)
	}
	if got := userinfo(); got != http.StatusForbidden {
		t.Errorf("userinfo afterwards: %d", got)
	}
}

// answered runs a login up to the answer at the loopback.
func answered(t *testing.T, p *oidc.Provider, username, password string) (oidc.Pending, url.Values) {
	t.Helper()
	l := loopback(t)
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := newRobot(t).LogIn(t.Context(), authURL, username, password); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return pending, answer
}

func TestCodeWorksOnceAndOnlyWithItsVerifier(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	p := provider(t, s, idp.CLIClient, "")

	pending, answer := answered(t, p, "alice", "alice-pw")
	if _, err := p.Exchange(t.Context(), pending, answer); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exchange(t.Context(), pending, answer); !errors.Is(err, oidc.ErrExchange) || !strings.Contains(err.Error(), "invalid_grant") {
		t.Errorf("second use of a code: %v", err)
	}

	pending, answer = answered(t, p, "alice", "alice-pw")
	pending.Verifier = strings.Repeat("x", 43)
	if _, err := p.Exchange(t.Context(), pending, answer); !errors.Is(err, oidc.ErrExchange) {
		t.Errorf("another verifier: %v", err)
	}
}

func TestWebClient(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *idp.Config) { c.WebRedirects = []string{"http://127.0.0.1:9/other"} })
	l := loopback(t) // stands in for the server's callback
	run := func(secret string) (oidc.Identity, error) {
		p := provider(t, s, idp.WebClient, secret)
		authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), "n", nil)
		if err != nil {
			t.Fatal(err)
		}
		page, err := newRobot(t).LogIn(t.Context(), authURL, "alice", "alice-pw")
		if err != nil {
			return oidc.Identity{}, err
		}
		raw, err := p.Exchange(t.Context(), pending, page.URL.Query())
		if err != nil {
			return oidc.Identity{}, err
		}
		return p.Verify(t.Context(), raw, oidc.Expect{Nonce: "n"})
	}
	if _, err := run(webSecret); !errors.Is(err, robot.ErrLogin) {
		t.Errorf("redirect URI that is not registered: %v", err)
	}
	s.AllowRedirect(l.RedirectURI())
	if id, err := run(webSecret); err != nil || id.Client != idp.WebClient {
		t.Errorf("got %v for client %q, %v", id, id.Client, err)
	}
	if _, err := run("wrong"); !errors.Is(err, oidc.ErrExchange) || !strings.Contains(err.Error(), "status 401") {
		t.Errorf("wrong secret: %v", err)
	}
}

// TestAuthorize sends authorisation requests that this provider must refuse.
func TestAuthorize(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	good := url.Values{
		"client_id": {idp.CLIClient}, "redirect_uri": {"http://127.0.0.1:7/callback"}, "response_type": {"code"},
		"scope": {"openid"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {strings.Repeat("a", 43)}, "code_challenge_method": {"S256"},
	}
	for _, tt := range []struct {
		name, key, value string
		redirect         string // error code sent to the redirect URI; empty: refused with a page
	}{
		{"good", "", "", "form"},
		{"no PKCE", "code_challenge", "", "invalid_request"},
		{"plain PKCE", "code_challenge_method", "plain", "invalid_request"},
		{"PKCE without a method", "code_challenge_method", "", "invalid_request"},
		{"implicit", "response_type", "id_token", "unauthorized_client"},
		{"without a person", "prompt", "none", "login_required"},
		{"localhost", "redirect_uri", "http://localhost:7/callback", ""},
		{"other path", "redirect_uri", "http://127.0.0.1:7/other", ""},
		{"other host", "redirect_uri", "http://192.0.2.1:7/callback", ""},
		{"https on loopback", "redirect_uri", "https://127.0.0.1:7/callback", ""},
		{"unknown client", "client_id", "stranger", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			q := url.Values{}
			for k, v := range good {
				q[k] = v
			}
			if tt.key != "" {
				q.Set(tt.key, tt.value)
			}
			if q.Get(tt.key) == "" {
				q.Del(tt.key)
			}
			resp := send(t, http.MethodGet, s.URL()+"/authorize?"+q.Encode(), "", nil)
			to, err := resp.Location()
			switch {
			case tt.redirect == "form":
				if err != nil || to.Path != "/login" {
					t.Errorf("status %d to %v, %v", resp.StatusCode, to, err)
				}
			case tt.redirect == "":
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("status %d to %v", resp.StatusCode, to)
				}
			case err != nil || to.Host != "127.0.0.1:7" || !strings.Contains(to.RawQuery+to.Fragment, "error="+tt.redirect+"&") ||
				!strings.HasSuffix(to.RawQuery+to.Fragment, "state=s"):
				t.Errorf("status %d to %v, %v", resp.StatusCode, to, err)
			}
		})
	}
}

// send makes one plain request without following redirects; its body is read
// and closed.
func send(t *testing.T, method, address, body string, header map[string]string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		} else {
			req.Header.Set(k, v)
		}
	}
	tr := &http.Transport{DisableKeepAlives: true}
	resp, err := tr.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	resp.Body = io.NopCloser(strings.NewReader(string(text)))
	return resp
}

func TestStartRefuses(t *testing.T) {
	t.Parallel()
	a := idp.Account{Username: "a", Password: "p", Subject: "s"}
	for _, tt := range []struct {
		name, want string
		cfg        idp.Config
	}{
		{"host", "neither 127.0.0.1 nor localhost", idp.Config{Host: "0.0.0.0"}},
		{"algorithm", "neither RS256 nor ES256", idp.Config{Algorithm: "HS256"}},
		{"no password", "no password", idp.Config{Accounts: []idp.Account{{Username: "a"}}}},
		{"same username", "share a username", idp.Config{Accounts: []idp.Account{a, {Username: "a", Password: "q"}}}},
		{"same subject", "share a username or a subject", idp.Config{Accounts: []idp.Account{a, {Username: "b", Password: "q", Subject: "s"}}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.cfg.Algorithm = cmp.Or(tt.cfg.Algorithm, "ES256")
			if s, err := idp.Start(context.Background(), tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, %v; want an error with %q", s, err, tt.want)
			}
		})
	}
}
