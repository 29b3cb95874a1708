package softkey_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
)

var _ ca.Signer = (*softkey.Signer)(nil)

func create(t *testing.T) (string, *softkey.Signer) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "user-ca")
	s, err := softkey.Create(path, "user CA of test", rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return path, s
}

func TestCreateAndOpen(t *testing.T) {
	t.Parallel()
	path, made := create(t)
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key file has mode %v, %v; want 600", info.Mode(), err)
	}
	opened, err := softkey.Open(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(opened.PublicKey().Marshal(), made.PublicKey().Marshal()) || opened.PublicKey().Type() != ssh.KeyAlgoED25519 {
		t.Errorf("opened %s, made %s", ssh.FingerprintSHA256(opened.PublicKey()), ssh.FingerprintSHA256(made.PublicKey()))
	}
	sig, err := opened.Sign(t.Context(), []byte("bytes"))
	if err != nil {
		t.Fatal(err)
	}
	if err := made.PublicKey().Verify([]byte("bytes"), sig); err != nil {
		t.Error(err)
	}
	if made.PublicKey().Verify([]byte("other"), sig) == nil {
		t.Error("the signature holds over other bytes")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := opened.Sign(ended, []byte("bytes")); !errors.Is(err, context.Canceled) {
		t.Errorf("nobody waits any more: %v, want context.Canceled", err)
	}
}

func TestCreateReplacesNothing(t *testing.T) {
	t.Parallel()
	path, _ := create(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := softkey.Create(path, "again", rand.Reader); !errors.Is(err, softkey.ErrKeyFile) || !errors.Is(err, fs.ErrExist) {
		t.Errorf("a file that is there: %v, want ErrKeyFile and ErrExist", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("the key file changed (%v)", err)
	}
	empty := filepath.Join(t.TempDir(), "user-ca")
	if _, err := softkey.Create(empty, "", strings.NewReader("too little")); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("no randomness: %v, want ErrUnexpectedEOF", err)
	}
	if _, err := os.Stat(empty); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file was left without a key in it (%v)", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name string, text []byte, mode fs.FileMode) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	path, _ := create(t)
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	other, err := ssh.MarshalPrivateKey(curve, "")
	if err != nil {
		t.Fatal(err)
	}
	locked, err := ssh.MarshalPrivateKeyWithPassphrase(private, "", []byte("passphrase"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, path, says string
	}{
		{"readable by the group", write("group", good, 0o640), "mode 640; others can read it, so make it 0600"},
		{"readable by all", write("all", good, 0o644), "mode 644; others can read it, so make it 0600"},
		{"writable by all", write("writable", good, 0o602), "mode 602"},
		{"not there", filepath.Join(dir, "missing"), "missing is not there; restore it from its backup"},
		{"no key", write("junk", []byte("junk"), 0o600), "holds no unencrypted OpenSSH private key"},
		{"empty", write("empty", nil, 0o600), "holds no unencrypted OpenSSH private key"},
		{"a public key", write("public", []byte("ssh-ed25519 AAAA"), 0o600), "holds no unencrypted OpenSSH private key"},
		{"behind a passphrase", write("locked", pem.EncodeToMemory(locked), 0o600), "holds no unencrypted OpenSSH private key"},
		{"another type of key", write("ecdsa", pem.EncodeToMemory(other), 0o600), "is not an ed25519 key"},
		{"a folder", write("folder.d", nil, 0o600) + "/x", ""},
	} {
		_, err := softkey.Open(tt.path, rand.Reader)
		if !errors.Is(err, softkey.ErrKeyFile) || !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%s: %v, want ErrKeyFile that says %q", tt.name, err, tt.says)
			continue
		}
		if text := err.Error(); strings.Contains(text, "PRIVATE KEY") || strings.Contains(text, string(good)) {
			t.Errorf("%s: the refusal shows the file: %s", tt.name, text)
		}
	}
	if _, err := softkey.Open(write("owner", good, 0o400), rand.Reader); err != nil {
		t.Errorf("mode 400: %v", err)
	}
}

// Stock ssh-keygen reads the key file, and finds the same public key in it.
func TestSSHKeygenReadsTheKeyFile(t *testing.T) {
	t.Parallel()
	path, s := create(t)
	out, err := exec.CommandContext(t.Context(), "ssh-keygen", "-y", "-f", path).CombinedOutput()
	if err != nil {
		t.Fatalf("ssh-keygen -y: %v\n%s", err, out)
	}
	want := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(s.PublicKey()))) + " user CA of test"
	if got := strings.TrimSpace(string(out)); got != want {
		t.Errorf("ssh-keygen reads %q, want %q", got, want)
	}
}
