package record_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/record"
)

// TestKeyAddRefuses: a key for hosts signs one kind of thing, and nothing that leaf 0
// has a key for.
func TestKeyAddRefuses(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	log, err := record.Log(m)
	if err != nil {
		t.Fatal(err)
	}
	ca := w.AddKey(m, record.KeyHostCA)
	if _, err := m.Append(plain(ca)); err != nil {
		t.Fatal(err)
	}
	wire := func(key any) string {
		public, err := ssh.NewPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		return canon.B64(public.Marshal())
	}
	_, text, _ := strings.Cut(log.LogKey, "+")
	_, text, _ = strings.Cut(text, "+")
	raw, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	fido := ssh.Marshal(struct {
		Type, Key, App string
	}{ssh.KeyAlgoSKED25519, strings.Repeat("k", ed25519.PublicKeySize), "ssh:"})
	for _, c := range []struct {
		name string
		bend func(*record.KeyAdd)
		want error
	}{
		{"the same key again", func(f *record.KeyAdd) { f.Key = ca.Key }, record.ErrExists},
		{"the same key for something else", func(f *record.KeyAdd) { f.Key, f.Purpose = ca.Key, record.KeyKRL }, record.ErrExists},
		{"the user CA", func(f *record.KeyAdd) { f.Key = log.UserCA }, record.ErrEvent},
		{"the log key", func(f *record.KeyAdd) { f.Key = wire(ed25519.PublicKey(raw[1:])) }, record.ErrEvent},
		{"no purpose", func(f *record.KeyAdd) { f.Purpose = "" }, canon.ErrNotCanonical},
		{"another purpose", func(f *record.KeyAdd) { f.Purpose = "user-ca" }, record.ErrEvent},
		{"no key", func(f *record.KeyAdd) { f.Key = "" }, canon.ErrNotCanonical},
		{"no base64", func(f *record.KeyAdd) { f.Key = "?" }, record.ErrEvent},
		{"a key that somebody has to touch", func(f *record.KeyAdd) { f.Key = canon.B64(fido) }, record.ErrEvent},
		{"lists signed by another algorithm", func(f *record.KeyAdd) {
			f.Purpose, f.Key = record.KeyKRL, wire(other.Public())
		}, record.ErrEvent},
	} {
		f := w.AddKey(m, record.KeyHostCA)
		c.bend(&f)
		if _, err := m.Append(plain(f)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// TestKeysOldestFirst: the newest key of a purpose stands last, whatever it hashes
// to, and keys of other purposes are not among them.
func TestKeysOldestFirst(t *testing.T) {
	t.Parallel()
	w, m := newLedger(t)
	var want []string
	for range 8 {
		f := w.AddKey(m, record.KeyKRL)
		if _, err := m.Append(plain(f)); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Append(plain(w.AddKey(m, record.KeyHostCA))); err != nil {
			t.Fatal(err)
		}
		want = append(want, f.Key)
	}
	rows, err := record.Keys(m, record.KeyKRL)
	if err != nil || len(rows) != len(want) {
		t.Fatalf("%d keys, %v, want %d", len(rows), err, len(want))
	}
	for i, row := range rows {
		if row.Key != want[i] || row.Purpose != record.KeyKRL {
			t.Errorf("key %d is %s for %s", i, row.Key, row.Purpose)
		}
	}
}
