// Package debpackage_test installs the Debian package of sally-host, with the real dpkg,
// on a copy of this machine whose sshd runs, and takes it away again.
package debpackage_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/host/hosttest"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/lab/apart"
	"github.com/sallyport/sallyport/ledger/trust"
)

const (
	login    = "visitor"
	name     = "web-1.demo"
	byHand   = "/usr/local/bin/sally-host"
	packaged = "/usr/bin/sally-host"
)

// machine is a copy of this one with an account and an sshd that runs, as the
// distribution has it.
type machine struct {
	*apart.Machine
	t      *testing.T
	dir    *lab.Dir
	world  *hosttest.World
	sshd   *apart.SSHD
	agent  *apart.Agent
	key    string // file of the engineer's private key
	good   string // certificate file: the ledger holds it
	forged string // certificate file: the authority's key signed it, and the ledger does not hold it
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, dir: workspace(t), world: hosttest.New(t, time.Now(), login, name)}
	m.key = m.dir.Path("engineer")
	must(t, lab.KeyPair(t.Context(), m.key, "engineer"))
	line, err := os.ReadFile(m.key + ".pub")
	must(t, err)
	subject, _, _, _, err := ssh.ParseAuthorizedKey(line)
	must(t, err)
	m.good = m.certificate("good-cert.pub", m.world.Issue(m.world.Template(subject)))
	m.forged = m.certificate("forged-cert.pub", m.world.Sign(m.world.Template(subject), m.world.CA))

	m.Machine, err = apart.New(t.Context(), m.dir)
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	m.says(0, "useradd", "--create-home", "--shell", "/bin/sh", login)
	m.sshd, err = m.StartSSHD(t.Context(), m.dir)
	must(t, err)
	t.Cleanup(func() { must(t, m.sshd.Stop()) })
	return m
}

func workspace(t *testing.T) *lab.Dir {
	t.Helper()
	dir, err := lab.NewDir()
	must(t, err)
	t.Cleanup(func() { must(t, dir.Remove()) })
	return dir
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *machine) certificate(file string, cert *ssh.Certificate) string {
	m.t.Helper()
	path, err := m.dir.Write(0o600, cert.Type()+" "+base64.StdEncoding.EncodeToString(cert.Marshal())+"\n", file)
	must(m.t, err)
	return path
}

// says runs a command in the copy, demands an exit code and returns what it wrote.
func (m *machine) says(code int, program string, args ...string) string {
	m.t.Helper()
	r, err := m.Run(m.t.Context(), program, args...)
	must(m.t, err)
	if r.Code != code {
		m.t.Fatalf("%s %s: exit code %d, want %d\n%s", program, strings.Join(args, " "), r.Code, code, r.Output)
	}
	return r.Output
}

// opens tells whether a certificate opens the account.
func (m *machine) opens(certificate string) bool {
	m.t.Helper()
	opens, err := m.sshd.Opens(m.t.Context(), login, m.key, certificate)
	must(m.t, err)
	return opens
}

// holds demands that the host lets in whom the ledger knows and nobody else.
func (m *machine) holds(when string) {
	m.t.Helper()
	if !m.opens(m.good) {
		m.t.Errorf("%s the ledger's certificate opens nothing:\n%s", when, lab.Tail(m.sshd.Log(), 10))
	}
	if m.opens(m.forged) {
		m.t.Errorf("%s a certificate opens the host that the ledger does not hold", when)
	}
}

// setUp has a sally-host put the verifier in force.
func (m *machine) setUp(program string) {
	m.t.Helper()
	bundle := m.world.BundleFile(m.world.Bundle())
	signed, err := trust.Parse(bundle)
	must(m.t, err)
	must(m.t, m.Write("/tmp/bundle.json", string(bundle), 0o600))
	m.says(0, program, "setup", "--bundle", "/tmp/bundle.json", "--digest", signed.Digest().String(), "--name", name, "--mode", "require",
		"--server", m.world.Config().Server)
	m.agent, err = m.StartAgent(m.t.Context(), m.dir, program)
	must(m.t, err)
	m.t.Cleanup(func() { must(m.t, m.agent.Stop(context.Background())) })
}

// leave has a sally-host take back what it has put in force.
func (m *machine) leave(program string) {
	m.t.Helper()
	must(m.t, m.agent.Stop(m.t.Context()))
	m.says(0, program, "leave")
}

// older and newer are packages of this tree by their files, built once for all tests.
var older, newer string

func TestMain(m *testing.M) {
	code, err := withPackages(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withPackages(run func() int) (code int, err error) {
	dir, err := lab.NewDir()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, dir.Remove()) }()
	for version, file := range map[string]*string{"1.2.3~rc1": &older, "1.2.3": &newer} {
		if *file, err = build(context.Background(), dir.Path(), version); err != nil {
			return 1, err
		}
	}
	return run(), nil
}

// build makes a package of this tree.
func build(ctx context.Context, into, version string, env ...string) (string, error) {
	module, err := lab.Run(ctx, lab.Command{Path: "go", Args: []string{"env", "GOMOD"}})
	if err != nil {
		return "", err
	}
	r, err := lab.Run(ctx, lab.Command{
		Path: "sh", Args: []string{"-c", `umask "$MASK"; exec scripts/deb.sh "$1"`, "sh", into}, Dir: filepath.Dir(strings.TrimSpace(module.Stdout)),
		Env: append(append(os.Environ(), "MASK=022", "VERSION="+version, "SOURCE_DATE_EPOCH=1790000000"), env...),
	})
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("scripts/deb.sh: %s", r.Output)
	}
	return strings.TrimSpace(r.Stdout), err
}
