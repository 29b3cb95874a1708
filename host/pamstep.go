package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/host/pamconf"
	"github.com/sallyport/sallyport/host/sshdconf"
	"github.com/sallyport/sallyport/host/wholefile"
)

// sessionStep is the line that sshd's file of PAM has to have.
func (m Machine) sessionStep() pamconf.Step {
	return pamconf.Step{Program: m.Program, Args: calls("session", place{"--dir", m.Dir, DefaultDir}, place{"--state", m.State, DefaultState})}
}

// readPAM reads a file of PAM. What others have put in its place is not waited for.
func readPAM(path string) ([]byte, error) {
	resolved, err := filepath.EvalSymlinks(path) // administrators link them
	if err != nil {
		return nil, err
	}
	text, err := readPlain(resolved, pamconf.MaxFile, func(fs.FileInfo) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return text, nil
}

// checkPAM refuses what PAM would read otherwise, before anything is changed.
func (m Machine) checkPAM() error {
	for _, path := range []string{m.Program, m.Dir, m.State} {
		if err := sshdconf.CheckPath(path); err != nil {
			return fmt.Errorf("the line for PAM: %w", err)
		}
	}
	return nil
}

// sessions puts the line for PAM where it belongs. It stands there before the verifier is
// in force, so that no session by a certificate is opened without it.
func (p plan) sessions(ctx context.Context, t *transaction) error {
	switch {
	case !p.session:
		return nil
	case !p.pam:
		t.say("this sshd was built without PAM: sessions do not end with their grants")
		return nil
	}
	path, err := filepath.EvalSymlinks(p.machine.PAM)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing; name the file that the service of sshd has with --pam-file, or leave PAM as it is with --pam-file none, and no session ends with its grant",
			ErrMachine, p.machine.PAM)
	}
	if err != nil {
		return err
	}
	earlier, ours := t.journal.of(changePAM, path)
	file, err := pamconf.Parse(path, readPAM)
	if err != nil {
		return err
	}
	step := p.machine.sessionStep()
	if len(file.Judge(step)) == 0 {
		if !ours {
			t.say("%s has the line for sessions already; it stays when this host leaves", path)
		}
		return nil
	}
	if ours { // it was moved or edited since
		text, _ := file.Remove(step, earlier.Before)
		if file, err = pamconf.Parse(path, instead(path, text)); err != nil {
			return err
		}
	}
	text, inserted, err := file.Insert(step)
	if err != nil {
		return err
	}
	return t.pamLine(ctx, path, text, inserted)
}

// instead reads one file as another text, and the rest as it is.
func instead(path, text string) pamconf.Reader {
	return func(name string) ([]byte, error) {
		if name == path {
			return []byte(text), nil
		}
		return readPAM(name)
	}
}

// pamLine writes a file of PAM with the lines in it.
func (t *transaction) pamLine(ctx context.Context, path, text, inserted string) error {
	before, err := snapshot(path)
	if err != nil {
		return err
	}
	journal := t.journal
	return t.step(ctx, "line in "+path, func(context.Context) error {
		next := journal.without(change{Kind: changePAM, Name: path})
		next.Changes = append(next.Changes, change{Kind: changePAM, Name: path, Before: inserted})
		if err := next.write(t.machine.State); err != nil {
			return fmt.Errorf("writing down what is changed: %w", err)
		}
		t.journal = next
		t.say("put the line for sessions into %s", path)
		return wholefile.Write(path, []byte(text), fs.FileMode(before.Mode).Perm()) //nolint:gosec // nine bits
	}, &undo{path, func(context.Context) error {
		if err := before.putBack(); err != nil {
			return err
		}
		t.journal = journal
		return journal.write(t.machine.State)
	}})
}

// removePAM takes our line out of a file that may have been edited since, and nothing else.
func (l *leaving) removePAM(c change) error {
	info, err := os.Stat(c.Name)
	if errors.Is(err, fs.ErrNotExist) {
		l.say("did not find %s any more", c.Name)
		return nil
	}
	if err != nil {
		return err
	}
	file, err := pamconf.Parse(c.Name, readPAM)
	if err != nil {
		return err
	}
	text, removed := file.Remove(l.machine.sessionStep(), c.Before)
	if removed == 0 {
		l.say("did not find the line for sessions in %s any more", c.Name)
	} else {
		l.say("took the line for sessions out of %s", c.Name)
	}
	return wholefile.Write(c.Name, []byte(text), info.Mode().Perm())
}
