package oidc_test

import (
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/oidc"
)

// TestVerifyRefuses brings ID tokens that are each wrong in one way.
func TestVerifyRefuses(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, func(i *oidc.Issuer) { i.ClientSecret = secret })
	good, k := h.Forge(), hostile.Keys()
	now := h.Clock.Now().Unix()
	public, err := x509.MarshalPKIXPublicKey(k.RSA.Public())
	if err != nil {
		t.Fatal(err)
	}
	set := func(name string, v any) *hostile.Forged { return good.With(map[string]any{name: v}) }
	alg := func(name string, v any) *hostile.Forged { return good.Headed(map[string]any{name: v}) }
	stranger := good.Signed(hostile.SignRSA(k.Other))
	ec := good.Headed(map[string]any{"alg": "ES256", "kid": "ec"})

	for _, tt := range []struct {
		name  string
		token fmt.Stringer
		want  error
	}{
		// Signature (O1–O14)
		{"signed by a stranger", stranger, oidc.ErrSignature},
		{"stranger, unknown kid", stranger.Headed(map[string]any{"kid": "mine"}), oidc.ErrSignature},
		{"stranger, no kid", stranger.Headed(map[string]any{"kid": nil}), oidc.ErrSignature},
		{"stranger, own key in jwk", stranger.Headed(map[string]any{"jwk": jose.JSONWebKey{Key: k.Other.Public()}}), oidc.ErrSignature},
		{"stranger, own keys at jku", stranger.Headed(map[string]any{"jku": "http://127.0.0.1:1/", "x5u": "http://127.0.0.1:1/"}), oidc.ErrSignature},
		{"no signature", good.Signed(hostile.Unsigned), oidc.ErrSignature},
		{"alg none", alg("alg", "none").Signed(hostile.Unsigned), oidc.ErrAlgorithm},
		{"alg None", alg("alg", "None").Signed(hostile.Unsigned), oidc.ErrAlgorithm},
		{"alg NONE", alg("alg", "NONE").Signed(hostile.Unsigned), oidc.ErrAlgorithm},
		{"alg missing", alg("alg", nil), oidc.ErrAlgorithm},
		{"alg a number", alg("alg", 256), oidc.ErrAlgorithm},
		{"alg of the list in lower case", alg("alg", "rs256"), oidc.ErrAlgorithm},
		{"HS256 with the public key", alg("alg", "HS256").Signed(hostile.SignHMAC(public)), oidc.ErrAlgorithm},
		{"HS256 with the client secret", alg("alg", "HS256").Signed(hostile.SignHMAC([]byte(secret))), oidc.ErrAlgorithm},
		{"asymmetric but not in the contract", alg("alg", "RS512"), oidc.ErrAlgorithm},
		{"key of another kind", alg("kid", "ec"), oidc.ErrSignature},
		{"PSS signature called PKCS1", good.Signed(hostile.SignPSS(k.RSA)), oidc.ErrSignature},
		{"ES256 with r and s swapped", ec.Signed(hostile.SignEC(k.EC, true, 32)), oidc.ErrSignature},
		{"ES256 cut short", ec.Signed(hostile.SignEC(k.EC, false, 31)), oidc.ErrSignature},
		{"crit", alg("crit", []string{"exp"}), oidc.ErrMalformed},
		{"b64 false", good.Headed(map[string]any{"b64": false, "crit": []string{"b64"}}), oidc.ErrMalformed},
		{"access token", alg("typ", "at+jwt"), oidc.ErrMalformed},
		{"logout token", alg("typ", "logout+jwt"), oidc.ErrMalformed},
		{"ALG beside alg", alg("ALG", "none"), oidc.ErrMalformed},

		// Form
		{"empty", text(""), oidc.ErrMalformed},
		{"not a token", text("junk"), oidc.ErrMalformed},
		{"four parts", text(good.String() + ".x"), oidc.ErrMalformed},
		{"encrypted", text(strings.Repeat("eyJ9.", 4) + "eyJ9"), oidc.ErrMalformed},
		{"JSON serialisation", text(`{"payload":"e30","signatures":[]}`), oidc.ErrMalformed},
		{"padded", text(good.String() + "="), oidc.ErrMalformed},
		{"line break", text(strings.Replace(good.String(), ".", "\n.", 1)), oidc.ErrMalformed},
		{"huge", text(good.String() + strings.Repeat("A", oidc.MaxTokenBytes)), oidc.ErrTokenTooLarge},
		{"huge but signed", set("filler", strings.Repeat("x", oidc.MaxTokenBytes)), oidc.ErrTokenTooLarge},
		{"nested token", good.Raw(`"eyJ9.e30."`), oidc.ErrMalformed},
		{"payload an array", good.Raw(`[]`), oidc.ErrMalformed},
		{"payload with a tail", good.Raw(`{%s} {}`), oidc.ErrMalformed},
		{"payload not UTF-8", good.Raw("{%s,\"x\":\"\xff\"}"), oidc.ErrMalformed},
		{"payload nested deeply", good.Raw(`{%s,"x":` + strings.Repeat("[", 50) + strings.Repeat("]", 50) + `}`), oidc.ErrMalformed},
		{"sub twice", good.Raw(`{%s,"sub":"u-2"}`), oidc.ErrMalformed},
		{"sub twice, escaped", good.Raw(`{%s,"\u0073ub":"u-2"}`), oidc.ErrMalformed},
		{"Sub beside sub", good.Raw(`{%s,"Sub":"u-2"}`), oidc.ErrMalformed},
		{"long s in ſub", good.Raw(`{%s,"ſub":"u-2"}`), oidc.ErrMalformed},
		{"twice inside a claim", good.Raw(`{%s,"x":[{"y":1,"y":2}]}`), oidc.ErrMalformed},
		{"distributed claims without sources", set("_claim_names", map[string]string{"groups": "src"}), oidc.ErrMalformed},

		// Parties (O15–O19)
		{"other issuer", set("iss", "https://evil.test"), oidc.ErrIssuer},
		{"issuer with a slash", set("iss", h.URL+"/"), oidc.ErrIssuer},
		{"issuer in upper case", set("iss", strings.ToUpper(h.URL)), oidc.ErrIssuer},
		{"no issuer", set("iss", nil), oidc.ErrIssuer},
		{"issuer an array", set("iss", []string{h.URL}), oidc.ErrMalformed},
		{"no audience", set("aud", nil), oidc.ErrMalformed},
		{"audience null", good.Raw(`{"aud":null,` + strings.Trim(string(hostile.MustJSON(set("aud", nil).Claims)), "{}") + `}`), oidc.ErrMalformed},
		{"empty audience", set("aud", []string{}), oidc.ErrAudience},
		{"other audience", set("aud", "sallyport-web"), oidc.ErrAudience},
		{"audience in upper case", set("aud", strings.ToUpper(clientID)), oidc.ErrAudience},
		{"audience with us inside", set("aud", "x "+clientID), oidc.ErrAudience},
		{"two audiences without azp", set("aud", []string{clientID, "x"}), oidc.ErrAudience},
		{"same audience twice without azp", set("aud", []string{clientID, clientID}), oidc.ErrAudience},
		{"azp of a stranger", set("azp", "x"), oidc.ErrAudience},
		{"azp empty", set("azp", ""), oidc.ErrAudience},
		{"azp an array", set("azp", []string{clientID}), oidc.ErrMalformed},

		// Times (O21–O23, O25, O29)
		{"no exp", set("exp", nil), oidc.ErrMalformed},
		{"no iat", set("iat", nil), oidc.ErrMalformed},
		{"expired now", set("exp", now), oidc.ErrExpired},
		{"expired a second ago", set("exp", now-1), oidc.ErrExpired},
		{"exp a string", set("exp", fmt.Sprint(now+60)), oidc.ErrMalformed},
		{"exp a fraction", set("exp", float64(now)+60.5), oidc.ErrMalformed},
		{"exp with an exponent", good.Raw(`{"exp":1e10,` + strings.Trim(string(hostile.MustJSON(set("exp", nil).Claims)), "{}") + `}`), oidc.ErrMalformed},
		{"exp beyond numbers", good.Raw(`{"exp":1e400,` + strings.Trim(string(hostile.MustJSON(set("exp", nil).Claims)), "{}") + `}`), oidc.ErrMalformed},
		{"exp negative", set("exp", -1), oidc.ErrMalformed},
		{"exp in the year 10000", set("exp", int64(253402300800)), oidc.ErrMalformed},
		{"iat a string", set("iat", "now"), oidc.ErrMalformed},
		{"iat 301 s ahead", set("iat", now+301), oidc.ErrNotYet},
		{"iat tomorrow", good.With(map[string]any{"iat": now + 86400, "exp": now + 90000}), oidc.ErrNotYet},
		{"iat 301 s ago", set("iat", now-301), oidc.ErrTokenTooOld},
		{"nbf 301 s ahead", set("nbf", now+301), oidc.ErrNotYet},
		{"nbf a string", set("nbf", "now"), oidc.ErrMalformed},
		{"lives a day and a second", set("exp", now+86401), oidc.ErrLifetime},
		{"lives 100 days", set("exp", now+8640000), oidc.ErrLifetime},
		{"exp not after iat", good.With(map[string]any{"iat": now + 200, "exp": now + 100}), oidc.ErrLifetime},
		{"auth_time ahead", set("auth_time", now+301), oidc.ErrNotYet},
		{"auth_time a string", set("auth_time", "now"), oidc.ErrMalformed},

		// Nonce and person (O20, O24)
		{"no nonce", set("nonce", nil), oidc.ErrNonce},
		{"empty nonce", set("nonce", ""), oidc.ErrNonce},
		{"other nonce", set("nonce", goodNonce+"x"), oidc.ErrNonce},
		{"nonce an array", set("nonce", []string{goodNonce}), oidc.ErrMalformed},
		{"no sub", set("sub", nil), oidc.ErrSubject},
		{"empty sub", set("sub", ""), oidc.ErrSubject},
		{"sub a number", set("sub", 7), oidc.ErrMalformed},
		{"sub of 256 bytes", set("sub", strings.Repeat("x", 256)), oidc.ErrSubject},
		{"sub with a line break", set("sub", "u\n1"), oidc.ErrSubject},
		{"sub with an override mark", set("sub", "u\u202e1"), oidc.ErrSubject},
		{"sub not composed", set("sub", "e\u0301"), oidc.ErrSubject},
		{"sub with half a character", good.Raw(`{"sub":"u\ud800",` + strings.Trim(string(hostile.MustJSON(set("sub", nil).Claims)), "{}") + `}`), oidc.ErrSubject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := tt.token.String()
			id, err := p.Verify(t.Context(), raw, oidc.Expect{Nonce: goodNonce})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, %v; want %v", id, err, tt.want)
			}
			if id.Subject != "" || id.Raw != "" {
				t.Errorf("an identity came with the error: %v", id)
			}
			if err := leaks(err, raw); err != nil {
				t.Error(err)
			}
		})
	}
}

