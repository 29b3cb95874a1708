package hostcall_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

func TestInvitations(t *testing.T) {
	t.Parallel()
	for _, origin := range []string{"x.example", "ledger.example/prod", "a/b/c"} {
		i, err := hostcall.NewInvitation(rand.Reader, origin, canon.Digest{7})
		if err != nil {
			t.Fatal(err)
		}
		text := i.Reveal()
		again, err := hostcall.ParseInvitation(text)
		if err != nil || again != i || len(text) > 160 {
			t.Errorf("%d characters are read as %+v, %v", len(text), again, err)
		}
		for at := range text { // no single character can be another, or be left out
			other := byte('a')
			if text[at] == 'a' {
				other = 'b'
			}
			for _, bad := range []string{text[:at] + string(other) + text[at+1:], text[:at] + text[at+1:]} {
				if got, err := hostcall.ParseInvitation(bad); !errors.Is(err, hostcall.ErrInvitation) {
					t.Fatalf("character %d changed: %+v, %v", at, got, err)
				}
			}
		}
	}
	for _, bad := range []string{"", "sallyport-join-1.", "sallyport-join-2.aaaa.x.example", strings.Repeat("a", 1000), "sallyport-join-1." + strings.Repeat("a", 109) + ".x.example"} {
		if _, err := hostcall.ParseInvitation(bad); !errors.Is(err, hostcall.ErrInvitation) {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

// TestPromiseP15_InvitationsAreNotPrinted: only Reveal shows an invitation's secret.
func TestPromiseP15_InvitationsAreNotPrinted(t *testing.T) {
	t.Parallel()
	i, err := hostcall.NewInvitation(rand.Reader, "x.example", canon.Digest{7})
	if err != nil {
		t.Fatal(err)
	}
	var logged bytes.Buffer
	slog.New(slog.NewJSONHandler(&logged, nil)).InfoContext(t.Context(), "invited", slog.Any("invitation", i), slog.Any("pointer", &i))
	text, _ := json.Marshal(i) // it refuses
	secret := i.Reveal()[50:70]
	for _, s := range []string{fmt.Sprint(i), fmt.Sprintf("%+v", i), fmt.Sprintf("%#v", &i), fmt.Sprintf("%x", i), fmt.Sprintf("%q", i), string(text), logged.String()} {
		if strings.Contains(s, secret) || strings.Contains(s, canon.B64(i.Secret[:])) || strings.Contains(s, fmt.Sprintf("%x", i.Secret)) || strings.Contains(s, fmt.Sprint(i.Secret[:])) {
			t.Errorf("it shows the secret: %s", s)
		}
	}
}

func FuzzParseInvitation(f *testing.F) {
	i, err := hostcall.NewInvitation(rand.Reader, "ledger.example/prod", canon.Digest{7})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(i.Reveal())
	f.Add("sallyport-join-1..x")
	f.Fuzz(func(t *testing.T, text string) {
		i, err := hostcall.ParseInvitation(text)
		if err != nil {
			if !errors.Is(err, hostcall.ErrInvitation) {
				t.Errorf("%v", err)
			}
			return
		}
		if i.Reveal() != text {
			t.Errorf("%q is written as %q", text, i.Reveal())
		}
	})
}
