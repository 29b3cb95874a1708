package session

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/sallyport/sallyport/canon"
)

// scopePrefix begins the name of each cgroup made here; the session's id follows.
const scopePrefix = "sallyport-"

// ErrNoCgroup says that sessions can't be kept together on this host.
var ErrNoCgroup = errors.New("no cgroup2 file system is mounted: sessions can't be ended on this host")

// mount is where cgroup2 is mounted: the only hierarchy, or beside those of
// version 1.
type mount struct {
	root  string // the cgroup that the mount shows
	point string
}

// findMount reads /proc/self/mountinfo, proc(5).
func findMount(mountinfo string) (mount, error) {
	found := mount{}
	for line := range strings.Lines(mountinfo) {
		before, after, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " - ")
		f, kind := strings.Fields(before), strings.Fields(after)
		if !ok || len(f) < 6 || len(kind) < 1 || kind[0] != "cgroup2" {
			continue
		}
		m := mount{root: unescape(f[3]), point: unescape(f[4])}
		if found.point == "" || (found.root != "/" && m.root == "/") { // part of it may be mounted elsewhere, for a container
			found = m
		}
	}
	if found.point == "" {
		return mount{}, ErrNoCgroup
	}
	return found, nil
}

// unescape reads a path of mountinfo, in which blanks are \040.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+3 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(n))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// cgroupOf reads /proc/PID/cgroup: the line of version 2 has no controllers.
func cgroupOf(text string) (string, error) {
	for line := range strings.Lines(text) {
		if p, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			p = strings.TrimSuffix(p, " (deleted)")
			if !path.IsAbs(p) || path.Clean(p) != p {
				return "", fmt.Errorf("cgroup %.80q is outside what can be seen here", p)
			}
			return p, nil
		}
	}
	return "", ErrNoCgroup
}

// folder is where a cgroup lies in the file system.
func (m mount) folder(cgroup string) (string, error) {
	below := cgroup
	if m.root != "/" {
		var ok bool
		if below, ok = strings.CutPrefix(cgroup, m.root); !ok || (below != "" && below[0] != '/') {
			return "", fmt.Errorf("cgroup %.80q lies outside of what is mounted on %s", cgroup, m.point)
		}
	}
	return filepath.Join(m.point, below), nil
}

// scopeFor is the cgroup of a new session: a child of the one that its process is in,
// so that the limits of that, and a session of systemd-logind, go on to hold. It is
// not made inside another session: whoever restarted sshd from a session would take
// all later ones along.
func (m mount) scopeFor(current string, id canon.ID) (string, error) {
	if i := strings.Index(current, "/"+scopePrefix); i >= 0 {
		current = current[:i] + "/"
	}
	folder, err := m.folder(path.Clean(current))
	if err != nil {
		return "", err
	}
	return filepath.Join(folder, scopePrefix+string(id)), nil
}

// currentMount is the mount that this process sees.
func currentMount() (mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return mount{}, err
	}
	return findMount(string(text))
}

// currentCgroup is the cgroup of a process.
func currentCgroup(pid int) (string, error) {
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return "", err
	}
	return cgroupOf(string(text))
}

// checkScope refuses a path that is no cgroup of the session: what is in it gets
// killed.
func checkScope(folder string, id canon.ID) error {
	if !filepath.IsAbs(folder) || filepath.Clean(folder) != folder || filepath.Base(folder) != scopePrefix+string(id) {
		return fmt.Errorf("%.120q is not the cgroup of session %s", folder, id)
	}
	return nil
}

// moveInto puts a process, with all of its threads, into a cgroup. Children that it
// has already stay where they are.
func moveInto(folder string, pid int) error {
	return control(folder, "cgroup.procs", strconv.Itoa(pid))
}

// control writes a control file of a cgroup.
func control(folder, name, text string) error {
	f, err := os.OpenFile(filepath.Join(folder, name), os.O_WRONLY, 0) //nolint:gosec // checkScope has held it
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	return errors.Join(err, f.Close())
}

// populated reports whether a process is in a cgroup or below it. One that is not
// there has none.
func populated(folder string) (bool, error) {
	text, err := os.ReadFile(filepath.Join(folder, "cgroup.events")) //nolint:gosec // checkScope has held it
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(strings.TrimSpace(line), "populated "); ok {
			return v != "0", nil
		}
	}
	return false, fmt.Errorf("%s/cgroup.events does not say whether it is populated", folder)
}

// members lists the processes in a cgroup and below it. Root may have made cgroups
// in it.
func members(folder string) ([]int, error) {
	var list []int
	for _, dir := range append(below(folder), folder) {
		text, err := os.ReadFile(filepath.Join(dir, "cgroup.procs")) //nolint:gosec // checkScope has held it
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for field := range strings.FieldsSeq(string(text)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("%s/cgroup.procs: %w", dir, err)
			}
			if pid > 0 { // 0 stands for processes of another namespace
				list = append(list, pid)
			}
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// below lists the cgroups inside of one, the innermost first.
func below(folder string) []string {
	var list []string
	_ = filepath.WalkDir(folder, func(p string, d fs.DirEntry, err error) error { // what goes meanwhile needs no visit
		if err == nil && d.IsDir() && p != folder {
			list = append(list, p)
		}
		return nil
	})
	slices.Reverse(list)
	return list
}

// removeScope removes an empty cgroup and those in it.
func removeScope(folder string) error {
	for _, dir := range append(below(folder), folder) {
		if err := os.Remove(dir); err != nil && !gone(err) {
			return fmt.Errorf("removing the cgroup: %w", err)
		}
	}
	return nil
}

func splitPath(cgroup string) []string { return strings.Split(cgroup, "/") }

// isScope reports whether a cgroup's name is one that is given here.
func isScope(name string) bool { return strings.HasPrefix(name, scopePrefix) }
