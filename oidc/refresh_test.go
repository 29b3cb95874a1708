package oidc_test

import (
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

const refreshToken = "r3fresh-of-the-login"

func TestRefresh(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, refresh string
		answer        func(h *hostile.Provider, w http.ResponseWriter)
		want          error
		next          string
	}{
		{"rotated", refreshToken, func(h *hostile.Provider, w http.ResponseWriter) {
			hostile.AnswerToken(w, h.Forge().String(), "next")
		}, nil, "next"},
		{"kept", refreshToken, func(h *hostile.Provider, w http.ResponseWriter) {
			hostile.AnswerToken(w, h.Forge().String(), "")
		}, nil, refreshToken},
		{"too long to keep", refreshToken, func(h *hostile.Provider, w http.ResponseWriter) {
			hostile.AnswerToken(w, h.Forge().String(), strings.Repeat("x", oidc.MaxRefreshBytes+1))
		}, nil, ""},
		{"refused", refreshToken, func(_ *hostile.Provider, w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"error":"invalid_grant","error_description":"<b>` + refreshToken + `"}`))
		}, oidc.ErrRefresh, ""},
		{"down", refreshToken, func(_ *hostile.Provider, w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadGateway)
		}, oidc.ErrUnreachable, ""},
		{"no ID token", refreshToken, func(_ *hostile.Provider, w http.ResponseWriter) {
			hostile.AnswerToken(w, "", "next")
		}, oidc.ErrRefresh, ""},
		{"no JSON", refreshToken, func(_ *hostile.Provider, w http.ResponseWriter) {
			_, _ = w.Write([]byte("<h1>" + refreshToken + "</h1>"))
		}, oidc.ErrRefresh, ""},
		{"hangs up", refreshToken, func(*hostile.Provider, http.ResponseWriter) { panic(http.ErrAbortHandler) }, oidc.ErrUnreachable, ""},
		{"none", "", nil, oidc.ErrRefresh, ""},
		{"too long", strings.Repeat("x", oidc.MaxRefreshBytes+1), nil, oidc.ErrRefresh, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			var form url.Values
			h.Token = func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				h.Set(func() { form = r.PostForm })
				w.Header().Set("Content-Type", "application/json")
				tt.answer(h, w)
			}
			got, err := h.Provider(t, nil).Refresh(t.Context(), tt.refresh)
			if !errors.Is(err, tt.want) || got.Refresh != tt.next || (got.ID == "") != (err != nil) {
				t.Fatalf("got %q, %v", got.Refresh, err)
			}
			if err != nil {
				if err := leaks(err, refreshToken); err != nil || strings.Contains(err2text(err), refreshToken) {
					t.Error(err)
				}
			}
			h.Set(func() {
				if tt.answer == nil {
					if form != nil {
						t.Errorf("sent %v", form)
					}
				} else if form.Get("grant_type") != "refresh_token" || form.Get("refresh_token") != refreshToken || form.Get("client_id") != clientID {
					t.Errorf("sent %v", form)
				}
			})
		})
	}
}

// TestRenewedNonce: a renewed ID token may lack the nonce, never have another.
func TestRenewedNonce(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	for _, tt := range []struct {
		name    string
		nonce   any
		renewed bool
		want    error
	}{
		{"kept", goodNonce, true, nil},
		{"dropped", nil, true, nil},
		{"another", "x", true, oidc.ErrNonce},
		{"empty", "", true, oidc.ErrNonce},
		{"no text", 7, true, oidc.ErrMalformed},
		{"dropped at a login", nil, false, oidc.ErrNonce},
	} {
		_, err := p.Verify(t.Context(), h.Forge().With(map[string]any{"nonce": tt.nonce}).String(), oidc.Expect{Nonce: goodNonce, Renewed: tt.renewed})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
	}
	if _, err := p.Verify(t.Context(), h.Forge().String(), oidc.Expect{Renewed: true}); !errors.Is(err, oidc.ErrNonce) {
		t.Errorf("without a nonce to compare with: %v", err)
	}
}

// TestOffline: a refresh token is asked for only where the provider knows how.
func TestOffline(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		offline bool
		scopes  any
		want    string
	}{
		{"not wanted", false, []string{"openid", "offline_access"}, "openid profile email"},
		{"listed", true, []string{"openid", "offline_access"}, "openid profile email offline_access"},
		{"not listed", true, []string{"openid"}, "openid profile email"},
		{"no list", true, nil, "openid profile email"},
	} {
		h := hostile.New(t, false)
		if tt.scopes != nil {
			h.Metadata["scopes_supported"] = tt.scopes
		}
		authURL, _, err := h.Provider(t, func(i *oidc.Issuer) { i.Offline = tt.offline }).Start(t.Context(), redirectURI, goodNonce, nil)
		if err != nil {
			t.Fatal(err)
		}
		if u, err := url.Parse(authURL); err != nil || u.Query().Get("scope") != tt.want {
			t.Errorf("%s: asked for %q, %v", tt.name, u.Query().Get("scope"), err)
		}
	}
}

func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, secret, path string
		status             int
		want               error
	}{
		{"public", "", "/revoke", http.StatusOK, nil},
		{"with a secret", secret, "/revoke", http.StatusOK, nil},
		{"refused", "", "/revoke", http.StatusBadRequest, oidc.ErrRefresh},
		{"no such endpoint", "", "", 0, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			var got *http.Request
			h.Other = func(w http.ResponseWriter, r *http.Request) {
				if err := r.ParseForm(); err != nil {
					t.Error(err)
				}
				h.Set(func() { got = r })
				w.WriteHeader(tt.status)
			}
			if tt.path != "" {
				h.Metadata["revocation_endpoint"] = h.URL + tt.path
			}
			err := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = tt.secret }).Revoke(t.Context(), refreshToken)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			h.Set(func() {
				if (got == nil) != (tt.path == "") {
					t.Fatal("the endpoint was not called, or called although there is none")
				}
				if got == nil {
					return
				}
				user, password, _ := got.BasicAuth()
				if got.PostForm.Get("token") != refreshToken || password != tt.secret || (tt.secret == "") != (got.PostForm.Get("client_id") == clientID) || tt.secret != "" && user != clientID {
					t.Errorf("sent %v as %q", got.PostForm, user)
				}
			})
		})
	}
}

// TestClaimPaths: a claim may stand inside another; one of exactly that name
// wins.
func TestClaimPaths(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, func(i *oidc.Issuer) { i.SubjectClaim, i.GroupsClaim = "person.id", "realm_access.roles" })
	inside := func(v any) map[string]any { return map[string]any{"roles": v} }
	for _, tt := range []struct {
		name   string
		claims map[string]any
		groups string // empty: unknown
		want   error
	}{
		{"inside", map[string]any{"realm_access": inside([]string{"b", "a"})}, "a b", nil},
		{"the exact name wins", map[string]any{"realm_access.roles": []string{"x"}, "realm_access": inside([]string{"a"})}, "x", nil},
		{"the exact name wins, also when it is no list", map[string]any{"realm_access.roles": "x", "realm_access": inside([]string{"a"})}, "", nil},
		{"the exact name wins, also when it is null", map[string]any{"realm_access.roles": jsonNull{}, "realm_access": inside([]string{"a"})}, "", nil},
		{"nothing outside", nil, "", nil},
		{"nothing inside", map[string]any{"realm_access": map[string]any{"other": 1}}, "", nil},
		{"not an object", map[string]any{"realm_access": []string{"roles"}}, "", nil},
		{"null", map[string]any{"realm_access": jsonNull{}}, "", nil},
		{"not a list", map[string]any{"realm_access": inside("a")}, "", nil},
		{"too many, told of the outer claim", map[string]any{
			"realm_access": inside([]string{"a"}), "_claim_names": map[string]string{"realm_access": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"endpoint": "https://x.test"}},
		}, "", nil},
		{"no subject", map[string]any{"person": map[string]any{}}, "", oidc.ErrSubject},
		{"subject a number", map[string]any{"person": map[string]any{"id": 7}}, "", oidc.ErrMalformed},
		{"subject not in an object", map[string]any{"person": "p-1"}, "", oidc.ErrSubject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			claims := map[string]any{"person": map[string]any{"id": "p-1"}}
			for k, v := range tt.claims {
				claims[k] = v
			}
			id, err := p.Verify(t.Context(), h.Forge().With(claims).String(), oidc.Expect{Nonce: goodNonce})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err == nil && id.Subject != "p-1" {
				t.Errorf("subject %q", id.Subject)
			}
			if got := strings.Join(id.Groups, " "); got != tt.groups || id.GroupsKnown != (tt.groups != "") {
				t.Errorf("groups %q, known %t (%s)", got, id.GroupsKnown, id.GroupsWhy)
			}
		})
	}
}

// TestLoopbackPort listens on the port that the provider was told.
func TestLoopbackPort(t *testing.T) {
	t.Parallel()
	taken := listen(t)
	u, err := url.Parse(taken.RedirectURI())
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := oidc.ListenLoopback(port); !errors.As(err, new(*net.OpError)) {
		t.Errorf("a port that is taken: %v", err)
	}
	if err := taken.Close(); err != nil {
		t.Fatal(err)
	}
	l, err := oidc.ListenLoopback(port)
	if err != nil {
		t.Fatal(err)
	}
	if l.RedirectURI() != taken.RedirectURI() {
		t.Errorf("listens at %s", l.RedirectURI())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
