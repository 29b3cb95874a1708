package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

// world is a real Vault, and what a test needs to open signers on it.
type world struct {
	*labvault.Server
}

func newWorld(t *testing.T, keys ...labvault.Key) world {
	t.Helper()
	s, err := labvault.Start(t.Context(), t.TempDir(), keys...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of Vault:\n%s", lab.Tail(s.Log(), 20))
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return world{s}
}

// config is that of a service that may sign with key, by a token of its own.
func (w world) config(t *testing.T, key string) Config {
	t.Helper()
	token, err := w.Token(t.Context(), key, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	return Config{Address: w.Address(), CAFile: w.CAFile(), TokenFile: tokenFile(t, token), Key: key, Version: 1, Timeout: 10 * time.Second}
}

// rootConfig has every right, so that no refusal is the policy's.
func (w world) rootConfig(t *testing.T, key string) Config {
	t.Helper()
	return Config{
		Address: w.Address(), CAFile: w.CAFile(), TokenFile: tokenFile(t, w.Root().Token()), Key: key, Version: 1, Timeout: 10 * time.Second,
	}
}

func tokenFile(t *testing.T, token string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vault-token")
	if err := labvault.WriteToken(path, token); err != nil {
		t.Fatal(err)
	}
	return path
}

func open(t *testing.T, c Config) *Signer {
	t.Helper()
	s, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// tamper stands between the signer and Vault and rewrites what goes through, for
// requests that sign.
type tamper struct {
	next    http.RoundTripper
	request func(body map[string]any)
	answer  func(body map[string]any)
}

func tampering(request, answer func(map[string]any)) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper { return &tamper{next, request, answer} }
}

// RoundTrip does it.
func (f *tamper) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.Contains(r.URL.Path, "/sign/") {
		return f.next.RoundTrip(r)
	}
	r = r.Clone(r.Context())
	if f.request != nil {
		text, err := rewrite(r.Body, f.request)
		if err != nil {
			return nil, err
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	}
	a, err := f.next.RoundTrip(r)
	if err != nil || f.answer == nil {
		return a, err
	}
	text, err := rewrite(a.Body, f.answer)
	if err != nil {
		return nil, errors.Join(err, a.Body.Close())
	}
	a.Body, a.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	return a, nil
}

func rewrite(r io.ReadCloser, change func(map[string]any)) ([]byte, error) {
	var body map[string]any
	if err := errors.Join(json.NewDecoder(r).Decode(&body), r.Close()); err != nil {
		return nil, err
	}
	change(body)
	return json.Marshal(body)
}

// inputs are the items of a request that signs.
func inputs(body map[string]any) []any { return body["batch_input"].([]any) }

// results are the items of its answer.
func results(body map[string]any) []any {
	return body["data"].(map[string]any)["batch_results"].([]any)
}

func set(item any, name string, value any) { item.(map[string]any)[name] = value }

func get(item any, name string) string {
	s, _ := item.(map[string]any)[name].(string)
	return s
}
