// Package lab owns the real parts that the integration tests and the demo run
// against: sshd processes, an account to log in to, ssh-agents, a workspace for
// their files, and the certainty that all of it is gone afterwards. Its
// subpackages add an identity provider (idp), a browser without a screen
// (robot), a Vault (vault), a PostgreSQL (postgres), a whole installation (site), the demo (demo), an
// installation that stays up (dev), and a loop that kills the server (killloop).
//
// Nothing here is linked into a product binary.
//
// What a run leaves behind when it is killed outright (SIGKILL, power) is
// removed by the next run: workspaces and accounts carry the id and the start
// time of the process they belong to. Child processes need no such mark, the
// kernel ends them with their parent (Linux only).
package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// ErrTimeout is wrapped when something that was waited for did not come.
var ErrTimeout = errors.New("waited for in vain")

const pollEvery = 20 * time.Millisecond

// Poll calls ready about fifty times a second until it says yes or fails, or
// ctx ends; then the error wraps ErrTimeout and names what.
func Poll(ctx context.Context, what string, ready func() (bool, error)) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := ready()
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", what, err)
		case ok:
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ErrTimeout, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// FindProgram returns the absolute path of a system program. The folders of
// administrators' programs are searched too: sshd and useradd are there, and
// ordinary users do not have them in PATH.
func FindProgram(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return filepath.Abs(path)
	}
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"} {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s is not installed; scripts/deps.sh installs what the tests and the demo need", name)
}

// Port is a free TCP port on 127.0.0.1, kept from others until it is released
// to the server that shall listen on it.
type Port struct {
	listener net.Listener
	number   int
}

// ReservePort takes a free port.
func ReservePort(ctx context.Context) (*Port, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp4", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return nil, errors.Join(fmt.Errorf("a TCP listener on %v", l.Addr()), l.Close())
	}
	return &Port{listener: l, number: addr.Port}, nil
}

// Number is the port's number, 1 to 65535.
func (p *Port) Number() int { return p.number }

// Addr is the port as 127.0.0.1:N.
func (p *Port) Addr() string { return fmt.Sprintf("127.0.0.1:%d", p.number) }

// Release gives the port up, so that a server can listen on it. Later calls do
// nothing.
func (p *Port) Release() error {
	if p.listener == nil {
		return nil
	}
	err := p.listener.Close()
	p.listener = nil
	return err
}

// PortClosed reports whether nobody accepts connections at addr.
func PortClosed(ctx context.Context, addr string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return true
	}
	_ = conn.Close() // it was only a question
	return false
}

// Alive reports whether a process with this id runs. A zombie does not.
func Alive(pid int) bool { return ownerOf(pid).alive() }

// Tail returns the last n lines of text.
func Tail(text string, n int) string {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
