package trust_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/ledger/trust"
)

func FuzzParseBundle(f *testing.F) {
	good := text(f, bundle(f))
	f.Add(good)
	f.Add(strings.Replace(good, `"number":1`, `"number":01`, 1))
	f.Add(strings.Replace(good, `"need":2`, `"need":9007199254740992`, 1))
	f.Add(`{"v":"sallyport.bundle/v1"}`)
	f.Fuzz(func(t *testing.T, s string) {
		b, err := trust.ParseBundle(s)
		if err != nil {
			return
		}
		if again, err := trust.Make(b); err != nil || again != s {
			t.Fatalf("read %q, written %q, %v", s, again, err)
		}
		if _, err := b.Policy(); err != nil {
			t.Fatalf("a bundle without a policy: %v", err)
		}
	})
}

// FuzzNext gives a host files for the next bundle: it takes none but the one that
// enough roots have signed.
func FuzzNext(f *testing.F) {
	current := bundle(f)
	next := following(current, func(b *trust.Bundle) { b.UserCAs = append(b.UserCAs, key(f, "next user CA")) })
	want := text(f, next)
	good := file(f, next, everybody...)
	f.Add(good)
	f.Add(file(f, next))
	f.Add(file(f, current, everybody...))
	f.Add(bytes.Replace(good, []byte(`"number\":2`), []byte(`"number\":3`), 1))
	f.Add([]byte(`{"bundle":"{}","signatures":[{"name":"ada","party":"acme","signature":"-----BEGIN SSH SIGNATURE-----\n"}]}`))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := trust.Next(current, file, now)
		if err != nil {
			return
		}
		if s.Text != want {
			t.Fatalf("forged: %q", s.Text)
		}
		if again, err := s.Marshal(); err != nil || !bytes.Equal(again, file) {
			t.Fatalf("read %q, written %q, %v", file, again, err)
		}
	})
}

func FuzzOpenKRL(f *testing.F) {
	b, want := bundle(f), statement()
	good := krlFile(f, want, "krl", trust.KRLNamespace)
	f.Add(good)
	f.Add(krlFile(f, want, "thief", trust.KRLNamespace))
	f.Add(bytes.Replace(good, []byte(`"number\":17`), []byte(`"number\":18`), 1))
	f.Fuzz(func(t *testing.T, file []byte) {
		if got, err := b.OpenKRL(file); err == nil && got != want {
			t.Fatalf("forged: %+v", got)
		}
	})
}
