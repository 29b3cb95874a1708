package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/host/wholefile"
)

// LeaveOptions are the settings of [Leave].
type LeaveOptions struct {
	Machine Machine
	Reload  Reload
	Out     io.Writer
}

// ErrNotSetUp says that there is nothing to undo.
var ErrNotSetUp = errors.New("sally-host setup has not been run on this host, or has been undone")

// Leave undoes setup: what sshd was told is put back first and read, then the files, folders and the account go. Each thing
// that is undone is struck out, so that leave can be run again after it failed. What others have put into our folders stays,
// and is named.
func Leave(ctx context.Context, o LeaveOptions) error {
	m, err := o.Machine.Fill()
	if err != nil {
		return err
	}
	if os.Geteuid() != m.Owner {
		return fmt.Errorf("%w: run it as root", ErrMachine)
	}
	unlock, err := lock(m.Main)
	if err != nil {
		return err
	}
	defer unlock()
	j, err := readJournal(m.State)
	if err != nil {
		return err
	}
	if len(j.Changes) == 0 {
		return ErrNotSetUp
	}
	before, err := m.without(ctx)
	if err != nil {
		return err
	}
	l := &leaving{machine: m, journal: j, say: func(format string, args ...any) { fmt.Fprintf(o.Out, format+"\n", args...) }}
	if err := l.undo(ctx, l.told); err != nil {
		return err
	}
	if err := m.sshd().Test(ctx); err != nil {
		return fmt.Errorf("the fragment is gone, but %w; nothing was reloaded, the files that sshd has read are still there", err)
	}
	how, err := o.Reload.tell(ctx, before)
	if err != nil {
		return err
	}
	l.say("told sshd: %s", how)
	if err := l.undo(ctx, func(c change) bool { return c.Kind == changeUnit }); err != nil { // it writes what goes next
		return err
	}
	for _, name := range agentFiles {
		if err := os.Remove(m.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := m.clearState(); err != nil {
		return err
	}
	if err := l.undo(ctx, func(change) bool { return true }); err != nil {
		return err
	}
	l.say("this host has left; certificates of the ledger open it no longer")
	return nil
}

// agentFiles are what the agent puts into the host's folder after setup.
var agentFiles = []string{SignedFile, HostCertFile}

// leaving is what is left to undo.
type leaving struct {
	machine Machine
	journal journal
	say     func(format string, args ...any)
}

// told are the changes to what sshd reads.
func (l *leaving) told(c change) bool {
	return c.Kind == changeTop || c.Kind == changeFile && c.Name == l.machine.Fragment
}

// undo takes back the changes that are chosen, the last one first.
func (l *leaving) undo(ctx context.Context, which func(change) bool) error {
	for _, c := range slices.Backward(slices.Clone(l.journal.Changes)) {
		if !which(c) {
			continue
		}
		strike := func() error {
			l.journal = l.journal.without(c)
			return l.journal.write(l.machine.State)
		}
		if c.Kind == changeFolder && c.Name == l.machine.State { // the journal lies in it
			if err := strike(); err != nil {
				return err
			}
		}
		if err := l.undoOne(ctx, c); err != nil {
			return fmt.Errorf("undoing %s %s: %w; run sally-host leave again when that is mended", c.Kind, c.Name, err)
		}
		if err := strike(); err != nil {
			return err
		}
	}
	return nil
}

func (l *leaving) undoOne(ctx context.Context, c change) error {
	switch c.Kind {
	case changeAccount:
		l.say("removed the account %s", c.Name)
		return removeAccount(ctx, c.Name)
	case changeFolder:
		err := os.Remove(c.Name)
		switch {
		case notEmpty(err):
			l.say("left the folder %s, which holds what sally-host setup did not put there", c.Name)
			return nil
		case errors.Is(err, fs.ErrNotExist):
			return nil
		case err == nil:
			l.say("removed the folder %s", c.Name)
		}
		return err
	case changeFile:
		l.say("put back: %s", says(c))
		if err := c.putBack(); err != nil {
			return err
		}
		return l.forget(ctx, c)
	case changeTop:
		return l.removeTop(c)
	case changePAM:
		return l.removePAM(c)
	case changeUnit:
		return l.stopAgent(ctx, c)
	}
	return fmt.Errorf("a change of an unknown kind %.40q", c.Kind)
}

func notEmpty(err error) bool {
	return errors.Is(err, syscall.ENOTEMPTY) || errors.Is(err, syscall.EEXIST)
}

// removeTop removes our lines from the top of a file that may have been edited since, and nothing else.
func (l *leaving) removeTop(c change) error {
	info, err := os.Stat(c.Name)
	if err != nil {
		return err
	}
	text, err := os.ReadFile(c.Name)
	if err != nil {
		return err
	}
	before, after, found := strings.Cut(string(text), c.Before)
	if !found {
		l.say("did not find the Include in %s any more", c.Name)
		return nil
	}
	l.say("took the Include out of %s", c.Name)
	return wholefile.Write(c.Name, []byte(before+after), info.Mode().Perm())
}

// Installed is what setup has put on a host, as its files say.
type Installed struct {
	Wanted sshdconf.Wanted
	Known  *Verifier // nil if the host's files can't be read
}

// installed reads it. The error says what can't be read; a host that was never set up has the zero value and no error.
func (m Machine) installed() (Installed, error) {
	folder := Folder{Path: m.Dir, Owner: m.Owner}
	text, err := folder.Read(FragmentFile, MaxConfig)
	if errors.Is(err, fs.ErrNotExist) {
		return Installed{}, nil
	}
	if err != nil {
		return Installed{}, err
	}
	var in Installed
	if in.Wanted, err = sshdconf.ParseFragment(string(text)); err != nil {
		return Installed{}, fmt.Errorf("%s: %w", filepath.Join(m.Dir, FragmentFile), err)
	}
	in.Known, err = Load(folder)
	return in, err
}
