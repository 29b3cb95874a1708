package agent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/wholefile"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

const (
	spoolVersion = "sallyport.spool/v1"
	batchSuffix  = ".json"
	asideSuffix  = ".aside"
	lostFile     = "lost"
	sequence     = 16 // digits of a batch's name

	// maxBatch is how many bytes of events are told at once: a signed document with
	// them stays below hostcall.MaxDocument.
	maxBatch = 24 << 10

	// maxAside is how many files with refused events are kept.
	maxAside = 64

	// MaxBatches bounds the spool in files. A host that is cut off must not fill its
	// disk.
	MaxBatches = 8192
	// MaxSpool bounds it in bytes.
	MaxSpool = 4 << 20
)

// ErrSpoolFull says that events were dropped, and counted, since too many wait.
var ErrSpoolFull = errors.New("the spool is full")

// Spool keeps what the server has not been told yet: files that hold a few events
// each, written whole or not at all and on disk before anything relies on them. They
// are told in their order, at least once; a session's id makes a repetition harmless.
// One process has a spool.
type Spool struct {
	path string
	most int64 // bytes

	mu      sync.Mutex
	batches []batch       // in order; guarded by mu
	taken   int           // how many of them Next has given out; guarded by mu
	next    uint64        // number of the next batch; guarded by mu
	lost    int64         // events that were dropped; guarded by mu
	wake    chan struct{} // has room for one
}

// batch is a file of the spool.
type batch struct {
	number uint64
	bytes  int64
	events int
}

// content is what a file of the spool holds.
type content struct {
	V      string           `json:"v"`
	Events []hostcall.Event `json:"events"`
}

// OpenSpool takes a folder, which it makes if it is not there. Files that can't be
// read are put aside, not sent and not deleted.
func OpenSpool(path string) (*Spool, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("the spool: %w", err)
	}
	s := &Spool{path: path, most: MaxSpool, wake: make(chan struct{}, 1)}
	names, err := os.ReadDir(path)
	if err != nil {
		return nil, fmt.Errorf("the spool: %w", err)
	}
	for _, n := range names {
		if strings.HasPrefix(n.Name(), wholefile.TempPrefix) { // it was being written when everything stopped
			if err := os.Remove(filepath.Join(path, n.Name())); err != nil {
				return nil, fmt.Errorf("the spool: %w", err)
			}
			continue
		}
		if err := s.take(n.Name()); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(s.batches, func(a, b batch) int { return int(a.number) - int(b.number) }) //nolint:gosec // counted from 1
	if s.lost, err = s.readLost(); err != nil {
		return nil, err
	}
	s.signal()
	return s, nil
}

// take lists a file that is there from before.
func (s *Spool) take(name string) error {
	digits, ok := strings.CutSuffix(name, batchSuffix)
	number, err := strconv.ParseUint(digits, 10, 62)
	if !ok || err != nil || len(digits) != sequence {
		return nil
	}
	s.next = max(s.next, number+1)
	c, bytes, err := s.read(number)
	if err != nil {
		path := s.file(number)
		return os.Rename(path, path+asideSuffix)
	}
	s.batches = append(s.batches, batch{number, bytes, len(c.Events)})
	return nil
}

// Add puts events behind the others, into the last file if that has room and is not
// being told: a host that is cut off for days has few files. When it returns nil they are on disk, or were
// refused for good with ErrSpoolFull and are counted.
func (s *Spool) Add(events ...hostcall.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.append(events)
	if err != nil {
		return err
	}
	for events = events[n:]; len(events) > 0; events = events[n:] {
		var text []byte
		if n, text, err = pack(events); err != nil {
			return err
		}
		if err := s.put(text, n); err != nil {
			return err
		}
	}
	s.signal()
	return nil
}

// append puts all of the events into the last file, or none, and returns how many.
func (s *Spool) append(events []hostcall.Event) (int, error) {
	if len(s.batches) <= s.taken {
		return 0, nil
	}
	last := &s.batches[len(s.batches)-1]
	if last.events+len(events) > hostcall.MaxEvents || s.bytes() >= s.most {
		return 0, nil
	}
	c, _, err := s.read(last.number)
	if err != nil {
		return 0, fmt.Errorf("the spool: %w", err)
	}
	all := append(c.Events, events...)
	n, text, err := pack(all)
	if err != nil || n < len(all) {
		return 0, err
	}
	if err := wholefile.Write(s.file(last.number), text, 0o600); err != nil {
		return 0, fmt.Errorf("the spool: %w", err)
	}
	last.bytes, last.events = int64(len(text)), n
	return len(events), nil
}

