package host

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/wholefile"
)

// journalFile is in the state folder: what setup has changed, so that leave can undo it, after a crash as well. Each
// change is written down before it is made.
const journalFile = "setup.json"

const (
	journalVersion = "sallyport.setup/v1"
	maxJournal     = 8 << 20
	maxChanges     = 256
)

// changeKind says what was changed.
type changeKind string

const (
	changeAccount changeKind = "account" // made
	changeFolder  changeKind = "folder"  // made
	changeFile    changeKind = "file"    // written
	changeTop     changeKind = "top"     // lines put at the top of a file
	changePAM     changeKind = "pam"     // lines put into sshd's file of PAM
	changeUnit    changeKind = "unit"    // enabled and started
)

// change is one thing that setup has changed.
type change struct {
	Kind   changeKind `json:"kind"`
	Name   string     `json:"name"`             // path or account
	Before string     `json:"before,omitempty"` // of a file that was there: its content, base64; of a top and of PAM: the lines; of a unit: what it was
	Mode   int64      `json:"mode,omitempty"`   // of a file that was there: its permissions; 0: there was none
}

// journal is all of it, in the order in which it was done.
type journal struct {
	V       string   `json:"v"`
	Changes []change `json:"changes"`
}

// readJournal reads what an earlier setup has written down; an empty one if there was none.
func readJournal(state string) (journal, error) {
	none := journal{V: journalVersion}
	text, err := Folder{Path: state, Owner: os.Geteuid()}.Read(journalFile, maxJournal)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return none, nil
	case err != nil:
		return none, err
	}
	var j journal
	if err := canon.Unmarshal(text, &j); err != nil {
		return none, fmt.Errorf("%s: %w", filepath.Join(state, journalFile), err)
	}
	if j.V != journalVersion || len(j.Changes) > maxChanges {
		return none, fmt.Errorf("%s is not what this release of sally-host writes", filepath.Join(state, journalFile))
	}
	return j, nil
}

// write puts the journal onto the disk, or removes it when nothing is left of it.
func (j journal) write(state string) error {
	path := filepath.Join(state, journalFile)
	if len(j.Changes) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	text, err := canon.Marshal(j)
	if err != nil {
		return err
	}
	return wholefile.Write(path, text, 0o600)
}

// knows tells whether a thing was changed before; what it was then stays written down.
func (j journal) knows(c change) bool {
	return slices.ContainsFunc(j.Changes, func(have change) bool { return have.Kind == c.Kind && have.Name == c.Name })
}

// of is what is written down about a thing.
func (j journal) of(kind changeKind, name string) (change, bool) {
	i := slices.IndexFunc(j.Changes, func(have change) bool { return have.Kind == kind && have.Name == name })
	if i < 0 {
		return change{}, false
	}
	return j.Changes[i], true
}

// without is the journal without one change.
func (j journal) without(c change) journal {
	j.Changes = slices.DeleteFunc(slices.Clone(j.Changes), func(have change) bool { return have.Kind == c.Kind && have.Name == c.Name })
	return j
}

// snapshot is a file as it is now.
func snapshot(path string) (change, error) {
	c := change{Kind: changeFile, Name: path}
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return c, nil
	case err != nil:
		return c, err
	case !info.Mode().IsRegular():
		return c, fmt.Errorf("%s is no plain file", path)
	case info.Size() > maxJournal/8:
		return c, fmt.Errorf("%s has %d bytes, which is more than can be kept to put back", path, info.Size())
	}
	text, err := os.ReadFile(path) //nolint:gosec // a file of the host's configuration, named by its administrator
	if err != nil {
		return c, err
	}
	c.Before, c.Mode = base64.StdEncoding.EncodeToString(text), int64(info.Mode().Perm())
	return c, nil
}

// putBack makes a file what it was.
func (c change) putBack() error {
	if c.Mode == 0 {
		if err := os.Remove(c.Name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return wholefile.SyncFolder(filepath.Dir(c.Name))
	}
	text, err := base64.StdEncoding.DecodeString(c.Before)
	if err != nil {
		return err
	}
	return wholefile.Write(c.Name, text, fs.FileMode(c.Mode).Perm()) //nolint:gosec // nine bits
}
