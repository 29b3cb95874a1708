package session

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// lastWords is how long the last line may take to whoever is in a session.
const lastWords = 200 * time.Millisecond

// Scopes warns and ends the sessions of this machine. The zero value does.
type Scopes struct{}

// Ended is what came of ending a session.
type Ended struct {
	// Killed are the processes that were in it.
	Killed int
	// Outside are processes that were started in the session and are out of its
	// cgroup: only root can have brought them there. They go on.
	Outside []Process
	// Beside are processes of the login that began while the session was open and are
	// in no session: a timer, a job queue or a service manager may have started them
	// for whoever was in it. They go on.
	Beside []Process
}

// Warn writes a warning to the session's terminals and returns how many they are.
func (Scopes) Warn(s Session, left time.Duration, over bool) (int, error) {
	list, err := inside(s)
	if err != nil {
		return 0, err
	}
	return tell(list, userOf(s, list), warningText(left, s.End, over)), nil
}

// End tells who is in a session that it is over and kills what is in its cgroup. When
// it returns without an error nothing of that is left, and neither is the cgroup. It
// may be called again.
func (Scopes) End(ctx context.Context, s Session, why Why) (Ended, error) {
	if s.Cert == nil {
		return Ended{}, fmt.Errorf("session %s was opened without a certificate of ours: it is not ended", s.ID)
	}
	if err := checkScope(s.Cgroup, s.ID); err != nil {
		return Ended{}, err
	}
	list, err := inside(s)
	if err != nil {
		return Ended{}, err
	}
	if tell(list, userOf(s, list), endText(why)) > 0 {
		select { // sshd passes it on, and is then killed with the rest
		case <-ctx.Done():
		case <-time.After(lastWords):
		}
	}
	spared, err := spareListener(s, list)
	if err != nil {
		return Ended{}, err
	}
	before, seen := everybody(glance) // who moved out can be told by who began where; it does not stop the killing
	if err := killAll(ctx, s.Cgroup); err != nil {
		return Ended{}, err
	}
	ended := Ended{Killed: len(list) - len(spared)}
	if err := removeScope(s.Cgroup); err != nil {
		return ended, err
	}
	if seen != nil {
		return ended, fmt.Errorf("the session has ended; what is left of it outside was not seen: %w", seen)
	}
	ended.Outside, ended.Beside, err = left(s, list, before)
	return ended, err
}

// spareListener brings an sshd that listens out of the session in which root restarted
// it: ending the session would lock everybody out. Others can give a program of root's
// that name, but neither be root nor have sshd's program run so.
func spareListener(s Session, list []Process) ([]Process, error) {
	var spared []Process
	for _, p := range list {
		if p.UID != 0 || p.Parent != 1 || p.PID == s.PID || p.Name != "sshd" || !isSSHD(p.PID) {
			continue
		}
		if err := moveInto(filepath.Dir(s.Cgroup), p.PID); err != nil {
			return nil, fmt.Errorf("bringing sshd out of the session: %w", err)
		}
		spared = append(spared, p)
	}
	return spared, nil
}

// isSSHD tells whether a process is root's in every way, not by a setuid bit, and runs
// a program called sshd, whatever it is called itself.
func isSSHD(pid int) bool {
	folder := filepath.Join("/proc", strconv.Itoa(pid))
	program, err := os.Readlink(filepath.Join(folder, "exe"))
	if err != nil || path.Base(strings.TrimSuffix(program, " (deleted)")) != "sshd" {
		return false
	}
	status, err := os.ReadFile(filepath.Join(folder, "status")) //nolint:gosec // of the kernel
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(status)) {
		if ids, ok := strings.CutPrefix(line, "Uid:"); ok {
			return strings.Join(strings.Fields(ids), " ") == "0 0 0 0"
		}
	}
	return false
}

// Leave brings this process out of the session in which it was started, if it was: an
// agent does not end with whoever started it.
func Leave() error {
	current, err := currentCgroup(os.Getpid())
	if errors.Is(err, ErrNoCgroup) {
		return nil
	}
	if err != nil {
		return err
	}
	i := strings.Index(current, "/"+scopePrefix)
	if i < 0 {
		return nil
	}
	at, err := currentMount()
	if err != nil {
		return err
	}
	folder, err := at.folder(path.Clean(current[:i] + "/"))
	if err != nil {
		return err
	}
	return moveInto(folder, os.Getpid())
}

