package host_test

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/host/session"
)

// caller stands for sshd's process of a connection.
func caller(t *testing.T) int {
	t.Helper()
	cmd := exec.Command("sleep", "3600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	})
	return cmd.Process.Pid
}

// stepOf runs the PAM step for a login by a key or certificate and returns what PAM is
// told, and the log.
func stepOf(t *testing.T, o host.SessionOptions, kind string, by ssh.PublicKey) (log string, err error) {
	t.Helper()
	var lines strings.Builder
	o.Log, o.Rand, o.Caller = host.WriterLog(&lines), rand.Reader, caller(t)
	if o.Now == nil {
		o.Now = func() time.Time { return now }
	}
	o.Getenv = func(key string) string {
		return map[string]string{
			"PAM_TYPE": kind, "PAM_USER": "ops", "PAM_SERVICE": "sshd", "PAM_TTY": "ssh", "PAM_RHOST": "192.0.2.7",
			"SSH_AUTH_INFO_0": "publickey " + by.Type() + " " + base64.StdEncoding.EncodeToString(by.Marshal()) + "\n",
		}[key]
	}
	err = host.SessionStep(o)
	return lines.String(), err
}

// records lists the sessions of a state, and ends them with the test.
func records(t *testing.T, state string) []session.Session {
	t.Helper()
	folder, err := session.OpenFolder(filepath.Join(state, host.SessionsFolder))
	if err != nil {
		t.Fatal(err)
	}
	ids, _, err := folder.IDs()
	if err != nil {
		t.Fatal(err)
	}
	var list []session.Session
	for _, id := range ids {
		s, err := folder.Read(id)
		if err != nil {
			t.Fatal(err)
		}
		if list = append(list, s); s.Cert != nil {
			t.Cleanup(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
				defer cancel()
				if _, err := (session.Scopes{}).End(ctx, s, session.Over); err != nil {
					t.Error(err)
				}
			})
		}
	}
	return list
}

// TestPromiseP09_SessionStep: who is let in with what is there and what is not. A
// certificate is refused where its session can't be kept to its grant, but in observe;
// the owner's own key is let in whatever is broken.
func TestPromiseP09_SessionStep(t *testing.T) {
	t.Parallel()
	w := world(t)
	cert := w.Issue(template(t, w))
	foreign := w.Sign(template(t, w), hosttest.Signer(t, "mallory"))
	forged := w.Issue(template(t, w)) // it has the authority's key in it, and another's signature
	forged.Signature = foreign.Signature
	key := hosttest.Signer(t, "owner").PublicKey()
	broken := func(t *testing.T, o *host.SessionOptions) {
		if err := os.Remove(filepath.Join(o.Folder.Path, host.BundleFile)); err != nil {
			t.Fatal(err)
		}
	}
	full := func(t *testing.T, o *host.SessionOptions) {
		o.State = filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(o.State, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	late := func(_ *testing.T, o *host.SessionOptions) { o.Now = func() time.Time { return now.Add(time.Hour) } }
	for _, tt := range []struct {
		name    string
		mode    host.Mode
		by      ssh.PublicKey
		change  func(*testing.T, *host.SessionOptions)
		refused bool
		cgroup  bool
		log     string
	}{
		{name: "a certificate", mode: host.Require, by: cert, cgroup: true, log: "session-opened session="},
		{name: "a certificate, observed", mode: host.Observe, by: cert, cgroup: true, log: "session-opened session="},
		{name: "another authority's certificate", mode: host.Require, by: foreign, refused: true, log: "session-refused"},
		{name: "another authority's certificate, observed", mode: host.Observe, by: foreign, log: "session-opened session="},
		{name: "a certificate that nobody signed", mode: host.Require, by: forged, refused: true, log: "session-refused"},
		{name: "a key", mode: host.Require, by: key, log: "session-opened session="},
		{name: "a certificate without a bundle", mode: host.Require, by: cert, change: broken, refused: true, log: "session-refused user=ops detail="},
		{name: "observed without a bundle, nobody knows", mode: host.Observe, by: cert, change: broken, refused: true, log: "session-refused user=ops detail="},
		{name: "a key without a bundle", mode: host.Require, by: key, change: broken, log: "session-opened session="},
		{name: "a certificate without a folder", mode: host.Require, by: cert, change: full, refused: true, log: "session-refused user=ops detail="},
		{name: "observed without a folder", mode: host.Observe, by: cert, change: full, log: "would-refuse-session user=ops detail="},
		{name: "a key without a folder", mode: host.Require, by: key, change: full, log: "session-unrecorded session="},
		{name: "a grant that is over", mode: host.Require, by: cert, change: late, refused: true, log: "the grant is over"},
		{name: "observed, a grant that is over", mode: host.Observe, by: cert, change: late, log: "would-refuse-session"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			o := host.SessionOptions{Folder: folder(t, w), State: t.TempDir()}
			config := w.Config()
			config.Mode = tt.mode
			w.Write(o.Folder.Path, config, w.Bundle())
			state := o.State
			if tt.change != nil {
				tt.change(t, &o)
			}
			log, err := stepOf(t, o, "open_session", tt.by)
			if errors.Is(err, host.ErrSession) != tt.refused || (err != nil) != tt.refused {
				t.Errorf("PAM is told %v, want refused %t", err, tt.refused)
			}
			if !strings.Contains(log, tt.log) {
				t.Errorf("log: %s, want %q", log, tt.log)
			}
			list := records(t, state)
			if got := len(list) == 1 && list[0].Cgroup != ""; got != tt.cgroup {
				t.Errorf("records: %+v", list)
			}
		})
	}
}

// TestSessionStepSurvivesAFault: a certificate is refused, also where a step panics.
func TestSessionStepSurvivesAFault(t *testing.T) {
	t.Parallel()
	w := world(t)
	o := host.SessionOptions{Folder: folder(t, w), State: t.TempDir(), Now: func() time.Time { panic("no clock") }}
	log, err := stepOf(t, o, "open_session", w.Issue(template(t, w)))
	if !errors.Is(err, host.ErrSession) || !strings.Contains(log, "panic: no clock") {
		t.Errorf("PAM is told %v; log: %s", err, log)
	}
}
