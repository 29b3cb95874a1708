// Package ansible_test runs the role of deploy/ansible with the real Ansible on a copy of
// this machine whose sshd runs, against a real sallyd.
package ansible_test

import (
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/apart"
	"github.com/sallyport/sallyport/internal/lab/site"
)

const (
	login = "visitor"
	name  = "app-1.demo"
	// playbooks is where the role lies in the copy.
	playbooks = "/root/playbooks"
)

// managed is a copy of this machine that Ansible, which runs in it, looks after, and that
// has been invited.
type managed struct {
	*apart.Machine
	t       *testing.T
	dir     *lab.Dir
	site    *site.Site
	sshd    *apart.SSHD
	agent   *apart.Agent
	root    string // of this tree
	secret  string // the invitation
	vault   string // how it stands in the playbook
	key     string // file of a private key
	forged  string // certificate file that the authority's own key has signed, past the ledger
	program []string
}

func newManaged(t *testing.T) *managed {
	t.Helper()
	m := &managed{t: t}
	ctx := t.Context()
	var err error
	m.dir, err = lab.NewDir()
	must(t, err)
	t.Cleanup(func() { must(t, m.dir.Remove()) })
	module, err := lab.Run(ctx, lab.Command{Path: "go", Args: []string{"env", "GOMOD"}})
	must(t, err)
	m.root = filepath.Dir(strings.TrimSpace(module.Stdout))
	m.Machine, err = apart.New(ctx, m.dir)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	m.run(0, "useradd", "--create-home", "--shell", "/bin/sh", login)
	m.sshd, err = m.StartSSHD(ctx, m.dir)
	must(t, err)
	t.Cleanup(func() { must(t, m.sshd.Stop()) })
	m.serve(ctx)
	m.bringRole()
	m.forge(ctx)
	return m
}

// serve has a sallyd serve that invites the copy.
func (m *managed) serve(ctx context.Context) {
	m.t.Helper()
	bin, err := m.dir.Mkdir(0o755, "bin")
	must(m.t, err)
	must(m.t, site.Build(ctx, bin))
	s, err := site.Open(ctx, site.Config{Bin: bin, Tell: teller{m.t}})
	must(m.t, err)
	m.site = s
	m.t.Cleanup(func() { must(m.t, s.Close()) })
	must(m.t, s.Init(ctx))
	must(m.t, s.WriteContract())
	must(m.t, s.SignContract(ctx))
	r, err := s.AddContract(ctx)
	must(m.t, err)
	must(m.t, site.Exit(r, 0, "sallyd contract add"))
	operator := func(args ...string) string {
		m.t.Helper()
		r, err := s.Operator.Must(ctx, append([]string{"sallyd", "--dir", s.ServerDir()}, args...)...)
		must(m.t, err)
		return r.Stdout
	}
	file := s.Operator.Home("bundle.json")
	operator("hosts", "keys")
	operator("hosts", "bundle", "--out", file)
	operator("hosts", "publish", file)
	m.secret = strings.TrimSpace(operator("hosts", "invite", name, "--addr", m.sshd.Addr(), "--label", "env=demo"))
	must(m.t, s.Serve(ctx))
}

// bringRole copies the role into the copy, links followed, and keeps the invitation in a
// vault as people do.
func (m *managed) bringRole() {
	m.t.Helper()
	roles := filepath.Join(m.root, "deploy", "ansible", "roles")
	must(m.t, filepath.WalkDir(roles, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		return m.Copy(path, playbooks+"/roles/"+strings.TrimPrefix(path, roles+"/"), 0o644)
	}))
	must(m.t, m.Write(playbooks+"/password", "correct horse\n", 0o600))
	must(m.t, m.Write(playbooks+"/secret", m.secret, 0o600))
	r, err := m.Run(m.t.Context(), "sh", "-c", "cd "+playbooks+" && ansible-vault encrypt_string --vault-password-file password --stdin-name sallyport_host_invitation <secret && rm secret")
	must(m.t, err)
	if r.Code != 0 || !strings.Contains(r.Stdout, "!vault") {
		m.t.Fatalf("ansible-vault: %s", r.Output)
	}
	m.vault = r.Stdout
}

