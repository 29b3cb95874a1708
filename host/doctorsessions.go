package host

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/host/pamconf"
	"github.com/sallyport/sallyport/host/sshdconf"
)

// untoldAfter is how long something may wait to be told to the server before doctor says
// so.
const untoldAfter = 15 * time.Minute

// judgeSessions says what keeps sessions of a host that is set up from ending with their
// grants, and the server from hearing of them. Nothing of it lets anybody in.
func (m Machine) judgeSessions(in Installed) []sshdconf.Finding {
	found := m.judgePAM()
	found = append(found, m.judgeAgent(m.Now())...)
	if in.Known != nil {
		found = append(found, m.judgePinned(in, m.Now())...)
		found = append(found, m.judgeOffline(in)...)
	}
	return found
}

// pamMends say what to do about what is found in the file of PAM.
var pamMends = map[string]string{
	"session-step-missing":   "run sally-host setup again, which puts it in",
	"session-step-misplaced": "remove the line, then run sally-host setup again, which puts it where it belongs",
	"session-step-optional":  "remove the line, then run sally-host setup again, which writes it as it has to be",
	"session-step-edited":    "remove the line, then run sally-host setup again, which writes it as it has to be",
	"session-step-skipped":   "make what ends or jumps over it optional or required",
}

func (m Machine) judgePAM() []sshdconf.Finding {
	weak := func(id, says, mend, line string) sshdconf.Finding {
		return sshdconf.Finding{ID: id, Severity: sshdconf.Weak, Says: says, Mend: mend, Line: line}
	}
	file, err := pamconf.Parse(m.PAM, readPAM)
	if err != nil {
		return []sshdconf.Finding{weak("pam-unread", fmt.Sprintf("nobody knows whether sessions end with their grants: %v", err),
			"mend the file, or name the one that sshd's service has with --pam-file", "")}
	}
	var found []sshdconf.Finding
	for _, f := range file.Judge(m.sessionStep()) {
		found = append(found, weak(f.ID, f.Says, pamMends[f.ID], f.Line))
	}
	return found
}

// judgeAgent looks at what the agent keeps: its lock, and what waits to be told.
func (m Machine) judgeAgent(now time.Time) []sshdconf.Finding {
	var found []sshdconf.Finding
	runs, err := locked(filepath.Join(m.State, AgentLock))
	const mend = "start it with the host: systemctl enable --now sally-host, or by other means where there is no systemd"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found = append(found, sshdconf.Finding{
			ID: "agent-not-running", Severity: sshdconf.Weak, Says: "sally-host agent has never run here: no session ends with its grant, and the server is told nothing", Mend: mend,
		})
	case err != nil:
		found = append(found, sshdconf.Finding{
			ID: "agent-not-running", Severity: sshdconf.Weak, Says: fmt.Sprintf("nobody knows whether sally-host agent runs: %v", err), Mend: "run sally-host doctor as root",
		})
	case !runs:
		found = append(found, sshdconf.Finding{
			ID: "agent-not-running", Severity: sshdconf.Weak, Says: "sally-host agent does not run: no session ends with its grant, and the server is told nothing", Mend: mend,
		})
	}
	if since, ok := oldest(filepath.Join(m.State, EventsFolder)); ok && now.Sub(since) > untoldAfter {
		found = append(found, sshdconf.Finding{
			ID: "untold", Severity: sshdconf.Weak, Says: "what happened here waits to be told to the server since " + since.UTC().Format(time.RFC3339),
			Mend: "look into what sally-host agent logs, and whether the server answers",
		})
	}
	return found
}

// locked tells whether another process holds a file locked.
func locked(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // in the host's own folder
	if err != nil {
		return false, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB) // given back with the file
	held := errors.Is(err, syscall.EWOULDBLOCK)
	if held {
		err = nil
	}
	return held, errors.Join(err, f.Close())
}

// oldest is when the file was last written to that waits longest in a spool.
func oldest(folder string) (time.Time, bool) {
	names, err := os.ReadDir(folder)
	if err != nil {
		return time.Time{}, false
	}
	var first time.Time
	for _, n := range names {
		info, err := n.Info()
		if err != nil || !strings.HasSuffix(n.Name(), ".json") { // what is put aside waits for nobody
			continue
		}
		if first.IsZero() || info.ModTime().Before(first) {
			first = info.ModTime()
		}
	}
	return first, !first.IsZero()
}

// judgePinned looks at what the agent has to keep new.
func (m Machine) judgePinned(in Installed, now time.Time) []sshdconf.Finding {
	weak := func(id, says, mend string) sshdconf.Finding {
		return sshdconf.Finding{ID: id, Severity: sshdconf.Weak, Says: says, Mend: mend}
	}
	var found []sshdconf.Finding
	const look = "look into what sally-host agent logs, and whether the server answers"
	if list := in.Known.krl; list != nil && now.After(list.NextAt.Time()) {
		found = append(found, weak("revoked-old", "there is no revocation list newer than that of "+list.MadeAt.Time().UTC().Format(time.RFC3339)+", and the next one was due", look))
	}
	bundle := in.Known.Bundle()
	if len(bundle.HostCAs) == 0 {
		return found
	}
	until, err := m.hostCertificate(bundle, in.Known.Config().Name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		found = append(found, weak("host-certificate-missing", "this host has no host certificate, so clients have to know its key", look))
	case err != nil:
		found = append(found, weak("host-certificate-bad", fmt.Sprintf("clients are shown no good host certificate: %v", err), look))
	case !now.Before(until):
		found = append(found, weak("host-certificate-bad", "the host certificate is over since "+until.UTC().Format(time.RFC3339), look))
	}
	return found
}
