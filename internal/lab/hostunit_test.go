package lab_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/deploy/systemd"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/ledger/trust"
)

// unitHost is a host that a real systemd of its own runs.
type unitHost struct {
	*askedHost
	systemd *lab.Systemd
	setup   []string
	places  []string
}

func newUnitHost(t *testing.T) *unitHost {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root can start a systemd of its own: run this as root")
	}
	u := &unitHost{askedHost: prepareHost(t)}
	u.install()
	if err := lab.KeyPair(t.Context(), u.dir.Path("host_key"), "host"); err != nil {
		t.Fatal(err)
	}
	write := func(mode os.FileMode, text, name string) string {
		t.Helper()
		path, err := u.dir.Write(mode, text, name)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	main := write(0o600, fmt.Sprintf("HostKey %s\nListenAddress 127.0.0.1:1\nUsePAM yes\n", u.dir.Path("host_key")), "sshd_config")
	bundle := u.world.BundleFile(u.world.Bundle())
	signed, err := trust.Parse(bundle)
	if err != nil {
		t.Fatal(err)
	}
	u.places = []string{"--dir", u.root.Path("etc"), "--state", u.root.Path("state"), "--spool", u.root.Path("spool"), "--sshd-config", main, "--fragment", u.root.Path("sshd.conf")}
	u.setup = append([]string{
		"setup", "--bundle", write(0o600, string(bundle), "bundle.json"), "--digest", signed.Digest().String(), "--name", "web-1.demo", "--server", "http://127.0.0.1:9",
		"--mode", "require", "--pam-file", write(0o644, "session required pam_unix.so\n", "pam"), "--reload-command", "true", "--user", fmt.Sprintf("sallyu-%d", os.Getpid()),
	}, u.places...)
	if u.systemd, err = lab.StartSystemd(t.Context(), u.dir); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := u.systemd.Stop(); err != nil {
			t.Error(err)
		}
	})
	return u
}

// inside runs a command where systemd does, and demands its exit code.
func (u *unitHost) inside(code int, path string, args ...string) string {
	u.t.Helper()
	return run(u.t, code, u.systemd.Inside(path, args...)).Output
}

func (u *unitHost) sallyHost(code int, args ...string) string {
	u.t.Helper()
	return u.inside(code, u.root.Path("sally-host"), args...)
}

func (u *unitHost) units() string {
	u.t.Helper()
	names, err := filepath.Glob(u.systemd.Units + "/*")
	if err != nil {
		u.t.Fatal(err)
	}
	return strings.ReplaceAll(strings.Join(names, " "), u.systemd.Units+"/", "")
}

// The agent runs under systemd, hardened as deploy/systemd has it, once the host is set up, and does not when it has left.
func TestPromiseP09_SystemdRunsTheAgent(t *testing.T) {
	t.Parallel()
	u := newUnitHost(t)
	before := u.units()
	out := u.sallyHost(0, u.setup...)
	if !strings.Contains(out, "the agent runs, and starts with the host: "+systemd.AgentUnit) {
		t.Errorf("setup says\n%s", out)
	}
	for _, verb := range []string{"is-active", "is-enabled"} {
		u.inside(0, "systemctl", verb, systemd.AgentUnit)
	}
	if says := u.inside(0, "systemctl", "show", "--property=NeedDaemonReload,ProtectSystem,NoNewPrivileges", systemd.AgentUnit); !strings.Contains(says, "ProtectSystem=strict") ||
		!strings.Contains(says, "NoNewPrivileges=yes") || !strings.Contains(says, "NeedDaemonReload=no") {
		t.Errorf("the unit is\n%s", says)
	}
	if says := u.sallyHost(0, append([]string{"doctor"}, u.places...)...); strings.Contains(says, "agent-not-running") || strings.Contains(says, "session-step") {
		t.Errorf("doctor says\n%s", says)
	}
	if says := u.sallyHost(0, u.setup...); strings.Contains(says, "wrote") || strings.Contains(says, "agent") {
		t.Errorf("once more setup says\n%s", says)
	}

	u.inside(0, "systemctl", "stop", systemd.AgentUnit)
	if says := u.sallyHost(0, append([]string{"doctor"}, u.places...)...); !strings.Contains(says, "[agent-not-running]") {
		t.Errorf("without the agent doctor says\n%s", says)
	}
	u.sallyHost(0, u.setup...)
	u.inside(0, "systemctl", "is-active", systemd.AgentUnit)

	if out := u.sallyHost(0, append([]string{"leave", "--reload-command", "true"}, u.places...)...); !strings.Contains(out, "stopped "+systemd.AgentUnit) {
		t.Errorf("leave says\n%s", out)
	}
	u.inside(3, "systemctl", "is-active", systemd.AgentUnit)
	if after := u.units(); after != before {
		t.Errorf("the units were %q and are %q", before, after)
	}
	if _, err := os.Stat(u.root.Path("state")); !os.IsNotExist(err) {
		t.Errorf("the state is still there: %v", err)
	}
	if says := u.inside(0, "systemctl", "show", "--property=LoadState", systemd.AgentUnit); !strings.Contains(says, "not-found") {
		t.Errorf("systemd still knows the unit: %s", says)
	}
}

