package oidc_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

// bad is an ID token that is wrong in one way, or good if want is nil.
type bad struct {
	token fmt.Stringer
	want  error
}

// attack is what a row of the table may use.
type attack struct {
	h    *hostile.Provider
	good *hostile.Forged
	keys hostile.KeyRing
	now  int64
}

func (a attack) claim(name string, v any) *hostile.Forged {
	return a.good.With(map[string]any{name: v})
}

func (a attack) header(name string, v any) *hostile.Forged {
	return a.good.Headed(map[string]any{name: v})
}

// claimRaw has a claim in a spelling that no encoder would write.
func (a attack) claimRaw(name, value string) *hostile.Forged {
	return a.claim(name, nil).Raw(fmt.Sprintf(`{%%s,%q:%s}`, name, value))
}

func (a attack) stranger() *hostile.Forged { return a.good.Signed(hostile.SignRSA(a.keys.Other)) }

// TestHostileProvider is the table of negative cases O1 to O42 for a client of
// the code flow: what a hostile or broken provider, or somebody between, can
// send. Other tests of this package go further into single rows.
func TestHostileProvider(t *testing.T) {
	t.Parallel()
	rows := append(hostileTokens(), hostileFlows()...)
	for i, row := range rows {
		if want := fmt.Sprintf("O%d ", i+1); !strings.HasPrefix(row.name, want) {
			t.Fatalf("row %d is %q; the table has each of O1 to O42 once, in order", i+1, row.name)
		}
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			h := hostile.New(t, false)
			a := attack{h: h, good: h.Forge(), keys: hostile.Keys(), now: h.Clock.Now().Unix()}
			if row.run != nil {
				row.run(t, a)
				return
			}
			p := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = secret })
			for n, b := range row.tokens(a) {
				id, err := p.Verify(t.Context(), b.token.String(), oidc.Expect{Nonce: goodNonce, MaxAge: time.Hour})
				if !errors.Is(err, b.want) || (err != nil) != (id.Subject == "") {
					t.Errorf("case %d: got %v, %v; want %v", n, id, err, b.want)
				}
			}
		})
	}
	if len(rows) != 42 {
		t.Errorf("%d rows, the table has 42", len(rows))
	}
}

type hostileRow struct {
	name   string
	tokens func(attack) []bad
	run    func(*testing.T, attack)
}

