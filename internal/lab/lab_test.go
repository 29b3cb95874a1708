package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// dead is a process that has ended.
func dead(t *testing.T) owner {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sleep", "600")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	o := ownerOf(cmd.Process.Pid)
	if !o.alive() {
		t.Fatal("a running process counts as dead")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Fatal("killed, yet it ended well")
	}
	if o.alive() {
		t.Fatal("a process that has ended counts as alive")
	}
	return o
}

func TestOwner(t *testing.T) {
	t.Parallel()
	me := self()
	if !me.alive() {
		t.Error("we are alive")
	}
	if back, err := parseOwner(me.String()); err != nil || back != me {
		t.Errorf("parseOwner(%q) = %v, %v", me, back, err)
	}
	if later := (owner{pid: me.pid, start: me.start + 1}); later.alive() {
		t.Error("a later process with our id is not the one that was meant")
	}
	for _, s := range []string{"", "1", "start 1", "x start 1", "1 start x", "-1 start 1", "0 start 1"} {
		if o, err := parseOwner(s); err == nil {
			t.Errorf("parseOwner(%q) = %v", s, o)
		}
	}
}

func TestDirIsSafeForSSHD(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	want := "/var/lib/" + dirPrefix
	if os.Geteuid() != 0 {
		me, err := user.Current()
		if err != nil {
			t.Fatal(err)
		}
		want = filepath.Join(me.HomeDir, ".cache", dirPrefix)
	}
	if !strings.HasPrefix(d.Path(), want) {
		t.Errorf("the workspace is %s, want %s…", d.Path(), want)
	}
	info, err := os.Stat(d.Path())
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o755 || ownerUID(info) != os.Geteuid() {
		t.Errorf("mode %v, owner %d", info.Mode(), ownerUID(info))
	}
}

func TestMkdirSetsModes(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	for range 2 { // made, and there already
		if _, err := d.Mkdir(0o700, "a", "b", "c"); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]os.FileMode{"a": 0o755, "a/b": 0o755, "a/b/c": 0o700} {
		info, err := os.Stat(d.Path(path))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v, want mode %04o", path, info, err, want)
		}
	}
	file, err := d.Write(0o644, "text", "a", "file")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Mkdir(0o700, "a", "file", "inside"); err == nil {
		t.Error("a folder was made inside a file")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("%v, %v, want mode 0644", info, err)
	}
}

