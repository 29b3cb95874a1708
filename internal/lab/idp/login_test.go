package idp_test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/robot"
)

// open starts a login and returns the address of its form.
func open(t *testing.T, s *idp.Server) string {
	t.Helper()
	p := provider(t, s, idp.CLIClient, "")
	authURL, _, err := p.Start(t.Context(), "http://127.0.0.1:7/callback", "n", nil)
	if err != nil {
		t.Fatal(err)
	}
	to, err := send(t, http.MethodGet, authURL, "", nil).Location()
	if err != nil {
		t.Fatal(err)
	}
	return to.String()
}

// TestForm posts the form as other pages or programs would.
func TestForm(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	form := "application/x-www-form-urlencoded"
	for _, tt := range []struct {
		name   string
		header map[string]string
		status int
	}{
		{"own page", map[string]string{"Origin": s.URL(), "Sec-Fetch-Site": "same-origin"}, http.StatusSeeOther},
		{"own page, old browser", map[string]string{"Origin": s.URL()}, http.StatusSeeOther},
		{"neither header", nil, http.StatusForbidden},
		{"other page", map[string]string{"Origin": "https://evil.test", "Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"other port", map[string]string{"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, http.StatusForbidden},
		{"hidden page", map[string]string{"Origin": "null"}, http.StatusForbidden},
		{"cross-site in spite of the origin", map[string]string{"Origin": s.URL(), "Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"contradiction", map[string]string{"Origin": "https://evil.test", "Sec-Fetch-Site": "same-origin"}, http.StatusForbidden},
		{"other host name", map[string]string{"Origin": s.URL(), "Host": "evil.test"}, http.StatusMisdirectedRequest},
		{"no cookie", map[string]string{"Origin": s.URL(), "Cookie": ""}, http.StatusBadRequest},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			address := open(t, s)
			shown := send(t, http.MethodGet, address, "", nil)
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			header := map[string]string{"Content-Type": form, "Cookie": shown.Header.Get("Set-Cookie")}
			for k, v := range tt.header {
				header[k] = v
			}
			body := url.Values{"request": {u.Query().Get("request")}, "username": {"alice"}, "password": {"alice-pw"}}.Encode()
			if resp := send(t, http.MethodPost, s.URL()+"/login", body, header); resp.StatusCode != tt.status {
				t.Errorf("status %d, want %d", resp.StatusCode, tt.status)
			}
		})
	}
}

// TestCodeGoesToTheSameBrowser plays the sender of a login link: the person
// signs in, the sender asks for the code.
func TestCodeGoesToTheSameBrowser(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	address := open(t, s)
	person := newRobot(t)
	// The redirect to port 7 fails after the person signed in, which is all we need.
	if _, err := person.LogIn(t.Context(), address, "alice", "alice-pw"); err == nil || errors.Is(err, robot.ErrLogin) {
		t.Fatalf("nothing listens on port 7, yet: %v", err)
	}
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	fetch := s.URL() + "/authorize/callback?id=" + u.Query().Get("request")
	sender := newRobot(t)
	if _, err := sender.Get(t.Context(), open(t, s)); err != nil { // for a cookie of its own
		t.Fatal(err)
	}
	page, err := sender.Get(t.Context(), fetch)
	if err != nil || page.Status != http.StatusForbidden || !strings.Contains(page.Text(), "Nobody signed in with this browser") {
		t.Errorf("got %+v, %v", page, err)
	}

	cookies, err := person.Cookies(s.URL())
	if err != nil || len(cookies) != 1 {
		t.Fatalf("cookies %v, %v", cookies, err)
	}
	again := send(t, http.MethodGet, fetch, "", map[string]string{"Cookie": cookies[0].Name + "=" + cookies[0].Value})
	if to, err := again.Location(); err != nil || to.Query().Has("code") || !to.Query().Has("error") {
		t.Errorf("the person asks for a second code: %v, %v", to, err)
	}
}

func TestWrongPasswordsEndTheLogin(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	r := newRobot(t)
	page, err := r.Get(t.Context(), open(t, s))
	if err != nil {
		t.Fatal(err)
	}
	typed := map[string]string{"username": "alice", "password": "guess"}
	for range 10 {
		if page, err = r.Submit(t.Context(), page, "#login", typed, "Sign in"); err != nil || page.Status != http.StatusUnauthorized {
			t.Fatalf("status %v, %v", page, err)
		}
	}
	typed["password"] = "alice-pw"
	if page, err = r.Submit(t.Context(), page, "#login", typed, ""); err != nil || page.Status != http.StatusNotFound {
		t.Errorf("the eleventh password was looked at: %v, %v", page, err)
	}
}

// TestPage checks that a browser would apply the page's style and allow the
// form to end at the client.
func TestPage(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *idp.Config) { c.Host = "localhost" })
	if !strings.HasPrefix(s.URL(), "http://localhost:") {
		t.Errorf("issuer is %s", s.URL())
	}
	page, err := newRobot(t).Get(t.Context(), open(t, s)+"&x=%3Cscript%3E")
	if err != nil {
		t.Fatal(err)
	}
	style := regexp.MustCompile(`(?s)<style>(.*)</style>`).FindStringSubmatch(page.Body)
	if style == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := page.Header.Get("Content-Security-Policy")
	for _, want := range []string{
		"'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "default-src 'none'", "frame-ancestors 'none'", "form-action 'self' http://127.0.0.1:7",
	} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy %q lacks %q", policy, want)
		}
	}
	if !strings.Contains(page.Text(), "Username") || page.Title != "Sign in" {
		t.Errorf("page reads %q", page.Text())
	}
}
