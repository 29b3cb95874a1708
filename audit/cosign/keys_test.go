package cosign_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/audit/cosign"
	"github.com/sallyport/sallyport/internal/lab/hostile"
	"github.com/sallyport/sallyport/ledger/witness"
	"github.com/sallyport/sallyport/oidc"
)

// mustEC draws a key that no identity provider has.
func mustEC() *ecdsa.PrivateKey {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return k
}

// TestPromiseP14_NoKeysNoVerdict: while the identity provider can't be asked there
// is no verdict on a login, and so no word; then there is.
func TestPromiseP14_NoKeysNoVerdict(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "no keys")
	w.away = oidc.ErrUnreachable
	w.issued()
	for range 2 {
		if err := w.judge(); err == nil || errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), "can't be judged yet") {
			t.Fatalf("%v, want no verdict", err)
		}
		w.open()
	}
	if len(w.alarms) != 0 {
		t.Errorf("alarms %v about what is not judged", w.alarms)
	}
	w.away = nil
	w.ahead = 10 * time.Second
	if err := w.judge(); err != nil {
		t.Errorf("once it answers: %v", err)
	}
	// A provider that is away is not needed for people who are known.
	w.away = oidc.ErrUnreachable
	w.pass(time.Second)
	w.issued()
	if err := w.judge(); err != nil {
		t.Errorf("away again: %v", err)
	}
}

// TestPromiseP12_KeysOfTheirTime: a key that the provider has changed is still good
// for logins of its time, and not for later ones.
func TestPromiseP12_KeysOfTheirTime(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "keys of their time")
	w.issued()
	must(t, w.judge())
	changed := mustEC()
	w.keys = []oidc.Key{jwk(t, changed.Public(), "ec")}
	w.pass(20 * time.Minute)
	// An early login that is opened only now: by the key of its time.
	early := w.w.User("frank", "engineers")
	must(t, w.w.LogIn(w.m, early))
	w.signTokens(hostile.SignEC(changed, false, 32))
	w.pass(time.Minute)
	must(t, w.w.LogIn(w.m, w.w.Bob))
	must(t, w.w.LogIn(w.m, w.w.Alice))
	w.issued()
	if err := w.judge(); err != nil {
		t.Fatalf("with the new key: %v", err)
	}
	w.open()
	w.append(w.w.Submit(w.m, early, w.w.Ask(w.m, early)))
	w.sync()
	if err := w.judge(); err != nil {
		t.Errorf("a login from when the old key was good: %v", err)
	}
	// Whoever has stolen the old key is too late.
	w.pass(20 * time.Minute)
	w.signTokens(hostile.SignEC(hostile.Keys().EC, false, 32))
	late := w.w.User("grace", "engineers")
	must(t, w.w.LogIn(w.m, late))
	w.append(w.w.Submit(w.m, late, w.w.Ask(w.m, late)))
	w.sync()
	if err := w.judge(); !errors.Is(err, witness.ErrUnjustified) || !strings.Contains(err.Error(), oidc.ErrSignature.Error()) {
		t.Errorf("a login by the old key: %v, want ErrUnjustified", err)
	}
}

// TestTornJournal: what was being written when the machine stopped is cut off, and
// had again; what was changed otherwise is refused.
func TestTornJournal(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "torn")
	w.issued()
	must(t, w.judge())
	path := filepath.Join(w.dir, "journal")
	whole, err := os.ReadFile(path)
	must(t, err)
	w.pass(time.Second)
	w.issued()
	must(t, w.judge())
	more, err := os.ReadFile(path)
	must(t, err)
	must(t, w.c.Close())
	w.c = nil
	for cut := len(whole); cut < len(more); cut += 97 {
		must(t, os.WriteFile(path, more[:cut], 0o600))
		w.open()
		if err := w.judge(); err != nil {
			t.Fatalf("cut at %d of %d: %v", cut, len(more), err)
		}
		must(t, w.c.Close())
		w.c = nil
	}
	for name, text := range map[string]string{
		"a changed line":         strings.Replace(string(more), `"leaf":true`, `"leaf":trve`, 1),
		"the first line cut":     string(more[:20]),
		"a fact that is no fact": strings.Replace(string(more), `"facts":{`, `"facts":{"x":1,`, 1),
		"another version":        strings.Replace(string(more), "sallyport.cosigner/v1", "sallyport.cosigner/v2", 1),
		"an accepted non-number": string(more) + `{"accept":"x"}` + "\n",
		"a tree that is no tree": string(more) + `{"seen_at":1,"tree":"x"}` + "\n",
		"a leaf that is no leaf": string(more) + "{\"leaf\":true}\n{\"index\":1,\"leaf\":\"x\"}\n{\"seen_at\":1,\"tree\":\"x\"}\n",
	} {
		must(t, os.WriteFile(path, []byte(text), 0o600))
		if c, err := cosign.Open(w.config()); err == nil {
			t.Errorf("%s is read", name)
			must(t, c.Close())
		}
	}
	must(t, os.WriteFile(path, more, 0o600))
	c := w.config()
	c.Origin = "other.example"
	if _, err := cosign.Open(c); err == nil || !strings.Contains(err.Error(), "each has a folder of its own") {
		t.Errorf("another ledger's: %v", err)
	}
	must(t, os.WriteFile(filepath.Join(w.dir, "keys"), []byte(`{"providers":[],"v":"x"}`), 0o600))
	if _, err := cosign.Open(w.config()); !errors.Is(err, cosign.ErrState) {
		t.Errorf("keys of another version: %v", err)
	}
}
