package cosign

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
)

// journalVersion begins the journal of a cosigner.
const journalVersion = "sallyport.cosigner/v1"

// ErrState says that what a cosigner keeps can't be read.
var ErrState = errors.New("what this cosigner keeps was changed or damaged")

// note is a line of the journal. The first says whose ledger it is; then stand
// leaves, each before its line as a bundle has it but without person part, what was
// accepted, and after each batch how far the ledger was seen.
type note struct {
	Accept   string       `json:"accept,omitempty"` // a leaf that its owner accepts, in decimal
	Flaw     string       `json:"flaw,omitempty"`   // of the leaf in the next line
	Identity string       `json:"identity,omitempty"`
	Leaf     bool         `json:"leaf,omitempty"`    // the next line is one
	Lineage  string       `json:"lineage,omitempty"` // of the first line
	Origin   string       `json:"origin,omitempty"`
	SeenAt   canon.Micros `json:"seen_at,omitempty"`
	Tree     string       `json:"tree,omitempty"` // ledger.Tree, at the end of a batch
	V        string       `json:"v,omitempty"`
}

// journal is where a cosigner keeps what it has seen, appended to and synced
// before anything is signed. It holds no person part: of a login it keeps what the
// ID token came to.
type journal struct {
	file *os.File
	path string
}

// maxNote bounds a line of the journal, in bytes.
const maxNote = 4 << 20

// openJournal opens the file, made if it is not there, and reads it through read:
// notes, with the entry of a leaf. A batch whose end is missing was being written
// when the machine stopped, and is cut off.
func openJournal(path string, first note, read func(note, audit.Entry) error) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // its keeper names the folder
	if err != nil {
		return nil, fmt.Errorf("opening what the cosigner keeps: %w", err)
	}
	j := &journal{file: file, path: path}
	whole, err := j.read(first, read)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err == nil && whole == 0 {
		if err = j.append([]note{first}, nil); err == nil {
			err = syncFolder(filepath.Dir(path))
		}
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return j, nil
}

// read reads all whole batches and returns where they end.
func (j *journal) read(first note, read func(note, audit.Entry) error) (whole int64, err error) {
	in := bufio.NewReaderSize(j.file, 1<<16)
	type item struct {
		note  note
		entry audit.Entry
	}
	var batch []item
	at := int64(0)
	broken := func(err error) (int64, error) {
		// Only the last batch may be torn: an end behind it says that it was not.
		rest, _ := io.ReadAll(in)
		if bytes.Contains(rest, []byte(`"tree":`)) || whole == 0 && at > 0 {
			return 0, fmt.Errorf("%s: %w (%w); put the file of a backup back, or begin anew with a new folder", j.path, ErrState, err)
		}
		return whole, nil
	}
	for {
		n, size, err := readNote(in)
		if errors.Is(err, io.EOF) && size == 0 {
			return whole, nil
		}
		at += size
		if err != nil {
			return broken(err)
		}
		one := item{note: n}
		if n.Leaf {
			line, size, err := readLine(in)
			at += size
			if err == nil {
				one.entry, err = audit.ParseLine(line)
			}
			if err != nil {
				return broken(err)
			}
		}
		batch = append(batch, one)
		switch {
		case whole == 0 && n != first:
			return 0, fmt.Errorf("%s is of another cosigner, ledger or contract (%s, %s); each has a folder of its own", j.path, canon.Visible(n.Origin), canon.Visible(n.Lineage))
		case whole != 0 && n.Tree == "" && n.Accept == "":
			continue
		}
		for _, i := range batch {
			if err := read(i.note, i.entry); err != nil {
				return 0, fmt.Errorf("%s: %w: %w", j.path, ErrState, err)
			}
		}
		batch, whole = nil, at
	}
}

func readNote(in *bufio.Reader) (note, int64, error) {
	line, size, err := readLine(in)
	if err != nil {
		return note{}, size, err
	}
	var n note
	return n, size, canon.Unmarshal(line, &n)
}

// readLine returns a line, and the bytes that were read with its newline.
func readLine(in *bufio.Reader) ([]byte, int64, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		line = append(line, part...)
		switch {
		case len(line) > maxNote:
			return nil, int64(len(line)), fmt.Errorf("a line of more than %d bytes", maxNote)
		case err == nil:
			return line[:len(line)-1], int64(len(line)), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, int64(len(line)), err
		}
	}
}

// append writes notes, and behind each that says so its entry, and syncs. What it
// wrote in part before an error is cut off again.
func (j *journal) append(notes []note, entries []audit.Entry) error {
	var b []byte
	for _, n := range notes {
		text, err := canon.Marshal(n)
		if err != nil {
			return err
		}
		b = append(append(b, text...), '\n')
		if !n.Leaf {
			continue
		}
		line, err := entries[0].Line()
		if err != nil {
			return err
		}
		b, entries = append(append(b, line...), '\n'), entries[1:]
	}
	start, err := j.file.Seek(0, io.SeekCurrent)
	if err != nil {
		return err
	}
	if _, err = j.file.Write(b); err == nil {
		err = j.file.Sync()
	}
	if err != nil {
		_, back := j.file.Seek(start, io.SeekStart)
		return fmt.Errorf("keeping what was seen: %w", errors.Join(err, j.file.Truncate(start), back))
	}
	return nil
}

func (j *journal) close() error { return j.file.Close() }

// readIfThere returns a file's text, nil if there is none.
func readIfThere(path string) ([]byte, error) {
	text, err := os.ReadFile(path) //nolint:gosec // its keeper names the folder
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return text, err
}

// replace puts a file in the place of another: written beside, synced, renamed.
func replace(path string, text []byte) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Sync(), temp.Close()); err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	return syncFolder(filepath.Dir(path))
}

func syncFolder(path string) error {
	dir, err := os.Open(path) //nolint:gosec // its keeper names the folder
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