// forge has the authority's key, stolen from its folder, sign a certificate that the
// ledger does not hold.
func (m *managed) forge(ctx context.Context) {
	m.t.Helper()
	m.key = m.dir.Path("thief")
	must(m.t, lab.KeyPair(ctx, m.key, "thief"))
	r, err := lab.Run(ctx, lab.Command{Path: "ssh-keygen", Args: []string{
		"-q", "-s", filepath.Join(m.site.ServerDir(), "keys", "user-ca"), "-I", "stolen", "-n", login + "@" + name, "-V", "+1h", m.key + ".pub",
	}})
	must(m.t, err)
	must(m.t, site.Exit(r, 0, "ssh-keygen"))
	m.forged = m.key + "-cert.pub"
}

func (m *managed) run(code int, program string, args ...string) lab.Result {
	m.t.Helper()
	r, err := m.Run(m.t.Context(), program, args...)
	must(m.t, err)
	if r.Code != code {
		m.t.Fatalf("%s %s: exit code %d, want %d\n%s", program, strings.Join(args, " "), r.Code, code, r.Output)
	}
	return r
}

var recap = regexp.MustCompile(`ok=\d+ +changed=(\d+) +unreachable=(\d+) +failed=(\d+)`)

// play runs the role with these variables, of YAML, and returns how many tasks changed
// something, and what was printed with everything that can be.
func (m *managed) play(code int, variables string, flags ...string) (changed string, said string) {
	m.t.Helper()
	text := "- hosts: localhost\n  connection: local\n  gather_facts: false\n  roles: [sallyport_host]\n  vars:\n" +
		indent(m.vault+"\nsallyport_host_name: "+name+"\nsallyport_host_url: "+m.site.URL()+"\n"+strings.Join(m.program, "\n")+"\n"+variables)
	must(m.t, m.Write(playbooks+"/play.yml", text, 0o600))
	r := m.run(code, "ansible-playbook", append([]string{
		"-vvv", "--inventory", "localhost,", "--vault-password-file", playbooks + "/password", playbooks + "/play.yml",
	}, flags...)...)
	if strings.Contains(r.Output, m.secret) {
		m.t.Error("the invitation was printed")
	}
	counts := recap.FindStringSubmatch(r.Output)
	if counts == nil {
		m.t.Fatalf("no recap in\n%s", r.Output)
	}
	return counts[1], r.Output
}

func indent(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// settles plays twice: the first time changes something, the second nothing.
func (m *managed) settles(what, variables string) {
	m.t.Helper()
	if changed, said := m.play(0, variables); changed == "0" {
		m.t.Errorf("%s: nothing changed\n%s", what, said)
	}
	if changed, said := m.play(0, variables); changed != "0" {
		m.t.Errorf("%s: the second run changed %s\n%s", what, changed, said)
	}
}

// startAgent starts the agent, as systemd does where it runs.
func (m *managed) startAgent() {
	m.t.Helper()
	var err error
	m.agent, err = m.StartAgent(m.t.Context(), m.dir, "/usr/bin/sally-host")
	must(m.t, err)
	m.t.Cleanup(func() { must(m.t, m.agent.Stop(context.Background())) })
}

// opens tells whether the stolen key's certificate opens the host.
func (m *managed) opens() bool {
	m.t.Helper()
	opens, err := m.sshd.Opens(m.t.Context(), login, m.key, m.forged)
	must(m.t, err)
	return opens
}

func (m *managed) has(path string) bool {
	m.t.Helper()
	_, err := os.Stat(m.Path(path))
	if err != nil && !os.IsNotExist(err) {
		m.t.Fatal(err)
	}
	return err == nil
}

// teller writes what happens at the site into the test's log.
type teller struct{ t *testing.T }

// Typed is told what somebody types.
func (l teller) Typed(who, what string) { l.t.Logf("%s: %s", who, what) }

// Answered is told what is answered.
func (l teller) Answered(text string) { l.t.Log(text) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
