package client

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

// A key of the type that was named lies in the agent or in a file; a live
// certificate is used again, but not where it is for a key of another type.
func TestKeyTypeIsMadeAndUsedAgain(t *testing.T) {
	t.Parallel()
	for _, keyFile := range []bool{false, true} {
		f, w, socket := newFake(t), newWorld(t), realAgent(t)
		w.logIn(t, f)
		f.granted(time.Hour, "web-1.demo")
		connect := func(keyType string) {
			t.Helper()
			run := &execRecorder{}
			o := SSHOptions{Env: w.withEnv("SSH_AUTH_SOCK", socket), Ask: Ask{Principals: []string{"ops@web-1.demo"}}, KeyFile: keyFile, KeyType: keyType, Exec: run.exec}
			if err := SSH(t.Context(), o); err != nil || run.argv == nil {
				t.Fatalf("%s: %v", keyType, err)
			}
		}
		for i, k := range keyTypes {
			connect(k.name)
			connect(k.name)
			connect("") // whatever there is
			if n := f.called("POST /v1/grants/"); n != i+1 {
				t.Errorf("%s, key file %t: %d certificates issued, want %d", k.name, keyFile, n, i+1)
			}
			a := w.account(t)
			cert, err := a.readCert(web1())
			if err != nil || !k.is(cert.Key) {
				t.Fatalf("%s: a certificate for a %s key, %v", k.name, cert.Key.Type(), err)
			}
			if !keyFile {
				if keys, err := dial(t, socket).List(); err != nil || len(keys) != i+1 || keys[i].Format != cert.Type() {
					t.Errorf("%s: the agent holds %v, %v", k.name, keys, err)
				}
				continue
			}
			text, err := readPrivate(a.keyFile(web1()))
			if err != nil {
				t.Fatal(err)
			}
			key, err := ssh.ParsePrivateKey(text)
			if err != nil || !sameKey(key.PublicKey(), cert.Key) {
				t.Errorf("%s: key and certificate do not belong together: %v", k.name, err)
			}
		}
		if KeyTypes()[0] != "ed25519" {
			t.Errorf("the default is %s", KeyTypes()[0])
		}
	}
}

func TestKeyOptionsRefuse(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		o    SSHOptions
		want string
	}{
		{"an unknown type", SSHOptions{KeyType: "dsa"}, `--key-type "dsa": one of ed25519, ecdsa-p256, ecdsa-p384, ecdsa-p521, rsa-3072, rsa-4096; for a key in a security key or of your own use --identity`},
		{"a type as ssh-keygen names it", SSHOptions{KeyType: "ed25519-sk"}, "use --identity"},
		{"RSA without a length", SSHOptions{KeyType: "rsa"}, "one of ed25519"},
		{"short RSA", SSHOptions{KeyType: "rsa-2048"}, "one of ed25519"},
		{"capitals", SSHOptions{KeyType: "ED25519"}, "one of ed25519"},
		{"an escape", SSHOptions{KeyType: "\x1b[2J"}, `--key-type "\x1b[2J"`},
		{"type and key", SSHOptions{KeyType: "ed25519", Identity: "id.pub"}, "--identity and --key-type: one of the two"},
		{"key and key file", SSHOptions{KeyFile: true, Identity: "id.pub"}, "--identity and --key-file: one of the two"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			tt.o.Env, tt.o.Principals = w.Env, []string{"ops@web-1.demo"}
			err := SSH(t.Context(), tt.o)
			wantExit(t, err, ExitUsage, tt.want)
			if strings.Contains(err.Error(), "\x1b") || f.called("") != 0 {
				t.Errorf("%q, %d calls", err, f.called(""))
			}
		})
	}
}
