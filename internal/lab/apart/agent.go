package apart

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
)

// sessions is where sally-host keeps a record of each session that has not ended.
const sessions = "/var/lib/sally-host/sessions"

// leaveTime is how long an agent may take to notice that somebody has left.
const leaveTime = time.Minute

// Agent is `sally-host agent` in the copy, where no systemd starts it. Without it the
// control groups of sessions stay on the machine, which the copy shares.
type Agent struct {
	*lab.Process
	machine *Machine
}

// StartAgent starts the agent of an installed sally-host.
func (m *Machine) StartAgent(ctx context.Context, dir *lab.Dir, program string) (*Agent, error) {
	p, err := lab.Start(ctx, dir.Path("agent.log"), m.Command(program, "agent"))
	return &Agent{Process: p, machine: m}, err
}

// Stop ends the agent when all sessions are over. It may be called again.
func (a *Agent) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, leaveTime)
	defer cancel()
	err := lab.Poll(ctx, "the end of all sessions", func() (bool, error) {
		left, err := os.ReadDir(a.machine.Path(sessions))
		if errors.Is(err, fs.ErrNotExist) {
			return true, nil
		}
		return len(left) == 0, err
	})
	return errors.Join(err, a.Process.Stop())
}
