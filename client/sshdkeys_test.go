package client

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
)

// visitor connects as a person does: SSH, then stock ssh against a real sshd.
type visitor struct {
	t      *testing.T
	f      *fake
	w      *world
	sshd   *lab.SSHD
	p      sshcert.Principal
	socket string // of a real ssh-agent; empty: none runs
}

func newVisitor(t *testing.T, socket string) visitor {
	t.Helper()
	v := visitor{t: t, f: newFake(t), w: newWorld(t), socket: socket}
	v.sshd, v.p = realHost(t, v.f)
	v.w.logIn(t, v.f)
	v.w.vars["SSH_AUTH_SOCK"], v.w.vars[providerVariable] = socket, fidoProvider(t)
	q := v.f.granted(time.Hour, string(v.p.Host))
	v.f.mu.Lock()
	v.f.requests[q.ID].Logins = []sshcert.Login{v.p.Login}
	v.f.mu.Unlock()
	return v
}

// getsIn connects and demands that sshd let the certificate in, which it logs as
// one for a key that it calls shown.
func (v visitor) getsIn(o SSHOptions, shown string) {
	v.t.Helper()
	var r lab.Result
	o.Env, o.Principals = v.w.Env, []string{v.p.String()}
	o.Args = []string{"-F", "none", "-o", "BatchMode=yes", "id -un"}
	o.Exec = func(path string, argv, environ []string) (err error) {
		env := append(slices.Clone(environ), "SSH_AUTH_SOCK="+v.socket, providerVariable+"="+v.w.vars[providerVariable], "HOME="+v.t.TempDir())
		ctx, cancel := context.WithTimeout(v.t.Context(), 30*time.Second)
		defer cancel()
		r, err = lab.Run(ctx, lab.Command{Path: path, Args: argv[1:], Env: env})
		return err
	}
	before := len(v.sshd.Log())
	if err := SSH(v.t.Context(), o); err != nil {
		v.t.Errorf("%+v: %v\n%s", o.Identity+o.KeyType, err, v.w.stderr())
		return
	}
	if r.Code != 0 || r.Stdout != string(v.p.Login)+"\n" {
		v.t.Errorf("%s: exit code %d: %s\nsshd:\n%s", o.Identity+o.KeyType, r.Code, r.Output, v.sshd.Log()[before:])
		return
	}
	cert, err := v.w.account(v.t).readCert(v.p)
	if err != nil {
		v.t.Fatal(err)
	}
	line, err := v.sshd.WaitLogAfter(v.t.Context(), before, "Accepted publickey")
	if err != nil || !strings.Contains(line, fmt.Sprintf(": %s SHA256:", shown)) || !strings.Contains(line, fmt.Sprintf("ID %s (serial %d)", cert.KeyId, cert.Serial)) {
		v.t.Errorf("sshd says %q, %v", line, err)
	}
}

// A real sshd lets in a certificate for a new key of each type, from a real
// ssh-agent and from a file.
func TestNewKeysOfEachTypeGetIn(t *testing.T) {
	t.Parallel()
	shown := map[string]string{
		"ed25519": "ED25519-CERT", "ecdsa-p256": "ECDSA-CERT", "ecdsa-p384": "ECDSA-CERT", "ecdsa-p521": "ECDSA-CERT", "rsa-3072": "RSA-CERT", "rsa-4096": "RSA-CERT",
	}
	for _, keyFile := range []bool{false, true} {
		v := newVisitor(t, realAgent(t))
		for _, name := range KeyTypes() {
			v.getsIn(SSHOptions{KeyType: name, KeyFile: keyFile}, shown[name])
		}
	}
}

// A real sshd lets in a certificate for a person's own key of each type, FIDO
// keys included: from its file, and from an ssh-agent where only the public half
// lies in a file.
func TestOwnKeysOfEachTypeGetIn(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]struct {
		args  []string
		shown string
	}{
		"ed25519":             {[]string{"-t", "ed25519"}, "ED25519-CERT"},
		"ecdsa 256":           {[]string{"-t", "ecdsa", "-b", "256"}, "ECDSA-CERT"},
		"ecdsa 384":           {[]string{"-t", "ecdsa", "-b", "384"}, "ECDSA-CERT"},
		"ecdsa 521":           {[]string{"-t", "ecdsa", "-b", "521"}, "ECDSA-CERT"},
		"rsa 3072":            {[]string{"-t", "rsa", "-b", "3072"}, "RSA-CERT"},
		"ed25519-sk":          {[]string{"-t", "ed25519-sk"}, "ED25519-SK-CERT"},
		"ecdsa-sk":            {[]string{"-t", "ecdsa-sk"}, "ECDSA-SK-CERT"},
		"ed25519-sk for work": {[]string{"-t", "ed25519-sk", "-O", "application=ssh:work"}, "ED25519-SK-CERT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			// In a file, under a path that needs quoting.
			path := filepath.Join(mkdir(t, filepath.Join(t.TempDir(), "my keys 100%h")), "id")
			if err := lab.KeyPairOf(t.Context(), path, "alice", own.args...); err != nil {
				t.Fatal(err)
			}
			newVisitor(t, "").getsIn(SSHOptions{Identity: path}, own.shown)

			// In the agent only.
			v := newVisitor(t, realAgent(t))
			add, err := lab.Run(t.Context(), lab.Command{Path: "ssh-add", Args: []string{"-q", path}, Env: append(os.Environ(), "SSH_AUTH_SOCK="+v.socket, providerVariable+"="+fidoProvider(t))})
			if err != nil || add.Code != 0 {
				t.Fatalf("ssh-add: %v %s", err, add.Output)
			}
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			v.getsIn(SSHOptions{Identity: path + ".pub"}, own.shown)
			if keys, err := dial(t, v.socket).List(); err != nil || len(keys) != 1 || keys[0].Comment == "" {
				t.Errorf("the agent holds %v, %v", keys, err)
			}
		})
	}
}
