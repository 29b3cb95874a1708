package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/sallyport/sallyport/host"
	"github.com/sallyport/sallyport/host/session"
	"github.com/sallyport/sallyport/internal/lab"
)

// App1 and App2 are the hosts that join by invitation and ask the ledger about each
// certificate.
const (
	App1 = "app-1.demo"
	App2 = "app-2.demo"
)

// Joined is a host with a real sshd, PAM and sally-host. It is made by NewJoined.
type Joined struct {
	Name  string
	Agent *Task // nil until StartAgent

	site *Site
	sshd *lab.SSHD
	dir  string // where its programs and files lie
}

// invitationLine is what a host admin hands over.
var invitationLine = regexp.MustCompile(`sallyport-join-1\.\S+`)

// errInvitation does not repeat what was printed: there may be a secret in it.
var errInvitation = errors.New("no invitation was printed")

// NewJoined starts the sshd of a host that is to join: as the distribution has it.
// Only root can have one, and Config.Bin has to have sally-host.
func (s *Site) NewJoined(ctx context.Context, name string) (*Joined, error) {
	var err error
	if s.verifier == nil {
		if s.verifier, err = lab.NewVerifier(ctx, s.Dir); err != nil {
			return nil, err
		}
	}
	h := &Joined{Name: name, site: s}
	if h.sshd, err = lab.NewSSHD(ctx, s.Dir, name); err != nil {
		return nil, err
	}
	s.Joined[name] = h
	h.dir = h.sshd.Dir()
	program, err := os.ReadFile(filepath.Join(s.cfg.Bin, "sally-host"))
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(h.file("sally-host"), program, 0o755); err != nil {
		return nil, err
	}
	h.sshd.PAM = h.file("pam.d")
	if err := os.Mkdir(h.sshd.PAM, 0o755); err != nil {
		return nil, err
	}
	for file, text := range pam {
		if err := os.WriteFile(filepath.Join(h.sshd.PAM, file), []byte(text), 0o644); err != nil {
			return nil, err
		}
	}
	return h, h.sshd.Start(ctx)
}

// pam stands for /etc/pam.d. sally-host join puts its line between the include and
// pam_env.
var pam = map[string]string{
	"sshd": `auth required pam_deny.so
account required pam_permit.so
session optional pam_loginuid.so
@include common-session
session required pam_env.so user_readenv=1
`,
	"common-session": "session required pam_permit.so\n",
}

func (h *Joined) file(name string) string { return filepath.Join(h.dir, name) }

// Addr is where its sshd listens.
func (h *Joined) Addr() string { return h.sshd.Addr() }

// State is the folder of its agent.
func (h *Joined) State() string { return h.file("state") }

// SSHD is its sshd.
func (h *Joined) SSHD() *lab.SSHD { return h.sshd }

// Invite has somebody who admits hosts invite it.
func (h *Joined) Invite(ctx context.Context, admin *Terminal) (invitation string, err error) {
	r, err := admin.Secret(ctx, invitationLine, "sally", "hosts", "invite", h.Name, "--addr", h.Addr(), "--label", "env=demo")
	if err != nil {
		return "", err
	}
	if err := Exit(r, 0, "sally hosts invite"); err != nil {
		return "", err
	}
	if invitation = invitationLine.FindString(r.Output); invitation == "" {
		return "", errInvitation
	}
	return invitation, nil
}

// Join runs sally-host join as the host's root. What it answers is returned.
func (h *Joined) Join(ctx context.Context, invitation, mode string) (string, error) {
	file := h.file("invitation")
	if err := os.WriteFile(file, []byte(invitation+"\n"), 0o600); err != nil {
		return "", err
	}
	argv := []string{
		"join", h.site.URL(), "--invite", file, "--name", h.Name, "--mode", mode,
		"--host-key", h.hostKey(), "--dir", h.file("sallyport"), "--state", h.file("state"), "--spool", h.file("spool"),
		"--sshd-config", h.file("sshd_config"), "--program", h.file("sally-host"), "--user", string(h.site.verifier.Login), "--log", h.verifierLog(),
		"--pid-file", h.file("sshd.pid"), "--pam-file", filepath.Join(h.sshd.PAM, "sshd"), "--agent", "none",
	}
	if err := os.WriteFile(h.verifierLog(), nil, 0o666); err != nil {
		return "", err
	}
	if err := os.Chmod(h.verifierLog(), 0o666); err != nil {
		return "", err
	}
	h.site.cfg.Tell.Typed("root@"+h.Name, h.site.line([]string{"sally-host", "join", h.site.URL(), "--invite", file, "--name", h.Name, "--mode", mode, "…"}))
	r, err := lab.Run(ctx, lab.Command{Path: h.file("sally-host"), Args: argv})
	h.site.cfg.Tell.Answered(r.Output)
	return r.Output, errors.Join(err, Exit(r, 0, "sally-host join"), os.Remove(file))
}

