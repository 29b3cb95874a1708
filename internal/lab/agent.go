package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"
)

// SSHAgent is a real ssh-agent, without keys at first.
type SSHAgent struct {
	socket string
	proc   *Process
}

// StartAgent starts an agent whose socket lies in the workspace under the given
// name. ctx covers only the start.
func StartAgent(ctx context.Context, dir *Dir, name string) (*SSHAgent, error) {
	path, err := FindProgram("ssh-agent")
	if err != nil {
		return nil, err
	}
	a := &SSHAgent{socket: dir.Path(name + ".sock")}
	a.proc, err = Start(ctx, dir.Path(name+".log"), Command{Path: path, Args: []string{"-D", "-a", a.socket}})
	if err != nil {
		return nil, err
	}
	if err := a.ready(ctx); err != nil {
		return nil, errors.Join(err, a.Stop())
	}
	return a, nil
}

func (a *SSHAgent) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return Poll(ctx, "the ssh-agent's socket", func() (bool, error) {
		select {
		case <-a.proc.Done():
			return false, fmt.Errorf("ssh-agent: %w: %s", ErrExited, Tail(a.proc.Log(), 5))
		default:
		}
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "unix", a.socket)
		if err != nil {
			return false, nil // not there yet; the deadline says when that is wrong
		}
		return true, conn.Close()
	})
}

// Socket is what belongs into SSH_AUTH_SOCK.
func (a *SSHAgent) Socket() string { return a.socket }

// PID is the agent's process id.
func (a *SSHAgent) PID() int { return a.proc.PID() }

// Stop ends the agent; its keys go with it. It may be called again.
func (a *SSHAgent) Stop() error { return a.proc.Stop() }