type text string

func (s text) String() string { return string(s) }

// TestVerifyAccepts brings ID tokens that differ in ways that are allowed.
func TestVerifyAccepts(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	good, k := h.Forge(), hostile.Keys()
	now := h.Clock.Now().Unix()
	for _, tt := range []struct {
		name  string
		token *hostile.Forged
	}{
		{"RS256", good},
		{"PS256", good.Headed(map[string]any{"alg": "PS256"}).Signed(hostile.SignPSS(k.RSA))},
		{"ES256", good.Headed(map[string]any{"alg": "ES256", "kid": "ec"}).Signed(hostile.SignEC(k.EC, false, 32))},
		{"EdDSA", good.Headed(map[string]any{"alg": "EdDSA", "kid": "ed"}).Signed(hostile.SignEd(k.Ed))},
		{"no kid", good.Headed(map[string]any{"kid": nil})},
		{"no typ", good.Headed(map[string]any{"typ": nil})},
		{"typ in lower case", good.Headed(map[string]any{"typ": "jwt"})},
		{"unused header parameters", good.Headed(map[string]any{"x5t": "x", "jku": "http://127.0.0.1:1/"})},
		{"audience an array", good.With(map[string]any{"aud": []string{clientID}})},
		{"two audiences and azp", good.With(map[string]any{"aud": []string{"x", clientID}, "azp": clientID})},
		{"iat 300 s ahead", good.With(map[string]any{"iat": now + 300, "exp": now + 301})},
		{"iat 300 s ago", good.With(map[string]any{"iat": now - 300})},
		{"last second", good.With(map[string]any{"exp": now + 1})},
		{"lives a day", good.With(map[string]any{"exp": now + 86400})},
		{"sub of 255 bytes", good.With(map[string]any{"sub": strings.Repeat("x", 255)})},
		{"no auth_time", good.With(map[string]any{"auth_time": nil})},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := tt.token.String()
			id, err := p.Verify(t.Context(), raw, oidc.Expect{Nonce: goodNonce, Flow: "code"})
			if err != nil {
				t.Fatal(err)
			}
			if id.Issuer != h.URL || id.Client != clientID || id.Flow != "code" || id.Subject != tt.token.Claims["sub"] || id.Raw != raw {
				t.Errorf("got %#v, raw %d bytes", id, len(id.Raw))
			}
			if id.Expires.Unix() != tt.token.Claims["exp"] || id.IssuedAt.Unix() != tt.token.Claims["iat"] {
				t.Errorf("times are %s and %s", id.IssuedAt, id.Expires)
			}
			if _, ok := tt.token.Claims["auth_time"]; ok == id.AuthTime.IsZero() {
				t.Errorf("auth_time is %s", id.AuthTime)
			}
		})
	}
}

