package host

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Reasons why a file is not read.
var (
	// ErrUnsafe says that somebody else could have written a file.
	ErrUnsafe = errors.New("others could have written it")
	// ErrTooLarge says that a file is larger than what belongs there.
	ErrTooLarge = errors.New("the file is too large")
)

// Folder is where a host's files lie. They are read only if nobody but their owner
// can have written them: the file, the folder and each folder above belong to root
// or to Owner, and neither group nor others can write to them. sshd demands the same
// of its own (StrictModes).
type Folder struct {
	Path  string
	Owner int // user id; 0 is root
}

// Read returns a file of at most so many bytes.
func (f Folder) Read(name string, most int) ([]byte, error) {
	text, err := f.read(name, most)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(f.Path, name), err)
	}
	return text, nil
}

func (f Folder) read(name string, most int) ([]byte, error) {
	if err := f.Check(); err != nil {
		return nil, err
	}
	// Nobody else can write to the folder, so what is opened is what was named.
	return readPlain(filepath.Join(f.Path, name), most, f.safe)
}

// readPlain reads a file of at most so many bytes, if the check passes for what was
// opened. It follows no link at the path's end, and does not wait for whoever would
// write into a pipe.
func readPlain(path string, most int, check func(fs.FileInfo) error) (text []byte, err error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0) //nolint:gosec // the caller names it
	if err != nil {
		return nil, cause(err)
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	info, err := file.Stat()
	if err != nil {
		return nil, cause(err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: it is not a plain file", ErrUnsafe)
	}
	if err := check(info); err != nil {
		return nil, err
	}
	text, err = io.ReadAll(io.LimitReader(file, int64(most)+1))
	if err != nil {
		return nil, cause(err)
	}
	if len(text) > most {
		return nil, fmt.Errorf("%w: over %d bytes", ErrTooLarge, most)
	}
	return text, nil
}

// Check returns nil if nobody else can write to the folder or to one above it.
func (f Folder) Check() error {
	if !filepath.IsAbs(f.Path) {
		return fmt.Errorf("%.200q: %w: the folder is named by an absolute path", f.Path, ErrUnsafe)
	}
	path, err := filepath.EvalSymlinks(f.Path)
	if err != nil {
		return cause(err)
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return cause(err)
		}
		if !info.IsDir() {
			return fmt.Errorf("%s: %w: it is not a folder", path, ErrUnsafe)
		}
		if err := f.safe(info); err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		above := filepath.Dir(path)
		if above == path {
			return nil
		}
		path = above
	}
}

// safe holds one file or folder to its owner and mode.
func (f Folder) safe(info fs.FileInfo) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("%w: its owner can't be read", ErrUnsafe)
	}
	if stat.Uid != 0 && int64(stat.Uid) != int64(f.Owner) {
		return fmt.Errorf("%w: user %d owns it, not %d", ErrUnsafe, stat.Uid, f.Owner)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%w: its mode is %04o; chmod go-w mends it", ErrUnsafe, mode)
	}
	return nil
}

// cause is an error of the system without the path, which the caller names.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