// hostileTokens are O1 to O33.
func hostileTokens() []hostileRow {
	return []hostileRow{
		{"O1 bad signature", func(a attack) []bad {
			raw := a.good.String()
			return []bad{{text(raw[:len(raw)-8] + "AAAAAAAA"), oidc.ErrSignature}, {a.good.Signed(hostile.Unsigned), oidc.ErrSignature}}
		}, nil},
		{"O2 alg none in three spellings", func(a attack) []bad {
			none := func(s string) bad { return bad{a.header("alg", s).Signed(hostile.Unsigned), oidc.ErrAlgorithm} }
			return []bad{none("none"), none("None"), none("NONE")}
		}, nil},
		{"O3 HS256 with the public key", func(a attack) []bad {
			public, _ := x509.MarshalPKIXPublicKey(a.keys.RSA.Public()) // an RSA key always marshals
			return []bad{{a.header("alg", "HS256").Signed(hostile.SignHMAC(public)), oidc.ErrAlgorithm}}
		}, nil},
		{"O4 HS256 with the client secret", func(a attack) []bad {
			return []bad{{a.header("alg", "HS256").Signed(hostile.SignHMAC([]byte(secret))), oidc.ErrAlgorithm}}
		}, nil},
		{"O5 another issuer's key", func(a attack) []bad { return []bad{{a.stranger(), oidc.ErrSignature}} }, nil},
		{"O6 ES256 with r and s swapped or short", func(a attack) []bad {
			ec := a.good.Headed(map[string]any{"alg": "ES256", "kid": "ec"})
			return []bad{
				{ec.Signed(hostile.SignEC(a.keys.EC, true, 32)), oidc.ErrSignature},
				{ec.Signed(hostile.SignEC(a.keys.EC, false, 31)), oidc.ErrSignature},
			}
		}, nil},
		{"O7 embedded jwk", func(a attack) []bad {
			return []bad{{a.stranger().Headed(map[string]any{"jwk": jose.JSONWebKey{Key: a.keys.Other.Public()}}), oidc.ErrSignature}}
		}, nil},
		{"O8 jku and x5u", nil, keysElsewhere},
		{"O9 no kid", func(a attack) []bad { // several keys: each is tried
			return []bad{{a.header("kid", nil), nil}, {a.stranger().Headed(map[string]any{"kid": nil}), oidc.ErrSignature}}
		}, nil},
		{"O10 flood of unknown kids", nil, kidFlood},
		{"O11 key rotated just before signing", nil, freshKey},
		{"O12 crit", func(a attack) []bad { return []bad{{a.header("crit", []string{"exp"}), oidc.ErrMalformed}} }, nil},
		{"O13 b64 false", func(a attack) []bad {
			return []bad{{a.good.Headed(map[string]any{"b64": false, "crit": []string{"b64"}}), oidc.ErrMalformed}, {a.header("b64", false), oidc.ErrMalformed}}
		}, nil},
		{"O14 encrypted or nested", func(a attack) []bad {
			return []bad{{text(strings.Repeat("eyJ9.", 4) + "eyJ9"), oidc.ErrMalformed}, {a.good.Raw(`"` + a.good.String() + `"`), oidc.ErrMalformed}, {a.header("cty", "JWT").Raw(`eyJ9.e30.`), oidc.ErrMalformed}}
		}, nil},
		{"O15 wrong issuer", func(a attack) []bad {
			return []bad{
				{a.claim("iss", "https://evil.test"), oidc.ErrIssuer},
				{a.claim("iss", a.h.URL+"/"), oidc.ErrIssuer},
				{a.claim("iss", strings.ToUpper(a.h.URL)), oidc.ErrIssuer},
			}
		}, nil},
		{"O16 no audience", func(a attack) []bad {
			return []bad{{a.claim("aud", nil), oidc.ErrMalformed}, {a.claim("aud", []string{}), oidc.ErrAudience}, {a.claimRaw("aud", "null"), oidc.ErrMalformed}}
		}, nil},
		{"O17 another audience", func(a attack) []bad {
			return []bad{{a.claim("aud", "sallyport-web"), oidc.ErrAudience}, {a.claim("aud", clientID+" x"), oidc.ErrAudience}}
		}, nil},
		{"O18 a stranger among the audiences, no azp", func(a attack) []bad {
			return []bad{{a.claim("aud", []string{clientID, "x"}), oidc.ErrAudience}}
		}, nil},
		{"O19 azp is not us", func(a attack) []bad {
			return []bad{{a.claim("azp", "x"), oidc.ErrAudience}, {a.good.With(map[string]any{"aud": []string{clientID, "x"}, "azp": "x"}), oidc.ErrAudience}}
		}, nil},
		{"O20 sub missing, empty or too long", func(a attack) []bad {
			return []bad{
				{a.claim("sub", nil), oidc.ErrSubject},
				{a.claim("sub", ""), oidc.ErrSubject},
				{a.claim("sub", strings.Repeat("x", 256)), oidc.ErrSubject},
			}
		}, nil},
		{"O21 no iat", func(a attack) []bad { return []bad{{a.claim("iat", nil), oidc.ErrMalformed}} }, nil},
		{"O22 expired a second ago", func(a attack) []bad { // no leeway is given
			return []bad{{a.claim("exp", a.now-1), oidc.ErrExpired}, {a.claim("exp", a.now), oidc.ErrExpired}, {a.claim("exp", a.now+1), nil}}
		}, nil},
		{"O23 nbf or iat in the future", func(a attack) []bad {
			return []bad{{a.claim("nbf", a.now+301), oidc.ErrNotYet}, {a.good.With(map[string]any{"iat": a.now + 301, "exp": a.now + 600}), oidc.ErrNotYet}}
		}, nil},
		// That a nonce works once is the caller's: authority takes each login's
		// challenge or flow in the write that opens the session.
		{"O24 nonce missing or wrong", func(a attack) []bad {
			return []bad{{a.claim("nonce", nil), oidc.ErrNonce}, {a.claim("nonce", "x"), oidc.ErrNonce}, {a.claim("nonce", goodNonce+" "), oidc.ErrNonce}}
		}, nil},
		{"O25 exp a string, a fraction, 1e400 or negative", func(a attack) []bad {
			return []bad{
				{a.claimRaw("exp", fmt.Sprintf(`"%d"`, a.now+60)), oidc.ErrMalformed},
				{a.claimRaw("exp", fmt.Sprintf(`%d.5`, a.now+60)), oidc.ErrMalformed},
				{a.claimRaw("exp", `1e400`), oidc.ErrMalformed},
				{a.claimRaw("exp", `-1`), oidc.ErrMalformed},
			}
		}, nil},
		{"O26 duplicate keys", func(a attack) []bad {
			return []bad{{a.good.Raw(`{%s,"sub":"u-2"}`), oidc.ErrMalformed}, {a.good.Raw(`{%s,"Sub":"u-2"}`), oidc.ErrMalformed}, {a.good.Raw(`{%s,"x":{"y":1,"y":2}}`), oidc.ErrMalformed}}
		}, nil},
		{"O27 email_verified in other spellings", nil, unverifiedEmails},
		{"O28 groups of other shapes, too many, elsewhere", nil, unknownGroups},
		{"O29 auth_time missing or old when max_age is asked", func(a attack) []bad {
			return []bad{{a.claim("auth_time", nil), oidc.ErrAuthTime}, {a.claim("auth_time", a.now-3601), oidc.ErrAuthTime}}
		}, nil},
		// No terms ask for an acr yet, so there is no lower one: what can't be read
		// as one counts as none.
		{"O30 acr", nil, uselessACR},
		// at_hash and c_hash tie an access token or code to an ID token from the
		// front channel (OpenID Connect Core §3.3.2.11). In the code flow the ID token
		// comes with them from the token endpoint, the code is tied by PKCE, and no
		// access token is ever used: wrong ones change nothing.
		{"O31 at_hash and c_hash", func(a attack) []bad {
			return []bad{{a.good.With(map[string]any{"at_hash": "wrong", "c_hash": "wrong"}), nil}}
		}, nil},
		{"O32 access token or logout token", func(a attack) []bad {
			return []bad{{a.header("typ", "at+jwt"), oidc.ErrMalformed}, {a.header("typ", "logout+jwt"), oidc.ErrMalformed}}
		}, nil},
		// Does not apply: userinfo is never asked, because its answer is not signed
		// and could not be shown to anybody later.
		{"O33 userinfo", nil, func(t *testing.T, a attack) {
			a.h.Metadata["userinfo_endpoint"] = a.h.URL + "/userinfo"
			if err := verify(t, a.h.Provider(t, nil), a.good); err != nil || a.h.Count("/userinfo") != 0 {
				t.Errorf("%v, asked %d times", err, a.h.Count("/userinfo"))
			}
		}},
	}
}

