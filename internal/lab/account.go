package lab

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/user"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/sshcert"
)

// accountNote starts the comment (GECOS) field of accounts made here; the
// process that they belong to follows.
const accountNote = "sallyport demo of pid "

// accountLock is the folder that lockAccounts locks.
const accountLock = "/var/lib"

// accountName is what an account made here may be called. Nothing else is ever
// removed.
var accountName = regexp.MustCompile(`^(ops|verify)(-[0-9a-f]{4})?$`)

// Exit codes of useradd(8), userdel(8) and groupdel(8).
const (
	exitLocked   = 1  // cannot update the password file: somebody else holds its lock
	exitNoUser   = 6  // the user or group does not exist
	exitInUse    = 8  // the user is logged in
	exitNameUsed = 9  // user or group name already taken
	exitNoGroup  = 10 // cannot update the group file
)

// Account is the login on the lab's hosts.
//
// As root it is a temporary system account with an own home in the workspace,
// no password ("*": sshd without PAM refuses an account that is locked with
// "!") and a real shell. Without root it is one's own account: a sshd that does
// not run as root can change to no other.
type Account struct {
	Login sshcert.Login
	Home  string
	uid   int
	temp  bool
	gone  bool
}

// NewAccount makes the account and removes those of processes that have ended.
// Its name is ops when that is free, else ops- and four hex digits.
func NewAccount(ctx context.Context, dir *Dir) (*Account, error) {
	if os.Geteuid() != 0 {
		return ownAccount()
	}
	return newAccount(ctx, dir, "ops", "/bin/sh")
}

// NewVerifier makes an account that logs in nowhere, as which sshd runs what it asks
// about certificates. Only root can.
func NewVerifier(ctx context.Context, dir *Dir) (*Account, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("only root makes accounts: run this as root")
	}
	return newAccount(ctx, dir, "verify", "/usr/sbin/nologin")
}

func newAccount(ctx context.Context, dir *Dir, base, shell string) (*Account, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	unlock, err := lockAccounts(ctx)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStaleAccounts(ctx); err != nil {
		return nil, err
	}
	for range 20 {
		name, err := freeName(base)
		if err != nil {
			return nil, err
		}
		home, err := dir.Mkdir(0o700, "home", name)
		if err != nil {
			return nil, err
		}
		switch code, err := useradd(ctx, name, home, shell, self()); {
		case err != nil:
			return nil, err
		case code == exitNameUsed:
			continue // another run was faster
		}
		a := &Account{Login: sshcert.Login(name), Home: home, temp: true}
		if err := a.own(); err != nil {
			return nil, errors.Join(err, a.Remove())
		}
		return a, nil
	}
	return nil, fmt.Errorf("%s and twenty names like %[1]s-12ab are all taken: userdel the accounts that earlier runs left", base)
}

