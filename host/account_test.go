package host_test

import (
	"context"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/internal/lab"
)

// testAccount begins the name of an account that a test lets setup make; the process that it belongs to follows.
const testAccount = "sallyv-"

// removeTestAccounts removes the account of a test, and those of tests that have ended.
func removeTestAccounts(t *testing.T, own string) {
	t.Helper()
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(passwd)) {
		name, _, _ := strings.Cut(line, ":")
		pid, err := strconv.Atoi(strings.TrimPrefix(name, testAccount))
		if !strings.HasPrefix(name, testAccount) || err != nil || name != own && syscall.Kill(pid, 0) == nil {
			continue
		}
		path, err := lab.FindProgram("userdel")
		if err != nil {
			t.Fatal(err)
		}
		if r, err := lab.Run(context.Background(), lab.Command{Path: path, Args: []string{name}}); err != nil || r.Code != 0 && r.Code != 6 {
			t.Error(err, r.Output)
		}
	}
}

// Setup makes a real account, of its own and without a shell, and it goes with a failed setup and with leave. Without root
// there is none to make: setup says so, and changes nothing.
func TestSetupMakesTheAccount(t *testing.T) {
	t.Parallel()
	j := newJoining(t)
	name := fmt.Sprintf("%s%d", testAccount, os.Getpid())
	j.options.Machine.User, j.options.Machine.Passwd, j.options.Machine.Owner = name, "/etc/passwd", 0
	if os.Geteuid() != 0 {
		if err := host.Setup(t.Context(), j.options); err == nil || !strings.Contains(err.Error(), "run it as root") {
			t.Errorf("setup without root: %v", err)
		}
		return
	}
	removeTestAccounts(t, name)
	t.Cleanup(func() { removeTestAccounts(t, name) })
	gone := func() {
		if _, err := user.Lookup(name); err == nil {
			t.Errorf("%s is still there", name)
		}
		if _, err := user.LookupGroup(name); err == nil {
			t.Errorf("the group %s is still there", name)
		}
	}
	before := j.state(t)
	j.options.Reload.Command = "false"
	if err := host.Setup(t.Context(), j.options); err == nil {
		t.Error("sshd can't be told, and setup succeeds")
	}
	gone()
	j.options.Reload.Command = "true"
	if err := host.Setup(t.Context(), j.options); err != nil {
		t.Fatal(err)
	}
	u, err := user.Lookup(name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(j.options.Machine.Spool)
	if err != nil {
		t.Fatal(err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || u.HomeDir != "/nonexistent" || u.Uid == "0" || strconv.Itoa(int(stat.Uid)) != u.Uid || info.Mode().Perm() != 0o700 {
		t.Errorf("the account is %+v, the spool %s of user %d", u, info.Mode(), stat.Uid)
	}
	if err := j.leave(t); err != nil {
		t.Error(err)
	}
	gone()
	same(t, before, j.state(t))
}
