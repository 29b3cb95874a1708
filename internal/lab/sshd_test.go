package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// workspace makes a Dir that goes with the test.
func workspace(t *testing.T) *Dir {
	t.Helper()
	d, err := NewDir()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := d.Remove(); err != nil {
			t.Error(err)
		}
	})
	return d
}

func account(t *testing.T, d *Dir) *Account {
	t.Helper()
	a, err := NewAccount(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Remove(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// run runs a command that must end with the given exit code.
func run(t *testing.T, code int, c Command) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	r, err := Run(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	if r.Code != code {
		t.Fatalf("%s %s: exit code %d, want %d:\n%s", c.Path, strings.Join(c.Args, " "), r.Code, code, r.Output)
	}
	return r
}

// host starts a sshd that trusts a new certificate authority, whose key file it
// returns, and lets in the principal LOGIN@web-1.demo as LOGIN.
func host(t *testing.T, d *Dir, a *Account) (*SSHD, string) {
	t.Helper()
	s, err := NewSSHD(t.Context(), d, "web-1.demo")
	if err != nil {
		t.Fatal(err)
	}
	caKey := d.Path("ca")
	if err := KeyPair(t.Context(), caKey, "ca"); err != nil {
		t.Fatal(err)
	}
	principals, err := d.Mkdir(0o755, "hosts", "principals")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write(0o644, fmt.Sprintf("%s@web-1.demo\n", a.Login), "hosts", "principals", string(a.Login)); err != nil {
		t.Fatal(err)
	}
	fragment, err := d.Write(0o644, fmt.Sprintf("TrustedUserCAKeys %s.pub\nAuthorizedPrincipalsFile %s/%%u\n", caKey, principals), "fragment")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(t.Context(), fragment); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s, caKey
}

// certificate makes a key and a certificate for it and returns the key's file.
func certificate(t *testing.T, d *Dir, caKey, principal, validity string) string {
	t.Helper()
	folder, err := d.Mkdir(0o700, "user")
	if err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(folder, "id")
	if err := KeyPair(t.Context(), key, "user"); err != nil {
		t.Fatal(err)
	}
	run(t, 0, Command{Path: "ssh-keygen", Args: []string{"-q", "-s", caKey, "-I", "test", "-n", principal, "-V", validity, key + ".pub"}})
	return key
}

// ssh is plain ssh to the host with one key and its certificate.
func ssh(t *testing.T, d *Dir, s *SSHD, a *Account, key string, command ...string) Command {
	t.Helper()
	line, err := s.KnownHosts()
	if err != nil {
		t.Fatal(err)
	}
	known, err := d.Write(0o600, line, "known_hosts")
	if err != nil {
		t.Fatal(err)
	}
	return Command{Path: "ssh", Args: append([]string{
		"-F", "none", "-i", key, "-p", fmt.Sprint(s.Port()), "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes",
		"-o", "IdentityAgent=none", "-o", "StrictHostKeyChecking=yes", "-o", "UserKnownHostsFile=" + known, "-o", "HostKeyAlias=" + s.Name,
		string(a.Login) + "@127.0.0.1",
	}, command...)}
}

func TestSSHDAdmitsOnlyAMatchingCertificate(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name      string
		principal string // %s is the login
		validity  string
		code      int
		log       string // a line that sshd must have written
	}{
		{"right principal", "%s@web-1.demo", "-1m:+1m", 0, "Accepted publickey for"},
		{"another host's principal", "%s@web-2.demo", "-1m:+1m", 255, "Certificate does not contain an authorized principal"},
		{"the bare login", "%s", "-1m:+1m", 255, "Certificate does not contain an authorized principal"},
		{"expired", "%s@web-1.demo", "-2m:-1m", 255, "Certificate invalid: expired"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d := workspace(t)
			a := account(t, d)
			s, caKey := host(t, d, a)
			principal := strings.ReplaceAll(tt.principal, "%s", string(a.Login))
			key := certificate(t, d, caKey, principal, tt.validity)

			r := run(t, tt.code, ssh(t, d, s, a, key, "id -un; pwd; echo $SSH_CONNECTION"))
			if tt.code == 0 {
				fields := strings.Fields(r.Stdout)
				if r.Output != r.Stdout || len(fields) != 6 || fields[0] != string(a.Login) || fields[1] != a.Home || fields[5] != fmt.Sprint(s.Port()) {
					t.Errorf("the host answered %q, want %s, %s and a connection to port %d", r.Output, a.Login, a.Home, s.Port())
				}
			} else if !strings.Contains(r.Output, "Permission denied (publickey)") {
				t.Errorf("ssh says %q", r.Output)
			}
			if _, err := s.WaitLog(t.Context(), tt.log); err != nil {
				t.Errorf("%v\nlog:\n%s", err, s.Log())
			}
		})
	}
}

func TestSSHDRefusesABrokenFragment(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	fragment, err := d.Write(0o644, "NoSuchKeyword yes\n", "fragment")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{fragment, d.Path("missing")} {
		s, err := NewSSHD(t.Context(), d, filepath.Base(file)+".demo")
		if err != nil {
			t.Fatal(err)
		}
		err = s.Start(t.Context(), file)
		if err == nil || (!strings.Contains(err.Error(), "NoSuchKeyword") && !errors.Is(err, os.ErrNotExist)) {
			t.Errorf("Start with %s: %v", file, err)
		}
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
		if !PortClosed(t.Context(), s.Addr()) {
			t.Error("something listens")
		}
	}
}

func TestSSHDStopEndsOpenConnections(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	a := account(t, d)
	s, caKey := host(t, d, a)
	key := certificate(t, d, caKey, string(a.Login)+"@web-1.demo", "-1m:+1m")
	client, err := Start(t.Context(), d.Path("ssh.log"), ssh(t, d, s, a, key, "echo ready; sleep 600"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := client.WaitLog(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	family := descendants(s.PID())
	if len(family) < 2 { // sshd's half for the connection, and the shell or its sleep
		t.Fatalf("sshd has %d descendants during a connection, want at least 2", len(family))
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	for _, o := range family {
		if o.alive() {
			t.Errorf("process %d outlived its sshd", o.pid)
		}
	}
	if !PortClosed(t.Context(), s.Addr()) {
		t.Error("the port is still open")
	}
	if code, err := client.Wait(t.Context()); err != nil || code == 0 {
		t.Errorf("ssh ended with %d, %v, want a lost connection", code, err)
	}
}

func TestSSHAgentHoldsKeys(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	agent, err := StartAgent(t.Context(), d, "agent")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := agent.Stop(); err != nil {
			t.Error(err)
		}
	})
	if err := KeyPair(t.Context(), d.Path("key"), "held by the agent"); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "SSH_AUTH_SOCK="+agent.Socket())
	run(t, 1, Command{Path: "ssh-add", Args: []string{"-l"}, Env: env}) // 1: no identities
	run(t, 0, Command{Path: "ssh-add", Args: []string{d.Path("key")}, Env: env})
	if r := run(t, 0, Command{Path: "ssh-add", Args: []string{"-l"}, Env: env}); !strings.Contains(r.Stdout, "held by the agent") {
		t.Errorf("ssh-add -l: %q", r.Output)
	}
	if err := agent.Stop(); err != nil {
		t.Fatal(err)
	}
	run(t, 2, Command{Path: "ssh-add", Args: []string{"-l"}, Env: env}) // 2: no agent
}
