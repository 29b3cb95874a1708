package host

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/host/sshdconf"
)

// Reload says how sshd is told to read its configuration again. The zero value finds out: through systemd where that runs,
// else by a signal to the process that sshd's own pid file names.
type Reload struct {
	Command string // a command with its arguments, without a shell; empty: none
	PIDFile string // the file of the process to signal; empty: sshd's own
}

const (
	reloadTime = 30 * time.Second
	greetTime  = 10 * time.Second
	greetEvery = 50 * time.Millisecond
)

// run tells sshd without waiting. It says how, or that none runs which would have to be told.
func (r Reload) run(ctx context.Context, s sshdconf.Settings) (how string, err error) {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	switch {
	case r.Command != "":
		return r.Command, command(ctx, strings.Fields(r.Command))
	case r.PIDFile != "":
		return "SIGHUP to the process in " + r.PIDFile, hangUp(r.PIDFile)
	}
	if _, err := os.Stat(DefaultSystemd); err == nil {
		if how := serviceReload(ctx); how != "" {
			return how, command(ctx, strings.Fields(how))
		}
		return "sshd does not run as a service; the next one to start reads it", nil
	}
	file := s.Value("pidfile")
	if err := hangUp(file); errors.Is(err, os.ErrNotExist) {
		return "no sshd runs; the next one to start reads it", nil
	} else if err != nil {
		return "", err
	}
	return "SIGHUP to the process in " + file, nil
}

// serviceReload is the command by which systemd has sshd read its configuration again,
// empty if sshd does not run as a service.
func serviceReload(ctx context.Context) string {
	if _, err := os.Stat(DefaultSystemd); err != nil {
		return ""
	}
	for _, unit := range []string{"ssh.service", "sshd.service"} {
		if command(ctx, []string{"systemctl", "is-active", "--quiet", unit}) == nil {
			return "systemctl reload " + unit
		}
	}
	return ""
}

// ReloadService has sshd read its configuration again where it runs as a service of
// systemd; elsewhere it does nothing.
func ReloadService(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reloadTime)
	defer cancel()
	if how := serviceReload(ctx); how != "" {
		return command(ctx, strings.Fields(how))
	}
	return nil
}

// tell tells sshd and waits until it has begun anew and answers, if it answered before.
func (r Reload) tell(ctx context.Context, s sshdconf.Settings) (how string, err error) {
	l := r.listening(ctx, s)
	if how, err = r.run(ctx, s); err != nil {
		return "", err
	}
	return how, l.again(ctx)
}

// command runs a command that must end well.
func command(ctx context.Context, words []string) error {
	if len(words) == 0 {
		return errors.New("the command to reload sshd is empty")
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...) //nolint:gosec // the administrator's own command
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	output, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// hangUp sends SIGHUP to the sshd that a pid file names, and to no other program. The error wraps os.ErrNotExist if there
// is no such file or no such process.
func hangUp(file string) error {
	text, err := os.ReadFile(file) //nolint:gosec // the pid file that the administrator or sshd names
	if err != nil {
		return err
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid <= 1 {
		return fmt.Errorf("%s holds %.40q, which is no process", file, text)
	}
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return err
	}
	if comm := strings.TrimSpace(string(name)); comm != "sshd" {
		return fmt.Errorf("%s names the process %d, which is %s and not sshd", file, pid, comm)
	}
	return syscall.Kill(pid, syscall.SIGHUP)
}

// greets tells whether sshd answers where it listens.
func greets(ctx context.Context, s sshdconf.Settings) bool {
	for _, address := range s.Values("listenaddress") {
		host, port, err := net.SplitHostPort(address)
		if err != nil {
			continue
		}
		if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
			host = map[bool]string{true: "127.0.0.1", false: "::1"}[ip.To4() != nil]
		}
		if greetsAt(ctx, net.JoinHostPort(host, port)) {
			return true
		}
	}
	return false
}

// greetsAt reads an SSH identification string (RFC 4253 §4.2).
func greetsAt(ctx context.Context, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer func() { _ = conn.Close() }() // nothing was sent
	deadline, _ := ctx.Deadline()
	if err := conn.SetReadDeadline(deadline); err != nil {
		return false
	}
	line, err := bufio.NewReaderSize(conn, 256).ReadString('\n')
	return err == nil && strings.HasPrefix(line, "SSH-2.0-")
}

// listener is an sshd that answered before it is told. It takes its pid file away when it begins anew, and writes another
// once it listens: that it greets is not enough, since the one from before may still do so.
type listener struct {
	settings sshdconf.Settings
	file     string
	info     os.FileInfo // of the pid file before; nil if there is none
}

// listening looks for an sshd that answers; nil if none does.
func (r Reload) listening(ctx context.Context, s sshdconf.Settings) *listener {
	if !greets(ctx, s) {
		return nil
	}
	l := &listener{settings: s, file: r.PIDFile}
	if l.file == "" {
		l.file = s.Value("pidfile")
	}
	if info, err := os.Stat(l.file); err == nil {
		l.info = info
	}
	return l
}

// again waits until sshd has begun anew and greets. Nothing is waited for if none answered before.
func (l *listener) again(ctx context.Context) error {
	if l == nil {
		return nil
	}
	if !waitFor(ctx, l.anew) {
		return fmt.Errorf("sshd has not read its configuration again: %s is as it was", l.file)
	}
	if !waitFor(ctx, func() bool { return greets(ctx, l.settings) }) {
		return fmt.Errorf("sshd does not answer any more on %s", strings.Join(l.settings.Values("listenaddress"), ", "))
	}
	return nil
}

// waitFor waits for something to be so, for a while.
func waitFor(ctx context.Context, so func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, greetTime)
	defer cancel()
	tick := time.NewTicker(greetEvery)
	defer tick.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// anew tells whether the pid file is another one than before.
func (l *listener) anew() bool {
	if l.info == nil {
		return true
	}
	info, err := os.Stat(l.file)
	return err == nil && (!os.SameFile(info, l.info) || !info.ModTime().Equal(l.info.ModTime()))
}