// Over reports whether nothing is left of a session: its cgroup is empty, and so is
// the place of the process that opened it. That process may not have been moved yet.
func (Scopes) Over(s Session) (bool, error) {
	boot, err := BootID()
	if err != nil {
		return false, err
	}
	if s.Boot != boot {
		return true, nil // its processes went with the machine, and so did its cgroup
	}
	if s.Cgroup != "" {
		if full, err := populated(s.Cgroup); err != nil || full {
			return false, err
		}
	}
	alive, err := s.Alive()
	return err == nil && !alive, err
}

// Tidy removes the cgroup of a session that is over.
func (Scopes) Tidy(s Session) error {
	if s.Cgroup == "" {
		return nil
	}
	if err := checkScope(s.Cgroup, s.ID); err != nil {
		return err
	}
	return removeScope(s.Cgroup)
}

// inside lists the processes in the cgroup of a session.
func inside(s Session) ([]Process, error) {
	pids, err := members(s.Cgroup)
	if err != nil {
		return nil, err
	}
	list := make([]Process, 0, len(pids))
	for _, pid := range pids {
		p, ok, err := lookUp(pid)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// left sorts what runs after a session was killed by what /proc tells of it.
func left(s Session, killed, before []Process) (outside, beside []Process, err error) {
	now, err := everybody(lookUp)
	if err != nil {
		return nil, nil, err
	}
	uid := userOf(s, killed)
	ours := origin(s, killed, before)
	for _, p := range now {
		if p.Dead {
			continue
		}
		switch scoped, err := inAnyScope(p.PID); {
		case err != nil:
			return nil, nil, err
		case scoped: // a session of its own, with an end of its own
		case ours(p):
			outside = append(outside, p)
		case uid != 0 && p.UID == uid && p.Started >= s.Started:
			beside = append(beside, p)
		}
	}
	return outside, beside, nil
}

// origin returns what recognises a process that began in a session: it has the audit
// session, a terminal session or an ancestor of it. The kernel gives a process whose
// parent has died to another one, so not every one is recognised.
func origin(s Session, killed, before []Process) func(Process) bool {
	root := map[int]bool{s.PID: true}
	parents := map[int]Process{}
	for _, p := range before {
		parents[p.PID] = p
	}
	audit := ""
	for _, p := range killed {
		root[p.PID] = true
		if p.PID == s.PID {
			audit = ownAudit(p)
		}
	}
	return func(p Process) bool {
		if p.Started < s.Started {
			return false
		}
		if (audit != "" && p.Audit == audit) || root[p.Leader] {
			return true
		}
		for range 64 {
			was, ok := parents[p.PID]
			if !ok || was.Started != p.Started {
				return false
			}
			if root[was.Parent] {
				return true
			}
			if p, ok = parents[was.Parent]; !ok {
				return false
			}
		}
		return false
	}
}

// inAnyScope reports whether a process is in the cgroup of some session.
func inAnyScope(pid int) (bool, error) {
	at, err := currentCgroup(pid)
	if gone(err) || errors.Is(err, ErrNoCgroup) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(splitPath(at), isScope), nil
}

// ownAudit is the audit session of the process that opened a session, if it is not
// its parent's: without pam_loginuid all connections have that of the sshd that
// listens.
func ownAudit(p Process) string {
	parent, ok, err := lookUp(p.Parent)
	if err != nil || !ok || parent.Audit == p.Audit {
		return ""
	}
	return p.Audit
}

// nobody is the user id that no file has.
const nobody = ^uint32(0)

// userOf is the user id of who is in a session: what the process that opened it has
// started runs as the login. Not every login stands in the password file.
func userOf(s Session, list []Process) uint32 {
	root := false
	for _, p := range list {
		switch {
		case p.Parent != s.PID:
		case p.UID != 0:
			return p.UID
		default:
			root = true
		}
	}
	if root {
		return 0
	}
	u, err := user.Lookup(s.Login)
	if err != nil {
		return nobody
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nobody
	}
	return uint32(uid)
}
