package ansible_test

import (
	"os"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab"
)

// TestPromiseP08_ARoleBringsAHostIn: by the package, the invitation from a vault: a look
// changes nothing, a run has the host join, the next one changes nothing; from observe to
// require, what the stolen key of the authority signs is refused; and the host leaves.
func TestPromiseP08_ARoleBringsAHostIn(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	r, err := lab.Run(t.Context(), lab.Command{
		Path: m.root + "/scripts/deb.sh", Args: []string{m.dir.Path("deb")}, Env: append(os.Environ(), "VERSION=1.2.3", "SOURCE_DATE_EPOCH=1790000000"),
	})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r.Output)
	}
	must(t, m.Copy(strings.TrimSpace(r.Stdout), playbooks+"/sally-host.deb", 0o644))
	m.program = []string{"sallyport_host_package: " + playbooks + "/sally-host.deb"}

	if changed, said := m.play(0, "", "--check"); changed == "0" || m.has("/usr/bin/sally-host") {
		t.Errorf("looking at what would be done: %s changed\n%s", changed, said)
	}
	m.settles("joining", "")
	m.startAgent()
	if !m.opens() {
		t.Errorf("in mode observe somebody is kept out:\n%s", lab.Tail(m.sshd.Log(), 10))
	}
	if changed, _ := m.play(0, "sallyport_host_mode: require", "--check"); changed == "0" || !m.opens() {
		t.Errorf("looking at what mode require would do: %s changed", changed)
	}
	m.settles("requiring", "sallyport_host_mode: require")
	if m.opens() {
		t.Error("in mode require a certificate opens the host that the ledger does not hold")
	}
	if _, said := m.play(2, "sallyport_host_name: app-2.demo"); !strings.Contains(said, "a name is for good") {
		t.Errorf("another name: %s", said)
	}
	if changed, _ := m.play(0, "sallyport_host_state: absent", "--check"); changed == "0" || !m.has("/etc/ssh/sallyport/host.json") {
		t.Errorf("looking at how it would leave: %s changed", changed)
	}
	must(t, m.agent.Stop(t.Context()))
	m.settles("leaving", "sallyport_host_state: absent")
	for _, path := range []string{"/usr/bin/sally-host", "/etc/ssh/sallyport", "/etc/ssh/sshd_config.d/00-sallyport.conf", "/var/lib/sally-host", "/etc/default/sally-host"} {
		if m.has(path) {
			t.Errorf("when it has left, %s is there", path)
		}
	}
	if m.opens() {
		t.Error("when it has left, a certificate opens the host")
	}
}

// TestPromiseP15_ARoleKeepsTheInvitation: nothing of it is printed, at the highest
// verbosity. Where there is no dpkg, the program is copied; who has no good invitation is
// told why, and the host is as before.
func TestPromiseP15_ARoleKeepsTheInvitation(t *testing.T) {
	t.Parallel()
	m := newManaged(t)
	program := m.dir.Path("sally-host")
	r, err := lab.Run(t.Context(), lab.Command{
		Path: "go", Args: []string{"build", "-o", program, "github.com/sallyport/sallyport/cmd/sally-host"}, Env: append(os.Environ(), "CGO_ENABLED=0"),
	})
	must(t, err)
	if r.Code != 0 {
		t.Fatal(r.Output)
	}
	must(t, m.Copy(program, playbooks+"/sally-host", 0o755))
	m.program = []string{"sallyport_host_binary: " + playbooks + "/sally-host"}
	good := m.vault
	for wrong, says := range map[string]string{
		"sallyport_host_invitation: ''\n":             "sallyport_host_invitation to the line of `sally hosts invite " + name,
		"sallyport_host_invitation: sallyport-join\n": "invitation",
	} {
		m.vault = wrong
		if _, said := m.play(2, ""); !strings.Contains(said, says) || m.has("/etc/ssh/sallyport") {
			t.Errorf("%s: it does not say why\n%s", wrong, said)
		}
	}
	m.vault = good
	m.settles("joining", "sallyport_host_mode: require\nsallyport_host_logins: [www, visitor]")
	m.startAgent()
	if text, err := os.ReadFile(m.Path("/etc/ssh/sallyport/host.json")); err != nil || !strings.Contains(string(text), `"logins":["visitor","www"]`) || !strings.Contains(string(text), `"mode":"require"`) {
		t.Errorf("host.json: %s, %v", text, err)
	}
	if m.opens() {
		t.Error("a certificate opens the host that the ledger does not hold")
	}
	must(t, m.agent.Stop(t.Context()))
	m.settles("leaving", "sallyport_host_state: absent")
	if m.has("/usr/bin/sally-host") || m.has("/etc/ssh/sallyport") {
		t.Error("something of it is still there")
	}
}
