package sshdconf

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"
)

// SSHD is a host's sshd: its program and the configuration that it runs with. It is only asked, never started.
type SSHD struct {
	Path   string // absolute
	Config string // absolute, /etc/ssh/sshd_config
}

// askTime is how long sshd may take to answer.
const askTime = 20 * time.Second

// Connection is whom `sshd -T` is asked about. Empty fields are not said.
type Connection struct{ User, Host, Addr, LocalAddr, LocalPort string }

// spec is the argument of -C, empty for no connection.
func (c Connection) spec() (string, error) {
	var parts []string
	for _, p := range []struct{ name, value string }{
		{"user", c.User}, {"host", c.Host}, {"addr", c.Addr}, {"laddr", c.LocalAddr}, {"lport", c.LocalPort},
	} {
		if strings.ContainsAny(p.value, ",\n\x00") {
			return "", fmt.Errorf("%w: sshd can't be asked about the %s %.100q", ErrUnreadable, p.name, p.value)
		}
		if p.value != "" {
			parts = append(parts, p.name+"="+p.value)
		}
	}
	return strings.Join(parts, ","), nil
}

// Version asks which OpenSSH it is.
func (s SSHD) Version(ctx context.Context) (Version, error) {
	a, err := s.ask(ctx, nil, "-V") // before 9.2 an unknown option, whose answer has the release too
	if err != nil {
		return Version{}, err
	}
	return ParseVersion(a.errors + a.output)
}

// Test is `sshd -t`: whether sshd would start with its configuration.
func (s SSHD) Test(ctx context.Context) error {
	a, err := s.ask(ctx, nil, "-t", "-f", s.Config)
	if err != nil {
		return err
	}
	if a.code != 0 {
		return fmt.Errorf("sshd -t refuses the configuration: %s", said(a))
	}
	return nil
}

// InForce is `sshd -T` for a connection: what its configuration comes to.
func (s SSHD) InForce(ctx context.Context, c Connection) (Settings, error) {
	return s.settings(ctx, nil, s.Config, c)
}

// Globally is `sshd -T` for everybody. Where there are Match blocks, sshd would ask back about whom, so it is given the
// configuration without them.
func (s SSHD) Globally(ctx context.Context, c Config) (Settings, error) {
	if len(c.Blocks) == 0 {
		return s.InForce(ctx, Connection{})
	}
	return s.Comes(ctx, c.Global(), Connection{})
}

// Comes is `sshd -T` for the text of a configuration, as Config.Alone writes it.
func (s SSHD) Comes(ctx context.Context, text []byte, c Connection) (Settings, error) {
	return s.settings(ctx, text, "/dev/stdin", c)
}

func (s SSHD) settings(ctx context.Context, text []byte, config string, c Connection) (Settings, error) {
	args := []string{"-T", "-f", config}
	spec, err := c.spec()
	if err != nil {
		return Settings{}, err
	}
	if spec != "" {
		args = append(args, "-C", spec)
	}
	a, err := s.ask(ctx, text, args...)
	if err != nil {
		return Settings{}, err
	}
	if a.code != 0 {
		return Settings{}, fmt.Errorf("%w: sshd -T: %s", ErrUnreadable, said(a))
	}
	return ParseSettings(a.output)
}

type answer struct {
	code           int
	output, errors string
}

// said is sshd's own words about a refusal.
func said(a answer) string {
	text := strings.TrimSpace(a.errors)
	if text == "" {
		return fmt.Sprintf("exit code %d", a.code)
	}
	return text[:min(len(text), 2000)]
}

func (s SSHD) ask(ctx context.Context, stdin []byte, args ...string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.Path, args...) //nolint:gosec // the host's own sshd, named by its administrator
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	cmd.WaitDelay = time.Second
	if stdin != nil {
		cmd.Stdin = bytes.NewReader(stdin)
	}
	var stdout, stderr bounded
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return answer{}, fmt.Errorf("%w: %s %s did not answer: %w", ErrUnreadable, s.Path, strings.Join(args, " "), context.Cause(ctx))
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); err != nil && (!ok || exit.ExitCode() < 0) {
		return answer{}, fmt.Errorf("%w: %w", ErrUnreadable, err)
	}
	return answer{code: cmd.ProcessState.ExitCode(), output: stdout.String(), errors: stderr.String()}, nil
}

// bounded keeps the beginning of what is written, a little more than is read.
type bounded struct{ bytes.Buffer }

// Write takes p and keeps what there is room for.
func (b *bounded) Write(p []byte) (int, error) {
	if room := maxOutput + 1 - b.Len(); room > 0 {
		_, _ = b.Buffer.Write(p[:min(room, len(p))]) // never fails
	}
	return len(p), nil
}

var _ io.Writer = (*bounded)(nil)
