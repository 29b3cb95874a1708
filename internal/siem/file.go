package siem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/internal/store"
)

// File appends events to a file of JSON lines. Whoever rotates it moves it away:
// the next event makes a new one. It is used by one goroutine.
type File struct {
	origin, path string
	file         *os.File // nil before the first event, and after a failure
}

// NewFile returns the sink for a file. Nothing is made before there is something to
// write.
func NewFile(origin, path string) *File { return &File{origin: origin, path: path} }

// Take appends entries. They are on disk when it returns.
func (f *File) Take(_ context.Context, entries []store.Entry) error {
	var text bytes.Buffer
	for _, e := range entries {
		event, err := NewEvent(f.origin, e)
		if err != nil {
			return err
		}
		line, err := event.Line()
		if err != nil {
			return err
		}
		text.Write(line)
		text.WriteByte('\n')
	}
	err := f.open()
	if err == nil {
		err = f.append(text.Bytes())
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing %s: %w", f.path, err), f.Close())
	}
	return nil
}

// open opens the file at the path, unless it is open, and makes it if it was moved
// away. What a crash has left of a line is cut off: its entry comes again.
func (f *File) open() error {
	if f.file != nil {
		have, err := f.file.Stat()
		if err != nil {
			return err
		}
		at, err := os.Stat(f.path)
		if err == nil && os.SameFile(have, at) {
			return nil
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := f.Close(); err != nil {
			return err
		}
	}
	file, err := os.OpenFile(f.path, os.O_RDWR|os.O_APPEND|os.O_CREATE, 0o640) //nolint:gosec // the operator names it; a group may read it
	if err != nil {
		return err
	}
	f.file = file
	if err := cutTail(file); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(f.path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close()) // the file's name is on disk, too
}

// append writes whole lines, or as good as nothing: what did not fit is cut off.
func (f *File) append(text []byte) error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	_, err = f.file.Write(text)
	if err == nil {
		err = f.file.Sync()
	}
	if err != nil {
		return errors.Join(err, f.file.Truncate(info.Size()))
	}
	return nil
}

// cutTail cuts off what stands behind the last newline.
func cutTail(file *os.File) error {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return err
	}
	const step = 4096
	for end := info.Size(); end > 0; {
		from := max(0, end-step)
		part := make([]byte, end-from)
		if _, err := file.ReadAt(part, from); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if i := bytes.LastIndexByte(part, '\n'); i >= 0 || from == 0 {
			if whole := from + int64(i) + 1; whole < info.Size() {
				return file.Truncate(whole)
			}
			return nil
		}
		end = from
	}
	return nil
}

// Close closes the file. The next event opens it again.
func (f *File) Close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}
