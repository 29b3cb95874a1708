package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/sallyport/sallyport/deploy/systemd"
	"github.com/sallyport/sallyport/host/sshdconf"
)

// What a unit was before setup, in its order in the journal.
const (
	unitEnabled = "enabled"
	unitActive  = "active"
)

// vendors are where packages put units.
var vendors = []string{"/usr/lib/systemd/system", "/lib/systemd/system"}

// systemdRuns tells whether systemd starts things on this host (sd_booted(3)).
func (m Machine) systemdRuns() bool {
	info, err := os.Lstat(m.Systemd)
	return err == nil && info.IsDir()
}

// unit is the agent's unit for this host: the one of deploy/systemd, with what is
// elsewhere here. reload has sshd read a new host certificate.
func (m Machine) unit(reload string) (string, error) {
	for _, path := range []string{m.Program, m.Dir, m.State, m.Spool, m.Main} {
		if err := sshdconf.CheckPath(path); err != nil {
			return "", fmt.Errorf("the agent's unit: %w", err)
		}
	}
	if strings.ContainsAny(reload, "'\"\\%$\n\r") {
		return "", fmt.Errorf("%w: systemd would read the command %.200q otherwise; put it into a program of its own", ErrMachine, reload)
	}
	words := append([]string{m.Program}, calls("agent", place{"--dir", m.Dir, DefaultDir}, place{"--state", m.State, DefaultState}, place{"--spool", m.Spool, DefaultSpool},
		place{"--sshd-config", m.Main, DefaultMain})...)
	start := strings.Join(words, " ")
	if reload != "" {
		start += " --reload-command '" + reload + "'"
	}
	start += " $SALLY_HOST_AGENT" // of /etc/default/sally-host
	writes := "-" + m.Dir + " -" + m.Spool
	if m.State != DefaultState {
		writes += " -" + m.State
	}
	text := systemd.Agent
	for _, line := range []struct{ key, value string }{
		{"ConditionPathExists", m.file(ConfigFile)}, {"ExecStart", start}, {"ReadWritePaths", writes},
	} {
		var err error
		if text, err = setLine(text, line.key, line.value); err != nil {
			return "", err
		}
	}
	return text, nil
}

// setLine gives the one line of a unit that sets a key another value.
func setLine(text, key, value string) (string, error) {
	before, rest, found := strings.Cut(text, "\n"+key+"=")
	_, after, ended := strings.Cut(rest, "\n")
	if !found || !ended || strings.Contains(after, "\n"+key+"=") {
		return "", fmt.Errorf("the agent's unit has no line %s=, or several", key)
	}
	return before + "\n" + key + "=" + value + "\n" + after, nil
}

// packaged tells whether a package has brought a unit that does for this host. The unit
// in /etc counts where both are there.
func (m Machine) packaged(p plan) bool {
	if text, err := m.unit(p.reload.Command); err != nil || text != systemd.Agent {
		return false
	}
	return slices.ContainsFunc(vendors, func(folder string) bool {
		_, err := os.Stat(filepath.Join(folder, filepath.Base(m.Unit)))
		return err == nil
	})
}