// An agent that does not start is no agent: everything is put back, systemd's links and what it has read as well.
func TestPromiseP09_AnAgentThatDoesNotStartIsRolledBack(t *testing.T) {
	t.Parallel()
	u := newUnitHost(t)
	before := u.units()
	// It fails whenever it is called as the agent.
	if _, err := u.root.InstallText(t.Context(), "#!/bin/sh\ntest \"$1\" = agent && exit 1\nexec "+u.root.Path("real")+" \"$@\"\n", 0o755, "shim"); err != nil {
		t.Fatal(err)
	}
	if _, err := u.root.Install(t.Context(), u.root.Path("sally-host"), 0o755, "real"); err != nil {
		t.Fatal(err)
	}
	out := u.inside(1, u.root.Path("real"), append(u.setup, "--program", u.root.Path("shim"))...)
	if !strings.Contains(out, "everything is as before") || !strings.Contains(out, "journalctl -u "+systemd.AgentUnit) {
		t.Errorf("setup says\n%s", out)
	}
	if after := u.units(); after != before {
		t.Errorf("the units were %q and are %q", before, after)
	}
	if says := u.inside(0, "systemctl", "show", "--property=LoadState,ActiveState", systemd.AgentUnit); !strings.Contains(says, "not-found") || strings.Contains(says, "ActiveState=active") {
		t.Errorf("systemd still knows the unit: %s", says)
	}
}

// Hardened as it is, the agent can have systemd reload sshd, which shows a new host certificate only then.
func TestTheHardenedAgentReloadsSSHD(t *testing.T) {
	t.Parallel()
	dir, err := lab.NewDir()
	must(t, err)
	t.Cleanup(func() { must(t, dir.Remove()) })
	s, err := lab.StartSystemd(t.Context(), dir)
	must(t, err)
	t.Cleanup(func() { must(t, s.Stop()) })
	unit := systemd.Agent
	for _, line := range []struct{ key, value string }{
		{"ConditionPathExists", "/"}, {"Type", "oneshot"}, {"Restart", "no"}, {"ExecStart", "/usr/bin/systemctl reload ssh.service"},
	} {
		at := strings.Index(unit, "\n"+line.key+"=") + 1
		end := at + strings.Index(unit[at:], "\n")
		unit = unit[:at] + line.key + "=" + line.value + unit[end:]
	}
	must(t, os.WriteFile(filepath.Join(s.Units, "ssh.service"), []byte("[Service]\nExecStart=/bin/sleep 3600\nExecReload=/bin/touch /run/reloaded\n"), 0o644))
	must(t, os.WriteFile(filepath.Join(s.Units, systemd.AgentUnit), []byte(unit), 0o644))
	for _, words := range [][]string{{"daemon-reload"}, {"start", "ssh.service"}, {"start", systemd.AgentUnit}} {
		run(t, 0, s.Inside("systemctl", words...))
	}
	run(t, 0, s.Inside("test", "-e", "/run/reloaded"))
}