func TestCheckParentRefusesWhatStrictModesRefuses(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	loose := filepath.Join(top, "loose")
	inner := filepath.Join(loose, "inner")
	if err := os.MkdirAll(inner, 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := checkParent(inner, loose); err != nil || got != inner {
		t.Errorf("checkParent of private folders = %q, %v", got, err)
	}
	if err := os.Chmod(loose, 0o770); err != nil {
		t.Fatal(err)
	}
	_, err := checkParent(inner, loose)
	if !errors.Is(err, ErrUnsafeDir) || !strings.Contains(err.Error(), loose) {
		t.Errorf("checkParent below a folder of mode 0770: %v", err)
	}
}

func TestStaleDirsAreRemoved(t *testing.T) {
	t.Parallel()
	parent := t.TempDir()
	old := time.Now().Add(-2 * newDirGrace)
	tests := []struct {
		name  string
		owner string // content of the owner file; - for none
		at    time.Time
		stays bool
	}{
		{"live", self().String(), old, true},
		{"dead", dead(t).String(), time.Now(), false},
		{"unmarked and new", "-", time.Now(), true},
		{"unmarked and old", "-", old, false},
		{"half marked and new", "12", time.Now(), true},
		{"half marked and old", "12", old, false},
	}
	for _, tt := range tests {
		path := filepath.Join(parent, dirPrefix+tt.name)
		if err := os.MkdirAll(filepath.Join(path, "inside"), 0o700); err != nil {
			t.Fatal(err)
		}
		if tt.owner != "-" {
			if err := os.WriteFile(filepath.Join(path, ownerFile), []byte(tt.owner), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chtimes(path, tt.at, tt.at); err != nil {
			t.Fatal(err)
		}
	}
	other := filepath.Join(parent, "sallyport")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := removeStaleDirs(parent, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		if _, err := os.Stat(filepath.Join(parent, dirPrefix+tt.name)); (err == nil) != tt.stays {
			t.Errorf("%s: stays = %v, want %v", tt.name, err == nil, tt.stays)
		}
	}
	if _, err := os.Stat(other); err != nil {
		t.Errorf("somebody else's folder: %v", err)
	}
}

func TestAccountsOfTwoRunsAtOnce(t *testing.T) {
	t.Parallel()
	d := workspace(t)
	var list [2]*Account
	var errs [2]error
	var wg sync.WaitGroup
	for i := range list {
		wg.Go(func() { list[i], errs[i] = NewAccount(t.Context(), d) })
	}
	wg.Wait()
	for i, a := range list {
		if errs[i] != nil {
			t.Fatal(errs[i])
		}
		u, err := user.Lookup(string(a.Login))
		if err != nil {
			t.Fatal(err)
		}
		if u.HomeDir != a.Home || u.Uid != strconv.Itoa(a.uid) {
			t.Errorf("account %+v, password file %+v", a, u)
		}
		if a.Temporary() != (os.Geteuid() == 0) {
			t.Errorf("Temporary() = %v for user id %d", a.Temporary(), os.Geteuid())
		}
	}
	if list[0].Temporary() && list[0].Login == list[1].Login {
		t.Errorf("both runs got the account %s", list[0].Login)
	}
	for _, a := range list {
		before, err := a.Exists()
		if err := errors.Join(err, a.Remove(), a.Remove()); err != nil {
			t.Fatal(err)
		}
		after, err := a.Exists()
		if err != nil || !before || after == a.Temporary() {
			t.Errorf("the account %s exists: before Remove %v, afterwards %v, %v", a.Login, before, after, err)
		}
	}
}

// TestStaleAccountsAreRemoved: without root there are none to remove, and
// trying must not hurt.
func TestStaleAccountsAreRemoved(t *testing.T) {
	t.Parallel()
	unused := make([]byte, 2)
	unused[0], unused[1] = byte(os.Getpid()>>8), byte(os.Getpid())
	name := fmt.Sprintf("ops-%x", unused)
	if os.Geteuid() == 0 {
		unlock, err := lockAccounts(t.Context()) // else a run beside this one removes it at once
		if err != nil {
			t.Fatal(err)
		}
		if code, err := useradd(t.Context(), name, t.TempDir(), "/bin/sh", dead(t)); err != nil || code != 0 {
			t.Fatalf("useradd: %d, %v", code, err)
		}
		_, err = user.Lookup(name)
		unlock()
		if err != nil {
			t.Fatal(err)
		}
	}
	account(t, workspace(t)) // a next run
	if _, err := user.Lookup(name); err == nil {
		t.Errorf("the account %s of a dead process is still there", name)
	}
	if _, err := user.LookupGroup(name); err == nil {
		t.Errorf("its group is still there")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	r := run(t, 3, Command{Path: "sh", Args: []string{"-c", "echo out; sleep 0.2; echo err >&2; sleep 0.2; echo again; exit 3"}})
	if r.Stdout != "out\nagain\n" || r.Output != "out\nerr\nagain\n" {
		t.Errorf("%+v", r)
	}
	if _, err := Run(t.Context(), Command{Path: "/no/such/program"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a program that is not there: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	marker := filepath.Join(t.TempDir(), "pid")
	_, err := Run(ctx, Command{Path: "sh", Args: []string{"-c", "sleep 600 & echo $! >" + marker + "; wait"}})
	if !errors.Is(err, ErrTimeout) {
		t.Errorf("a command that takes too long: %v", err)
	}
	gone(t, marker)
}

// gone waits for the end of the process whose id is in the file.
func gone(t *testing.T, file string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := Poll(ctx, fmt.Sprintf("the end of process %d", pid), func() (bool, error) { return !ownerOf(pid).alive(), nil }); err != nil {
		t.Error(err)
	}
}

func TestProcess(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	script := func(name, text string) *Process {
		p, err := Start(t.Context(), filepath.Join(folder, name), Command{Path: "sh", Args: []string{"-c", text}, Dir: folder})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		})
		return p
	}

	ends := script("ends", "echo one; echo two >&2; exit 4")
	if code, err := ends.Wait(t.Context()); err != nil || code != 4 || ends.Log() != "one\ntwo\n" {
		t.Errorf("%d, %v, %q", code, err, ends.Log())
	}
	if _, err := ends.WaitLog(t.Context(), "three"); !errors.Is(err, ErrExited) || !strings.Contains(err.Error(), "two") {
		t.Errorf("waiting for a line that never comes: %v", err)
	}
	if line, err := ends.WaitLogAfter(t.Context(), len("one\n"), "o"); err != nil || line != "two" {
		t.Errorf("WaitLogAfter = %q, %v", line, err)
	}

	// A child in a session of its own, as sshd's connections are, and one that
	// does not listen to SIGTERM.
	family := script("family", "setsid sleep 600 & echo $! >own-session; (trap '' TERM; sleep 600; sleep 600) & echo $! >deaf; echo ready; wait")
	if _, err := family.WaitLog(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	if err := family.Stop(); err != nil {
		t.Fatal(err)
	}
	if ownerOf(family.PID()).alive() {
		t.Error("the process runs on")
	}
	gone(t, filepath.Join(folder, "own-session"))
	gone(t, filepath.Join(folder, "deaf"))

	// The context of the start is not that of the process.
	ctx, cancel := context.WithCancel(t.Context())
	p, err := Start(ctx, filepath.Join(folder, "context"), Command{Path: "sleep", Args: []string{"600"}})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := Start(ctx, filepath.Join(folder, "late"), Command{Path: "sleep", Args: []string{"600"}}); !errors.Is(err, context.Canceled) {
		t.Errorf("Start with a context that has ended: %v", err)
	}
	if !Alive(p.PID()) || p.Code() != -1 {
		t.Error("the process ended with the context of its start")
	}
	if err := errors.Join(p.Stop(), p.Stop()); err != nil {
		t.Error(err)
	}
	if Alive(p.PID()) {
		t.Error("the process outlived Stop")
	}
}

// TestKill: nothing of the process gets to clean up, and Stop has nothing to do.
func TestKill(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	p, err := Start(t.Context(), filepath.Join(folder, "log"), Command{
		Path: "/bin/sh", Args: []string{"-c", "trap 'echo cleaned up' TERM EXIT; echo ready; sleep 600 & wait"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.WaitLog(t.Context(), "ready"); err != nil {
		t.Fatal(err)
	}
	family := descendants(p.PID())
	p.Kill()
	p.Kill()
	if err := p.Stop(); err != nil || Alive(p.PID()) || p.Code() != -1 || p.Log() != "ready\n" {
		t.Errorf("after Kill: %v, exit code %d, log %q", err, p.Code(), p.Log())
	}
	if len(family) != 1 {
		t.Fatalf("it had %d children", len(family))
	}
	err = Poll(t.Context(), "the end of its child", func() (bool, error) { return !family[0].alive(), nil })
	if err != nil {
		t.Error(err)
	}
}

func TestPort(t *testing.T) {
	t.Parallel()
	p, err := ReservePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if PortClosed(t.Context(), p.Addr()) {
		t.Errorf("%s is reserved, yet closed", p.Addr())
	}
	if err := errors.Join(p.Release(), p.Release()); err != nil {
		t.Fatal(err)
	}
	if !PortClosed(t.Context(), p.Addr()) {
		t.Errorf("%s is released, yet open", p.Addr())
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ text, want string }{{"", ""}, {"a\n", "a"}, {"a\nb\nc\n", "b\nc"}} {
		if got := Tail(tt.text, 2); got != tt.want {
			t.Errorf("Tail(%q, 2) = %q, want %q", tt.text, got, tt.want)
		}
	}
}
