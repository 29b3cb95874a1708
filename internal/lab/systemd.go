package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Systemd is a real systemd that runs beside whatever started this machine, as the first
// process of a process namespace. It has folders of units of its own, and knows none of
// the distribution's, so that it starts nothing but what it is told to: at its boot the
// distribution's would empty /tmp, set the kernel and coldplug devices, of the machine.
type Systemd struct {
	Units string // stands for /etc/systemd/system
	proc  *Process
	pid   int
}

// targets are all that it has of the distribution's units, without anything that they
// want. Each unit stands behind the first two by itself.
var targets = []string{"sysinit.target", "basic.target", "multi-user.target", "shutdown.target"}

// systemdScript makes the mounts and becomes systemd. What it could write to by itself
// (/run, /tmp, /var/tmp, /var/log, /var/lib/systemd) is in memory, and generators are none.
const systemdScript = `set -e
mount -t proc proc /proc
mount --bind "$1" /usr/lib/systemd/system
mount --bind "$2" /etc/systemd/system
for memory in /run /tmp /var/tmp /var/log /var/lib/systemd /usr/lib/systemd/system-generators /etc/systemd/user; do
	if test -d $memory; then mount -t tmpfs tmpfs $memory; fi
done
mkdir -m 0755 "$3"
exec env -i container=lab PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --show-status=no --log-target=console --unit=multi-user.target
`

// StartSystemd starts one, as root, and returns when it has started what it starts. ctx
// covers only the start.
func StartSystemd(ctx context.Context, dir *Dir) (*Systemd, error) {
	units, err := dir.Mkdir(0o755, "units")
	if err != nil {
		return nil, err
	}
	vendor, err := dir.Mkdir(0o755, "vendor-units")
	if err != nil {
		return nil, err
	}
	for _, name := range targets {
		if _, err := dir.Write(0o644, "[Unit]\nDescription=nothing\nDefaultDependencies=no\n", "vendor-units", name); err != nil {
			return nil, err
		}
	}
	s := &Systemd{Units: units}
	s.proc, err = Start(ctx, dir.Path("systemd.log"), Command{Path: "unshare", Args: []string{
		"--pid", "--fork", "--kill-child", "--mount", "--propagation", "private", "--cgroup", "--ipc", "--uts", "sh", "-c", systemdScript, "sh", vendor, units, privsepDir,
	}})
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	err = Poll(ctx, "systemd", func() (bool, error) {
		if s.proc.ended() {
			return false, fmt.Errorf("%w: %s", ErrExited, Tail(s.proc.Log(), 10))
		}
		if s.pid == 0 {
			s.pid = onlyChild(s.proc.PID())
			return false, nil
		}
		r, err := Run(ctx, s.Inside("systemctl", "is-system-running"))
		return err == nil && (strings.HasPrefix(r.Stdout, "running") || strings.HasPrefix(r.Stdout, "degraded")), nil
	})
	if err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// onlyChild is the process id of the child of a process, 0 if there is none yet.
func onlyChild(pid int) int {
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(pid), "children"))
	if err != nil {
		return 0
	}
	child, _, _ := strings.Cut(strings.TrimSpace(string(text)), " ")
	n, _ := strconv.Atoi(child) // 0 if it is none
	return n
}

// Inside is a command that runs where this systemd does.
func (s *Systemd) Inside(path string, args ...string) Command {
	return Command{Path: "nsenter", Args: append([]string{
		"--target", strconv.Itoa(s.pid), "--mount", "--pid", "--cgroup", "--ipc", "--uts", path,
	}, args...)}
}

// Stop ends it and all that it has started.
func (s *Systemd) Stop() error { return s.proc.Stop() }
