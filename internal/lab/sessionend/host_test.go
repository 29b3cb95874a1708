// Package sessionend_test holds sessions on a real sshd, with PAM, to their grants.
package sessionend_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/ca/krl"
	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
)

// patience is how long something may take on a busy machine. Nothing here is measured
// by it.
const patience = 90 * time.Second

// machine is a host whose sshd asks the built sally-host about certificates and tells it
// of sessions, and whose agent ends them.
type machine struct {
	t       *testing.T
	world   *hosttest.World
	root    *lab.RootDir
	dir     *lab.Dir
	account *lab.Account
	sshd    *lab.SSHD
	agent   *lab.Process
	key     string // file of the engineer's private key
	owner   string // file of the owner's, which opens the account without a certificate
	subject ssh.PublicKey
	log     string // what the PAM step says
	state   string
	list    uint64 // number of the revocation list
	started int    // processes, to name their files
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("only root has sshd open sessions of others, and ends them: run this as root")
	}
	m := &machine{t: t}
	var err error
	if m.dir, err = lab.NewDir(); err != nil {
		t.Fatal(err)
	}
	m.after(m.dir.Remove)
	if m.root, err = lab.NewRootDir(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.after(func() error { return m.root.Remove(context.Background()) })
	if m.account, err = lab.NewAccount(t.Context(), m.dir); err != nil {
		t.Fatal(err)
	}
	m.after(m.account.Remove)
	m.world = hosttest.New(t, time.Now(), m.account.Login, "web-1.demo")
	m.key, m.subject = m.newKey("engineer")
	m.owner, _ = m.newKey("owner")
	m.install()
	m.start()
	return m
}

// after has something undone when the test is over.
func (m *machine) after(undo func() error) {
	m.t.Cleanup(func() {
		if err := undo(); err != nil {
			m.t.Error(err)
		}
	})
}

