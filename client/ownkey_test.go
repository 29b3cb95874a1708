package client

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// ownKeyPair makes a key pair of the person's own, as ssh-keygen's arguments
// say, and returns the path of the private half.
func ownKeyPair(t *testing.T, args ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "id")
	if err := lab.KeyPairOf(t.Context(), path, "alice", args...); err != nil {
		t.Fatal(err)
	}
	return path
}

func write(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// pubLine is the line of a public key file that holds these bytes.
func pubLine(name string, wire []byte) string {
	return name + " " + base64.StdEncoding.EncodeToString(wire) + " alice\n"
}

// What --identity may not name is refused before anybody is asked for anything,
// with the sentence of the key policy where that is what is wrong.
func TestIdentityRefuses(t *testing.T) {
	t.Parallel()
	good := newSigner(t).PublicKey()
	refused := make(map[string]sshcerttest.Refused)
	for _, r := range sshcerttest.RefusedKeys(t) {
		refused[r.Name] = r
	}
	type test struct {
		name string
		file func(t *testing.T, dir string) string
		want string
	}
	holding := func(text string) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string { return write(t, filepath.Join(dir, "id.pub"), text) }
	}
	tests := []test{
		{"nothing there", func(_ *testing.T, dir string) string { return filepath.Join(dir, "id_ed25519") }, "/id_ed25519.pub; ssh-keygen -y -f "},
		{"a private key alone", func(t *testing.T, dir string) string {
			return write(t, filepath.Join(dir, "id"), "-----BEGIN OPENSSH PRIVATE KEY-----\n")
		}, "there is no "},
		{"a folder", func(_ *testing.T, dir string) string {
			return mkdir(t, filepath.Join(dir, "id.pub"))
		}, "it is no plain file"},
		{"a pipe", func(t *testing.T, dir string) string {
			path := filepath.Join(dir, "id.pub")
			if err := unix.Mkfifo(path, 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, "it is no plain file"},
		{"a path that ssh cannot be given", func(_ *testing.T, dir string) string { return filepath.Join(dir, `a"b.pub`) }, "cannot be given to ssh"},
		{"a path with an escape", func(_ *testing.T, dir string) string { return filepath.Join(dir, "a\x1b[2Jb.pub") }, `a\x1b[2Jb.pub`},
		{"a variable in the path", func(_ *testing.T, dir string) string { return filepath.Join(dir, "${HOME}.pub") }, "cannot be given to ssh"},
		{"an empty file", holding(""), "not the one line of a public key file"},
		{"junk", holding("junk"), "not the one line of a public key file"},
		{"two lines", holding(keyLine(good) + "\n" + keyLine(good) + "\n"), "not the one line of a public key file"},
		{"options", holding(`no-pty ` + keyLine(good) + "\n"), "its second word is no base64"},
		{"no base64", holding("ssh-ed25519 ???\n"), "its second word is no base64"},
		{"a private key for a public one", holding("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), "not the one line of a public key file"},
		{"a megabyte", holding(strings.Repeat("A", 1<<20)), "over 16384 bytes; name a public key file"},
		{"another type than its line's", holding(pubLine("ssh-rsa", good.Marshal())), `the line says "ssh-rsa", the key is ssh-ed25519`},
	}
	for _, name := range []string{
		"DSA", "RSA 1024", "RSA 2048", "RSA 3071", "RSA 8193", "RSA 16384", "a certificate", "a byte behind it", "ECDSA on another curve than its type's",
		"ECDSA with a point off its curve", "FIDO ed25519 for https://acme.example", "RSA with e = 3", "RSA with an even modulus",
	} {
		r, ok := refused[name]
		if !ok {
			t.Fatalf("no refused key %q", name)
		}
		tests = append(tests, test{name, holding(pubLine("ssh-x", r.Wire)), r.Says})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}}, Identity: tt.file(t, t.TempDir())})
			if code := Report(w.Env, err); code != ExitUsage || !strings.Contains(w.stderr(), tt.want) || strings.Contains(w.stderr(), "\x1b") {
				t.Errorf("exit code %d: %q, want %q", code, w.stderr(), tt.want)
			}
			if n := f.called(""); n != 0 {
				t.Errorf("the server was called %d times", n)
			}
		})
	}
}

func mkdir(t *testing.T, path string) string {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// Where the key does not sign, or signs what does not count, no certificate is
// asked for and nothing is kept; the sentence says what to do.
func TestIdentityThatDoesNotProve(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		file func(t *testing.T) string
		want string
	}{
		{"no private half anywhere", func(t *testing.T) string {
			return write(t, filepath.Join(t.TempDir(), "id.pub"), keyLine(newSigner(t).PublicKey())+"\n")
		}, "plug in and touch the security key, or load the key with ssh-add"},
		{"another private half", func(t *testing.T) string {
			path := ownKeyPair(t, "-t", "ed25519")
			write(t, path+".pub", keyLine(newSigner(t).PublicKey())+"\n")
			return path
		}, "ssh-keygen did not sign with"},
		{"a security key that is not touched", func(t *testing.T) string {
			return ownKeyPair(t, "-t", "ed25519-sk", "-O", "no-touch-required")
		}, "the security key was not touched for it; touch it when it blinks, and use a key that was not made with no-touch-required"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.vars[providerVariable] = fidoProvider(t)
			w.logIn(t, f)
			f.granted(time.Hour, "web-1.demo")
			run := &execRecorder{}
			err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}}, Identity: tt.file(t), Exec: run.exec})
			wantExit(t, err, ExitFailed, tt.want)
			if _, err := os.Stat(w.account(t).certFile(web1())); !errors.Is(err, fs.ErrNotExist) || f.called("POST /v1/grants/") != 0 || run.argv != nil {
				t.Errorf("it went on: %v, ssh %q", err, run.argv)
			}
		})
	}
}

