package client

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"maps"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
)

// world is one person's machine: an Env whose output is kept, and a state
// folder. Its methods may be called while a verb runs.
type world struct {
	Env
	root string
	vars map[string]string

	mu       sync.Mutex
	out, err bytes.Buffer // guarded by mu
}

type lockedWriter struct {
	mu *sync.Mutex
	to *bytes.Buffer
}

func (w lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.to.Write(p)
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{root: filepath.Join(t.TempDir(), "state")}
	w.vars = map[string]string{"SALLY_STATE": w.root, "HOME": t.TempDir(), "LC_ALL": "C.UTF-8"}
	vars := w.vars
	w.Env = Env{
		Out: lockedWriter{&w.mu, &w.out}, Err: lockedWriter{&w.mu, &w.err},
		Getenv: func(name string) string { return vars[name] }, Now: time.Now, Rand: rand.Reader,
	}
	return w
}

func (w *world) stdout() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

func (w *world) stderr() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err.String()
}

// withEnv returns an Env with one more variable.
func (w *world) withEnv(name, value string) Env {
	vars := maps.Clone(w.vars)
	vars[name] = value
	e := w.Env
	e.Getenv = func(name string) string { return vars[name] }
	return e
}

// logIn keeps a session as Login would, without an identity provider.
func (w *world) logIn(t *testing.T, f *fake) {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	device, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.device = device.PublicKey()
	f.mu.Unlock()
	at, err := url.Parse(f.url)
	if err != nil {
		t.Fatal(err)
	}
	err = saveLogin(w.root, authority{server: at, pin: f.pin, issuer: "acme/lab"}, session{
		Server: f.url, Origin: testOrigin, Person: f.person, Who: "Alice Example", ExpiresAt: canon.At(time.Now().Add(time.Hour)),
		Bearer: f.bearer, DeviceKey: string(pem.EncodeToMemory(block)),
	})
	if err != nil {
		t.Fatal(err)
	}
}

// account opens the kept login.
func (w *world) account(t *testing.T) *account {
	t.Helper()
	a, err := openAccount(w.Env)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// wantExit demands an exit code and, in the sentence, each text.
func wantExit(t *testing.T, err error, code int, texts ...string) {
	t.Helper()
	if got := ExitCode(err); got != code {
		t.Errorf("exit code %d, want %d: %v", got, code, err)
	}
	for _, text := range texts {
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("no %q in %v", text, err)
		}
	}
}