func TestMaxAge(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	now := h.Clock.Now().Unix()
	for _, tt := range []struct {
		name     string
		authTime any
		maxAge   time.Duration
		want     error
	}{
		{"recent", now - 60, time.Minute, nil},
		{"a second too old", now - 61, time.Minute, oidc.ErrAuthTime},
		{"missing", nil, time.Minute, oidc.ErrAuthTime},
		{"missing and not asked", nil, 0, nil},
		{"old and not asked", now - 86400, 0, nil},
		{"negative bound", now, -time.Second, oidc.ErrAuthTime},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			raw := h.Forge().With(map[string]any{"auth_time": tt.authTime}).String()
			_, err := p.Verify(t.Context(), raw, oidc.Expect{Nonce: goodNonce, MaxAge: tt.maxAge})
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && strings.Contains(err.Error(), "does not say when") != (tt.authTime == nil) {
				t.Errorf("says %v", err)
			}
		})
	}
}

func TestVerifyNeedsANonce(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	raw := h.Forge().With(map[string]any{"nonce": ""}).String()
	if _, err := h.Provider(t, nil).Verify(t.Context(), raw, oidc.Expect{}); !errors.Is(err, oidc.ErrNonce) {
		t.Errorf("got %v", err)
	}
	if n := h.Count("/keys"); n != 0 {
		t.Errorf("asked for keys %d times", n)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	many := make([]string, oidc.MaxGroups+1)
	for i := range many {
		many[i] = fmt.Sprintf("g%03x", i)
	}
	sources := map[string]any{"_claim_names": map[string]string{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"endpoint": "https://x.test"}}}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   []string // nil: unknown
		why    string
	}{
		{"list", map[string]any{"groups": []string{"b", "a", "b"}}, []string{"a", "b"}, ""},
		{"empty list", map[string]any{"groups": []string{}}, []string{}, ""},
		{"composed name", map[string]any{"groups": []string{"équipe"}}, []string{"équipe"}, ""},
		{"path and spaces", map[string]any{"groups": []string{"/a/b c"}}, []string{"/a/b c"}, ""},
		{"most", map[string]any{"groups": many[:oidc.MaxGroups]}, many[:oidc.MaxGroups], ""},
		{"other claims elsewhere", map[string]any{"_claim_names": map[string]string{"x": "s"}, "_claim_sources": sources["_claim_sources"]}, []string{"a", "b"}, ""},
		{"hasgroups false", map[string]any{"hasgroups": false}, []string{"a", "b"}, ""},

		{"absent", map[string]any{"groups": nil}, nil, "sent no groups"},
		{"null", map[string]any{"groups": jsonNull{}}, nil, "not an array"},
		{"string", map[string]any{"groups": "admins"}, nil, "not an array"},
		{"object", map[string]any{"groups": map[string]bool{"admins": true}}, nil, "not an array"},
		{"number among strings", map[string]any{"groups": []any{"a", 1}}, nil, "not an array"},
		{"null among strings", map[string]any{"groups": []any{"a", nil}}, nil, "not an array"},
		{"nested list", map[string]any{"groups": []any{[]string{"a"}}}, nil, "not an array"},
		{"too many", map[string]any{"groups": many}, nil, "more than 1000"},
		{"elsewhere", map[string]any{"groups": nil, "_claim_names": sources["_claim_names"], "_claim_sources": sources["_claim_sources"]}, nil, "too many"},
		{"some here, more elsewhere", sources, nil, "too many"},
		{"hasgroups", map[string]any{"groups": nil, "hasgroups": true}, nil, "too many"},
		{"hasgroups beside a list", map[string]any{"hasgroups": "true"}, nil, "too many"},
		{"empty name", map[string]any{"groups": []string{"a", ""}}, nil, "empty"},
		{"long name", map[string]any{"groups": []string{strings.Repeat("x", oidc.MaxGroupBytes+1)}}, nil, "longer"},
		{"line break in a name", map[string]any{"groups": []string{"a\nb"}}, nil, "control"},
		{"not composed", map[string]any{"groups": []string{"e\u0301quipe"}}, nil, "NFC"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := p.Verify(t.Context(), h.Forge().With(tt.claims).String(), oidc.Expect{Nonce: goodNonce})
			if err != nil {
				t.Fatal(err)
			}
			if id.GroupsKnown != (tt.want != nil) || !slices.Equal(id.Groups, tt.want) || !strings.Contains(id.GroupsWhy, tt.why) {
				t.Errorf("known %v, %d groups %.60q, why %q", id.GroupsKnown, len(id.Groups), id.Groups, id.GroupsWhy)
			}
			if id.GroupsKnown != (id.GroupsWhy == "") || !id.GroupsKnown && id.Groups != nil {
				t.Errorf("known %v but why %q and groups %v", id.GroupsKnown, id.GroupsWhy, id.Groups)
			}
		})
	}
}

