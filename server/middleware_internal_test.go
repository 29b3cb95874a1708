package server

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/api"
)

// bare is a Server that has what the middleware needs.
func bare(t *testing.T, out *bytes.Buffer) *Server {
	t.Helper()
	p, err := loadPages()
	if err != nil {
		t.Fatal(err)
	}
	base := &url.URL{Scheme: "https", Host: "sallyport.test"}
	return &Server{
		authority: nil, base: base, now: time.Now, rand: rand.Reader, pages: p, cookies: nameCookies(base),
		logger: slog.New(slog.NewJSONHandler(out, nil)), limiter: newLimiter(Limits{}, nil), watch: nobody{},
	}
}

func TestPanicIsAnInternalProblem(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := bare(t, &out)
	h := s.traced(s.recovered(s.headed(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("secret-in-panic") }))))
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/v1/x", nil))
	var p api.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != 500 || p.Type != "/problems/internal" || p.Detail != "" || p.Instance == "" {
		t.Errorf("answer %d %s", rec.Code, rec.Body)
	}
	if strings.Contains(rec.Body.String(), "secret-in-panic") || strings.Contains(rec.Body.String(), "goroutine") {
		t.Errorf("the answer tells too much: %s", rec.Body)
	}
	log := out.String()
	for _, want := range []string{"secret-in-panic", "middleware_internal_test.go", p.Instance, `"status":500`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log does not say %q:\n%s", want, log)
		}
	}
	if p := recoverFrom(func() {
		s.traced(s.recovered(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))).
			ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	}); p != any(http.ErrAbortHandler) {
		t.Errorf("an abort became %v", p)
	}
}

func recoverFrom(f func()) (p any) {
	defer func() { p = recover() }()
	f()
	return nil
}

func TestLogLineNamesNothingThatWasSent(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	s := bare(t, &out)
	h := s.traced(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) }))
	r := httptest.NewRequest("CANARY", "/canary?canary=canary", strings.NewReader("canary"))
	r.Header.Set("Authorization", "Bearer canary")
	r.Header.Set("Cookie", "canary=canary")
	h.ServeHTTP(httptest.NewRecorder(), r)
	log := out.String()
	if strings.Contains(strings.ToLower(log), "canary") {
		t.Errorf("the log repeats what was sent: %s", log)
	}
	for _, want := range []string{`"method":"other"`, `"route":"none"`, `"status":418`, `"request_id":"`, `"duration_us":`} {
		if !strings.Contains(log, want) {
			t.Errorf("%s is not in %s", want, log)
		}
	}
}

func TestOwnPage(t *testing.T) {
	t.Parallel()
	s := bare(t, &bytes.Buffer{})
	for _, tt := range []struct {
		name, method, site, origin string
		ok                         bool
	}{
		{"own form", "POST", "same-origin", "https://sallyport.test", true},
		{"own form, old browser", "POST", "", "https://sallyport.test", true},
		{"own form without origin", "POST", "same-origin", "", true},
		{"another site", "POST", "cross-site", "https://evil.test", false},
		{"another site without origin", "POST", "cross-site", "", false},
		{"a sibling", "POST", "same-site", "https://x.sallyport.test", false},
		{"a sibling that says our origin", "POST", "same-site", "https://sallyport.test", false},
		{"neither header", "POST", "", "", false},
		{"an opaque origin", "POST", "", "null", false},
		{"an opaque origin, same site", "POST", "same-origin", "null", false},
		{"plain HTTP of our host", "POST", "", "http://sallyport.test", false},
		{"another port", "POST", "", "https://sallyport.test:8443", false},
		{"another method", "DELETE", "cross-site", "https://evil.test", false},
		{"a link from elsewhere", "GET", "cross-site", "", true},
		{"a probe", "HEAD", "", "", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := httptest.NewRequest(tt.method, "https://sallyport.test/", nil)
			for name, v := range map[string]string{"Sec-Fetch-Site": tt.site, "Origin": tt.origin} {
				if v != "" {
					r.Header.Set(name, v)
				}
			}
			if err := s.ownPage(r); (err == nil) != tt.ok {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	good := []string{"/", "/requests/abcdefghijklmnopqrstuvwxyz", "/logout"}
	for _, path := range good {
		if got := localPath(path); got != path {
			t.Errorf("%q became %q", path, got)
		}
	}
	for _, path := range []string{
		"", "//evil.test", "///evil.test", "/\\evil.test", "\\\\evil.test", "https://evil.test", "/\t/evil.test", "/\n/evil.test", "/%2f/evil.test",
		"/x?y=//evil.test", "/x#y", "evil.test", "/.evil", "/../x", "javascript:alert(1)", "/x:y", "/ x", "/x\r\nSet-Cookie: a=b", "/" + strings.Repeat("x", 300), "/é", "/@evil.test",
	} {
		if got := localPath(path); got != "/" {
			t.Errorf("%q became %q", path, got)
		}
	}
}

func TestVisible(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{
		{"INC-42 checkout latency", "INC-42 checkout latency"},
		{"Ampère, 東京, مرحبا", "Ampère, 東京, مرحبا"},
		{"a\u202eb\u2066c", "a⟨U+202E⟩b⟨U+2066⟩c"},
		{"zero\u200bwidth\u00ad", "zero⟨U+200B⟩width⟨U+00AD⟩"},
		{"\x1b]8;;x\x07\n\u0085", "⟨U+001B⟩]8;;x⟨U+0007⟩⟨U+000A⟩⟨U+0085⟩"},
		{"tag\U000e0041", "tag⟨U+E0041⟩"},
		{"filler\u3164\ue000", "filler⟨U+3164⟩⟨U+E000⟩"},
		{"bad\xffbyte", "bad\ufffdbyte"},
	} {
		if got := visible(tt.text); got != tt.want {
			t.Errorf("visible(%q) = %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSpell(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{
		0: "0 seconds", 1: "1 second", 59: "59 seconds", 60: "1 minute", 90: "1 minute 30 seconds", 600: "10 minutes",
		3600: "1 hour", 5400: "1 hour 30 minutes", 7201: "2 hours 1 second", 90000: "25 hours",
	} {
		if got := spell(n); got != want {
			t.Errorf("spell(%d) = %q, want %q", n, got, want)
		}
	}
}
