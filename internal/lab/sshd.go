package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// privsepDir is where sshd's unprivileged half is locked up. Only an sshd that
// root starts needs it, and only the system's service would make it. It is left
// in place: it is empty, on a file system that a restart clears, and another
// sshd may have come to need it meanwhile.
const privsepDir = "/run/sshd"

// SSHD is one host: a real sshd on 127.0.0.1 with a host key and a
// configuration of its own. NewSSHD prepares it, Start starts it.
type SSHD struct {
	Name string // as it joins, "web-1.demo"
	// PAM is a file that stands for /etc/pam.d/sshd, for this sshd and what it starts, or
	// a folder that stands for /etc/pam.d, where the file is replaced while it runs; empty:
	// it does without PAM. Only root can have one.
	PAM string

	dir  string
	port *Port
	proc *Process // nil until Start
}

// NewSSHD prepares a host: its folder in the workspace, a new ed25519 host key
// and a port that stays reserved until Start.
func NewSSHD(ctx context.Context, dir *Dir, name string) (*SSHD, error) {
	path, err := dir.Mkdir(0o755, "hosts", name)
	if err != nil {
		return nil, err
	}
	s := &SSHD{Name: name, dir: path}
	if err := KeyPair(ctx, s.file("ssh_host_ed25519_key"), name); err != nil {
		return nil, err
	}
	if s.port, err = ReservePort(ctx); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *SSHD) file(name string) string { return filepath.Join(s.dir, name) }

// Dir is the host's own folder, which stands for its /etc/ssh.
func (s *SSHD) Dir() string { return s.dir }

// Port is where it listens.
func (s *SSHD) Port() int { return s.port.Number() }

// Addr is where it listens, as 127.0.0.1:N.
func (s *SSHD) Addr() string { return s.port.Addr() }

// HostKeyFile is the file of the public host key.
func (s *SSHD) HostKeyFile() string { return s.file("ssh_host_ed25519_key.pub") }

// KnownHosts is the line of a known_hosts file for this host under its name.
func (s *SSHD) KnownHosts() (string, error) {
	key, err := os.ReadFile(s.HostKeyFile())
	if err != nil {
		return "", err
	}
	return s.Name + " " + strings.TrimSpace(string(key)) + "\n", nil
}

// config is everything that does not come from the included fragments. They
// stand first, as in the distributions' sshd_config: of most keywords the first
// value counts. It lets nobody in by itself.
func (s *SSHD) config(includes []string) string {
	var b strings.Builder
	pam := "no"
	if s.PAM != "" {
		pam = "yes"
	}
	for _, file := range includes {
		fmt.Fprintf(&b, "Include %q\n", file)
	}
	fmt.Fprintf(&b, `Port %d
ListenAddress 127.0.0.1
HostKey %q
PidFile %q
LogLevel VERBOSE
StrictModes yes
UsePAM %s
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
HostbasedAuthentication no
AuthorizedKeysFile none
PermitRootLogin no
LoginGraceTime 30
PrintMotd no
PrintLastLog no
X11Forwarding no
`, s.Port(), s.file("ssh_host_ed25519_key"), s.file("sshd.pid"), pam)
	return b.String()
}

// Start starts the sshd with the files that its configuration includes, and
// returns when it answers on its port. ctx covers only the start.
func (s *SSHD) Start(ctx context.Context, includes ...string) error {
	if s.proc != nil {
		return fmt.Errorf("sshd of %s was started before", s.Name)
	}
	for _, file := range includes {
		if _, err := os.Stat(file); err != nil { // sshd passes over a missing file in silence
			return fmt.Errorf("sshd of %s: %w", s.Name, err)
		}
	}
	path, err := FindProgram("sshd") // sshd runs itself again and wants an absolute path
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := os.MkdirAll(privsepDir, 0o755); err != nil {
			return err
		}
	}
	config := s.file("sshd_config")
	if err := os.WriteFile(config, []byte(s.config(includes)), 0o600); err != nil {
		return err
	}
	if r, err := Run(ctx, Command{Path: path, Args: []string{"-t", "-f", config}}); err != nil || r.Code != 0 {
		return errors.Join(err, fmt.Errorf("sshd -t refuses the configuration of %s: %s", s.Name, strings.TrimSpace(r.Output)))
	}
	if err := s.port.Release(); err != nil {
		return err
	}
	s.proc, err = Start(ctx, s.file("sshd.log"), s.withPAM(Command{Path: path, Args: []string{"-D", "-e", "-f", config}}))
	if err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return errors.Join(fmt.Errorf("sshd of %s: %w", s.Name, err), s.Stop())
	}
	return nil
}

// withPAM runs a command where another file stands for /etc/pam.d/sshd: in a mount
// namespace of its own, so that nothing changes for the machine and nothing is left on
// it. The name of sshd's PAM service is fixed before OpenSSH 9.8.
func (s *SSHD) withPAM(c Command) Command {
	if s.PAM == "" {
		return c
	}
	script := `if test -d "$1"; then at=/etc/pam.d; else at=/etc/pam.d/sshd; fi; mount --bind "$1" $at && shift && exec "$@"`
	args := []string{"--mount", "--propagation", "private", "sh", "-c", script, "sh", s.PAM, c.Path}
	return Command{Path: "unshare", Args: append(args, c.Args...)}
}

// ready waits until sshd itself says that it listens, and then until it greets:
// the first alone could be early, the second alone another program's port.
func (s *SSHD) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if _, err := s.proc.WaitLog(ctx, fmt.Sprintf("Server listening on 127.0.0.1 port %d", s.Port())); err != nil {
		return err
	}
	return greets(ctx, s.Addr())
}

// greets reads an SSH identification string (RFC 4253 §4.2).
func greets(ctx context.Context, addr string) (err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp4", addr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(deadline); err != nil {
			return err
		}
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	if err != nil {
		return fmt.Errorf("waiting for the greeting on %s: %w", addr, err)
	}
	if !strings.HasPrefix(line, "SSH-2.0-") {
		return fmt.Errorf("%s greets with %q, which is not SSH", addr, line)
	}
	return nil
}

// PID is the process id of the listening sshd, 0 before Start.
func (s *SSHD) PID() int {
	if s.proc == nil {
		return 0
	}
	return s.proc.PID()
}

// Log is what sshd has logged so far (level VERBOSE), lines ended by \n.
func (s *SSHD) Log() string {
	if s.proc == nil {
		return ""
	}
	return s.proc.Log()
}

// WaitLog waits for a line of the log that contains text and returns it.
func (s *SSHD) WaitLog(ctx context.Context, text string) (string, error) {
	return s.WaitLogAfter(ctx, 0, text)
}

// WaitLogAfter is WaitLog for lines behind the first skip bytes of Log: what
// was logged before does not count.
func (s *SSHD) WaitLogAfter(ctx context.Context, skip int, text string) (string, error) {
	if s.proc == nil {
		return "", fmt.Errorf("sshd of %s is not started", s.Name)
	}
	line, err := s.proc.WaitLogAfter(ctx, skip, text)
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.Name, err)
	}
	return line, nil
}

// Stop ends sshd, its connections and what runs in them. It may be called again.
func (s *SSHD) Stop() error {
	err := s.port.Release()
	if s.proc != nil {
		err = errors.Join(err, s.proc.Stop())
	}
	return err
}