// keysElsewhere: nothing is fetched from an address that an ID token names.
func keysElsewhere(t *testing.T, a attack) {
	fetched := make(chan struct{}, 10)
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched <- struct{}{} }))
	t.Cleanup(s.Close)
	forged := a.stranger().Headed(map[string]any{"jku": s.URL, "x5u": s.URL, "kid": nil})
	if err := verify(t, a.h.Provider(t, nil), forged); !errors.Is(err, oidc.ErrSignature) || len(fetched) != 0 {
		t.Errorf("%v, fetched %d times", err, len(fetched))
	}
}

func kidFlood(t *testing.T, a attack) {
	p := a.h.Provider(t, nil)
	for i := range 50 {
		if err := verify(t, p, a.header("kid", fmt.Sprint("junk", i))); !errors.Is(err, oidc.ErrSignature) {
			t.Fatal(err)
		}
	}
	if err := verify(t, p, a.good); err != nil || a.h.Count("/keys") > 1 {
		t.Errorf("a good one behind the flood: %v; keys were asked for %d times", err, a.h.Count("/keys"))
	}
}

// freshKey: a key that is newer than what is kept is found with one more fetch,
// and the key that it replaced is refused from then on.
func freshKey(t *testing.T, a attack) {
	p := a.h.Provider(t, nil)
	if err := verify(t, p, a.good); err != nil {
		t.Fatal(err)
	}
	a.h.Clock.Advance(2 * time.Minute)
	a.h.Set(func() { a.h.Keys = []any{jose.JSONWebKey{Key: a.keys.Other.Public(), KeyID: "next"}} })
	next := a.h.Forge().Headed(map[string]any{"kid": "next"}).Signed(hostile.SignRSA(a.keys.Other))
	if err := verify(t, p, next); err != nil || a.h.Count("/keys") != 2 {
		t.Errorf("%v, keys were asked for %d times", err, a.h.Count("/keys"))
	}
	if err := verify(t, p, a.h.Forge()); !errors.Is(err, oidc.ErrSignature) {
		t.Errorf("the key before: %v", err)
	}
}