// Doctor runs sally-host doctor.
func (h *Joined) Doctor(ctx context.Context) (lab.Result, error) {
	h.site.cfg.Tell.Typed("root@"+h.Name, "sally-host doctor")
	r, err := lab.Run(ctx, lab.Command{Path: h.file("sally-host"), Args: []string{
		"doctor", "--dir", h.file("sallyport"), "--state", h.file("state"), "--spool", h.file("spool"), "--sshd-config", h.file("sshd_config"), "--pam-file", filepath.Join(h.sshd.PAM, "sshd"),
	}})
	h.site.cfg.Tell.Answered(r.Output)
	return r, err
}

// StartAgent starts sally-host agent, which goes on until the site is closed.
func (h *Joined) StartAgent(ctx context.Context) error {
	h.site.cfg.Tell.Typed("root@"+h.Name, "systemctl start sally-host # sally-host agent")
	p, err := h.site.start(ctx, h.Name+"-agent.log", lab.Command{Path: h.file("sally-host"), Args: []string{
		"agent", "--dir", h.file("sallyport"), "--state", h.file("state"), "--spool", h.file("spool"), "--socket", h.file("refusals"), "--host-key", h.hostKey(), "--sshd-config", h.file("sshd_config"),
	}})
	if err != nil {
		return err
	}
	h.Agent = &Task{Process: p, site: h.site}
	return nil
}

func (h *Joined) hostKey() string { return strings.TrimSuffix(h.sshd.HostKeyFile(), ".pub") }

func (h *Joined) verifierLog() string { return h.file("verifier.log") }

// VerifierLog is what its verifier has logged.
func (h *Joined) VerifierLog() string {
	text, _ := os.ReadFile(h.verifierLog()) // what is not there has nothing in it
	return string(text)
}

// close ends what still runs there, sessions first: what holds them is not the sshd's.
func (h *Joined) close() error {
	var errs []error
	sessions, err := h.Sessions()
	errs = append(errs, err)
	for _, one := range sessions {
		if one.Cert == nil {
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, err := session.Scopes{}.End(ctx, one, session.Over)
		errs = append(errs, err)
		cancel()
	}
	return errors.Join(append(errs, h.sshd.Stop())...)
}

// Sessions are those that are recorded there now.
func (h *Joined) Sessions() ([]session.Session, error) {
	path := filepath.Join(h.file("state"), host.SessionsFolder)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	folder, err := session.OpenFolder(path)
	if err != nil {
		return nil, err
	}
	ids, _, err := folder.IDs()
	if err != nil {
		return nil, err
	}
	var list []session.Session
	for _, id := range ids {
		one, err := folder.Read(id)
		if errors.Is(err, fs.ErrNotExist) { // it was let go meanwhile
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

// HostCA is the public key by which stock ssh knows the hosts that have joined, as an
// operator hands it out.
func (s *Site) HostCA(ctx context.Context) (string, error) {
	r, err := lab.Run(ctx, lab.Command{Path: "ssh-keygen", Args: []string{"-y", "-f", filepath.Join(s.ServerDir(), "keys", "host-ca")}})
	return r.Stdout, errors.Join(err, Exit(r, 0, "ssh-keygen -y"))
}

// SSHConfig writes what stock ssh needs to find it, and to know it by its certificate
// alone, and returns the file. hostCA is the public key of the authority of hosts.
func (h *Joined) SSHConfig(hostCA string) (string, error) {
	known, err := h.site.Dir.Write(0o644, fmt.Sprintf("@cert-authority %s %s\n", h.Name, strings.TrimSpace(hostCA)), "known-"+h.Name)
	if err != nil {
		return "", err
	}
	return h.site.Dir.Write(0o644, fmt.Sprintf(`Host %[1]s
	HostName 127.0.0.1
	Port %[2]d
	HostKeyAlias %[1]s
	UserKnownHostsFile %[3]q
	GlobalKnownHostsFile none
	StrictHostKeyChecking yes
	BatchMode yes
	IdentitiesOnly yes
	IdentityAgent none
	ConnectTimeout 10
`, h.Name, h.sshd.Port(), known), "ssh-"+h.Name)
}
