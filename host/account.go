package host

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/host/sshdconf"
)

// Exit codes of useradd(8), userdel(8) and groupdel(8) that mean that nothing is left to do, or that it is worth trying again.
const (
	exitNoUser = 6 // userdel, groupdel: there is none
	exitInUse  = 8 // userdel: somebody runs as it
)

// adminTime is how long one program may take, inUseTime how long an account is tried to be removed that is in use: the
// verifier runs for milliseconds.
const (
	adminTime = 30 * time.Second
	inUseTime = 10 * time.Second
	tryEvery  = 50 * time.Millisecond
)

// account makes the account that the verifier runs as, or takes the one that is there if it is nobody else's.
func (t *transaction) account(ctx context.Context) error {
	name := t.machine.User
	accounts, err := sshdconf.Accounts(t.machine.Passwd)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if a.Name != name {
			continue
		}
		for _, f := range sshdconf.JudgeAccount(name, accounts) {
			return fmt.Errorf("%w: %s; name another account with --user, which is then made", ErrMachine, f.Says)
		}
		return nil
	}
	var strike func() error
	return t.step(ctx, "account "+name, func(ctx context.Context) (err error) {
		if strike, err = t.record(change{Kind: changeAccount, Name: name}); err != nil {
			return err
		}
		t.say("made the account %s", name)
		return admin(ctx, nil, "useradd", "--system", "--user-group", "--no-create-home", "--no-log-init", "--home-dir", "/nonexistent",
			"--shell", "/usr/sbin/nologin", "--comment", "Sallyport verifier", name)
	}, &undo{"the account " + name + " is gone", func(ctx context.Context) error {
		if err := removeAccount(ctx, name); err != nil || strike == nil {
			return err
		}
		return strike()
	}})
}

// ids of the verifier's account.
func (t *transaction) ids() (uid, gid int, err error) {
	accounts, err := sshdconf.Accounts(t.machine.Passwd)
	if err != nil {
		return 0, 0, err
	}
	for _, a := range accounts {
		if a.Name == t.machine.User {
			return int(a.UID), int(a.GID), nil
		}
	}
	return 0, 0, fmt.Errorf("%w: the account %s, which was just made, is not in %s", ErrMachine, t.machine.User, t.machine.Passwd)
}

// removeAccount is done when neither the account nor its group is there.
func removeAccount(ctx context.Context, name string) error {
	ctx, cancel := context.WithTimeout(ctx, inUseTime)
	defer cancel()
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		err := admin(ctx, []int{exitNoUser}, "userdel", name)
		if err == nil {
			return admin(ctx, []int{exitNoUser}, "groupdel", name) // where userdel has left it
		}
		if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != exitInUse {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// admin runs one of the programs that keep accounts. fine are the exit codes beside 0 that are no error. While another
// program holds the lock on the password file it tries again.
func admin(ctx context.Context, fine []int, name string, args ...string) error {
	path, err := program(name)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, adminTime)
	defer cancel()
	tick := time.NewTicker(tryEvery)
	defer tick.Stop()
	for {
		cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // a system program; the account's name was checked
		cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
		cmd.WaitDelay = time.Second
		output, err := cmd.CombinedOutput()
		if exit, ok := errors.AsType[*exec.ExitError](err); err == nil || ok && slices.Contains(fine, exit.ExitCode()) {
			return nil
		}
		err = fmt.Errorf("%s: %w: %s", name, err, strings.TrimSpace(string(output)))
		if !strings.Contains(string(output), "cannot lock") {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}
