package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/host/agent"
	"github.com/sallyport/sallyport/ledger/hostcall"
)

func closed(at int64) hostcall.Event {
	return hostcall.Event{What: hostcall.Closed, Session: canon.ID(strings.Repeat("a", 26)), How: hostcall.Left, ClosedAt: canon.Micros(at)}
}

func openSpool(t testing.TB, path string) *agent.Spool {
	t.Helper()
	s, err := agent.OpenSpool(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSpoolKeepsOrderAndLosesNothing, opened again at any time.
func TestSpoolKeepsOrderAndLosesNothing(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		path, err := os.MkdirTemp(top, "spool")
		if err != nil {
			rt.Fatal(err)
		}
		s, added, told := openSpool(t, path), int64(0), int64(0)
		for range rapid.IntRange(1, 10).Draw(rt, "steps") {
			switch rapid.IntRange(0, 2).Draw(rt, "step") {
			case 0:
				var events []hostcall.Event
				for range rapid.IntRange(1, 150).Draw(rt, "events") {
					added++
					events = append(events, closed(added))
				}
				if err := s.Add(events...); err != nil {
					rt.Fatal(err)
				}
			case 1:
				events, n, err := s.Next()
				if err != nil {
					rt.Fatal(err)
				}
				if len(events) > hostcall.MaxEvents {
					rt.Fatalf("%d events at once", len(events))
				}
				for i, e := range events {
					if int64(e.ClosedAt) != told+int64(i)+1 {
						rt.Fatalf("event %d comes as number %d", e.ClosedAt, told+int64(i)+1)
					}
				}
				if rapid.Bool().Draw(rt, "more meanwhile") {
					added++
					if err := s.Add(closed(added)); err != nil {
						rt.Fatal(err)
					}
				}
				if rapid.Bool().Draw(rt, "told") {
					if err := s.Told(n); err != nil {
						rt.Fatal(err)
					}
					told += int64(len(events))
				}
			case 2:
				s = openSpool(t, path)
			}
			if got := s.Waiting(); got != added-told {
				rt.Fatalf("%d wait, want %d", got, added-told)
			}
		}
	})
}

// TestSpoolPutsAsideWhatItCanNotRead, and tidies what was being written.
func TestSpoolPutsAsideWhatItCanNotRead(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	if err := openSpool(t, path).Add(closed(1)); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"0000000000000001.json": `{"v":`, ".new-1": "{", "README": "hello"} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := openSpool(t, path)
	if s.Waiting() != 1 {
		t.Errorf("%d wait", s.Waiting())
	}
	if err := s.Add(closed(2)); err != nil {
		t.Fatal(err)
	}
	names, err := filepath.Glob(filepath.Join(path, "*"))
	if err != nil {
		t.Fatal(err)
	}
	hidden, err := filepath.Glob(filepath.Join(path, ".new*"))
	if err != nil || len(hidden) != 0 {
		t.Errorf("left: %v %v", hidden, err)
	}
	for i := range names {
		names[i] = filepath.Base(names[i])
	}
	if got := strings.Join(names, " "); got != "0000000000000000.json 0000000000000001.json.aside README" || s.Waiting() != 2 {
		t.Error(got)
	}
}
