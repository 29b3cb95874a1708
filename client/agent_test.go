package client

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/sallyport/sallyport/internal/lab"
)

// connectWith runs SSH under an open grant, with an agent at socket.
func connectWith(t *testing.T, f *fake, w *world, socket string, keyFile bool) {
	t.Helper()
	run := &execRecorder{}
	o := SSHOptions{Env: w.withEnv("SSH_AUTH_SOCK", socket), Ask: Ask{Principals: []string{"ops@web-1.demo"}}, KeyFile: keyFile, Exec: run.exec}
	if err := SSH(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	identityFile := `IdentityFile="` + originDir(w.root, testOrigin) + `/key+ops@web-1.demo"`
	if inFile := strings.Contains(strings.Join(run.argv, " "), identityFile); inFile != keyFile {
		t.Errorf("became %q", run.argv)
	}
}

// realAgent starts an ssh-agent and returns its socket.
func realAgent(t *testing.T) string {
	t.Helper()
	dir, err := lab.NewDir()
	if err != nil {
		t.Fatal(err)
	}
	a, err := lab.StartAgent(t.Context(), dir, "agent")
	if err != nil {
		t.Fatal(errors.Join(err, dir.Remove()))
	}
	t.Cleanup(func() {
		if err := errors.Join(a.Stop(), dir.Remove()); err != nil {
			t.Error(err)
		}
	})
	return a.Socket()
}

func dial(t *testing.T, socket string) agent.ExtendedAgent {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return agent.NewClient(c)
}

// A real ssh-agent holds certificate and key as one entry, which signs, is used
// again, ends with the certificate and goes with a logout. No private key
// touches the disk.
func TestRealAgentHoldsOneEntry(t *testing.T) {
	t.Parallel()
	f, w, socket := newFake(t), newWorld(t), realAgent(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	connectWith(t, f, w, socket, false)
	connectWith(t, f, w, socket, false)
	if n := f.called("POST /v1/grants/"); n != 1 {
		t.Errorf("%d certificates issued, want 1", n)
	}
	a := w.account(t)
	cert, err := a.readCert(web1())
	if err != nil {
		t.Fatal(err)
	}
	ag := dial(t, socket)
	signers, err := ag.Signers()
	if err != nil || len(signers) != 1 {
		t.Fatalf("%d signers, %v", len(signers), err)
	}
	held, ok := signers[0].PublicKey().(*agent.Key)
	if !ok || string(held.Blob) != string(cert.Marshal()) || held.Comment != "ops@web-1.demo (sally)" {
		t.Errorf("it holds %v", held)
	}
	sig, err := signers[0].Sign(nil, []byte("challenge"))
	if err != nil {
		t.Fatal(err)
	}
	if err := cert.Key.Verify([]byte("challenge"), sig); err != nil {
		t.Errorf("its signature: %v", err)
	}
	if files := privateKeys(t, a.dir); len(files) > 0 {
		t.Errorf("private keys on disk: %v", files)
	}
	if err := Logout(t.Context(), LogoutOptions{w.withEnv("SSH_AUTH_SOCK", socket)}); err != nil {
		t.Fatal(err)
	}
	if keys, err := ag.List(); err != nil || len(keys) != 0 {
		t.Errorf("after logout it holds %v, %v", keys, err)
	}
}

// privateKeys lists the files under dir with a private key, the session's
// device key aside.
func privateKeys(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		b, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		if e.Name() != sessionFile && strings.Contains(string(b), "PRIVATE KEY") {
			found = append(found, e.Name())
		}
	}
	return found
}

func TestRealAgentForgetsTheEntryWithTheCertificate(t *testing.T) {
	t.Parallel()
	f, w, socket := newFake(t), newWorld(t), realAgent(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	f.ttl = 2 * time.Second
	connectWith(t, f, w, socket, false)
	ag := dial(t, socket)
	if keys, err := ag.List(); err != nil || len(keys) != 1 {
		t.Fatalf("it holds %v, %v", keys, err)
	}
	cert, err := w.account(t).readCert(web1())
	if err != nil {
		t.Fatal(err)
	}
	err = lab.Poll(t.Context(), "the end of the agent's entry", func() (bool, error) {
		keys, err := ag.List()
		if time.Now().After(unixTime(cert.ValidBefore).Add(3 * time.Second)) {
			return false, errors.New("it outlives the certificate")
		}
		return len(keys) == 0, err
	})
	if err != nil {
		t.Error(err)
	}
}

// keeper is an agent in this process that keeps what it was given.
type keeper struct {
	agent.Agent
	added  []agent.AddedKey
	refuse error
	forget bool
}

func (k *keeper) Add(key agent.AddedKey) error {
	k.added = append(k.added, key)
	if k.refuse != nil || k.forget {
		return k.refuse
	}
	return k.Agent.Add(key)
}

func (k *keeper) socket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			_ = agent.ServeAgent(k, c) // ends with the client
			_ = c.Close()
		}
	}()
	return path
}

