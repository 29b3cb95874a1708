package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/host/wholefile"
)

// undoTime is how long putting back may take, whatever ended the steps before.
const undoTime = 2 * time.Minute

// transaction is a sequence of steps of which either all are done or none. Each step that is done leaves behind how it is
// undone; what lasts beyond the transaction stands in the journal as well, for leave.
type transaction struct {
	machine Machine
	journal journal
	say     func(format string, args ...any)
	done    []undo
	told    bool // sshd has been told, or may have been
	// hook is called before and after each step, by tests that let it fail.
	hook func(step, when string) error
}

// undo takes one step back.
type undo struct {
	says string // what is put back
	run  func(context.Context) error
}

// step runs one step. back may be nil for a step that changes nothing.
func (t *transaction) step(ctx context.Context, name string, run func(context.Context) error, back *undo) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("%s: %w", name, context.Cause(ctx))
	}
	if err := t.failpoint(name, "before"); err != nil {
		return err
	}
	if back != nil { // from here on something may have changed
		t.done = append(t.done, *back)
	}
	if err := run(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return t.failpoint(name, "after")
}

func (t *transaction) failpoint(name, when string) error {
	if t.hook == nil {
		return nil
	}
	return t.hook(name, when)
}

// rollBack undoes the steps that were done, the last one first, and says what it puts back. It goes on whatever fails, and
// is not ended by what ended the steps.
func (t *transaction) rollBack(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), undoTime)
	defer cancel()
	var errs []error
	for i := len(t.done) - 1; i >= 0; i-- {
		back := t.done[i]
		if err := back.run(ctx); err != nil {
			errs = append(errs, fmt.Errorf("could not put back %s: %w", back.says, err))
			continue
		}
		t.say("put back: %s", back.says)
	}
	t.done = nil
	return errors.Join(errs...)
}

// record writes down what is about to change, unless an earlier run has. It returns how to strike it out again.
func (t *transaction) record(c change) (strike func() error, err error) {
	if t.journal.knows(c) {
		return func() error { return nil }, nil
	}
	next := t.journal
	next.Changes = append(next.Changes[:len(next.Changes):len(next.Changes)], c)
	if err := next.write(t.machine.State); err != nil {
		return nil, fmt.Errorf("writing down what is changed: %w", err)
	}
	t.journal = next
	return func() error {
		t.journal = t.journal.without(c)
		return t.journal.write(t.machine.State)
	}, nil
}

// folder makes a folder and those above it that are missing.
func (t *transaction) folder(ctx context.Context, path string, mode fs.FileMode, uid, gid int) error {
	if above := filepath.Dir(path); above != path && path != t.machine.State {
		if _, err := os.Stat(above); errors.Is(err, fs.ErrNotExist) {
			if err := t.folder(ctx, above, 0o755, os.Geteuid(), os.Getegid()); err != nil {
				return err
			}
		}
	}
	info, err := os.Lstat(path)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%s is no folder", path)
	case err == nil:
		return t.repair(ctx, path, info, mode, uid, gid)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	var strike func() error
	back := &undo{"the folder " + path + " is gone", func(context.Context) error {
		if strike != nil { // first: the journal may lie in it
			if err := strike(); err != nil {
				return err
			}
		}
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}}
	return t.step(ctx, "folder "+path, func(context.Context) (err error) {
		t.say("made the folder %s", path)
		if path == t.machine.State { // the journal lies in it
			if err := makeFolder(path, mode, uid, gid); err != nil {
				return err
			}
			strike, err = t.record(change{Kind: changeFolder, Name: path})
			return err
		}
		if strike, err = t.record(change{Kind: changeFolder, Name: path}); err != nil {
			return err
		}
		return makeFolder(path, mode, uid, gid)
	}, back)
}

// repair gives a folder that was there the owner and the mode that it must have.
func (t *transaction) repair(ctx context.Context, path string, info fs.FileInfo, mode fs.FileMode, uid, gid int) error {
	owner, group := ids(info)
	if info.Mode().Perm() == mode && owner == uid && group == gid || !t.ours(path) {
		return nil
	}
	return t.step(ctx, "mode of "+path, func(context.Context) error {
		t.say("gave the folder %s its owner and mode again", path)
		return errors.Join(os.Lchown(path, uid, gid), os.Chmod(path, mode))
	}, &undo{"owner and mode of " + path, func(context.Context) error {
		return errors.Join(os.Lchown(path, owner, group), os.Chmod(path, info.Mode().Perm()))
	}})
}

// ours tells whether a folder is sally-host's, rather than one that it only puts something into.
func (t *transaction) ours(path string) bool {
	m := t.machine
	return path == m.Dir || path == m.State || path == m.Spool || path == m.file(BreakGlassFolder) || path == m.file(OfflineFolder)
}

// ids are whom a file belongs to.
func ids(info fs.FileInfo) (uid, gid int) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(stat.Uid), int(stat.Gid)
}

func makeFolder(path string, mode fs.FileMode, uid, gid int) error {
	if err := os.Mkdir(path, mode); err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, mode), os.Lchown(path, uid, gid), wholefile.SyncFolder(filepath.Dir(path))) // whatever the umask
}

// file writes a file, unless it is as it should be already.
func (t *transaction) file(ctx context.Context, path string, text []byte, mode fs.FileMode) error {
	before, err := snapshot(path)
	if err != nil {
		return err
	}
	have, err := os.ReadFile(path)                                                             //nolint:gosec // a file of the host's configuration
	if err == nil && string(have) == string(text) && fs.FileMode(before.Mode).Perm() == mode { //nolint:gosec // nine bits
		return nil
	}
	var strike func() error
	return t.step(ctx, "file "+path, func(context.Context) (err error) {
		if strike, err = t.record(before); err != nil {
			return err
		}
		t.say("wrote %s", path)
		return wholefile.Write(path, text, mode)
	}, &undo{says(before), func(context.Context) error {
		if err := before.putBack(); err != nil || strike == nil {
			return err
		}
		return strike()
	}})
}

func says(before change) string {
	if before.Mode == 0 {
		return before.Name + " is gone"
	}
	return before.Name
}

// top puts lines at the top of a file, unless they stand there.
func (t *transaction) top(ctx context.Context, path, lines string) error {
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return err
	}
	before, err := snapshot(path)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if strings.HasPrefix(string(text), lines) {
		return nil
	}
	c := change{Kind: changeTop, Name: path, Before: lines}
	var strike func() error
	return t.step(ctx, "top of "+path, func(context.Context) (err error) {
		if strike, err = t.record(c); err != nil {
			return err
		}
		t.say("put an Include at the top of %s", path)
		return wholefile.Write(path, append([]byte(lines), text...), fs.FileMode(before.Mode).Perm()) //nolint:gosec // nine bits
	}, &undo{path, func(context.Context) error {
		if err := before.putBack(); err != nil || strike == nil {
			return err
		}
		return strike()
	}})
}
