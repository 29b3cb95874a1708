package lab_test

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

// settled is a host whose running sshd was started without us, and that setup is to be run on.
type settled struct {
	*askedHost
	options host.SetupOptions
	out     bytes.Buffer
}

func newSettled(t *testing.T) *settled {
	t.Helper()
	return settle(t, newHostWithoutUs(t, ""))
}

// settle says how a host is set up.
func settle(t *testing.T, v *askedHost) *settled {
	t.Helper()
	s := &settled{askedHost: v}
	me, err := user.Lookup(string(s.account.Login))
	if err != nil {
		t.Fatal(err)
	}
	// The account that is logged in to is the verifier's as well: it is made and removed with the test. Setup is told that
	// it logs in nowhere.
	passwd, err := s.dir.Write(0o644, fmt.Sprintf("%s:x:%s:%s::%s:/usr/sbin/nologin\n", me.Username, me.Uid, me.Gid, me.HomeDir), "passwd")
	if err != nil {
		t.Fatal(err)
	}
	bundle := s.world.BundleFile(s.world.Bundle())
	signed, err := trust.Parse(bundle)
	if err != nil {
		t.Fatal(err)
	}
	if s.log, err = s.dir.Write(0o666, "", "sally-host.log"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "spool"} {
		if _, err := s.dir.Mkdir(0o755, name); err != nil {
			t.Fatal(err)
		}
	}
	s.options = host.SetupOptions{
		Machine: host.Machine{
			Dir: filepath.Join(s.sshd.Dir(), "sallyport"), State: s.dir.Path("state", "sally-host"), Spool: s.dir.Path("spool", "sally-host"),
			Main: filepath.Join(s.sshd.Dir(), "sshd_config"), Program: s.root.Path("sally-host"), User: me.Username, Passwd: passwd, Log: s.log, Owner: os.Geteuid(),
		},
		Reload: host.Reload{PIDFile: filepath.Join(s.sshd.Dir(), "sshd.pid")}, Config: s.world.Config(), Bundle: bundle, Digest: signed.Digest(),
		BreakGlass: true, Out: &s.out, Now: time.Now,
	}
	return s
}

// newHostWithoutUs is an askedHost whose sshd is as the distribution has it, with a copy of the machine's /etc/pam.d in
// this folder of the host's; empty: without PAM.
func newHostWithoutUs(t *testing.T, pam string) *askedHost {
	t.Helper()
	v := prepareHost(t)
	v.install()
	var err error
	if v.sshd, err = lab.NewSSHD(t.Context(), v.dir, "web-1.demo"); err != nil {
		t.Fatal(err)
	}
	if pam != "" {
		v.sshd.PAM = v.root.Path(pam)
		run(t, 0, lab.Command{Path: "cp", Args: []string{"-r", "/etc/pam.d", v.sshd.PAM}})
	}
	if err := v.sshd.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := v.sshd.Stop(); err != nil {
			t.Error(err)
		}
	})
	return v
}