func fidoProvider(t *testing.T) string {
	t.Helper()
	path, err := lab.FIDOProvider()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Where no file of the private half lies beside the public one, ssh is given the
// public one and finds the other in the ssh-agent.
func TestIdentityFileForSSH(t *testing.T) {
	t.Parallel()
	for name, beside := range map[string]func(t *testing.T, path string){
		"the private key": func(t *testing.T, path string) { write(t, path, "-----BEGIN OPENSSH PRIVATE KEY-----\n") },
		"nothing":         func(*testing.T, string) {},
		"a folder":        func(t *testing.T, path string) { mkdir(t, path) },
	} {
		path := filepath.Join(t.TempDir(), "id")
		write(t, path+".pub", keyLine(newSigner(t).PublicKey())+"\n")
		beside(t, path)
		want := path + ".pub"
		if name == "the private key" {
			want = path
		}
		for _, named := range []string{path, path + ".pub"} {
			if k, err := readOwnKey(named); err != nil || k.sshFile != want {
				t.Errorf("%s beside it: ssh is given %s, %v; want %s", name, k.sshFile, err, want)
			}
		}
	}
}

// A certificate for a key of one's own is used again for that key only, and no
// private key is copied anywhere.
func TestIdentityIsUsedAgain(t *testing.T) {
	t.Parallel()
	f, w, one, other := newFake(t), newWorld(t), ownKeyPair(t, "-t", "ecdsa", "-b", "384"), ownKeyPair(t, "-t", "ed25519")
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	issued := 0
	connect := func(o SSHOptions, more int) string {
		t.Helper()
		run := &execRecorder{}
		o.Env, o.Principals, o.Exec = w.Env, []string{"ops@web-1.demo"}, run.exec
		if err := SSH(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		issued += more
		if n := f.called("POST /v1/grants/"); n != issued {
			t.Errorf("%+v: %d certificates issued, want %d", o.Identity, n, issued)
		}
		return strings.Join(run.argv, " ")
	}
	argv := connect(SSHOptions{Identity: one}, 1)
	for _, want := range []string{`IdentityFile="` + one + `"`, `CertificateFile="` + w.account(t).certFile(web1()) + `"`, "IdentitiesOnly=yes", "IdentityAgent=SSH_AUTH_SOCK"} {
		if !strings.Contains(argv, want) {
			t.Errorf("no %s in %s", want, argv)
		}
	}
	if strings.Contains(argv, "SecurityKeyProvider") {
		t.Errorf("a library for security keys is named where there is none: %s", argv)
	}
	if left := privateKeys(t, w.account(t).dir); len(left) != 0 {
		t.Errorf("private keys on disk: %v", left)
	}
	if connect(SSHOptions{Identity: one + ".pub"}, 0) != argv {
		t.Error("FILE.pub is not FILE")
	}
	connect(SSHOptions{Identity: other}, 1)
	connect(SSHOptions{}, 1) // a new key: that of --identity is not at hand by itself
	if len(privateKeys(t, w.account(t).dir)) != 1 {
		t.Error("no key file of the new key")
	}
	connect(SSHOptions{Identity: one}, 1)
	if left := privateKeys(t, w.account(t).dir); len(left) != 0 {
		t.Errorf("the key of the certificate before stays: %v", left)
	}
	cert, err := w.account(t).readCert(web1())
	if err != nil || cert.Key.Type() != ssh.KeyAlgoECDSA384 {
		t.Errorf("%v", err)
	}
	if err := Logout(t.Context(), LogoutOptions{w.Env}); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(one); err != nil {
		t.Errorf("a logout deleted the person's own key: %v", err)
	}
}

// parsePublicLine never panics, and what it accepts passes the key policy.
func FuzzParsePublicLine(f *testing.F) {
	for _, keyType := range sshcerttest.Types() {
		f.Add([]byte(keyLine(sshcerttest.Signer(f, keyType).PublicKey()) + " alice@laptop\n"))
	}
	f.Add([]byte("ssh-dss AAAAB3NzaC1kc3M="))
	f.Fuzz(func(t *testing.T, file []byte) {
		key, err := parsePublicLine(file)
		if err != nil {
			return
		}
		if again, err := sshcert.ParseSubjectKey(key.Marshal()); err != nil || !strings.HasPrefix(strings.TrimSpace(string(file)), again.Type()) {
			t.Fatalf("%q is read as %s, %v", file, key.Type(), err)
		}
	})
}