func unverifiedEmails(t *testing.T, a attack) {
	p := a.h.Provider(t, nil)
	for _, v := range []string{`false`, `"true"`, `"TRUE"`, `1`, `null`, `[true]`} {
		id, err := p.Verify(t.Context(), a.claimRaw("email_verified", v).String(), oidc.Expect{Nonce: goodNonce})
		if err != nil || id.Email != "" {
			t.Errorf("%s: %q, %v", v, id.Email, err)
		}
	}
}

func unknownGroups(t *testing.T, a attack) {
	p := a.h.Provider(t, nil)
	many := make([]string, 1001) // 100 000 would not fit into MaxTokenBytes
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, f := range map[string]*hostile.Forged{
		"string": a.claim("groups", "a"), "object": a.claim("groups", map[string]any{"a": true}), "null": a.claimRaw("groups", "null"),
		"numbers": a.claim("groups", []int{1}), "missing": a.claim("groups", nil), "too many": a.claim("groups", many),
		"overage":   a.good.With(map[string]any{"groups": nil, "_claim_names": map[string]string{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"endpoint": "https://x.test"}}}),
		"hasgroups": a.claim("hasgroups", true),
	} {
		id, err := p.Verify(t.Context(), f.String(), oidc.Expect{Nonce: goodNonce})
		if err != nil || id.GroupsKnown || id.Groups != nil || id.GroupsWhy == "" {
			t.Errorf("%s: known %t, %v, %q, %v", name, id.GroupsKnown, id.Groups, id.GroupsWhy, err)
		}
	}
	huge := a.claim("groups", strings.Repeat("x", 100_000))
	if err := verify(t, p, huge); !errors.Is(err, oidc.ErrTokenTooLarge) {
		t.Errorf("100 000 bytes: %v", err)
	}
}

func uselessACR(t *testing.T, a attack) {
	p := a.h.Provider(t, nil)
	for _, v := range []any{7, true, []string{"urn:mfa"}, "urn:mfa\n", strings.Repeat("x", 300)} {
		id, err := p.Verify(t.Context(), a.claim("acr", v).String(), oidc.Expect{Nonce: goodNonce})
		if err != nil || id.ACR != "" {
			t.Errorf("%v: %q, %v", v, id.ACR, err)
		}
	}
}

var flowPending = oidc.Pending{State: "the-state", Verifier: "the-verifier", RedirectURI: redirectURI, Nonce: goodNonce}

// hostileFlows are O34 to O42.
func hostileFlows() []hostileRow {
	exchange := func(t *testing.T, a attack, answer url.Values) (string, error) {
		t.Helper()
		a.h.Token = func(w http.ResponseWriter, _ *http.Request) { answerToken(w, a.good.String()) }
		return a.h.Provider(t, nil).Exchange(t.Context(), flowPending, answer)
	}
	refused := func(want error, answers ...url.Values) func(*testing.T, attack) {
		return func(t *testing.T, a attack) {
			for _, answer := range answers {
				if raw, err := exchange(t, a, answer); !errors.Is(err, want) || raw != "" || a.h.Count("/token") != 0 {
					t.Errorf("%v: %v, the code was sent %d times", answer, err, a.h.Count("/token"))
				}
			}
		}
	}
	return []hostileRow{
		// A state that was used is gone: authority takes the flow in one write.
		{"O34 state missing or foreign", nil, refused(oidc.ErrState, url.Values{"code": {"c"}}, url.Values{"state": {"x"}, "code": {"c"}})},
		{"O35 code of another login", nil, injectedCode},
		{"O36 answer of another issuer", nil, refused(oidc.ErrIssuer, url.Values{"state": {"the-state"}, "code": {"c"}, "iss": {"https://evil.test"}})},
		{"O37 metadata of another issuer, or with endpoints in the clear", nil, metadataRefused(
			map[string]any{"issuer": "https://evil.test"}, map[string]any{"jwks_uri": "http://evil.test/keys"},
			map[string]any{"token_endpoint": "http://evil.test/token"}, map[string]any{"revocation_endpoint": "http://evil.test/revoke"})},
		{"O38 metadata that redirects, never ends or never comes", nil, endlessMetadata},
		{"O39 PKCE downgrade", nil, metadataRefused(map[string]any{"code_challenge_methods_supported": []string{"plain"}}, map[string]any{"code_challenge_methods_supported": []string{}})},
		{"O40 error answer with HTML", nil, func(t *testing.T, a attack) {
			_, err := exchange(t, a, url.Values{"state": {"the-state"}, "error": {"<script>"}, "error_description": {"<b>evil</b>"}})
			if !errors.Is(err, oidc.ErrDenied) || strings.ContainsAny(err2text(err), "<>") || strings.Contains(err2text(err), "evil") {
				t.Errorf("%v", err)
			}
		}},
		{"O41 two answers race", nil, racingAnswers},
		// Which issuers there are the contracts say: authority asks for the provider
		// in each call (TestIssuerThatWasRemoved). Here: settings are never shared.
		{"O42 issuer removed since", nil, func(t *testing.T, a attack) {
			other := hostile.New(t, false)
			if err := verify(t, other.Provider(t, nil), a.good); !errors.Is(err, oidc.ErrIssuer) {
				t.Errorf("%v", err)
			}
		}},
	}
}

