package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

// small is a spool that takes few bytes.
func small(t *testing.T, path string) *Spool {
	t.Helper()
	s, err := OpenSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	s.most = 100 << 10
	return s
}

// TestSpoolIsBounded: what does not fit is counted, also over a restart, and what
// waits stays.
func TestSpoolIsBounded(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	s := small(t, path)
	events := make([]hostcall.Event, 0, hostcall.MaxEvents)
	for i := range hostcall.MaxEvents {
		events = append(events, hostcall.Event{What: hostcall.Closed, Session: canon.ID(strings.Repeat("a", 26)), How: hostcall.Left, ClosedAt: canon.Micros(i + 1)})
	}
	added := int64(0)
	for {
		err := s.Add(events...)
		if errors.Is(err, ErrSpoolFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if added += int64(len(events)); added > 1<<20 {
			t.Fatal("the spool has no bound")
		}
	}
	if s.Lost() != int64(len(events)) || s.Waiting() != added {
		t.Errorf("%d lost, %d wait; want %d and %d", s.Lost(), s.Waiting(), len(events), added)
	}
	if s = small(t, path); s.Lost() != int64(len(events)) || s.Waiting() != added {
		t.Errorf("opened again: %d lost, %d wait", s.Lost(), s.Waiting())
	}
	_, n, err := s.Next()
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	if err := s.Told(n); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(events[0]); err != nil {
		t.Errorf("there is room again: %v", err)
	}
}
