package client

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/sshcert"
)

// realHost starts a sshd that trusts the fake's CA and admits LOGIN@web-1.demo
// as LOGIN, and makes it the fake's first host.
func realHost(t *testing.T, f *fake) (*lab.SSHD, sshcert.Principal) {
	t.Helper()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := dir.Remove(); err != nil {
			t.Error(err)
		}
	})
	account, err := lab.NewAccount(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := account.Remove(); err != nil {
			t.Error(err)
		}
	})
	p := sshcert.Principal{Login: account.Login, Host: "web-1.demo"}
	sshd, err := lab.NewSSHD(t.Context(), dir, string(p.Host))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := dir.Write(0o644, keyLine(f.ca.PublicKey())+"\n", "ca.pub")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Mkdir(0o755, "principals"); err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Write(0o644, p.String()+"\n", "principals", string(p.Login)); err != nil {
		t.Fatal(err)
	}
	fragment, err := dir.Write(0o644, fmt.Sprintf("TrustedUserCAKeys %s\nAuthorizedPrincipalsFile %s/%%u\n", ca, dir.Path("principals")), "fragment")
	if err != nil {
		t.Fatal(err)
	}
	if err := sshd.Start(t.Context(), fragment); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sshd.Stop(); err != nil {
			t.Error(err)
		}
	})
	line, err := os.ReadFile(sshd.HostKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		t.Fatal(err)
	}
	f.hosts[0].Address, f.hosts[0].Port, f.hosts[0].HostKey = "127.0.0.1", sshd.Port(), keyLine(key)
	return sshd, p
}

// Stock ssh gets into a real sshd with what SSH gives it, with the key in a
// real ssh-agent and in a file, from a state folder whose name needs quoting,
// and with the exit code passed on.
func TestStockSSHGetsIn(t *testing.T) {
	t.Parallel()
	for _, keyFile := range []bool{false, true} {
		t.Run(fmt.Sprintf("key file %t", keyFile), func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			sshd, p := realHost(t, f)
			w.root = filepath.Join(t.TempDir(), "state 100%h")
			w.vars["SALLY_STATE"] = w.root
			w.logIn(t, f)
			q := f.granted(time.Hour, string(p.Host))
			f.mu.Lock()
			f.requests[q.ID].Logins = []sshcert.Login{p.Login}
			f.mu.Unlock()
			socket := realAgent(t)
			var r lab.Result
			run := func(path string, argv, environ []string) (err error) {
				env := append(slices.Clone(environ), "SSH_AUTH_SOCK="+socket, "HOME="+t.TempDir())
				ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
				defer cancel()
				r, err = lab.Run(ctx, lab.Command{Path: path, Args: argv[1:], Env: env})
				return err
			}
			o := SSHOptions{
				Env: w.withEnv("SSH_AUTH_SOCK", socket), Ask: Ask{Principals: []string{p.String()}}, KeyFile: keyFile, Exec: run,
				Args: []string{"-F", "none", "-o", "BatchMode=yes", "id -un; exit 7"},
			}
			if err := SSH(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if r.Code != 7 || r.Stdout != string(p.Login)+"\n" {
				t.Errorf("exit code %d: %s\nsshd:\n%s", r.Code, r.Output, sshd.Log())
			}
			cert, err := w.account(t).readCert(p)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sshd.WaitLog(t.Context(), fmt.Sprintf("ID %s (serial %d)", cert.KeyId, cert.Serial)); err != nil {
				t.Error(err)
			}

			f.mu.Lock()
			f.hosts[0].HostKey = f.hosts[1].HostKey // the host is not who the ledger says it is
			f.joined = false
			f.mu.Unlock()
			if err := SSH(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			if r.Code != 255 || !strings.Contains(r.Output, "Host key verification failed") {
				t.Errorf("with another host key: exit code %d: %s", r.Code, r.Output)
			}
		})
	}
}

// Ending the program by exec leaves nobody to tell of a failure: it must be
// told before.
func TestSSHThatCannotStart(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	refused := errors.New("exec format error")
	err := SSH(t.Context(), SSHOptions{Env: w.Env, Ask: Ask{Principals: []string{"ops@web-1.demo"}}, Exec: func(string, []string, []string) error { return refused }})
	wantExit(t, err, ExitFailed, "starting /")
	if !errors.Is(err, refused) {
		t.Errorf("%v does not wrap its cause", err)
	}
}
