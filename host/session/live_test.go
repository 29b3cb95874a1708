package session_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/sshcert/sshcerttest"
)

// monitor stands for sshd's process of a connection: a shell that does what it is
// told. What it starts after the PAM step is the session.
type monitor struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func newMonitor(t *testing.T) *monitor {
	t.Helper()
	m := &monitor{cmd: exec.Command("/bin/sh")}
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // as sshd does for each connection
	var err error
	if m.in, err = m.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := m.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	m.out = bufio.NewReader(out)
	if err := m.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = m.cmd.Process.Kill()
		_ = m.cmd.Wait() // it was killed
	})
	return m
}

func (m *monitor) pid() int { return m.cmd.Process.Pid }

// start has it run a command line that prints the process id of something that goes
// on.
func (m *monitor) start(t *testing.T, line string) int {
	t.Helper()
	if _, err := fmt.Fprintln(m.in, line); err != nil {
		t.Fatal(err)
	}
	text, err := m.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// running reports whether a process is there and not only waited for.
func running(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && !strings.Contains(string(text), ") Z ")
}

// step is the PAM step of a host, with a folder of its own.
type step struct {
	session.Host
	ca ssh.Signer
}

func newStep(t *testing.T) *step {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can put processes into cgroups: run this as root")
	}
	folder, err := session.OpenFolder(filepath.Join(t.TempDir(), "sessions"))
	if err != nil {
		t.Fatal(err)
	}
	ca := sshcerttest.Signer(t, ssh.KeyAlgoED25519)
	s := &step{session.Host{Authorities: []ssh.PublicKey{ca.PublicKey()}, Sessions: folder, Now: time.Now, Rand: rand.Reader}, ca}
	t.Cleanup(func() { s.clear(t) })
	return s
}

// clear ends what a test has left.
func (s *step) clear(t *testing.T) {
	for _, r := range s.list(t) {
		if r.Cert == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		if _, err := (session.Scopes{}).End(ctx, r, session.Over); err != nil {
			t.Error(err)
		}
		cancel()
	}
}

func (s *step) list(t *testing.T) []session.Session {
	t.Helper()
	ids, _, err := s.Sessions.IDs()
	if err != nil {
		t.Fatal(err)
	}
	var list []session.Session
	for _, id := range ids {
		r, err := s.Sessions.Read(id)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// pam is the environment that pam_exec gives.
func pam(kind, user, info string) func(string) string {
	return func(key string) string {
		return map[string]string{
			"PAM_TYPE": kind, "PAM_USER": user, "PAM_SERVICE": "sshd", "PAM_TTY": "ssh", "PAM_RHOST": "192.0.2.7", "SSH_AUTH_INFO_0": info,
		}[key]
	}
}

// open runs the step for a login by a certificate whose grant ends then.
func (s *step) open(t *testing.T, m *monitor, serial uint64, end time.Time) session.Session {
	t.Helper()
	return s.openAs(t, m, authInfo(certify(t, s.ca, serial, keyID(end))))
}

func (s *step) openAs(t *testing.T, m *monitor, info string) session.Session {
	t.Helper()
	did, err := s.Step(pam("open_session", "nobody", info), m.pid())
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Sessions.Read(did.Session)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const sleeps = "sleep 3600 >/dev/null 2>&1 </dev/null & echo $!"

// TestPromiseP09_WhatStartedInASessionEnds: a child, one with a session of its own,
// one that hangups don't reach, one whose parent is gone; and nothing else.
func TestPromiseP09_WhatStartedInASessionEnds(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m, other, key := newMonitor(t), newMonitor(t), newMonitor(t)
	before := m.start(t, sleeps) // what sshd had started before is no part of it
	end := time.Now().Add(time.Hour).Truncate(time.Second)
	r := s.open(t, m, 7, end)
	if !r.End.Equal(end) || r.Serial() != 7 {
		t.Errorf("it ends at %s, want %s", r.End, end)
	}
	s.open(t, other, 8, time.Now().Add(time.Hour))
	s.openAs(t, key, authInfo(sshcerttest.Signer(t, ssh.KeyAlgoED25519).PublicKey()))

	ends := []int{
		m.pid(),
		m.start(t, sleeps),
		m.start(t, "setsid sh -c 'echo $$; exec sleep 3600 >/dev/null 2>&1' &"),
		m.start(t, "nohup sh -c 'echo $$; exec sleep 3600 >/dev/null' 2>/dev/null &"),
		m.start(t, "sh -c 'setsid sh -c \"echo \\$\\$; exec sleep 3600 >/dev/null 2>&1\" & exit 0'"),
	}
	stays := []int{before, other.pid(), other.start(t, sleeps), key.pid(), key.start(t, sleeps)}
	t.Cleanup(func() { _ = syscall.Kill(before, syscall.SIGKILL); _ = syscall.Kill(stays[4], syscall.SIGKILL) })

	ended, err := session.Scopes{}.End(t.Context(), r, session.Over)
	if err != nil {
		t.Fatal(err)
	}
	if ended.Killed != len(ends) || len(ended.Outside) != 1 || ended.Outside[0].PID != before {
		t.Errorf("End = %+v; want %d killed, and %d, which sshd had started, outside", ended, len(ends), before)
	}
	for _, pid := range ends {
		if running(pid) {
			t.Errorf("process %d of the session runs on", pid)
		}
	}
	for _, pid := range stays {
		if !running(pid) {
			t.Errorf("process %d does not belong to the session and was killed", pid)
		}
	}
	if _, err := os.Stat(r.Cgroup); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the cgroup is still there: %v", err)
	}
	if over, err := (session.Scopes{}).Over(r); err != nil || !over {
		t.Errorf("Over = %t, %v", over, err)
	}
	if _, err := (session.Scopes{}).End(t.Context(), r, session.Over); err != nil {
		t.Errorf("once more: %v", err)
	}
}

// TestPromiseP09_WhatRootMovedOutIsReported, and what the login has started elsewhere
// meanwhile.
func TestPromiseP09_WhatRootMovedOutIsReported(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	// Its own as the login: what runs as root would be beside every session of root.
	r := s.open(t, m, 7, time.Now().Add(time.Hour))
	child := m.start(t, "setpriv --reuid=65534 --clear-groups sh -c 'sleep 3600 >/dev/null 2>&1 & echo $!; wait' &")
	kin := m.start(t, "setpriv --reuid=65534 --clear-groups sh -c 'echo $$; exec sleep 3600 >/dev/null 2>&1' &")
	if err := os.WriteFile(filepath.Join(filepath.Dir(r.Cgroup), "cgroup.procs"), []byte(strconv.Itoa(child)), 0); err != nil {
		t.Fatal(err)
	}
	job := exec.Command("sleep", "3600") // as at(1) would start it, from a daemon
	job.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if err := job.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(child, syscall.SIGKILL)
		_ = job.Process.Kill()
		_ = job.Wait() // it was killed
	})
	ended, err := session.Scopes{}.End(t.Context(), r, session.Revoked)
	if err != nil {
		t.Fatal(err)
	}
	if running(kin) || !running(child) || !running(job.Process.Pid) {
		t.Errorf("inside %t, moved out %t, a job %t; want that what is outside goes on", running(kin), running(child), running(job.Process.Pid))
	}
	has := func(list []session.Process, pid int) bool {
		return slices.ContainsFunc(list, func(p session.Process) bool { return p.PID == pid })
	}
	if !has(ended.Outside, child) || has(ended.Beside, child) {
		t.Errorf("process %d was moved out: %+v", child, ended)
	}
	if !has(ended.Beside, job.Process.Pid) || has(ended.Outside, job.Process.Pid) {
		t.Errorf("process %d is a job of the login: %+v", job.Process.Pid, ended)
	}
}

