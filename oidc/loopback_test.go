package oidc_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/oidc"
)

func listen(t *testing.T) *oidc.Loopback {
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

// knock makes one request and returns status, header and body.
func knock(t *testing.T, method, address string, header map[string]string) (int, http.Header, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, nil)
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
	resp, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(body)
}

// TestLoopbackIgnores sends what is no answer, then a good one, which must
// still be taken.
func TestLoopbackIgnores(t *testing.T) {
	t.Parallel()
	const good = "?state=s&code=evil-code"
	for _, tt := range []struct {
		name, method, path string
		header             map[string]string
		status             int
	}{
		{"other host name", http.MethodGet, "/callback" + good, map[string]string{"Host": "evil.test"}, http.StatusMisdirectedRequest},
		{"localhost", http.MethodGet, "/callback" + good, map[string]string{"Host": "localhost"}, http.StatusMisdirectedRequest},
		{"host without the port", http.MethodGet, "/callback" + good, map[string]string{"Host": "127.0.0.1"}, http.StatusMisdirectedRequest},
		{"other path", http.MethodGet, "/" + good, nil, http.StatusNotFound},
		{"path below", http.MethodGet, "/callback/x" + good, nil, http.StatusNotFound},
		{"icon", http.MethodGet, "/favicon.ico", nil, http.StatusNotFound},
		{"POST", http.MethodPost, "/callback" + good, nil, http.StatusMethodNotAllowed},
		{"HEAD", http.MethodHead, "/callback" + good, nil, http.StatusMethodNotAllowed},
		{"OPTIONS", http.MethodOptions, "/callback" + good, nil, http.StatusMethodNotAllowed},
		{"image of another page", http.MethodGet, "/callback" + good, map[string]string{"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}, http.StatusForbidden},
		{"script of another page", http.MethodGet, "/callback" + good, map[string]string{"Sec-Fetch-Mode": "cors"}, http.StatusForbidden},
		{"frame of another page", http.MethodGet, "/callback" + good, map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, http.StatusForbidden},
		{"no query", http.MethodGet, "/callback", nil, http.StatusBadRequest},
		{"no state", http.MethodGet, "/callback?code=x", nil, http.StatusBadRequest},
		{"neither code nor error", http.MethodGet, "/callback?state=x", nil, http.StatusBadRequest},
		{"broken escape", http.MethodGet, "/callback?state=x&code=%zz", nil, http.StatusBadRequest},
		{"semicolon", http.MethodGet, "/callback?state=x&code=x;y=z", nil, http.StatusBadRequest},
		{"huge", http.MethodGet, "/callback?state=x&code=" + strings.Repeat("x", 64<<10), nil, http.StatusRequestHeaderFieldsTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := listen(t)
			base := strings.TrimSuffix(l.RedirectURI(), "/callback")
			status, _, body := knock(t, tt.method, base+tt.path, tt.header)
			if status != tt.status || strings.Contains(body, "evil") {
				t.Errorf("status %d, want %d: %s", status, tt.status, body)
			}
			if status, _, _ := knock(t, http.MethodGet, l.RedirectURI()+"?state=a&code=b", nil); status != http.StatusOK {
				t.Errorf("the good answer got status %d", status)
			}
			answer, err := l.Wait(t.Context())
			if err != nil || answer.Get("state") != "a" || answer.Get("code") != "b" {
				t.Errorf("got %v, %v", answer, err)
			}
		})
	}
}

func TestLoopbackTakesOneAnswer(t *testing.T) {
	t.Parallel()
	l := listen(t)
	if !regexp.MustCompile(`^http://127\.0\.0\.1:[0-9]+/callback$`).MatchString(l.RedirectURI()) {
		t.Fatalf("redirect URI %s", l.RedirectURI())
	}
	browser := map[string]string{"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}
	status, header, body := knock(t, http.MethodGet, l.RedirectURI()+"?state=s&code=%3Cb%3Ec0de&error_description=evil", browser)
	if status != http.StatusOK || !strings.Contains(body, "go back to the terminal") {
		t.Errorf("status %d: %s", status, body)
	}
	for _, repeated := range []string{"c0de", "evil", "state"} {
		if strings.Contains(body, repeated) {
			t.Errorf("the page repeats %q", repeated)
		}
	}
	style := regexp.MustCompile(`<style>(.*)</style>`).FindStringSubmatch(body)
	if style == nil {
		t.Fatal("no style")
	}
	sum := sha256.Sum256([]byte(style[1]))
	policy := header.Get("Content-Security-Policy")
	want := "default-src 'none'; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if policy != want || header.Get("Referrer-Policy") != "no-referrer" || header.Get("Cache-Control") != "no-store" || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", header)
	}

	if status, _, body := knock(t, http.MethodGet, l.RedirectURI()+"?state=t&code=d", browser); status != http.StatusGone || !strings.Contains(body, "already had its answer") {
		t.Errorf("second answer: status %d: %s", status, body)
	}
	for range 2 { // Wait may be called again
		answer, err := l.Wait(t.Context())
		if err != nil || answer.Encode() != "code=%3Cb%3Ec0de&error_description=evil&state=s" {
			t.Errorf("got %v, %v", answer, err)
		}
	}
}

func TestLoopbackShowsRefusal(t *testing.T) {
	t.Parallel()
	l := listen(t)
	status, _, body := knock(t, http.MethodGet, l.RedirectURI()+"?state=s&error=%3Cb%3Eaccess_denied", nil)
	if status != http.StatusOK || !strings.Contains(body, "refused the login") || strings.Contains(body, "access_denied") {
		t.Errorf("status %d: %s", status, body)
	}
	if answer, err := l.Wait(t.Context()); err != nil || answer.Get("error") != "<b>access_denied" {
		t.Errorf("got %v, %v", answer, err)
	}
}

func TestLoopbackEnds(t *testing.T) {
	t.Parallel()
	l := listen(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Wait(ctx); !errors.Is(err, oidc.ErrNoAnswer) || !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.Wait(t.Context()); !errors.Is(err, oidc.ErrNoAnswer) {
		t.Errorf("closed: %v", err)
	}
	host := strings.TrimSuffix(strings.TrimPrefix(l.RedirectURI(), "http://"), "/callback")
	if c, err := net.Dial("tcp", host); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}