// agent has systemd start the agent, now and with the host.
func (p plan) agent(ctx context.Context, t *transaction) error {
	m := p.machine
	switch {
	case !p.runAgent:
		return nil
	case !m.systemdRuns():
		t.say("systemd does not run here: have `sally-host agent` start with the host by other means; without it no session ends with its grant")
		return nil
	}
	name := filepath.Base(m.Unit)
	was := unitState(ctx, name)
	changed := false
	if !m.packaged(p) {
		text, err := m.unit(p.reload.Command)
		if err != nil {
			return err
		}
		have, err := os.ReadFile(m.Unit)
		changed = err != nil || string(have) != text
		// Undone last: systemd reads the unit again that is there by then.
		again := &undo{"what systemd knows of " + name, func(ctx context.Context) error {
			return unitAgain(ctx, name, changed && slices.Contains(was, unitActive))
		}}
		if err := t.step(ctx, "mark of "+name, func(context.Context) error { return nil }, again); err != nil {
			return err
		}
		if err := t.file(ctx, m.Unit, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return t.startUnit(ctx, name, was, changed)
}

// unitState is what a unit is: enabled, active, both or neither.
func unitState(ctx context.Context, name string) []string {
	var was []string
	for _, ask := range []struct{ verb, word string }{{"is-enabled", unitEnabled}, {"is-active", unitActive}} {
		if command(ctx, []string{"systemctl", ask.verb, "--quiet", name}) == nil {
			was = append(was, ask.word)
		}
	}
	return was
}

// unitAgain has systemd read the units again, and one that it runs by what it read.
func unitAgain(ctx context.Context, name string, restart bool) error {
	if err := command(ctx, []string{"systemctl", "daemon-reload"}); err != nil || !restart {
		return err
	}
	return command(ctx, []string{"systemctl", "try-restart", name})
}

// startUnit enables and starts a unit, and looks whether it runs.
func (t *transaction) startUnit(ctx context.Context, name string, was []string, changed bool) error {
	c := change{Kind: changeUnit, Name: name, Before: strings.Join(was, " ")}
	var strike func() error
	return t.step(ctx, "unit "+name, func(ctx context.Context) (err error) {
		if strike, err = t.record(c); err != nil {
			return err
		}
		verb := "start"
		if changed {
			verb = "restart"
		}
		for _, words := range [][]string{{"daemon-reload"}, {"enable", "--quiet", name}, {verb, name}} {
			if err := command(ctx, append([]string{"systemctl"}, words...)); err != nil {
				return fmt.Errorf("%w; `journalctl -u %s` says why", err, name)
			}
		}
		if !waitFor(ctx, t.machine.agentRuns) {
			return fmt.Errorf("%s was started and the agent does not run; `journalctl -u %[1]s` says why", name)
		}
		if len(was) < 2 || changed {
			t.say("the agent runs, and starts with the host: %s", name)
		}
		return nil
	}, &undo{"the unit " + name + " is as it was", func(ctx context.Context) error {
		if err := stopUnit(ctx, c); err != nil || strike == nil {
			return err
		}
		return strike()
	}})
}

// agentRuns tells whether an agent holds its lock.
func (m Machine) agentRuns() bool {
	held, err := locked(filepath.Join(m.State, AgentLock))
	return err == nil && held
}

// stopUnit makes a unit what it was.
func stopUnit(ctx context.Context, c change) error {
	was := strings.Fields(c.Before)
	var errs []error
	if !slices.Contains(was, unitActive) {
		errs = append(errs, command(ctx, []string{"systemctl", "stop", c.Name}))
	}
	if !slices.Contains(was, unitEnabled) {
		errs = append(errs, command(ctx, []string{"systemctl", "disable", "--quiet", c.Name}))
	}
	return errors.Join(errs...)
}

// stopAgent undoes what startUnit has done, when the host leaves.
func (l *leaving) stopAgent(ctx context.Context, c change) error {
	if !l.machine.systemdRuns() {
		l.say("systemd does not run here; %s is as it is", c.Name)
		return nil
	}
	l.say("stopped %s", c.Name)
	return stopUnit(ctx, c)
}

// forget has systemd read the units again where one of them was put back.
func (l *leaving) forget(ctx context.Context, c change) error {
	if c.Name != l.machine.Unit || !l.machine.systemdRuns() {
		return nil
	}
	return command(ctx, []string{"systemctl", "daemon-reload"})
}

// clearState removes what an agent has left that says nothing: its lock, and folders in
// which nothing waits.
func (m Machine) clearState() error {
	for _, name := range []string{AgentLock, SessionsFolder, EventsFolder} {
		err := os.Remove(filepath.Join(m.State, name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !notEmpty(err) {
			return err
		}
	}
	return nil
}