// TestPromiseP09_KeysSessionsAreNotEnded: there is nothing that could be killed.
func TestPromiseP09_KeysSessionsAreNotEnded(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	for name, info := range map[string]string{
		"a key":                       authInfo(sshcerttest.Signer(t, ssh.KeyAlgoED25519).PublicKey()),
		"a password":                  "password\n",
		"nothing":                     "",
		"another authority":           authInfo(certify(t, sshcerttest.Signer(t, ssh.KeyAlgoED25519), 7, keyID(time.Now()))),
		"another authority, no grant": authInfo(certify(t, sshcerttest.Signer(t, ssh.KeyAlgoED25519), 7, "alice")),
	} {
		m := newMonitor(t)
		r := s.openAs(t, m, info)
		if r.Cert != nil || r.Cgroup != "" || r.Login != "nobody" || r.From != "192.0.2.7" || r.Service != "sshd" || r.PID != m.pid() {
			t.Errorf("%s: %+v", name, r)
		}
		if _, err := (session.Scopes{}).End(t.Context(), r, session.Revoked); err == nil {
			t.Errorf("%s: it was ended", name)
		}
		if !running(m.pid()) {
			t.Errorf("%s: it was killed", name)
		}
	}
}

func TestStepRefuses(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	later := time.Now().Add(time.Hour)
	good := certify(t, s.ca, 7, keyID(later))
	for _, tt := range []struct {
		name string
		env  func(string) string
		want error
		cert bool // a certificate took part, so the login is refused
	}{
		{"a grant that is over", pam("open_session", "nobody", authInfo(certify(t, s.ca, 7, keyID(time.Now().Add(-time.Second))))), session.ErrOver, true},
		{"a key ID that names no grant", pam("open_session", "nobody", authInfo(certify(t, s.ca, 7, "alice"))), session.ErrLogin, true},
		{"two certificates", pam("open_session", "nobody", authInfo(good, certify(t, s.ca, 8, keyID(later)))), session.ErrLogin, true},
		{"a certificate cut off", pam("open_session", "nobody", authInfo(good)[:400]+"\n"), session.ErrLogin, true},
		{"a certificate that is no base64", pam("open_session", "nobody", "publickey "+good.Type()+" ?\n"), session.ErrLogin, true},
		{"another PAM type", pam("auth", "nobody", authInfo(good)), session.ErrLogin, true},
		{"no user", pam("open_session", "", authInfo(good)), session.ErrLogin, true},
		{"no user, by a key", pam("open_session", "", "publickey ssh-ed25519 AAAA\n"), session.ErrLogin, false},
	} {
		did, err := s.Step(tt.env, m.pid())
		if !errors.Is(err, tt.want) || did.Certificate != tt.cert {
			t.Errorf("%s: Step = %+v, %v; want %v", tt.name, did, err, tt.want)
		}
	}
	if _, err := s.Step(pam("open_session", "nobody", authInfo(good)), 1<<30); err == nil {
		t.Error("a caller that is not there")
	}
	if got := s.list(t); len(got) != 0 {
		t.Errorf("records of what was refused: %+v", got)
	}
	now, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", m.pid()))
	if err != nil || strings.Contains(string(now), "sallyport-") {
		t.Errorf("a refused session was moved: %s %v", now, err)
	}
}

