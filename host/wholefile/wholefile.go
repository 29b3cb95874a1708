// Package wholefile owns how sally-host replaces a file: readers see the old one or
// the new one, also after a crash.
package wholefile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// TempPrefix begins the name of a file that is being written. One that is there when
// nothing runs was cut off, and is worth nothing.
const TempPrefix = ".new-"

// Write puts a file in its place in one step, with exactly this mode. It is on disk
// when Write returns. What fails leaves the old one.
func Write(path string, text []byte, mode fs.FileMode) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(path), TempPrefix+"*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name()) // what went wrong is in err
		}
	}()
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	if err = os.Rename(temp.Name(), path); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return SyncFolder(filepath.Dir(path))
}

// SyncFolder makes the names in a folder durable. A folder that is gone has none.
func SyncFolder(path string) error {
	folder, err := os.Open(path) //nolint:gosec // named by whoever replaces what is in it
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
