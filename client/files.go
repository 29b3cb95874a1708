package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrUnsafe is wrapped by every refusal of a file or folder of ours that others
// could read or write.
var ErrUnsafe = errors.New("others could read or change it")

const maxPrivate = 64 << 10

// privateDir makes dir, and refuses one that is not the user's alone.
func privateDir(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("making the state folder: %w", err)
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("looking at the state folder: %w", err)
	}
	if !info.IsDir() {
		return fmt.Errorf("state folder %s: it is not a folder", dir)
	}
	if err := ownOnly(info); err != nil {
		return fmt.Errorf("state folder %s: %w; run: chmod 700 '%s'", dir, err, dir)
	}
	return nil
}

// readPrivate reads a file that only its owner may read. It returns an error
// that wraps fs.ErrNotExist for a file that is not there.
func readPrivate(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW, 0) //nolint:gosec // inside our state folder
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s: it is not a plain file", path)
	}
	if err := ownOnly(info); err != nil {
		return nil, fmt.Errorf("%s: %w; log in again, or run: chmod 600 '%s'", path, err, path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxPrivate+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxPrivate {
		return nil, fmt.Errorf("%s: over %d bytes; it is not ours", path, maxPrivate)
	}
	return b, nil
}

// writeFile puts data under path in one step: readers see the old file or the
// new one, also after a crash.
func writeFile(path string, data []byte, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // 0600
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what went wrong is in err
		}
	}()
	_, err = f.Write(data)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return nil
}

// remove deletes a file; that it is gone already is as good.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

const lockPoll = 50 * time.Millisecond

// lock takes the lock file at path, so that runs at the same time share one
// piece of work. wait is called once if another run holds it. The file stays:
// deleting it would let two runs hold two files of one name. A process that ends
// or execs loses the lock.
func lock(ctx context.Context, path string, wait func()) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_NOFOLLOW, 0o600) //nolint:gosec // inside our state folder
	if err != nil {
		return nil, fmt.Errorf("locking: %w", err)
	}
	release := func() { _ = f.Close() } // closing gives the lock back
	for told := false; ; {
		err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return release, nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			release()
			return nil, fmt.Errorf("locking %s: %w", path, err)
		case wait == nil:
			release()
			return nil, errLocked
		case !told:
			wait()
			told = true
		}
		select {
		case <-ctx.Done():
			release()
			return nil, ctx.Err()
		case <-time.After(lockPoll):
		}
	}
}

// errLocked says that another run holds the lock and nobody wanted to wait.
var errLocked = errors.New("another run holds the lock")

// ownOnly refuses what other users may read or write, or own: an owner can
// change the mode at will.
func ownOnly(info fs.FileInfo) error {
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return fmt.Errorf("%w (mode %04o)", ErrUnsafe, mode)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: its owner is unknown", ErrUnsafe)
	}
	if int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%w: it belongs to user %d", ErrUnsafe, stat.Uid)
	}
	return nil
}
