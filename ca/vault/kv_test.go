package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

func (w world) kvConfig(t *testing.T, path string) KVConfig {
	t.Helper()
	token, err := w.NewToken(t.Context(), "mark", labvault.KVPolicy(path), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return KVConfig{Address: w.Address(), CAFile: w.CAFile(), TokenFile: tokenFile(t, token), Path: path, Timeout: 10 * time.Second}
}

func openKV(t *testing.T, c KVConfig) *KV {
	t.Helper()
	k, err := OpenKV(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := k.Close(); err != nil {
			t.Error(err)
		}
	})
	return k
}

func wantsKV(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// TestPromiseP11_TheSharedValueIsReplacedOnce: of several who replace the same
// version one succeeds, and nobody replaces what they have not read.
func TestPromiseP11_TheSharedValueIsReplacedOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := w.MountKV(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := w.kvConfig(t, "sallyport/mark")
	one, two := openKV(t, c), openKV(t, c)
	ctx := t.Context()
	_, _, err := one.Read(ctx)
	wantsKV(t, "before the first", err, ErrNoValue)
	_, err = one.Write(ctx, "early", 1)
	wantsKV(t, "a second version before the first", err, ErrMoved)
	version, err := one.Write(ctx, "first\nof two lines\n", 0)
	if err != nil || version != 1 {
		t.Fatalf("version %d, %v", version, err)
	}
	_, err = two.Write(ctx, "another first", 0)
	wantsKV(t, "a first after the first", err, ErrMoved)
	if value, version, err := two.Read(ctx); value != "first\nof two lines\n" || version != 1 || err != nil {
		t.Errorf("%q, version %d, %v", value, version, err)
	}
	var group sync.WaitGroup
	var mu sync.Mutex
	winners := 0
	for n := range 8 {
		group.Go(func() {
			_, err := two.Write(ctx, fmt.Sprint(n), 1)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				winners++
			} else if !errors.Is(err, ErrMoved) {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if winners != 1 {
		t.Errorf("%d replaced the same version", winners)
	}
	cancelled, cancel := context.WithCancel(ctx)
	cancel()
	if version, err := one.Write(cancelled, "whoever asked has left", 2); err != nil || version != 3 {
		t.Errorf("a write whose caller has left: version %d, %v", version, err)
	}
	// A deleted value is none, and is no beginning either.
	if _, err := w.Root().Logical().DeleteWithContext(ctx, labvault.KVMount+"/data/sallyport/mark"); err != nil {
		t.Fatal(err)
	}
	_, _, err = one.Read(ctx)
	wantsKV(t, "deleted", err, ErrNoValue)
	_, err = one.Write(ctx, "again", 0)
	wantsKV(t, "a first after it was deleted", err, ErrMoved)
}

func TestKVRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, labvault.Key{Name: "user-ca", Type: "ed25519"})
	if err := w.MountKV(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	c := w.kvConfig(t, "sallyport/mark")
	k := openKV(t, c)

	other := c
	other.Path = "sallyport/other"
	_, _, err := openKV(t, other).Read(ctx)
	wantsKV(t, "a value that the policy does not name", err, ErrAway)
	other = c
	other.Mount, other.TokenFile = "transit", tokenFile(t, w.Root().Token())
	_, _, err = openKV(t, other).Read(ctx)
	if err == nil {
		t.Error("a value was read from the transit engine")
	}
	if _, err := openKV(t, other).Write(ctx, "x", 0); err == nil {
		t.Error("a value was written to the transit engine")
	}
	if _, err := w.Root().Logical().WriteWithContext(ctx, labvault.KVMount+"/data/sallyport/mark", map[string]any{"data": map[string]any{"note": 7}}); err != nil {
		t.Fatal(err)
	}
	_, _, err = k.Read(ctx)
	wantsKV(t, "a value that is no text", err, ErrKV)

	if err := w.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	_, _, err = k.Read(ctx)
	wantsKV(t, "read while Vault is sealed", err, ErrAway)
	_, err = k.Write(ctx, "x", 1)
	wantsKV(t, "written while Vault is sealed", err, ErrAway)
	if err := w.Unseal(ctx); err != nil {
		t.Fatal(err)
	}
	if version, err := k.Write(ctx, "x", 1); err != nil || version != 2 {
		t.Errorf("after the seal: version %d, %v", version, err)
	}
	// The answer is lost: nobody knows, and who reads finds out.
	c.wrap = func(next http.RoundTripper) http.RoundTripper { return losing{next} }
	_, err = openKV(t, c).Write(ctx, "y", 2)
	wantsKV(t, "an answer that was lost", err, ErrAway)
	if value, version, err := k.Read(ctx); value != "y" || version != 3 || err != nil {
		t.Errorf("%q, version %d, %v", value, version, err)
	}
}

// losing sends requests and loses the answers.
type losing struct{ next http.RoundTripper }

// RoundTrip does it.
func (l losing) RoundTrip(r *http.Request) (*http.Response, error) {
	a, err := l.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	return nil, errors.Join(errors.New("lost"), a.Body.Close())
}

func TestKVConfigRefused(t *testing.T) {
	t.Parallel()
	good := KVConfig{Address: "https://vault.example", TokenFile: "/t", Path: "sallyport/mark"}
	if err := good.Check(); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name   string
		change func(*KVConfig)
		text   string
	}{
		{"no address", func(c *KVConfig) { c.Address = "" }, "address: "},
		{"plain http", func(c *KVConfig) { c.Address = "http://vault.example" }, "address: "},
		{"no path", func(c *KVConfig) { c.Path = "" }, "path: "},
		{"a path that climbs", func(c *KVConfig) { c.Path = "../sys/seal" }, "path: "},
		{"a path with a query", func(c *KVConfig) { c.Path = "a?b=c" }, "path: "},
		{"a mount that is none", func(c *KVConfig) { c.Mount = "/secret/" }, "mount: "},
		{"no token file", func(c *KVConfig) { c.TokenFile = "" }, "token_file: "},
	} {
		c := good
		tt.change(&c)
		if err := c.Check(); !errors.Is(err, ErrConfig) || !strings.HasPrefix(err.Error(), tt.text) {
			t.Errorf("%s: %v, want a refusal of %s", tt.name, err, tt.text)
		}
		if _, err := OpenKV(c); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: opened, %v", tt.name, err)
		}
	}
}
