package session_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sallyport/sallyport/host/session"
)

// TestSSHDOutlivesTheSessionInWhichItWasRestarted: else nobody would get in any more.
func TestSSHDOutlivesTheSessionInWhichItWasRestarted(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	r := s.open(t, m, 7, time.Now().Add(time.Hour))
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	sshd := filepath.Join(t.TempDir(), "sshd") // the kernel takes the name of a process from its file
	program, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(sshd, program, 0o755); err != nil {
		t.Fatal(err)
	}
	listens := m.start(t, "sh -c 'setsid sh -c \"echo \\$\\$; exec "+sshd+" 3600 >/dev/null 2>&1\" & exit 0'")
	t.Cleanup(func() { _ = syscall.Kill(listens, syscall.SIGKILL) })
	for !orphan(listens) {
		if t.Context().Err() != nil {
			t.Fatal("its parent has not ended")
		}
	}
	if _, err := (session.Scopes{}).End(t.Context(), r, session.Over); err != nil {
		t.Fatal(err)
	}
	if !running(listens) || running(m.pid()) {
		t.Errorf("sshd runs %t, the session %t", running(listens), running(m.pid()))
	}
}

// TestPromiseP09_OnlySSHDIsSpared: a program of root's to which somebody has given the
// name ends with the session.
func TestPromiseP09_OnlySSHDIsSpared(t *testing.T) {
	t.Parallel()
	s := newStep(t)
	m := newMonitor(t)
	r := s.open(t, m, 7, time.Now().Add(time.Hour))
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Fatal(err)
	}
	sshd := filepath.Join(t.TempDir(), "sshd")
	if err := os.Symlink(sleep, sshd); err != nil {
		t.Fatal(err)
	}
	called := m.start(t, "sh -c 'setsid sh -c \"echo \\$\\$; exec "+sshd+" 3600 >/dev/null 2>&1\" & exit 0'")
	t.Cleanup(func() { _ = syscall.Kill(called, syscall.SIGKILL) })
	for !orphan(called) {
		if t.Context().Err() != nil {
			t.Fatal("its parent has not ended")
		}
	}
	if _, err := (session.Scopes{}).End(t.Context(), r, session.Over); err != nil {
		t.Fatal(err)
	}
	if running(called) {
		t.Error("what is only called sshd goes on")
	}
}

// orphan reports whether a process is sshd, and a child of process 1.
func orphan(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil && strings.Contains(string(text), "(sshd) S 1 ")
}

// TestLeave: what starts in a session can leave it, if it is root.
func TestLeave(t *testing.T) {
	if os.Getenv("SALLYPORT_LEAVES") != "" { // the process below
		before, err := os.ReadFile("/proc/self/cgroup")
		if err != nil || !strings.Contains(string(before), "sallyport-") {
			t.Fatal(string(before), err)
		}
		if err := session.Leave(); err != nil {
			t.Fatal(err)
		}
		if after, err := os.ReadFile("/proc/self/cgroup"); err != nil || strings.Contains(string(after), "sallyport-") {
			t.Fatal(string(after), err)
		}
		return
	}
	s := newStep(t)
	m := newMonitor(t)
	r := s.open(t, m, 7, time.Now().Add(time.Hour))
	cmd := exec.Command(os.Args[0], "-test.run=^TestLeave$")
	cmd.Env = append(os.Environ(), "SALLYPORT_LEAVES=1")
	scope, err := os.Open(r.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = scope.Close() }()
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(scope.Fd())}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatal(err, string(out))
	}
}
