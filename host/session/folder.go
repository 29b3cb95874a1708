package session

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/wholefile"
)

const (
	recordSuffix = ".json"
	closedSuffix = ".closed"
	maxRecord    = 256 << 10
)

// Folder keeps the records of a host's sessions, each in a file of its own that is
// written whole or not at all. The PAM step adds a record, and later the note that
// PAM closed the session; the agent alone changes and removes records.
type Folder struct{ path string }

var errNoFolder = errors.New("there is no folder for the records of sessions")

// OpenFolder takes the folder, which it makes if it is not there. One that others can
// write to is refused: a record says what gets killed.
func OpenFolder(path string) (Folder, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return Folder{}, fmt.Errorf("the folder of sessions: %w", err)
	}
	info, err := os.Lstat(path)
	if err != nil {
		return Folder{}, fmt.Errorf("the folder of sessions: %w", err)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || (ok && int(st.Uid) != os.Geteuid()) {
		return Folder{}, fmt.Errorf("%s has to be a folder that is its owner's alone (mode 0700), and the owner who runs this", path)
	}
	return Folder{path}, nil
}

// Add writes the record of a new session.
func (f Folder) Add(r Record) error { return f.put(r) }

// Replace writes a record anew.
func (f Folder) Replace(r Record) error { return f.put(r) }

func (f Folder) put(r Record) error {
	if f.path == "" {
		return errNoFolder
	}
	text, err := r.Marshal()
	if err != nil {
		return err
	}
	return wholefile.Write(f.file(r.ID, recordSuffix), text, 0o600)
}

// Close notes that PAM closed a session.
func (f Folder) Close(id canon.ID, at canon.Micros) error {
	return wholefile.Write(f.file(id, closedSuffix), []byte(strconv.FormatInt(int64(at), 10)), 0o600)
}

// IDs lists the sessions that there are records of.
func (f Folder) IDs() (open, closed []canon.ID, err error) {
	if f.path == "" {
		return nil, nil, errNoFolder
	}
	names, err := os.ReadDir(f.path)
	if err != nil {
		return nil, nil, fmt.Errorf("the folder of sessions: %w", err)
	}
	for _, n := range names {
		list := &open
		name, ok := strings.CutSuffix(n.Name(), recordSuffix)
		if !ok {
			if name, ok = strings.CutSuffix(n.Name(), closedSuffix); !ok {
				continue
			}
			list = &closed
		}
		if id, err := canon.ParseID(name); err == nil {
			*list = append(*list, id)
		}
	}
	return open, closed, nil
}

// Read reads the record of one session, and whether PAM has closed it.
func (f Folder) Read(id canon.ID) (Session, error) {
	text, err := readFile(f.file(id, recordSuffix), maxRecord)
	if err != nil {
		return Session{}, fmt.Errorf("session %s: %w", id, err)
	}
	s, err := ParseRecord(text)
	if err != nil {
		return Session{}, fmt.Errorf("session %s: %w", id, err)
	}
	if s.ID != id {
		return Session{}, fmt.Errorf("session %s: %w: it is of session %s", id, ErrRecord, s.ID)
	}
	s.ClosedAt, err = f.ClosedAt(id)
	return s, err
}

// ClosedAt is when PAM closed a session, 0 if it has not.
func (f Folder) ClosedAt(id canon.ID) (canon.Micros, error) {
	text, err := readFile(f.file(id, closedSuffix), 32)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("session %s: %w", id, err)
	}
	at, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || at < 1 {
		return 0, fmt.Errorf("session %s: %w: it does not say when it was closed", id, ErrRecord)
	}
	return canon.Micros(at), nil
}

// Remove forgets a session.
func (f Folder) Remove(id canon.ID) error {
	for _, suffix := range []string{closedSuffix, recordSuffix} { // the record last: without it nobody looks for the note
		if err := os.Remove(f.file(id, suffix)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("session %s: %w", id, err)
		}
	}
	return nil
}

// find returns the session that a process opened.
func (f Folder) find(boot string, pid int, started uint64) (Session, bool, error) {
	ids, _, err := f.IDs()
	if err != nil {
		return Session{}, false, err
	}
	var unread error
	for _, id := range ids {
		s, err := f.Read(id)
		switch {
		case errors.Is(err, fs.ErrNotExist): // removed meanwhile
		case err != nil:
			unread = errors.Join(unread, err)
		case s.PID == pid && s.Started == started && s.Boot == boot:
			return s, true, nil
		}
	}
	return Session{}, false, unread
}

func (f Folder) file(id canon.ID, suffix string) string {
	return filepath.Join(f.path, string(id)+suffix)
}

func readFile(path string, most int64) ([]byte, error) {
	file, err := os.Open(path) //nolint:gosec // named by an id, in a folder of root's
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(file, most+1))
	if err = errors.Join(err, file.Close()); err == nil && int64(len(text)) > most {
		err = fmt.Errorf("%s has over %d bytes", path, most)
	}
	return text, err
}
