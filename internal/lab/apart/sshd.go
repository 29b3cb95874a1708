package apart

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// startTime is how long sshd may take to listen.
const startTime = time.Minute

// HostKey is the copy's, as sshd of the distribution has it.
const HostKey = "/etc/ssh/ssh_host_ed25519_key"

// SSHD is the copy's own sshd: configured in /etc/ssh, with PAM, on a port of its own.
type SSHD struct {
	*lab.Process
	machine *Machine
	dir     *lab.Dir
	port    *lab.Port
}

// StartSSHD makes host keys and a configuration as a distribution has it, and starts
// sshd. Files of the client lie in the workspace.
func (m *Machine) StartSSHD(ctx context.Context, dir *lab.Dir) (*SSHD, error) {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	s := &SSHD{machine: m, dir: dir}
	var err error
	if s.port, err = lab.ReservePort(ctx); err != nil {
		return nil, err
	}
	config := "Include /etc/ssh/sshd_config.d/*.conf\nPort " + strconv.Itoa(s.port.Number()) + `
ListenAddress 127.0.0.1
HostKey ` + HostKey + `
PidFile /run/sshd.pid
UsePAM yes
PasswordAuthentication no
`
	if err := m.Write("/etc/ssh/sshd_config", config, 0o644); err != nil {
		return nil, err
	}
	if r, err := m.Run(ctx, "ssh-keygen", "-A"); err != nil || r.Code != 0 {
		return nil, errors.Join(err, fmt.Errorf("making host keys: %s", r.Output))
	}
	if err := s.port.Release(); err != nil {
		return nil, err
	}
	if s.Process, err = lab.Start(ctx, dir.Path("sshd.log"), m.Command("/usr/sbin/sshd", "-D", "-e")); err != nil {
		return nil, err
	}
	if _, err := s.WaitLog(ctx, "Server listening"); err != nil {
		return nil, errors.Join(err, s.Stop())
	}
	return s, nil
}

// Addr is where it listens.
func (s *SSHD) Addr() string { return s.port.Addr() }

// Opens tells whether a key, with a certificate if one is named, opens a login.
func (s *SSHD) Opens(ctx context.Context, login, key, certificate string) (bool, error) {
	public, err := os.ReadFile(s.machine.Path(HostKey + ".pub"))
	if err != nil {
		return false, err
	}
	known, err := s.dir.Write(0o600, "copy "+string(public), "known_hosts")
	if err != nil {
		return false, err
	}
	args := []string{"-F", "none", "-i", key}
	options := []string{
		"Port=" + strconv.Itoa(s.port.Number()), "BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes",
		"UserKnownHostsFile=" + known, "HostKeyAlias=copy", "ControlPath=none", "LogLevel=ERROR",
	}
	if certificate != "" {
		options = append(options, "CertificateFile="+certificate)
	}
	for _, o := range options {
		args = append(args, "-o", o)
	}
	r, err := lab.Run(ctx, lab.Command{Path: "ssh", Args: append(args, login+"@127.0.0.1", "id", "-un")})
	if err == nil && r.Code == 0 && strings.TrimSpace(r.Stdout) != login {
		err = fmt.Errorf("the host answers %q", r.Output)
	}
	return r.Code == 0, err
}