// lockAccounts lets one run at a time look for accounts and make its own:
// otherwise one could remove as stale the name that another has just taken
// anew. The lock is on a folder, so that no lock file is left behind.
func lockAccounts(ctx context.Context) (unlock func(), err error) {
	f, err := os.Open(accountLock)
	if err != nil {
		return nil, err
	}
	err = Poll(ctx, "the lock on "+accountLock, func() (bool, error) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return func() { _ = f.Close() }, nil // closing lets the lock go
}

func ownAccount() (*Account, error) {
	me, err := user.Current()
	if err != nil {
		return nil, err
	}
	login, err := sshcert.ParseLogin(me.Username)
	if err != nil {
		return nil, fmt.Errorf("your own account is the one that an unprivileged sshd can admit: %w", err)
	}
	uid, err := strconv.Atoi(me.Uid)
	if err != nil {
		return nil, err
	}
	return &Account{Login: login, Home: me.HomeDir, uid: uid}, nil
}

// own looks the new account up and gives it its home.
func (a *Account) own() error {
	u, err := user.Lookup(string(a.Login))
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	if a.uid, err = strconv.Atoi(u.Uid); err != nil {
		return err
	}
	return os.Chown(a.Home, a.uid, gid)
}

// Temporary tells whether the account was made for this run.
func (a *Account) Temporary() bool { return a.temp }

// Exists reports whether the password file has the account. One of the same name
// that another run has made since is not it.
func (a *Account) Exists() (bool, error) {
	u, err := user.Lookup(string(a.Login))
	if _, unknown := errors.AsType[user.UnknownUserError](err); unknown {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return u.HomeDir == a.Home, nil
}

// Remove ends whatever still runs under a temporary account and removes it; its
// home goes with the workspace. An account that was there before stays. It may
// be called again.
func (a *Account) Remove() error {
	if !a.temp || a.gone {
		return nil
	}
	// Not the caller's context: removing matters most when that has ended.
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := removeAccount(ctx, string(a.Login), a.uid); err != nil {
		return fmt.Errorf("removing the account %s (userdel %s does it by hand): %w", a.Login, a.Login, err)
	}
	a.gone = true
	return nil
}

// freeName proposes a name that no user and no group has.
func freeName(base string) (string, error) {
	name := base
	for range 20 {
		_, userErr := user.Lookup(name)
		_, groupErr := user.LookupGroup(name)
		if userErr != nil && groupErr != nil {
			return name, nil
		}
		suffix := make([]byte, 2)
		if _, err := rand.Read(suffix); err != nil {
			return "", err
		}
		name = base + "-" + hex.EncodeToString(suffix)
	}
	return name, nil // useradd has the last word
}

func useradd(ctx context.Context, name, home, shell string, of owner) (int, error) {
	return admin(ctx, []int{0, exitNameUsed}, "useradd", "--system", "--user-group", "--no-create-home", "--no-log-init",
		"--home-dir", home, "--shell", shell, "--password", "*", "--comment", accountNote+of.String(), name)
}

// removeAccount is done when neither the user nor its group is there.
func removeAccount(ctx context.Context, name string, uid int) error {
	for {
		if uid > 0 {
			if err := endAll(processesOf(uid)); err != nil {
				return err
			}
		}
		code, err := admin(ctx, []int{0, exitNoUser, exitInUse}, "userdel", name)
		if err != nil {
			return err
		}
		if code != exitInUse {
			break
		}
		time.Sleep(pollEvery)
	}
	// userdel removes the group only where login.defs says so.
	_, err := admin(ctx, []int{0, exitNoUser}, "groupdel", name)
	return err
}

// processesOf lists what runs under a user id.
func processesOf(uid int) []owner {
	return processes(func(pid int, _ stat) bool {
		info, err := os.Stat("/proc/" + strconv.Itoa(pid))
		return err == nil && ownerUID(info) == uid
	})
}

// admin runs one of the shadow suite's programs and returns its exit code if it
// is one of those that are fine. While another process holds the password
// file's lock it tries again, until ctx ends.
func admin(ctx context.Context, fine []int, program string, args ...string) (int, error) {
	path, err := FindProgram(program)
	if err != nil {
		return 0, err
	}
	var code int
	var last string
	err = Poll(ctx, program, func() (bool, error) {
		r, err := Run(ctx, Command{Path: path, Args: args, Env: []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}})
		if err != nil {
			return false, err
		}
		if slices.Contains(fine, r.Code) {
			code = r.Code
			return true, nil
		}
		last = strings.TrimSpace(r.Output)
		if (r.Code == exitLocked || r.Code == exitNoGroup) && strings.Contains(last, "lock") {
			return false, nil
		}
		return false, fmt.Errorf("exit code %d: %s", r.Code, last)
	})
	if errors.Is(err, ErrTimeout) && last != "" {
		err = fmt.Errorf("%w: its last answer was: %s", err, last)
	}
	return code, err
}

// removeStaleAccounts removes accounts whose comment names a process that has
// ended.
func removeStaleAccounts(ctx context.Context) error {
	b, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), ":")
		if len(f) != 7 || !accountName.MatchString(f[0]) {
			continue
		}
		note, ours := strings.CutPrefix(f[4], accountNote)
		if !ours {
			continue
		}
		of, err := parseOwner(note)
		if err != nil || of.alive() {
			continue
		}
		uid, err := strconv.Atoi(f[2])
		if err != nil || uid <= 0 {
			continue
		}
		if err := removeAccount(ctx, f[0], uid); err != nil {
			return fmt.Errorf("removing the account %s of an earlier run: %w", f[0], err)
		}
	}
	return nil
}
