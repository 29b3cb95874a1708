package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Pause stops the process, and everything that it started, in its tracks:
// connections stay open, no answer comes. It returns when each thread stands
// still (Linux only).
func (p *Process) Pause(ctx context.Context) error {
	before := false // whether all stood still at the last look
	return Poll(ctx, "the standstill of "+p.name, func() (bool, error) {
		still := true
		for _, o := range p.family() {
			if err := o.kill(syscall.SIGSTOP); err != nil {
				return false, err
			}
			stopped, err := o.stopped()
			if err != nil {
				return false, err
			}
			still = still && stopped
		}
		// Who was started between the list and the signal is found by a second look.
		done := still && before
		before = still
		return done, nil
	})
}

// Resume lets a paused process go on, and everything that it started. It is no
// error if it has ended.
func (p *Process) Resume() error {
	var errs []error
	for _, o := range p.family() {
		errs = append(errs, o.kill(syscall.SIGCONT))
	}
	return errors.Join(errs...)
}

// family is the process and everything that it started, none if it has ended.
func (p *Process) family() []owner {
	if p.ended() {
		return nil
	}
	return append([]owner{ownerOf(p.PID())}, descendants(p.PID())...)
}

// stopped reports whether each thread of the process stands still. One that has
// ended does.
func (o owner) stopped() (bool, error) {
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", o.pid))
	if err != nil {
		return false, err
	}
	for _, file := range threads {
		text, err := os.ReadFile(file)
		if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue
		}
		if err != nil {
			return false, err
		}
		// proc(5): the state stands behind the name, which is in parentheses.
		if _, state, _ := strings.Cut(string(text), ") "); !strings.HasPrefix(state, "T") && !strings.HasPrefix(state, "Z") {
			return false, nil
		}
	}
	return true, nil
}
