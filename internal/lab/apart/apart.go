// Package apart owns a copy of this machine that a test may change: install packages,
// add accounts, break sshd. Nothing of it is seen outside, and nothing is left of it.
//
// The copy is a mount namespace whose root is an overlay over the machine's own root
// file system; what is written goes into memory. Processes and the network are those of
// the machine. Only root can have one.
package apart

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/internal/lab"
)

// ErrNotRoot says that somebody else than root wanted a copy.
var ErrNotRoot = errors.New("only root can make a copy of the machine")

// makeScript is what its holder does: as long as that lives, the copy is there. /etc is
// copied whole: a layer over one that changes meanwhile would show accounts and locks of
// whoever else is at work on the machine. What vanishes while it is copied is no loss.
// What a sally-host of the machine keeps is not in the copy.
// /run is empty, so no systemd is seen, and nothing in it speaks to the machine's services.
const makeScript = `set -e
mount -t tmpfs -o mode=0755 none "$1"
cd "$1"
mkdir upper work root
mount -t overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" none root
cd root
cp -a etc etc.own 2>/dev/null || test -s etc.own/passwd
rm -rf etc
mv etc.own etc
rm -rf etc/*.lock etc/.pwd.lock etc/ssh/sallyport etc/ssh/sshd_config.d/00-sallyport.conf usr/bin/sally-host var/lib/sally-host var/spool/sally-host
mount -t proc none proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs -o mode=0755 none run
mount -t tmpfs -o mode=1777 none tmp
mkdir -m 0755 run/sshd run/lock
echo ready
exec sleep infinity
`

// Machine is one copy.
type Machine struct {
	base   string
	holder *lab.Process
}

// New makes a copy, with its mount point in the workspace.
func New(ctx context.Context, dir *lab.Dir) (*Machine, error) {
	if os.Geteuid() != 0 {
		return nil, ErrNotRoot
	}
	base, err := dir.Mkdir(0o755, "apart")
	if err != nil {
		return nil, err
	}
	m := &Machine{base: base}
	m.holder, err = lab.Start(ctx, dir.Path("apart.log"), lab.Command{
		Path: "unshare", Args: []string{"--mount", "--propagation", "private", "sh", "-c", makeScript, "sh", base},
	})
	if err != nil {
		return nil, err
	}
	if _, err := m.holder.WaitLog(ctx, "ready"); err != nil {
		return nil, errors.Join(fmt.Errorf("a copy of the machine: %w", err), m.Close())
	}
	return m, nil
}

// Close gives the copy up. What still runs in it keeps its files until it ends.
func (m *Machine) Close() error { return m.holder.Stop() }

// Path is a file of the copy as the machine sees it. Absolute links in the copy lead
// out of it, so only plain files are to be read by it.
func (m *Machine) Path(elem ...string) string {
	return m.seen("root", elem...)
}

func (m *Machine) seen(part string, elem ...string) string {
	return filepath.Join(append([]string{"/proc", strconv.Itoa(m.holder.PID()), "root", m.base, part}, elem...)...)
}

// Command is a command that runs in the copy as root, in an environment of its own.
func (m *Machine) Command(program string, args ...string) lab.Command {
	return lab.Command{
		Path: "nsenter",
		Args: append([]string{"--target", strconv.Itoa(m.holder.PID()), "--mount", "--", "chroot", filepath.Join(m.base, "root"), program}, args...),
		Dir:  "/",
		Env: []string{
			"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive",
		},
	}
}

// Run runs a command in the copy to its end.
func (m *Machine) Run(ctx context.Context, program string, args ...string) (lab.Result, error) {
	return lab.Run(ctx, m.Command(program, args...))
}

// Write writes a file of the copy, and the folders above it.
func (m *Machine) Write(path, text string, mode fs.FileMode) error {
	at := m.Path(path)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(at, []byte(text), mode); err != nil {
		return err
	}
	return os.Chmod(at, mode)
}

// Copy brings a file of the machine into the copy.
func (m *Machine) Copy(from, to string, mode fs.FileMode) error {
	text, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return m.Write(to, string(text), mode)
}

// Changed lists what was written in the copy, by path, with all that can be told of it:
// files also if they have become what they were, folders only if the machine has no such
// one, what was deleted as such. What lies on other mounts, such as /run, is left out.
func (m *Machine) Changed() (map[string]string, error) {
	upper := m.seen("upper")
	all := map[string]string{}
	err := filepath.WalkDir(upper, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || path == upper {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		told := info.Mode().String()
		if was, err := os.Lstat(strings.TrimPrefix(path, upper)); info.IsDir() && err == nil && was.Mode() == info.Mode() {
			return nil // something in it was written
		}
		switch {
		case info.Mode().IsRegular():
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			told += " " + string(text)
		case info.Mode()&fs.ModeSymlink != 0:
			to, err := os.Readlink(path)
			if err != nil {
				return err
			}
			told += " " + to
		case info.Mode()&fs.ModeCharDevice != 0: // as an overlay writes it
			told = "deleted"
		}
		all[strings.TrimPrefix(path, upper)] = told
		return nil
	})
	return all, err
}
