package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// SmallDisk is a file system of a few megabytes, for finding out what a program
// does when it is full.
type SmallDisk struct {
	path    string
	mounted bool
	holder  *Process // has it in a mount namespace of its own; nil if it is mounted
}

// NewSmallDisk makes a file system of that many bytes (a tmpfs) whose root is at
// path, where nothing is yet. It is mounted there; who may not mount has a process
// hold it in namespaces of its own, and path is a link into those.
func NewSmallDisk(ctx context.Context, path string, bytes int64) (*SmallDisk, error) {
	d, err := mountSmallDisk(path, bytes)
	if err == nil {
		return d, nil
	}
	held, heldErr := holdSmallDisk(ctx, path, bytes)
	if heldErr != nil {
		return nil, fmt.Errorf("no way to have a small disk: %w; %w", err, heldErr)
	}
	return held, nil
}

func mountSmallDisk(path string, bytes int64) (*SmallDisk, error) {
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	if err := unix.Mount("none", path, "tmpfs", 0, fmt.Sprintf("size=%d,mode=0700", bytes)); err != nil {
		return nil, errors.Join(fmt.Errorf("mounting a tmpfs: %w", err), os.Remove(path))
	}
	return &SmallDisk{path: path, mounted: true}, nil
}

// holdSmallDisk has a process mount it for itself. /proc shows it to us.
func holdSmallDisk(ctx context.Context, path string, bytes int64) (*SmallDisk, error) {
	at := path + ".disk"
	if err := os.Mkdir(at, 0o700); err != nil {
		return nil, err
	}
	p, err := Start(ctx, path+".log", Command{Path: "unshare", Args: []string{
		"--map-root-user", "--mount", "sh", "-c",
		`mount -t tmpfs -o "size=$1,mode=0700" none "$2" && echo mounted && exec sleep infinity`, "sh", strconv.FormatInt(bytes, 10), at,
	}})
	if err != nil {
		return nil, err
	}
	if _, err := p.WaitLog(ctx, "mounted"); err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	d := &SmallDisk{path: path, holder: p}
	if err := os.Symlink(filepath.Join("/proc", strconv.Itoa(p.PID()), "root", at), path); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return d, nil
}

// filler is the file that takes all the room.
func (d *SmallDisk) filler() string { return filepath.Join(d.path, "filler") }

// Fill takes all the room that is left.
func (d *SmallDisk) Fill() error {
	f, err := os.OpenFile(d.filler(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	for page := make([]byte, os.Getpagesize()); err == nil; {
		_, err = f.Write(page)
	}
	if errors.Is(err, syscall.ENOSPC) {
		err = nil
	}
	return errors.Join(err, f.Close())
}

// Free gives back what Fill took.
func (d *SmallDisk) Free() error { return os.Remove(d.filler()) }

// Close takes the file system away, with everything on it. Whoever still has files
// open there keeps them until they close them.
func (d *SmallDisk) Close() error {
	if d.mounted {
		if err := unix.Unmount(d.path, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmounting %s: %w", d.path, err)
		}
		d.mounted = false
		return os.Remove(d.path)
	}
	if d.holder == nil {
		return nil
	}
	err := errors.Join(d.holder.Stop(), os.RemoveAll(d.path), os.Remove(d.path+".disk"))
	d.holder = nil
	return err
}
