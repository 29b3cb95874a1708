package host

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/deploy/systemd"
)

// The unit of a host on which nothing is elsewhere is the one of deploy/systemd, to the byte.
func TestUnit(t *testing.T) {
	t.Parallel()
	usual := Machine{Program: "/usr/bin/sally-host", SSHD: "/usr/sbin/sshd", Main: DefaultMain, Dir: DefaultDir, State: DefaultState, Spool: DefaultSpool}
	text, err := usual.unit("")
	if err != nil || text != systemd.Agent {
		t.Errorf("%v: it is\n%s", err, text)
	}
	other := usual
	other.Program, other.Dir, other.State, other.Spool, other.Main = "/opt/sally-host", "/srv/etc", "/srv/state", "/srv/spool", "/srv/sshd_config"
	text, err = other.unit("service ssh reload")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"ConditionPathExists=/srv/etc/host.json", "ReadWritePaths=-/srv/etc -/srv/spool -/srv/state",
		"ExecStart=/opt/sally-host agent --dir /srv/etc --state /srv/state --spool /srv/spool --sshd-config /srv/sshd_config --reload-command 'service ssh reload' $SALLY_HOST_AGENT",
	} {
		if strings.Count(text, "\n"+line+"\n") != 1 {
			t.Errorf("it has no %q:\n%s", line, text)
		}
	}
	if strings.Count(text, "\n") != strings.Count(systemd.Agent, "\n") {
		t.Error("it has other lines more")
	}
	for _, reload := range []string{"a'b", `a"b`, "a%b", "$a", "a\nExecStartPre=x", `a\b`} {
		if _, err := usual.unit(reload); err == nil {
			t.Errorf("the command %q is put into a unit", reload)
		}
	}
	other.Dir = "/srv/a b"
	if _, err := other.unit(""); err == nil {
		t.Error("a folder with a blank is put into a unit")
	}
	if _, err := setLine("[Service]\n", "ExecStart", "x"); err == nil {
		t.Error("a line that is not there was set")
	}
}