type jsonNull struct{}

func (jsonNull) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func TestGroupsClaimIsTheContracts(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	raw := h.Forge().With(map[string]any{"https://corp.test/roles": []string{"r"}}).String()
	for claim, want := range map[string][]string{"https://corp.test/roles": {"r"}, "": nil} {
		p := h.Provider(t, func(i *oidc.Issuer) { i.GroupsClaim = claim })
		id, err := p.Verify(t.Context(), raw, oidc.Expect{Nonce: goodNonce})
		if err != nil || !slices.Equal(id.Groups, want) || id.GroupsKnown != (want != nil) {
			t.Errorf("claim %q: %v %v (%s), %v", claim, id.GroupsKnown, id.Groups, id.GroupsWhy, err)
		}
	}
}

func TestSubjectClaim(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, func(i *oidc.Issuer) { i.SubjectClaim = "oid" })
	for _, tt := range []struct {
		name    string
		claims  map[string]any
		subject string
		want    error
	}{
		{"other claim", map[string]any{"oid": "o-7"}, "o-7", nil},
		{"other claim missing", nil, "", oidc.ErrSubject},
		{"other claim a number", map[string]any{"oid": 7}, "", oidc.ErrMalformed},
		{"sub still needed", map[string]any{"oid": "o-7", "sub": nil}, "", oidc.ErrSubject},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := p.Verify(t.Context(), h.Forge().With(tt.claims).String(), oidc.Expect{Nonce: goodNonce})
			if !errors.Is(err, tt.want) || id.Subject != tt.subject {
				t.Errorf("got %q, %v", id.Subject, err)
			}
		})
	}
}

