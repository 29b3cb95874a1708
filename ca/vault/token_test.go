package vault

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	vaultapi "github.com/hashicorp/vault/api"
	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/internal/lab"
	labvault "github.com/sallyport/sallyport/internal/lab/vault"
)

func textLogger(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

func newKey(t *testing.T) ssh.PublicKey {
	t.Helper()
	public, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func testRSA(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// tokenRevoked: Vault refuses the token. A new one in the file is taken up with
// the next call; the same one is not tried for ever.
func tokenRevoked(t *testing.T, w world) {
	ctx := t.Context()
	c := w.config(t, "user-ca")
	asked := 0 // by the one goroutine that signs
	c.wrap = tampering(func(map[string]any) { asked++ }, nil)
	s := open(t, c)
	old, err := readToken(c.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Revoke(ctx, old); err != nil {
		t.Fatal(err)
	}
	sig, err := s.Sign(ctx, []byte("x"))
	if sig != nil || !errors.Is(err, ca.ErrUnavailable) || !errors.Is(err, ErrToken) || !strings.Contains(fmt.Sprint(err), "still holds the refused one") {
		t.Errorf("%v, %v", sig, err)
	}
	if asked != 1 {
		t.Errorf("Vault was asked %d times with one token", asked)
	}
	token, err := w.Token(ctx, "user-ca", time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if err := labvault.WriteToken(c.TokenFile, token); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(ctx, []byte("x")); err != nil {
		t.Errorf("with a new token: %v", err)
	}
	if asked != 3 {
		t.Errorf("Vault was asked %d times in all", asked)
	}

	// A new one that is no better, and then none at all.
	if err := w.Revoke(ctx, token); err != nil {
		t.Fatal(err)
	}
	if err := labvault.WriteToken(c.TokenFile, "hvs.nonsense"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(ctx, []byte("x")); !errors.Is(err, ca.ErrUnavailable) || strings.Contains(fmt.Sprint(err), "nonsense") {
		t.Error(err)
	}
	if err := os.Remove(c.TokenFile); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(ctx, []byte("x")); !errors.Is(err, ca.ErrUnavailable) || !errors.Is(err, ErrToken) {
		t.Error(err)
	}
}

func tokenFiles(t *testing.T, w world) {
	good := w.config(t, "user-ca")
	token, err := os.ReadFile(good.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		mode       os.FileMode
		want       string // empty: it is taken
	}{
		{"as Vault writes it", strings.TrimSpace(string(token)), 0o600, ""},
		{"read-only", string(token), 0o400, ""},
		{"the group may read", string(token), 0o640, "make it 0600"},
		{"everybody may read", string(token), 0o604, "make it 0600"},
		{"empty", "\n", 0o600, "is empty"},
		{"two words", "hvs.a hvs.b", 0o600, "more than one word"},
		{"header injection", "hvs.a\r\nX-Evil: 1", 0o600, "more than one word"},
		{"control", "hvs.\x01", 0o600, "what no token has"},
		{"a book", strings.Repeat("x", maxToken+1), 0o600, "at most 8192"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := good
			c.TokenFile = filepath.Join(t.TempDir(), "token")
			if err := errors.Join(os.WriteFile(c.TokenFile, []byte(tt.text), 0o600), os.Chmod(c.TokenFile, tt.mode)); err != nil {
				t.Fatal(err)
			}
			if tt.want == "" {
				open(t, c)
				return
			}
			refusedAt(t, c, ErrToken, tt.want)
		})
	}
	c := good
	c.TokenFile = t.TempDir()
	refusedAt(t, c, ErrToken, "is not a file")
	c.TokenFile = filepath.Join(c.TokenFile, "nothing")
	refusedAt(t, c, ErrToken, "is not there")
}

// tokenKept: a token that lives three seconds is good after six, and the
// replacement of one that can't be renewed is renewed without a restart.
func tokenKept(t *testing.T, w world) {
	const life = 3 * time.Second
	ctx, cancel := context.WithCancel(t.Context())
	token, err := w.Token(ctx, "user-ca", life)
	if err != nil {
		t.Fatal(err)
	}
	c := w.config(t, "user-ca")
	if err := labvault.WriteToken(c.TokenFile, token); err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	c.Logger = textLogger(log)
	s := open(t, c)
	var keeping sync.WaitGroup
	keeping.Go(func() { s.KeepToken(ctx) })
	t.Cleanup(keeping.Wait)
	t.Cleanup(cancel)
	outlive := func(begin time.Time) {
		t.Helper()
		waiting, done := context.WithTimeout(ctx, 30*time.Second)
		defer done()
		if err := lab.Poll(waiting, "twice a token's life", func() (bool, error) { return time.Since(begin) > 2*life, nil }); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Sign(ctx, []byte("x")); err != nil {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
	}
	outlive(time.Now())
	if log.String() != "" {
		t.Errorf("logged %s", log.String())
	}

	// It ends all the same: the one in the file takes over, and is kept.
	if err := w.Revoke(ctx, token); err != nil {
		t.Fatal(err)
	}
	next, err := w.Token(ctx, "user-ca", life)
	if err != nil {
		t.Fatal(err)
	}
	if err := labvault.WriteToken(c.TokenFile, next); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sign(ctx, []byte("x")); err != nil {
		t.Errorf("with the next token: %v", err)
	}
	outlive(time.Now())
	if strings.Contains(log.String(), token) || strings.Contains(log.String(), next) {
		t.Error("a token was logged")
	}

	// One without an end can't be renewed; that is said.
	endless := open(t, w.rootConfig(t, "user-ca"))
	if _, err := endless.renewToken(ctx); !errors.Is(err, ErrToken) {
		t.Errorf("root: %v", err)
	}
}

// lockedBuffer is written to by a logger and read by a test.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer // guarded by mu
}

// Write appends p.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

// String is what was written.
func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// policy: with the service's token, nothing but signing with the one key.
func policy(t *testing.T, w world) {
	ctx := t.Context()
	if err := w.NewKey(ctx, labvault.Key{Name: "not-yours", Type: "ed25519"}, nil); err != nil {
		t.Fatal(err)
	}
	c := w.config(t, "user-ca")
	token, err := readToken(c.TokenFile)
	if err != nil {
		t.Fatal(err)
	}
	client, err := w.Client(token)
	if err != nil {
		t.Fatal(err)
	}
	write := func(path string, body map[string]any) error {
		_, err := client.Logical().WriteWithContext(ctx, path, body)
		return err
	}
	read := func(path string) error {
		_, err := client.Logical().ReadWithContext(ctx, path)
		return err
	}
	input := map[string]any{"input": "eA=="}
	for name, try := range map[string]func() error{
		"export":           func() error { return read("transit/export/signing-key/user-ca") },
		"backup":           func() error { return read("transit/backup/user-ca") },
		"config":           func() error { return write("transit/keys/user-ca/config", map[string]any{"deletion_allowed": true}) },
		"rotate":           func() error { return write("transit/keys/user-ca/rotate", nil) },
		"trim":             func() error { return write("transit/keys/user-ca/trim", map[string]any{"min_available_version": 1}) },
		"delete":           func() error { _, err := client.Logical().DeleteWithContext(ctx, "transit/keys/user-ca"); return err },
		"sign with others": func() error { return write("transit/sign/not-yours", input) },
		"read others":      func() error { return read("transit/keys/not-yours") },
		"list":             func() error { _, err := client.Logical().ListWithContext(ctx, "transit/keys"); return err },
		"make":             func() error { return write("transit/keys/mine", map[string]any{"type": "ed25519"}) },
		"seal":             func() error { return client.Sys().SealWithContext(ctx) },
		"token":            func() error { return write("auth/token/create", nil) },
		"policy":           func() error { return write("sys/policies/acl/sign-user-ca", map[string]any{"policy": ""}) },
	} {
		if err := try(); status(err) != http.StatusForbidden {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := write("transit/sign/user-ca", input); err != nil {
		t.Errorf("what it is for: %v", err)
	}
}

// trust: a Vault that the settings do not vouch for gets no token.
func trust(t *testing.T, w world) {
	other, err := labvault.OtherCA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := w.config(t, "user-ca")
	c.CAFile = other
	refusedAt(t, c, ca.ErrUnavailable, "is not trusted")
	c.CAFile = ""
	refusedAt(t, c, ca.ErrUnavailable, "check ca_file")
}

// audited: as docs/vault.md says, Vault's audit device lists what was signed, in
// batches as well; and its policy is the one that the tests use.
func audited(t *testing.T, w world) {
	ctx := t.Context()
	log := filepath.Join(t.TempDir(), "audit.log")
	err := w.Root().Sys().EnableAuditWithOptionsWithContext(ctx, "file", &vaultapi.EnableAuditOptions{Type: "file", Options: map[string]string{"file_path": log}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := w.Root().Sys().DisableAuditWithContext(context.WithoutCancel(ctx), "file"); err != nil {
			t.Error(err)
		}
	}()
	tune := map[string]any{"audit_non_hmac_request_keys": []string{"input"}}
	if _, err := w.Root().Logical().WriteWithContext(ctx, "sys/mounts/"+labvault.Mount+"/tune", tune); err != nil {
		t.Fatal(err)
	}
	tbs := []byte("a certificate that the audit device lists")
	if _, err := open(t, w.config(t, "user-ca")).Sign(ctx, tbs); err != nil {
		t.Fatal(err)
	}
	listed, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(listed, []byte(base64.StdEncoding.EncodeToString(tbs))) {
		t.Error("the audit device does not list what was signed")
	}

	manual, err := os.ReadFile("../../docs/vault.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{labvault.Policy("sallyport-user-ca"), "-audit-non-hmac-request-keys=input"} {
		if !strings.Contains(string(manual), text) {
			t.Errorf("docs/vault.md does not have %q", text)
		}
	}
}