func (m *machine) newKey(name string) (string, ssh.PublicKey) {
	m.t.Helper()
	file := m.dir.Path(name)
	if err := lab.KeyPair(m.t.Context(), file, name); err != nil {
		m.t.Fatal(err)
	}
	line, err := os.ReadFile(file + ".pub")
	if err != nil {
		m.t.Fatal(err)
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey(line)
	if err != nil {
		m.t.Fatal(err)
	}
	return file, key
}

// install builds sally-host and puts it, and the host's files, where sshd believes them.
func (m *machine) install() {
	m.t.Helper()
	built := m.dir.Path("sally-host")
	r, err := lab.Run(m.t.Context(), lab.Command{
		Path: "go", Args: []string{"build", "-o", built, "github.com/sallyport/sallyport/cmd/sally-host"}, Env: append(os.Environ(), "CGO_ENABLED=0"),
	})
	if err != nil || r.Code != 0 {
		m.t.Fatal(err, r.Output)
	}
	if _, err := m.root.Install(m.t.Context(), built, 0o755, "sally-host"); err != nil {
		m.t.Fatal(err)
	}
	policy := m.world.Config()
	policy.Server = "http://127.0.0.1:9" // nobody answers there: sessions end without network
	config, err := policy.Marshal()
	if err != nil {
		m.t.Fatal(err)
	}
	m.file(host.ConfigFile, string(config))
	m.file(host.BundleFile, string(m.world.BundleFile(m.world.Bundle())))
	m.file(host.SignedFile, string(m.world.SignedKRL(m.world.Now)))
	m.file("user-ca.pub", string(ssh.MarshalAuthorizedKey(m.world.CA.PublicKey())))
	key, err := os.ReadFile(m.owner + ".pub")
	if err != nil {
		m.t.Fatal(err)
	}
	m.file("break-glass", string(key))
	m.revoke()
	if m.log, err = m.dir.Write(0o600, "", "step.log"); err != nil {
		m.t.Fatal(err)
	}
	m.state = m.root.Path("state")
}

func (m *machine) file(name, text string) {
	m.t.Helper()
	if _, err := m.root.InstallText(m.t.Context(), text, 0o644, name); err != nil {
		m.t.Fatal(err)
	}
}

// revoke writes a revocation list of these certificates.
func (m *machine) revoke(serials ...uint64) {
	m.t.Helper()
	m.list++
	l := &krl.List{Number: m.list, MadeAt: 1}
	if len(serials) > 0 {
		l.Issued = []krl.Issued{{CA: m.world.CA.PublicKey(), Serials: krl.Serials(serials...)}}
	}
	text, err := l.Marshal()
	if err != nil {
		m.t.Fatal(err)
	}
	// Beside it, then in its place: sshd and the agent never see half of one.
	m.file("krl.new", string(text))
	if err := os.Rename(m.root.Path("krl.new"), m.root.Path(host.KRLFile)); err != nil {
		m.t.Fatal(err)
	}
}

// pamFile is what stands for /etc/pam.d/sshd. Users may set what they like behind our
// step.
func (m *machine) pamFile() string {
	return fmt.Sprintf(`auth required pam_deny.so
account required pam_permit.so
session optional pam_loginuid.so
session required pam_exec.so quiet %s session --dir %s --state %s --log %s
session required pam_env.so user_readenv=1
`, m.root.Path("sally-host"), m.root.Path(), m.state, m.log)
}

func (m *machine) start() {
	m.t.Helper()
	var err error
	if m.sshd, err = lab.NewSSHD(m.t.Context(), m.dir, "web-1.demo"); err != nil {
		m.t.Fatal(err)
	}
	m.file("pam", m.pamFile())
	m.sshd.PAM = m.root.Path("pam")
	fragment, err := m.dir.Write(0o644, fmt.Sprintf(`TrustedUserCAKeys %[1]s/user-ca.pub
RevokedKeys %[1]s/krl
AuthorizedPrincipalsFile none
AuthorizedPrincipalsCommand %[1]s/sally-host principals --dir %[1]s --log %[2]s --spool %[1]s/alarms --agent %[3]s %%k %%u
AuthorizedPrincipalsCommandUser root
AuthorizedKeysFile %[1]s/break-glass
Subsystem sftp internal-sftp
AllowTcpForwarding yes
`, m.root.Path(), m.dir.Path("verifier.log"), m.socket()), "sallyport.conf")
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.sshd.Start(m.t.Context(), fragment); err != nil {
		m.t.Fatal(err)
	}
	m.after(m.sshd.Stop)
	m.startAgent()
	m.t.Cleanup(m.clear)
}

func (m *machine) socket() string { return m.root.Path("run", "refusals") }

func (m *machine) startAgent() {
	m.t.Helper()
	var err error
	m.agent, err = lab.Start(m.t.Context(), m.dir.Path("agent.log"), lab.Command{
		Path: m.root.Path("sally-host"), Args: []string{
			"agent", "--dir", m.root.Path(), "--state", m.state, "--spool", m.root.Path("alarms"), "--socket", m.socket(),
			"--host-key", filepath.Join(m.sshd.Dir(), "ssh_host_ed25519_key"),
		},
	})
	if err != nil {
		m.t.Fatal(err)
	}
	m.after(m.agent.Stop)
}

// clear ends what a test has left.
func (m *machine) clear() {
	for _, s := range m.sessions() {
		if s.Cert == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		if _, err := (session.Scopes{}).End(ctx, s, session.Over); err != nil {
			m.t.Error(err)
		}
		cancel()
	}
	if m.t.Failed() {
		m.t.Logf("step:\n%s\nagent:\n%s\nsshd:\n%s", read(m.log), lab.Tail(m.agent.Log(), 20), lab.Tail(m.sshd.Log(), 20))
	}
}

func read(file string) string {
	text, _ := os.ReadFile(file) // what is not there has nothing in it
	return string(text)
}

// sessions are those that are recorded now.
func (m *machine) sessions() []session.Session {
	m.t.Helper()
	folder, err := session.OpenFolder(filepath.Join(m.state, host.SessionsFolder))
	if err != nil {
		m.t.Fatal(err)
	}
	ids, _, err := folder.IDs()
	if err != nil {
		m.t.Fatal(err)
	}
	var list []session.Session
	for _, id := range ids {
		s, err := folder.Read(id)
		if errors.Is(err, os.ErrNotExist) { // it was let go meanwhile
			continue
		}
		if err != nil {
			m.t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// of are the sessions by a certificate that are recorded now.
func (m *machine) of(serial uint64) []session.Session {
	m.t.Helper()
	return slices.DeleteFunc(m.sessions(), func(s session.Session) bool { return s.Serial() != serial })
}

// certificate is a file with a certificate of a grant that ends then, and its serial.
func (m *machine) certificate(end time.Time) (file string, serial uint64) {
	m.t.Helper()
	c := m.world.Template(m.subject)
	c.KeyId = m.world.KeyID(end)
	c.ValidAfter, c.ValidBefore = uint64(time.Now().Add(-time.Minute).Unix()), uint64(end.Unix())
	c.Extensions["permit-port-forwarding"] = ""
	c = m.world.Issue(c)
	file = m.dir.Path(fmt.Sprintf("cert-%d.pub", c.Serial))
	line := c.Type() + " " + base64.StdEncoding.EncodeToString(c.Marshal()) + "\n"
	if err := os.WriteFile(file, []byte(line), 0o600); err != nil {
		m.t.Fatal(err)
	}
	return file, c.Serial
}

// login is how somebody logs in: with a certificate, or with the owner's key.
type login struct{ key, cert string }

func (m *machine) by(cert string) login { return login{m.key, cert} }

func (m *machine) byOwner() login { return login{key: m.owner} }

// options are those of ssh and scp.
func (m *machine) options(l login) []string {
	m.t.Helper()
	known, err := m.sshd.KnownHosts()
	if err != nil {
		m.t.Fatal(err)
	}
	file, err := m.dir.Write(0o600, known, "known_hosts")
	if err != nil {
		m.t.Fatal(err)
	}
	list := []string{"-F", "none", "-i", l.key}
	for _, o := range []string{
		"Port=" + strconv.Itoa(m.sshd.Port()), "BatchMode=yes", "IdentitiesOnly=yes", "IdentityAgent=none", "StrictHostKeyChecking=yes",
		"UserKnownHostsFile=" + file, "HostKeyAlias=" + m.sshd.Name, "ControlPath=none", "LogLevel=ERROR",
	} {
		list = append(list, "-o", o)
	}
	if l.cert != "" {
		list = append(list, "-o", "CertificateFile="+l.cert)
	}
	return list
}

func (m *machine) target() string { return string(m.account.Login) + "@127.0.0.1" }

// ssh starts one, before whose target and command the flags stand.
func (m *machine) ssh(l login, flags []string, command ...string) *lab.Process {
	m.t.Helper()
	return m.run("ssh", append(append(flags, m.options(l)...), append([]string{m.target()}, command...)...)...)
}

func (m *machine) run(program string, args ...string) *lab.Process {
	m.t.Helper()
	m.started++
	p, err := lab.Start(m.t.Context(), m.dir.Path(fmt.Sprintf("client-%d.log", m.started)), lab.Command{Path: program, Args: args})
	if err != nil {
		m.t.Fatal(err)
	}
	m.after(p.Stop)
	return p
}

// once runs ssh to its end.
func (m *machine) once(l login, flags []string, command ...string) lab.Result {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	r, err := lab.Run(ctx, lab.Command{Path: "ssh", Args: append(append(flags, m.options(l)...), append([]string{m.target()}, command...)...)})
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// says waits for a line of a process.
func (m *machine) says(p *lab.Process, text string) string {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	line, err := p.WaitLog(ctx, text)
	if err != nil {
		m.t.Fatal(err)
	}
	return line
}

// until waits for something.
func (m *machine) until(what string, ready func() bool) {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	if err := lab.Poll(ctx, what, func() (bool, error) { return ready(), nil }); err != nil {
		m.t.Fatal(err)
	}
}

// ends waits for the end of a client, and returns when it came.
func (m *machine) ends(what string, p *lab.Process) time.Time {
	m.t.Helper()
	ctx, cancel := context.WithTimeout(m.t.Context(), patience)
	defer cancel()
	if _, err := p.Wait(ctx); err != nil {
		m.t.Errorf("%s: %v", what, err)
	}
	return time.Now()
}

// number is the process id that a command has printed.
func number(t *testing.T, text string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(text))
	if err != nil {
		t.Fatalf("%q is no process id", text)
	}
	return n
}
