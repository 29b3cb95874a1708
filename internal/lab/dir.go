package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"time"
)

const (
	dirPrefix = "sallyport-demo."
	ownerFile = "owner.pid"
	// newDirGrace is how long a workspace may be without its owner file: it is
	// made first and marked afterwards.
	newDirGrace = time.Minute
)

// ErrUnsafeDir is wrapped when sshd would refuse files under the workspace.
var ErrUnsafeDir = errors.New("sshd's StrictModes would refuse files there")

// Dir is the workspace of one run: keys, logs, home folders, sshd's files.
//
// sshd (StrictModes) takes its files only from folders that nobody else can
// write to, up to the root or to the home of the account. So as root it is
// /var/lib/sallyport-demo.XXXX, readable for the temporary account, otherwise
// ~/.cache/sallyport-demo.XXXX; never anything under /tmp.
type Dir struct {
	path string
}

// NewDir makes a workspace and removes those of processes that have ended.
func NewDir() (*Dir, error) {
	parent, err := dirParent()
	if err != nil {
		return nil, err
	}
	if err := removeStaleDirs(parent, time.Now()); err != nil {
		return nil, err
	}
	path, err := os.MkdirTemp(parent, dirPrefix+"*")
	if err != nil {
		return nil, err
	}
	d := &Dir{path: path}
	if err := d.mark(); err != nil {
		return nil, errors.Join(err, d.Remove())
	}
	return d, nil
}

func (d *Dir) mark() error {
	if err := os.WriteFile(d.Path(ownerFile), []byte(self().String()+"\n"), 0o600); err != nil {
		return err
	}
	// The temporary account reads its files through it.
	return os.Chmod(d.path, 0o755)
}

// Path is a path inside the workspace.
func (d *Dir) Path(elem ...string) string {
	return filepath.Join(append([]string{d.path}, elem...)...)
}

// Mkdir makes a folder inside the workspace with exactly this mode, whatever the
// umask, and returns its path. Parents that are missing are made as everybody's
// to walk through.
func (d *Dir) Mkdir(mode fs.FileMode, elem ...string) (string, error) {
	for i := range elem {
		path := d.Path(elem[:i+1]...)
		last := i == len(elem)-1
		err := os.Mkdir(path, 0o700)
		switch {
		case errors.Is(err, fs.ErrExist) && !last:
			continue
		case err != nil && !errors.Is(err, fs.ErrExist):
			return "", err
		}
		want := fs.FileMode(0o755)
		if last {
			want = mode
		}
		if err := os.Chmod(path, want); err != nil {
			return "", err
		}
	}
	return d.Path(elem...), nil
}

// Write writes a file inside the workspace with exactly this mode and returns
// its path.
func (d *Dir) Write(mode fs.FileMode, text string, elem ...string) (string, error) {
	path := d.Path(elem...)
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		return "", err
	}
	return path, os.Chmod(path, mode)
}

// Remove removes the workspace and everything in it.
func (d *Dir) Remove() error { return os.RemoveAll(d.path) }

func dirParent() (string, error) {
	if os.Geteuid() == 0 {
		return checkParent("/var/lib", "/")
	}
	// Not $HOME: sshd stops looking at the home that the password file names.
	me, err := user.Current()
	if err != nil {
		return "", fmt.Errorf("finding your home folder: %w", err)
	}
	parent := filepath.Join(me.HomeDir, ".cache")
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return "", err
	}
	return checkParent(parent, me.HomeDir)
}

// checkParent holds a folder, and those above it up to top, to what sshd's
// StrictModes demands, so that a refusal is named here and not guessed from a
// failed login.
func checkParent(parent, top string) (string, error) {
	for dir := parent; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		if err != nil {
			return "", err
		}
		if info.Mode().Perm()&0o022 != 0 {
			return "", fmt.Errorf("%s can be written to by others (mode %04o): %w; chmod go-w %s mends it",
				dir, info.Mode().Perm(), ErrUnsafeDir, dir)
		}
		if dir == top || dir == filepath.Dir(dir) {
			return parent, nil
		}
	}
}

// removeStaleDirs removes the workspaces whose process is gone. One that
// vanishes meanwhile was removed by its owner or by another run.
func removeStaleDirs(parent string, now time.Time) error {
	list, err := filepath.Glob(filepath.Join(parent, dirPrefix+"*"))
	if err != nil {
		return err
	}
	for _, path := range list {
		stale, err := staleDir(path, now)
		if err != nil {
			return err
		}
		if !stale {
			continue
		}
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing the workspace of an earlier run: %w", err)
		}
	}
	return nil
}

func staleDir(path string, now time.Time) (bool, error) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !info.IsDir() {
		return false, err
	}
	b, err := os.ReadFile(filepath.Join(path, ownerFile))
	if errors.Is(err, fs.ErrNotExist) {
		return now.Sub(info.ModTime()) > newDirGrace, nil
	}
	if err != nil {
		return false, err
	}
	o, err := parseOwner(string(b))
	if err != nil { // half written: its owner is at it, or died at it
		return now.Sub(info.ModTime()) > newDirGrace, nil
	}
	return !o.alive(), nil
}