// injectedCode: the provider ties the code to the verifier, and the nonce ties
// the ID token to this login where the provider does not.
func injectedCode(t *testing.T, a attack) {
	a.h.Token = func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("code_verifier") == flowPending.Verifier { // a provider that ignores PKCE
			answerToken(w, a.claim("nonce", "nonce of the other login").String())
		}
	}
	p := a.h.Provider(t, nil)
	raw, err := p.Exchange(t.Context(), flowPending, url.Values{"state": {"the-state"}, "code": {"stolen"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Verify(t.Context(), raw, oidc.Expect{Nonce: flowPending.Nonce}); !errors.Is(err, oidc.ErrNonce) {
		t.Errorf("%v", err)
	}
}

func metadataRefused(changes ...map[string]any) func(*testing.T, attack) {
	return func(t *testing.T, _ attack) {
		for _, change := range changes {
			h := hostile.New(t, false)
			for k, v := range change {
				h.Metadata[k] = v
			}
			if _, _, err := h.Provider(t, nil).Start(t.Context(), redirectURI, goodNonce, nil); !errors.Is(err, oidc.ErrMetadata) {
				t.Errorf("%v: %v", change, err)
			}
		}
	}
}

func endlessMetadata(t *testing.T, _ attack) {
	for name, serve := range map[string]http.HandlerFunc{
		"another host": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/", http.StatusFound)
		},
		"10 MiB": func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(strings.Repeat(" ", 10<<20))) },
	} {
		s := httptest.NewServer(serve)
		t.Cleanup(s.Close)
		p := mustNew(t, oidc.Issuer{ID: "x", URL: s.URL, ClientID: clientID, Algs: []string{"RS256"}}, time.Now)
		if _, _, err := p.Start(t.Context(), redirectURI, goodNonce, nil); !errors.Is(err, oidc.ErrMetadata) {
			t.Errorf("%s: %v", name, err)
		}
	}
	silence := make(chan struct{})
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-silence })) // the bound itself: TestSilence
	t.Cleanup(s.Close)
	t.Cleanup(func() { close(silence) })
	ctx, cancel := context.WithCancel(t.Context())
	p := mustNew(t, oidc.Issuer{ID: "x", URL: s.URL, ClientID: clientID, Algs: []string{"RS256"}, HTTP: &http.Client{Transport: cancelling{cancel}}}, time.Now)
	if _, _, err := p.Start(ctx, redirectURI, goodNonce, nil); !errors.Is(err, oidc.ErrUnreachable) {
		t.Errorf("silence: %v", err)
	}
}

// cancelling ends its caller's context and fails as a timeout does.
type cancelling struct{ cancel context.CancelFunc }

func (c cancelling) RoundTrip(*http.Request) (*http.Response, error) {
	c.cancel()
	return nil, context.DeadlineExceeded
}

func racingAnswers(t *testing.T, _ attack) {
	l := listen(t)
	statuses := make(chan int, 2)
	for _, code := range []string{"one", "two"} {
		go func() {
			resp, err := http.Get(l.RedirectURI() + "?state=s&code=" + code)
			if err != nil {
				t.Error(err)
				statuses <- 0
				return
			}
			_ = resp.Body.Close()
			statuses <- resp.StatusCode
		}()
	}
	if sum := <-statuses + <-statuses; sum != http.StatusOK+http.StatusGone {
		t.Errorf("the statuses add up to %d", sum)
	}
	answer, err := l.Wait(t.Context())
	if err != nil || len(answer["code"]) != 1 {
		t.Errorf("%v, %v", answer, err)
	}
}
