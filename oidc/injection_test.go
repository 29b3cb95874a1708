package oidc_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab/idp"
	"github.com/sallyport/sallyport/internal/lab/payloads"
	"github.com/sallyport/sallyport/internal/lab/robot"
	"github.com/sallyport/sallyport/oidc"
)

// An account may be called as it likes in every claim: what Verify returns is text
// without what a terminal or a page would obey, the subject and groups exactly what
// the provider says, or else refused and unknown in words.
func TestPromiseP16_ClaimsAreText(t *testing.T) {
	t.Parallel()
	all := payloads.All()
	var accounts []idp.Account
	for i, p := range all {
		n := strconv.Itoa(i)
		accounts = append(accounts, idp.Account{
			Username: n, Password: n, Subject: p.Text, Name: p.Text, Handle: p.Text, Email: p.Text, Groups: []string{"engineers", p.Text},
		})
	}
	s, err := idp.Start(t.Context(), idp.Config{Accounts: accounts, Algorithm: "ES256"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	p := mustNew(t, oidc.Issuer{ID: "demo", URL: s.URL(), ClientID: idp.CLIClient, Algs: []string{"ES256"}, GroupsClaim: "groups"}, time.Now)
	accepted := 0
	for i, payload := range all {
		id, err := claimed(t, p, strconv.Itoa(i))
		sent := strings.ToValidUTF8(payload.Text, "\ufffd") // JSON has no other bytes
		switch {
		case err == nil && id.Subject != sent:
			t.Errorf("%s: the subject %q became %q", payload.Name, sent, id.Subject)
		case err != nil && !errors.Is(err, oidc.ErrSubject):
			t.Errorf("%s: %v", payload.Name, err)
		case err != nil:
			if err := payloads.Seen(err.Error()); err != nil {
				t.Errorf("%s: the refusal: %v", payload.Name, err)
			}
			continue
		}
		accepted++
		if id.GroupsKnown == (len(id.Groups) == 0) || (id.GroupsKnown && strings.Join(id.Groups, "\n") != strings.Join(sortedPair("engineers", sent), "\n")) {
			t.Errorf("%s: groups %q, known: %t", payload.Name, id.Groups, id.GroupsKnown)
		}
		for _, text := range []string{id.Name, id.Handle, id.Email} {
			if text != strings.TrimSpace(text) {
				t.Errorf("%s: somebody is called %q", payload.Name, text)
			}
		}
		for _, text := range append([]string{id.Subject, id.Name, id.Handle, id.Email}, id.Groups...) {
			if at := strings.IndexFunc(text, commands); at >= 0 {
				t.Errorf("%s: %q was let through", payload.Name, text)
			}
		}
	}
	if accepted < len(all)/3 {
		t.Errorf("%d of %d were accepted; most are plain characters", accepted, len(all))
	}
}

// commands are the characters that are told to a terminal, or change in which order
// text is read; the others that nobody sees are spelled out where they are shown.
func commands(r rune) bool {
	return r < ' ' || r >= 0x7f && r < 0xa0 || r >= 0x200b && r <= 0x200f || r >= 0x2028 && r <= 0x202e || r >= 0x2060 && r <= 0x206f || r == 0xfeff
}

func sortedPair(a, b string) []string {
	if b < a {
		return []string{b, a}
	}
	return []string{a, b}
}

// claimed logs in and returns what is claimed.
func claimed(t *testing.T, p *oidc.Provider, username string) (oidc.Identity, error) {
	t.Helper()
	l, err := oidc.ListenLoopback(0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}()
	authURL, pending, err := p.Start(t.Context(), l.RedirectURI(), "nonce", nil)
	if err != nil {
		t.Fatal(err)
	}
	browser, err := robot.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer browser.Close()
	if _, err := browser.LogIn(t.Context(), authURL, username, username); err != nil {
		t.Fatal(err)
	}
	answer, err := l.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := p.Exchange(t.Context(), pending, answer)
	if err != nil {
		t.Fatal(err)
	}
	return p.Verify(t.Context(), raw, oidc.Expect{Nonce: "nonce", Flow: "code"})
}
