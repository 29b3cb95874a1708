package session

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/canon"
)

// ErrForeign says that a certificate let somebody in that no authority of the bundle has
// signed: of one that it named a moment ago, say.
var ErrForeign = errors.New("no authority of the trust bundle has signed the certificate that opened the login")

// ErrOver says that a grant was over before its session began.
var ErrOver = errors.New("the grant is over")

// Host is the PAM step of one host.
type Host struct {
	// Authorities sign people's certificates: those of the trust bundle.
	Authorities []ssh.PublicKey
	// Offline tells whether a key opens a login when everything else is down; nil: none
	// does.
	Offline func(login string, key ssh.PublicKey) bool
	// Sessions is where the records go. Nothing is recorded in the zero Folder.
	Sessions Folder
	// Unready is why sessions can't be kept to grants, nil if they can: no session by a
	// certificate is opened then.
	Unready error
	// Strict refuses certificates of authorities that are not among Authorities; else they
	// are recorded, and never ended.
	Strict bool
	// Now is the clock.
	Now func() time.Time
	// Rand draws session ids.
	Rand io.Reader
}

// Did is what the step found and did, for its line in the log.
type Did struct {
	Opens   bool
	Session canon.ID // empty if a session that is closed had no record
	Login   string
	Serial  uint64 // 0 without a certificate of ours
	// Offline is the fingerprint of the offline key that opened it; empty: none did.
	Offline string
	// Certificate says that a certificate took part, of ours or not. A login by one
	// that can't be kept to its grant is refused where certificates are required; the
	// owner's own key opens whatever is broken here.
	Certificate bool
}

// Step does what PAM asks for. caller is the process that called PAM: with sshd the
// monitor of the connection, which runs as root and starts everything else of the
// session after this, so that everything else is in the cgroup that it is moved to.
func (h Host) Step(getenv func(string) string, caller int) (Did, error) {
	l, err := readLogin(getenv)
	did := Did{Opens: l.opens, Login: l.user, Certificate: l.usedCertificate()}
	if err != nil {
		return did, err
	}
	p, ok, err := lookUp(caller)
	if err == nil && !ok {
		err = errors.New("it is gone")
	}
	if err != nil {
		return did, fmt.Errorf("the process that called PAM: %w", err)
	}
	boot, err := BootID()
	if err != nil {
		return did, err
	}
	if !l.opens {
		return h.close(did, boot, p)
	}
	return h.open(did, l, boot, p)
}

func (h Host) open(did Did, l login, boot string, caller Process) (Did, error) {
	if did.Certificate && h.Unready != nil {
		return did, h.Unready
	}
	now := h.Now()
	cert, key, err := l.certificate(h.Authorities)
	if err != nil {
		return did, err
	}
	id, err := canon.NewID(h.Rand)
	if err != nil {
		return did, err
	}
	did.Session = id
	r := Record{
		ID: id, Login: l.user, Service: l.service, TTY: l.tty, From: l.from,
		OpenedAt: canon.At(now), Boot: boot, PID: caller.PID, Started: caller.Started,
	}
	if cert == nil && did.Certificate && h.Strict {
		return did, ErrForeign
	}
	if cert == nil {
		if key := l.offlineKey(h.Offline); key != nil {
			did.Offline, r.OfflineKey = ssh.FingerprintSHA256(key), canon.B64(key.Marshal())
		}
		return did, h.Sessions.Add(r)
	}
	did.Serial = cert.Serial
	if !now.Before(key.End) {
		return did, fmt.Errorf("%w since %s", ErrOver, key.End.Format(time.RFC3339))
	}
	r.Certificate = b64(cert)
	return did, h.enclose(r)
}

// enclose gives a session its cgroup. The record comes first: what is in a cgroup
// that no record names, nobody ends.
func (h Host) enclose(r Record) (err error) {
	current, err := currentCgroup(r.PID)
	if err != nil {
		return err
	}
	at, err := currentMount()
	if err != nil {
		return err
	}
	if r.Cgroup, err = at.scopeFor(current, r.ID); err != nil {
		return err
	}
	if err := os.Mkdir(r.Cgroup, 0o755); err != nil { //nolint:gosec // cgroups can be looked at by everybody
		return fmt.Errorf("making the session's cgroup: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.undo(r, at, current))
		}
	}()
	if err := h.Sessions.Add(r); err != nil {
		return err
	}
	if err := moveInto(r.Cgroup, r.PID); err != nil {
		return fmt.Errorf("moving the session into its cgroup: %w", err)
	}
	now, err := currentCgroup(r.PID)
	if err != nil {
		return err
	}
	if dir, err := at.folder(now); err != nil || dir != r.Cgroup {
		return errors.Join(err, fmt.Errorf("the session was moved into its cgroup and is in %.120q", now))
	}
	return nil
}

// undo leaves nothing of a session that could not be enclosed.
func (h Host) undo(r Record, at mount, former string) error {
	folder, err := at.folder(former)
	if err != nil {
		return err
	}
	if full, err := populated(r.Cgroup); err == nil && full {
		if err := moveInto(folder, r.PID); err != nil {
			return err // the record stays, so that its end is seen to
		}
	}
	return errors.Join(removeScope(r.Cgroup), h.Sessions.Remove(r.ID))
}

// close notes that whoever was in the session left. What they left running is still
// in its cgroup, which goes when it is empty or the grant is over.
func (h Host) close(did Did, boot string, caller Process) (Did, error) {
	s, ok, err := h.Sessions.find(boot, caller.PID, caller.Started)
	if err != nil || !ok {
		return did, err
	}
	did.Session, did.Serial = s.ID, s.Serial()
	return did, h.Sessions.Close(s.ID, canon.At(h.Now()))
}
