package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrExited is wrapped when a process ended while something of it was waited
// for.
var ErrExited = errors.New("the process ended")

// stopGrace is what a process gets to end by itself after SIGTERM.
const stopGrace = 5 * time.Second

// Command says what to run. Path is required.
type Command struct {
	Path string   // absolute, relative, or a name that is looked up in our PATH
	Args []string // without the command's own name
	Dir  string   // where it runs; empty means our own folder
	Env  []string // its whole environment; nil inherits ours
	// As is whom it runs as, for those who are root; nil is ourselves.
	As *syscall.Credential
}

func (c Command) name() string { return filepath.Base(c.Path) }

func (c Command) attr() *syscall.SysProcAttr {
	attr := childAttr()
	attr.Credential = c.As
	return attr
}

// Result is what a finished command answered.
type Result struct {
	Code   int    // exit code; -1 if a signal ended it
	Stdout string // standard output alone
	Output string // standard output and standard error in order of arrival
}

// Run runs a command to its end, with nothing on standard input. An exit code
// other than 0 is no error: only that it did not start, or that ctx ended
// first, in which case its whole process group is killed.
func Run(ctx context.Context, c Command) (Result, error) {
	cmd := exec.CommandContext(ctx, c.Path, c.Args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.Dir, c.Env, c.attr()
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 2 * time.Second
	var stdout bytes.Buffer
	both := &sharedBuffer{}
	cmd.Stdout, cmd.Stderr = io.MultiWriter(&stdout, both), both

	err := cmd.Run()
	result := Result{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Output: both.String()}
	if ctx.Err() != nil {
		return result, fmt.Errorf("%s: %w: %w", c.name(), ErrTimeout, context.Cause(ctx))
	}
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		return result, fmt.Errorf("running %s: %w", c.name(), err)
	}
	return result, nil
}

// sharedBuffer takes the writes of two copying goroutines.
type sharedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer // guarded by mu
}

// Write appends p.
func (b *sharedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

// String returns what was written so far.
func (b *sharedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// Process is a command that runs in the background, with its standard output
// and standard error in one file. Its methods may be called from several
// goroutines.
type Process struct {
	name string
	log  string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been reaped

	stop    sync.Once
	stopErr error // set inside stop
}

// Start starts a command whose output is appended to the file log. ctx covers
// only the start: the process runs until it ends by itself or Stop ends it.
func Start(ctx context.Context, log string, c Command) (*Process, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name(), context.Cause(ctx))
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	// A file, not a pipe: whoever inherits it cannot keep Wait from returning.
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir, cmd.Env, cmd.SysProcAttr = c.Dir, c.Env, c.attr()
	cmd.Stdout, cmd.Stderr = out, out
	if err := errors.Join(cmd.Start(), out.Close()); err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.name(), err)
	}
	p := &Process{name: c.name(), log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the exit state is read from cmd.ProcessState
		close(p.done)
	}()
	return p, nil
}

// PID is the process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Code is the exit code once Done is closed, -1 if a signal ended the process.
// Before that it is -1 too.
func (p *Process) Code() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Wait waits for the end of the process and returns its exit code.
func (p *Process) Wait(ctx context.Context) (int, error) {
	select {
	case <-p.done:
		return p.Code(), nil
	case <-ctx.Done():
		return -1, fmt.Errorf("the end of %s: %w: %w", p.name, ErrTimeout, context.Cause(ctx))
	}
}

// LogFile is the file that takes the process's output.
func (p *Process) LogFile() string { return p.log }

// Log returns what the process has written so far, with lines ended by \n.
func (p *Process) Log() string {
	b, err := os.ReadFile(p.log)
	if err != nil {
		return "" // nothing written, or the workspace is gone already
	}
	return strings.ReplaceAll(string(b), "\r\n", "\n")
}

// WaitLog waits for a finished line that contains text and returns it. If the
// process ends without one, the error wraps ErrExited and ends with its last
// lines.
func (p *Process) WaitLog(ctx context.Context, text string) (string, error) {
	return p.WaitLogAfter(ctx, 0, text)
}

// WaitLogAfter is WaitLog for lines behind the first skip bytes of Log.
func (p *Process) WaitLogAfter(ctx context.Context, skip int, text string) (string, error) {
	var found string
	err := Poll(ctx, fmt.Sprintf("%q in the output of %s", text, p.name), func() (bool, error) {
		ended := p.ended() // before the log is read: nothing can be written later
		log := p.Log()
		for line := range strings.Lines(log[min(skip, len(log)):]) {
			if strings.Contains(line, text) && (strings.HasSuffix(line, "\n") || ended) {
				found = strings.TrimSuffix(line, "\n")
				return true, nil
			}
		}
		if ended {
			return false, fmt.Errorf("%w with exit code %d:\n%s", ErrExited, p.Code(), Tail(log, 10))
		}
		return false, nil
	})
	return found, err
}

func (p *Process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Signal sends the process a signal. It is no error if it has ended.
func (p *Process) Signal(sig syscall.Signal) error {
	if p.ended() { // its number may belong to somebody else by now
		return nil
	}
	return ownerOf(p.PID()).kill(sig)
}

// Stop ends the process with SIGTERM, after five seconds with SIGKILL, and with
// it everything that it started and that still runs. It may be called again and
// after the process has ended.
func (p *Process) Stop() error {
	p.stop.Do(func() { p.stopErr = p.stopAll() })
	return p.stopErr
}

// Kill ends the process and its group at once, as a crash would (SIGKILL), and
// returns when it has been reaped. It can clean up nothing; Stop has nothing
// left to do.
func (p *Process) Kill() {
	p.stop.Do(func() {
		if !p.ended() { // its number may belong to somebody else by now
			_ = syscall.Kill(-p.PID(), syscall.SIGKILL) // an error means that it ended at this moment
		}
		<-p.done
	})
}

func (p *Process) stopAll() error {
	family := descendants(p.PID())
	if !p.ended() {
		// An error means that it ended at this moment.
		_ = syscall.Kill(p.PID(), syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(stopGrace):
		_ = syscall.Kill(-p.PID(), syscall.SIGKILL)
		<-p.done
	}
	// What is left of the group can no longer write anything useful.
	if err := syscall.Kill(-p.PID(), syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return fmt.Errorf("ending the process group of %s: %w", p.name, err)
	}
	return endAll(family)
}

// endAll kills processes and waits until they are gone.
func endAll(list []owner) error {
	var errs []error
	for _, o := range list {
		errs = append(errs, o.kill(syscall.SIGKILL))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	return Poll(ctx, "the end of child processes", func() (bool, error) {
		for _, o := range list {
			if o.alive() {
				return false, nil
			}
		}
		return true, nil
	})
}