func (s *Spool) bytes() int64 {
	total := int64(0)
	for _, b := range s.batches {
		total += b.bytes
	}
	return total
}

func (s *Spool) put(text []byte, events int) error {
	if len(s.batches) >= MaxBatches || s.bytes()+int64(len(text)) > s.most {
		return s.lose(events)
	}
	if err := wholefile.Write(s.file(s.next), text, 0o600); err != nil {
		return fmt.Errorf("the spool: %w", err)
	}
	s.batches = append(s.batches, batch{s.next, int64(len(text)), events})
	s.next++
	return nil
}

// lose counts events that are dropped.
func (s *Spool) lose(events int) error {
	s.lost += int64(events)
	err := wholefile.Write(filepath.Join(s.path, lostFile), []byte(strconv.FormatInt(s.lost, 10)), 0o600)
	return errors.Join(fmt.Errorf("%w: %d events wait to be told, %d were dropped so far", ErrSpoolFull, s.waiting(), s.lost), err)
}

// pack writes as many of the events as fit into one file.
func pack(events []hostcall.Event) (int, []byte, error) {
	n := min(len(events), hostcall.MaxEvents)
	for {
		text, err := canon.Marshal(content{spoolVersion, events[:n]})
		if err != nil {
			return 0, nil, fmt.Errorf("the spool: %w", err)
		}
		if len(text) <= maxBatch || n == 1 {
			return n, text, nil
		}
		n = (n + 1) / 2
	}
}

// Next returns the oldest events, as many as are told at once, and what Told takes when
// the server has them. There is none where n is 0.
func (s *Spool) Next() (events []hostcall.Event, n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var bytes int64
	for _, b := range s.batches {
		bytes += b.bytes
		if n > 0 && (bytes > maxBatch || len(events)+b.events > hostcall.MaxEvents) {
			break
		}
		c, _, err := s.read(b.number)
		if err != nil {
			return nil, 0, fmt.Errorf("the spool: %w", err)
		}
		events = append(events, c.Events...)
		n++
	}
	s.taken = n
	return events, n, nil
}

// Told forgets the n oldest files, after the server has said that it has what is in
// them.
func (s *Spool) Told(n int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for range n {
		if err := os.Remove(s.file(s.batches[0].number)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the spool: %w", err)
		}
		s.batches, s.taken = s.batches[1:], s.taken-1
	}
	return nil
}

// PutAside keeps events of the oldest files that will not be told, for somebody to look
// at. Beyond maxAside files they are counted as lost.
func (s *Spool) PutAside(events []hostcall.Event) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	there, err := filepath.Glob(filepath.Join(s.path, "*"+asideSuffix))
	if err != nil {
		return fmt.Errorf("the spool: %w", err)
	}
	if len(there) >= maxAside || len(s.batches) == 0 {
		return s.lose(len(events))
	}
	_, text, err := pack(events)
	if err != nil {
		return err
	}
	return wholefile.Write(s.file(s.batches[0].number)+asideSuffix, text, 0o600)
}

// Waiting is how many events have not been told.
func (s *Spool) Waiting() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waiting()
}

func (s *Spool) waiting() int64 {
	n := int64(0)
	for _, b := range s.batches {
		n += int64(b.events)
	}
	return n
}

// Lost is how many events were dropped since the spool was made.
func (s *Spool) Lost() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lost
}

// Woken gets a value when there is something to tell.
func (s *Spool) Woken() <-chan struct{} { return s.wake }

func (s *Spool) signal() {
	if len(s.batches) == 0 {
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // whoever listens has not come by yet
	}
}

func (s *Spool) file(number uint64) string {
	return filepath.Join(s.path, fmt.Sprintf("%0*d%s", sequence, number, batchSuffix))
}

func (s *Spool) read(number uint64) (content, int64, error) {
	file, err := os.Open(s.file(number))
	if err != nil {
		return content{}, 0, err
	}
	text, err := io.ReadAll(io.LimitReader(file, maxBatch+hostcall.MaxDocument))
	if err = errors.Join(err, file.Close()); err != nil {
		return content{}, 0, err
	}
	var c content
	if err := canon.Unmarshal(text, &c); err != nil {
		return content{}, 0, err
	}
	if c.V != spoolVersion || len(c.Events) == 0 {
		return content{}, 0, fmt.Errorf("%s is not a file of the spool", s.file(number))
	}
	return c, int64(len(text)), nil
}

func (s *Spool) readLost() (int64, error) {
	text, err := os.ReadFile(filepath.Join(s.path, lostFile))
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("the spool: %w", err)
	}
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("the spool's count of lost events: %w", err)
	}
	return n, nil
}