// TestDisplayClaims checks claims that are shown or that only strengthen: a bad
// one is left out and the login goes on.
func TestDisplayClaims(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	p := h.Provider(t, nil)
	type got struct{ name, email, handle, acr, amr string }
	base := got{name: "Alice", email: "a@corp.test"}
	for _, tt := range []struct {
		name   string
		claims map[string]any
		want   got
	}{
		{"plain", nil, base},
		{"all", map[string]any{"preferred_username": "al", "acr": "urn:mfa", "amr": []string{"pwd", "otp", "pwd"}}, got{"Alice", "a@corp.test", "al", "urn:mfa", "otp pwd"}},
		{"email_verified false", map[string]any{"email_verified": false}, got{name: "Alice"}},
		{"email_verified missing", map[string]any{"email_verified": nil}, got{name: "Alice"}},
		{"email_verified a string", map[string]any{"email_verified": "true"}, got{name: "Alice"}},
		{"email_verified a number", map[string]any{"email_verified": 1}, got{name: "Alice"}},
		{"email an array", map[string]any{"email": []string{"a@corp.test"}}, got{name: "Alice"}},
		{"name composed for us", map[string]any{"name": "Ame\u0301lie"}, got{name: "Amélie", email: "a@corp.test"}},
		{"name with escape codes", map[string]any{"name": "\x1b[31mroot"}, got{email: "a@corp.test"}},
		{"name with an override mark", map[string]any{"name": "a\u202eb"}, got{email: "a@corp.test"}},
		{"name too long", map[string]any{"name": strings.Repeat("x", 257)}, got{email: "a@corp.test"}},
		{"amr a string", map[string]any{"amr": "mfa"}, base},
		{"amr with a number", map[string]any{"amr": []any{"mfa", 1}}, base},
		{"amr with an empty entry", map[string]any{"amr": []string{"mfa", ""}}, base},
		{"acr a number", map[string]any{"acr": 3}, base},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			id, err := p.Verify(t.Context(), h.Forge().With(tt.claims).String(), oidc.Expect{Nonce: goodNonce})
			if err != nil {
				t.Fatal(err)
			}
			if g := (got{id.Name, id.Email, id.Handle, id.ACR, strings.Join(id.AMR, " ")}); g != tt.want {
				t.Errorf("got %q, want %q", g, tt.want)
			}
		})
	}
}

// TestOneTextPerToken: the last character of a signature has unused bits, which
// a lenient decoder would ignore.
func TestOneTextPerToken(t *testing.T) {
	t.Parallel()
	h := hostile.New(t, false)
	raw := h.Forge().String()
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	other := raw[:len(raw)-1] + string(alphabet[last^1])
	a, errA := base64.RawURLEncoding.DecodeString(raw[strings.LastIndex(raw, ".")+1:])
	b, errB := base64.RawURLEncoding.DecodeString(other[strings.LastIndex(other, ".")+1:])
	if errA != nil || errB != nil || !slices.Equal(a, b) {
		t.Fatal("the two texts should mean the same signature")
	}
	if _, err := h.Provider(t, nil).Verify(t.Context(), other, oidc.Expect{Nonce: goodNonce}); !errors.Is(err, oidc.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}