func TestAgentEntryLivesAsLongAsTheCertificate(t *testing.T) {
	t.Parallel()
	f, w := newFake(t), newWorld(t)
	w.logIn(t, f)
	f.granted(time.Hour, "web-1.demo")
	f.ttl = 5 * time.Minute
	k := &keeper{Agent: agent.NewKeyring()}
	connectWith(t, f, w, k.socket(t), false)
	if len(k.added) != 1 {
		t.Fatalf("%d entries added", len(k.added))
	}
	added := k.added[0]
	if added.Certificate == nil || added.LifetimeSecs < 290 || added.LifetimeSecs > 300 || added.ConfirmBeforeUse {
		t.Errorf("added with lifetime %d, certificate %v", added.LifetimeSecs, added.Certificate)
	}
	signer, err := ssh.NewSignerFromKey(added.PrivateKey)
	if err != nil || !sameKey(signer.PublicKey(), added.Certificate.Key) {
		t.Errorf("its key is another: %v", err)
	}
}

func TestFilesWhereNoAgentTakesIt(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name   string
		socket func(*testing.T) string
		flag   bool
		want   string
	}{
		{"no agent", func(*testing.T) string { return "" }, false, "no ssh-agent runs"},
		{"a dead agent", func(t *testing.T) string { return filepath.Join(t.TempDir(), "gone") }, false, "the ssh-agent does not answer"},
		{"an agent that refuses certificates", func(t *testing.T) string {
			return (&keeper{Agent: agent.NewKeyring(), refuse: errors.New("no")}).socket(t)
		}, false, "the ssh-agent refused the certificate"},
		{"an agent that only says yes", func(t *testing.T) string {
			return (&keeper{Agent: agent.NewKeyring(), forget: true}).socket(t)
		}, false, "does not list it"},
		{"asked for", func(t *testing.T) string { return (&keeper{Agent: agent.NewKeyring()}).socket(t) }, true, "asked for with --key-file"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f, w := newFake(t), newWorld(t)
			w.logIn(t, f)
			f.granted(time.Hour, "web-1.demo")
			socket := tt.socket(t)
			run := &execRecorder{}
			o := SSHOptions{Env: w.withEnv("SSH_AUTH_SOCK", socket), Ask: Ask{Principals: []string{"ops@web-1.demo"}}, KeyFile: tt.flag, Exec: run.exec}
			for range 2 { // the second run uses the files
				if err := SSH(t.Context(), o); err != nil {
					t.Fatal(err)
				}
			}
			a := w.account(t)
			if strings.Count(w.stderr(), tt.want) != 1 || strings.Count(w.stderr(), "the key lies in "+a.keyFile(web1())) != 1 {
				t.Errorf("said %q", w.stderr())
			}
			if n := f.called("POST /v1/grants/"); n != 1 {
				t.Errorf("%d certificates issued", n)
			}
			text, err := readPrivate(a.keyFile(web1()))
			if err != nil {
				t.Fatal(err)
			}
			key, err := ssh.ParsePrivateKey(text)
			if err != nil {
				t.Fatal(err)
			}
			cert, err := a.readCert(web1())
			if err != nil || !sameKey(key.PublicKey(), cert.Key) {
				t.Errorf("key and certificate do not belong together: %v", err)
			}
			if err := Logout(t.Context(), LogoutOptions{o.Env}); err != nil {
				t.Fatal(err)
			}
			if left := privateKeys(t, a.dir); len(left) > 0 {
				t.Errorf("after logout %v stay", left)
			}
		})
	}
}
