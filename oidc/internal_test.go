package oidc

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// idle is a listener that nobody connects to.
type idle struct {
	closed chan struct{}
}

func (l idle) Accept() (net.Conn, error) {
	<-l.closed
	return nil, net.ErrClosed
}

func (l idle) Close() error {
	close(l.closed)
	return nil
}

func (idle) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 7} }

func TestLoopbackTimesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		l := serveLoopback(idle{make(chan struct{})})
		begun := time.Now()
		_, err := l.Wait(t.Context())
		if !errors.Is(err, ErrNoAnswer) || !strings.Contains(err.Error(), "2m0s") {
			t.Errorf("got %v", err)
		}
		if d := time.Since(begun); d != 2*time.Minute {
			t.Errorf("after %s", d)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestLoopbackSaysThatListeningEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ln := idle{make(chan struct{})}
		close(ln.closed)
		l := serveLoopback(broken{ln})
		if _, err := l.Wait(t.Context()); !errors.Is(err, ErrNoAnswer) || !errors.Is(err, net.ErrClosed) {
			t.Errorf("got %v", err)
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
}

// broken is a listener that is already closed.
type broken struct{ idle }

func (broken) Close() error { return nil }

func TestCauseShowsOnlyPrintableASCII(t *testing.T) {
	t.Parallel()
	inner := errors.New("x509: valid for \x1b[31m\u202e\nevil" + strings.Repeat("x", 500))
	got := cause{inner}
	if !errors.Is(got, inner) || len(got.Error()) != maxCauseBytes || !strings.HasPrefix(got.Error(), "x509: valid for ?[31m??evil") {
		t.Errorf("got %q", got)
	}
}

// TestNoValueWithoutError: a clock that leaps while a caller looks must not
// yield an empty value that passes for an answer.
func TestNoValueWithoutError(t *testing.T) {
	t.Parallel()
	// Five looks at the clock for the first get, then three a second later and
	// one two days later.
	leaps := []time.Duration{0, 0, 0, 0, 0, time.Second, time.Second, time.Second, 48 * time.Hour}
	begun := time.Unix(1_800_000_000, 0)
	now := func() time.Time {
		at := begun.Add(leaps[0])
		if len(leaps) > 1 {
			leaps = leaps[1:]
		}
		return at
	}
	f := newFetched(now, metadataTimes(), func(context.Context) (string, error) { return "good", nil })
	if v, err := f.get(t.Context(), func(string) bool { return true }); v != "good" || err != nil {
		t.Fatalf("first: %q, %v", v, err)
	}
	if v, err := f.get(t.Context(), func(string) bool { return false }); v != "" || !errors.Is(err, ErrUnreachable) || len(leaps) != 1 {
		t.Errorf("second: %q, %v, %d looks left", v, err, len(leaps)-1)
	}
}

// FuzzClaims feeds payloads that a provider signed. Whatever they hold, an
// identity comes out sound or not at all.
func FuzzClaims(f *testing.F) {
	issuer := Issuer{ID: "corp", URL: "https://id.corp.test", ClientID: "c", Algs: []string{"RS256"}, SubjectClaim: "oid", GroupsClaim: "groups"}
	now := time.Unix(1_800_000_000, 0)
	f.Fuzz(func(t *testing.T, payload []byte) {
		c, err := parseClaims(payload)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error without a sentinel: %v", err)
			}
			return
		}
		id, err := issuer.identity(c, Expect{Nonce: "n", MaxAge: time.Hour}, now)
		if err != nil {
			return
		}
		checkIdentity(t, id, now)
		// A reader that ignores case and takes the last of two must see the same.
		var std struct{ Iss, Sub, Nonce, Oid string }
		if err := json.Unmarshal(payload, &std); err == nil && (std.Iss != issuer.URL || std.Sub == "" || std.Nonce != "n") {
			t.Fatalf("encoding/json reads %+v", std)
		}
	})
}

func checkIdentity(t *testing.T, id Identity, now time.Time) {
	t.Helper()
	if id.Subject == "" || !clean(id.Subject, MaxSubjectBytes) {
		t.Fatalf("subject %q", id.Subject)
	}
	for _, s := range append([]string{id.Name, id.Email, id.Handle, id.ACR}, id.AMR...) {
		if !clean(s, 320) {
			t.Fatalf("text %q", s)
		}
	}
	if len(id.Groups) > MaxGroups || !slices.IsSorted(id.Groups) || id.GroupsKnown != (id.GroupsWhy == "") || !id.GroupsKnown && id.Groups != nil {
		t.Fatalf("groups %q known %v why %q", id.Groups, id.GroupsKnown, id.GroupsWhy)
	}
	for i, g := range id.Groups {
		if g == "" || !clean(g, MaxGroupBytes) || i > 0 && id.Groups[i-1] == g {
			t.Fatalf("group %q", g)
		}
	}
	if !now.Before(id.Expires) || id.IssuedAt.Sub(now).Abs() > MaxSkew || id.Expires.Sub(id.IssuedAt) > MaxLifetime || now.Sub(id.AuthTime) > time.Hour {
		t.Fatalf("times %s %s %s", id.AuthTime, id.IssuedAt, id.Expires)
	}
}

// FuzzHeader feeds JWS headers, which nobody signed yet.
func FuzzHeader(f *testing.F) {
	issuer := Issuer{ID: "corp", Algs: []string{"RS256", "ES256"}}
	f.Fuzz(func(t *testing.T, header []byte) {
		err := issuer.checkHeader(header)
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrAlgorithm) {
				t.Fatalf("error without a sentinel: %v", err)
			}
			return
		}
		var std struct{ Alg string }
		if err := json.Unmarshal(header, &std); err != nil || std.Alg != "RS256" && std.Alg != "ES256" {
			t.Fatalf("accepted, but encoding/json reads %q, %v", std.Alg, err)
		}
	})
}