// TestStepLeavesNothing of a session whose record can't be written.
func TestStepLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	path := filepath.Join(t.TempDir(), "sessions")
	var err error
	if s.Sessions, err = session.OpenFolder(path); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	did, err := s.Step(pam("open_session", "nobody", authInfo(certify(t, s.ca, 7, keyID(time.Now().Add(time.Hour))))), m.pid())
	if err == nil || !did.Certificate {
		t.Fatalf("Step = %+v, %v; want an error about a certificate", did, err)
	}
	left, err := filepath.Glob("/sys/fs/cgroup/*/sallyport-" + string(did.Session))
	if err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil { // for the end of the test
		t.Fatal(err)
	}
}

func TestClosedSessions(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	r := s.open(t, m, 7, time.Now().Add(time.Hour))
	stays := m.start(t, "setsid sh -c 'echo $$; exec sleep 3600 >/dev/null 2>&1' &")
	did, err := s.Step(pam("close_session", "nobody", ""), m.pid())
	if err != nil || did.Session != r.ID || did.Serial != 7 || did.Opens {
		t.Fatalf("Step = %+v, %v", did, err)
	}
	if r, err = s.Sessions.Read(r.ID); err != nil || r.ClosedAt < r.OpenedAt {
		t.Fatalf("closed at %d, opened at %d, %v", r.ClosedAt, r.OpenedAt, err)
	}
	if err := m.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = m.cmd.Wait() // it was killed
	if over, err := (session.Scopes{}).Over(r); err != nil || over {
		t.Errorf("Over = %t, %v; something of it still runs", over, err)
	}
	if err := syscall.Kill(stays, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for over := false; !over; {
		if over, err = (session.Scopes{}).Over(r); err != nil || t.Context().Err() != nil {
			t.Fatal(err, t.Context().Err())
		}
	}
	if err := (session.Scopes{}).Tidy(r); err != nil {
		t.Error(err)
	}
	if err := s.Sessions.Remove(r.ID); err != nil {
		t.Error(err)
	}
	if did, err := s.Step(pam("close_session", "nobody", ""), os.Getpid()); err != nil || did.Session != "" {
		t.Errorf("closing what was never opened: %+v, %v", did, err)
	}
}

// terminal opens a pseudo-terminal of somebody and returns its two ends.
func terminal(t *testing.T, owner int) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = master.Close() })
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	path := "/dev/pts/" + strconv.Itoa(n)
	if slave, err = os.OpenFile(path, os.O_RDWR|syscall.O_NOCTTY, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = slave.Close() })
	if err := os.Chown(path, owner, 0); err != nil { // as sshd does
		t.Fatal(err)
	}
	return master, slave
}

func TestWarningsReachTheTerminal(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	end := time.Date(2099, 12, 31, 23, 59, 30, 0, time.UTC)
	r := s.open(t, m, 7, end)
	var masters []*os.File
	for _, owner := range []int{65534, 1} { // the login's and another's
		master, slave := terminal(t, owner)
		masters = append(masters, master)
		in := exec.Command("sleep", "3600")
		in.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0, Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		in.Stdin = slave
		if err := in.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = in.Process.Kill(); _ = in.Wait() }) // it was killed
		if err := os.WriteFile(filepath.Join(r.Cgroup, "cgroup.procs"), []byte(strconv.Itoa(in.Process.Pid)), 0); err != nil {
			t.Fatal(err)
		}
	}
	told, err := session.Scopes{}.Warn(r, 5*time.Minute, false)
	if err != nil || told != 1 {
		t.Fatalf("Warn = %d, %v; want the login's terminal alone", told, err)
	}
	reader := bufio.NewReader(masters[0])
	expect := func(want string) {
		t.Helper()
		for {
			line, err := reader.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(line, want) {
				return
			}
		}
	}
	expect("sallyport: your grant is over at 23:59:30 UTC; this session ends in 5 minutes.")
	if _, err := (session.Scopes{}).End(t.Context(), r, session.Revoked); err != nil {
		t.Fatal(err)
	}
	expect("sallyport: your certificate was revoked; this session ends now")
}

func TestFolderOfOthersIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o770, 0o707, 0o755} {
		path := filepath.Join(t.TempDir(), "sessions")
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := session.OpenFolder(path); err == nil {
			t.Errorf("mode %o is taken", mode)
		}
	}
}
