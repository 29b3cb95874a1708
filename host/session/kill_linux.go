package session

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const pollEvery = 5 * time.Millisecond

// killAll ends every process in a cgroup and below it, and returns when none is
// left or ctx ends. The kernel does it in one step (since 5.14): nothing that forks
// meanwhile gets away.
func killAll(ctx context.Context, folder string) error {
	err := control(folder, "cgroup.kill", "1")
	switch {
	case err == nil:
		return waitEmpty(ctx, folder)
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("killing the cgroup: %w", err)
	}
	if empty, err := populated(folder); err == nil && !empty {
		return nil // it was gone already
	}
	return killEach(ctx, folder)
}

// killEach is for older kernels: what is frozen starts nothing, and dies when it is
// killed.
func killEach(ctx context.Context, folder string) error {
	at, err := currentMount()
	if err != nil {
		return err
	}
	frozen := control(folder, "cgroup.freeze", "1") // without it, too: a loop wins in the end
	for {
		pids, err := members(folder)
		if err != nil {
			return errors.Join(err, frozen)
		}
		for _, pid := range pids {
			if err := killMember(pid, at, folder); err != nil {
				return errors.Join(err, frozen)
			}
		}
		full, err := populated(folder)
		if err != nil || !full {
			return err
		}
		if err := pause(ctx, folder); err != nil {
			return errors.Join(err, frozen)
		}
	}
}

// killMember kills a process that is in the cgroup, never another one that has its
// number by now: the descriptor stands for the process that was looked at.
func killMember(pid int, at mount, folder string) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	defer func() { _ = unix.Close(fd) }() // nothing was written through it
	now, err := currentCgroup(pid)
	if gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if dir, err := at.folder(now); err != nil || (dir != folder && !strings.HasPrefix(dir, folder+"/")) {
		return nil //nolint:nilerr // it is elsewhere
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return fmt.Errorf("killing process %d: %w", pid, err)
	}
	return nil
}

// waitEmpty waits until the kernel says that nothing is left.
func waitEmpty(ctx context.Context, folder string) error {
	for {
		full, err := populated(folder)
		if err != nil || !full {
			return err
		}
		if err := pause(ctx, folder); err != nil {
			return err
		}
	}
}

func pause(ctx context.Context, folder string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("%s is not empty yet: %w", folder, context.Cause(ctx))
	case <-time.After(pollEvery):
		return nil
	}
}