// files are those of the host's own folder, but for what its sshd writes.
func (s *settled) files() map[string]string {
	s.t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(s.sshd.Dir(), func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || strings.HasSuffix(path, ".log") {
			return err
		}
		text, err := os.ReadFile(path)
		all[path] = string(text)
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return all
}

// inForce is what sshd makes of its configuration.
func (s *settled) inForce() string {
	s.t.Helper()
	path, err := lab.FindProgram("sshd")
	if err != nil {
		s.t.Fatal(err)
	}
	return run(s.t, 0, lab.Command{Path: path, Args: []string{"-T", "-f", s.options.Machine.Main}}).Stdout
}

func run(t *testing.T, code int, c lab.Command) lab.Result {
	t.Helper()
	r, err := lab.Run(t.Context(), c)
	if err != nil || r.Code != code {
		t.Fatalf("%s: %v, exit code %d, want %d: %s", c.Path, err, r.Code, code, r.Output)
	}
	return r
}

func (s *settled) leave() error {
	return host.Leave(s.t.Context(), host.LeaveOptions{Machine: s.options.Machine, Reload: s.options.Reload, Out: &s.out})
}

// knockWithKey tries a plain key without a certificate.
func (s *settled) knockWithKey() bool {
	s.t.Helper()
	if err := os.Remove(s.key + "-cert.pub"); err != nil && !os.IsNotExist(err) {
		s.t.Fatal(err)
	}
	return s.connects()
}

// A running sshd is set up, holds certificates to the ledger, lets the owner in by the owner's own way, and is as before when
// it has left.
func TestPromiseP08_SetupOfARunningSSHD(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	good := s.world.Issue(s.template())
	unlogged := s.world.Sign(s.template(), s.world.CA)
	before, inForce := s.files(), s.inForce()
	if s.knockWith(good) {
		t.Error("before setup a certificate opens the host")
	}

	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatalf("%v\n%s", err, s.out.String())
	}
	if !s.knockWith(good) {
		t.Errorf("after setup the ledger's certificate does not open the host\n%s\n%s", s.says(), s.sshd.Log())
	}
	if s.knockWith(unlogged) {
		t.Error("after setup a certificate opens the host that the ledger does not hold")
	}
	if says := s.says(); !strings.Contains(says, "no-proof") {
		t.Errorf("the verifier says %q", says)
	}
	if h, err := host.Examine(t.Context(), s.options.Machine); err != nil || h.Mode != host.Require {
		t.Errorf("%v %+v", err, h)
	}

	if s.knockWithKey() {
		t.Error("a plain key opens the host that nobody has put there")
	}
	public, err := os.ReadFile(s.key + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(s.options.Machine.Dir, host.BreakGlassFolder, string(s.account.Login))
	if err := os.WriteFile(own, public, 0o644); err != nil {
		t.Fatal(err)
	}
	if !s.knockWithKey() {
		t.Errorf("the owner's own key does not open the host\n%s", s.sshd.Log())
	}
	if err := os.Remove(own); err != nil {
		t.Fatal(err)
	}

	if err := s.leave(); err != nil {
		t.Errorf("%v\n%s", err, s.out.String())
	}
	if s.knockWith(good) {
		t.Error("after it has left a certificate opens the host")
	}
	if after := s.files(); !maps.Equal(before, after) || s.inForce() != inForce {
		t.Errorf("the files were\n%q\nand are\n%q", before, after)
	}
}

// Where sshd can't be told, or is told and then something fails, the running sshd goes on as before.
func TestPromiseP08_FailedSetupOfARunningSSHD(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	good := s.world.Issue(s.template())
	before, inForce := s.files(), s.inForce()
	pid := strconv.Itoa(s.sshd.PID())
	failOnce, err := s.dir.Write(0o755, fmt.Sprintf("#!/bin/sh\nkill -HUP %s\ntest -e %s && exit 0\n: >%[2]s\nexit 1\n", pid, s.dir.Path("told")), "reload")
	if err != nil {
		t.Fatal(err)
	}
	s.options.Reload = host.Reload{Command: failOnce}
	err = host.Setup(t.Context(), s.options)
	if err == nil || !strings.HasSuffix(err.Error(), "everything is as before") {
		t.Errorf("setup: %v\n%s", err, s.out.String())
	}
	if after := s.files(); !maps.Equal(before, after) || s.inForce() != inForce {
		t.Errorf("the files were\n%q\nand are\n%q", before, after)
	}
	if s.knockWith(good) {
		t.Error("a certificate opens the host, which was put back")
	}
	if !strings.Contains(s.out.String(), "put back: what sshd has in force") {
		t.Errorf("it says\n%s", s.out.String())
	}
	// It still answers, and can be set up.
	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatal(err)
	}
	if !s.knockWith(good) {
		t.Errorf("the ledger's certificate does not open the host\n%s", s.says())
	}
}

// A command that should have sshd read its configuration, and does not, is noticed: nothing would be in force.
func TestPromiseP08_SetupNoticesThatSSHDWasNotTold(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	before := s.files()
	s.options.Reload = host.Reload{Command: "true"}
	if err := host.Setup(t.Context(), s.options); err == nil || !strings.Contains(err.Error(), "sshd has not read its configuration again") {
		t.Errorf("setup: %v", err)
	}
	if after := s.files(); !maps.Equal(before, after) {
		t.Errorf("the files were\n%q\nand are\n%q", before, after)
	}
}

// A verifier that is missing, that fails, or that others could have written lets nobody in: OpenSSH's own suite leaves the
// first two untested.
func TestPromiseP08_NoVerifierNoLogin(t *testing.T) {
	t.Parallel()
	s := newSettled(t)
	good := s.world.Issue(s.template())
	if err := host.Setup(t.Context(), s.options); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name string
		do   func(ctx context.Context) error
	}{
		{"it can be written to by others", func(ctx context.Context) error { return s.root.Chmod(ctx, 0o777, "sally-host") }},
		{"it can't be run", func(ctx context.Context) error { return s.root.Chmod(ctx, 0o644, "sally-host") }},
		{"it fails after it has printed", func(ctx context.Context) error {
			_, err := s.root.InstallText(ctx, fmt.Sprintf("#!/bin/sh\necho %s@web-1.demo\nexit 1\n", s.account.Login), 0o755, "sally-host")
			return err
		}},
		{"it is gone", func(ctx context.Context) error { return s.root.Delete(ctx, "sally-host") }},
	} {
		if err := tt.do(t.Context()); err != nil {
			t.Fatal(err)
		}
		if s.knockWith(good) {
			t.Errorf("%s, and somebody gets in", tt.name)
		}
		if tt.name == "it fails after it has printed" {
			continue // which sshd alone can know
		}
		h, err := host.Examine(t.Context(), s.options.Machine)
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range h.Findings {
			found = found || f.ID == "program-open" || f.ID == "program-not-run"
		}
		if !found {
			t.Errorf("%s, and doctor says %+v", tt.name, h.Findings)
		}
	}
}
