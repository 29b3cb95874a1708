package main

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Every part runs and prints its figures, over a ledger that is small, and the
// next run goes on with that ledger. What the figures are is nothing for a test.
func TestFigures(t *testing.T) {
	t.Parallel()
	s := settings{
		leaves: 1200, dir: filepath.Join(t.TempDir(), "big"), size: sizes{span: time.Millisecond, calls: 2, proofs: 2, replayed: crowd},
		only: []string{"machine", "leaves", "ledger", "replay"},
	}
	wants(t, s, "synced to the disk", "leaves on SQLite, 256 callers", "leaves on PostgreSQL, 256 callers", "making 1200 leaves", "one certificate",
		"of the small one", "proof of a leaf", "certificates of a person in a week", "replay of tree", "replay of certificates")
	s.leaves, s.only = 1500, []string{"ledger"}
	wants(t, s, "making 2", "of the small one") // the two people of the first run left leaves, too
}

func wants(t *testing.T, s settings, figures ...string) {
	t.Helper()
	var out, log bytes.Buffer
	if err := measure(t.Context(), s, &out, &log); err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	for _, want := range figures {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no figure says %q:\n%s", want, out.String())
		}
	}
}

func TestArguments(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"-leaves", "10"}, {"-only", "weather"}, {"more"}, {"-fast"}} {
		var log bytes.Buffer
		if code := run(t.Context(), args, io.Discard, &log); code != 2 || log.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, log.String())
		}
	}
}

// The part about hosts runs, with a fleet that is small.
func TestFiguresOfHosts(t *testing.T) {
	t.Parallel()
	s := settings{leaves: 1000, only: []string{"hosts"}, size: sizes{started: 2, hosts: 3, settle: 10 * time.Millisecond, polled: 50 * time.Millisecond}}
	wants(t, s, "`sally-host principals`", "of an empty Go program", "100000 revoked certificates, nowhere together", "list on 3 polling hosts", "3 hosts that poll")
}
