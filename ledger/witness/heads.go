package witness

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/ledger"
)

// Folder keeps heads as files, one for each log, each replaced whole and synced
// before it counts. Its lock keeps a second witness out: two memories are none.
type Folder struct {
	path string
	lock *os.File
}

var _ Heads = (*Folder)(nil)

// OpenFolder takes a folder, which it makes if it is not there, and its lock.
func OpenFolder(path string) (*Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the witness's folder: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // its keeper names the folder
	if err != nil {
		return nil, fmt.Errorf("locking the witness's folder: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another witness; stop that one first", path), lock.Close())
	}
	return &Folder{path: path, lock: lock}, nil
}

// Close gives the folder back.
func (f *Folder) Close() error { return f.lock.Close() }

// file is named by the origin in hex: it may hold slashes.
func (f *Folder) file(origin string) string {
	return filepath.Join(f.path, hex.EncodeToString([]byte(origin))+".head")
}

// Head reads the checkpoint of a log. A file that can't be read as one is an
// error, never a beginning.
func (f *Folder) Head(origin string) (ledger.Checkpoint, error) {
	text, err := os.ReadFile(f.file(origin))
	if errors.Is(err, fs.ErrNotExist) {
		return ledger.Checkpoint{}, fmt.Errorf("%s: %w", origin, ErrNoHead)
	}
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("reading what was seen of %s: %w", origin, err)
	}
	c, err := ledger.ParseUnsigned(text)
	if err == nil && c.Origin != origin {
		err = fmt.Errorf("%w: it is of %q", ledger.ErrOrigin, c.Origin)
	}
	if err != nil {
		return ledger.Checkpoint{}, fmt.Errorf("%s was changed or damaged; put the file of a backup back, this witness signs nothing for the log until then: %w", f.file(origin), err)
	}
	return c, nil
}

// SetHead replaces the file: written beside, synced, renamed, folder synced.
func (f *Folder) SetHead(c ledger.Checkpoint) error {
	temp, err := os.CreateTemp(f.path, ".head-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(c.Unsigned())
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), f.file(c.Origin))
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	dir, err := os.Open(f.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
