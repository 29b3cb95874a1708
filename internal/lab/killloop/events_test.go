package killloop_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/lab"
	"github.com/sallyport/sallyport/internal/siem"
)

// eventsFile is where sallyd exports the ledger's entries, in its folder.
const eventsFile = "events.jsonl"

// checkEvents waits until the export has every leaf of the copy, and holds it to
// that: each leaf stands there at least once, as it is in the ledger, none is passed
// over, and none stands before the one before it. Several files are those of several
// servers, of which one writes at a time.
func (b *book) checkEvents(ctx context.Context, files ...string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var lines, again int
	err := lab.Poll(ctx, "the export to have every leaf", func() (bool, error) {
		seen := make(map[int64]bool)
		lines, again = 0, 0
		for _, file := range files {
			n, err := b.readEvents(file, len(files) > 1, seen)
			if err != nil {
				return false, err
			}
			lines += n
		}
		again = lines - len(seen)
		return len(seen) == len(b.copy.leaves), nil
	})
	must(b.t, err)
	b.t.Logf("the export has %d leaves, %d of them more than once", lines-again, again)
}

// readEvents reads a file. Where others write, too, it may lack leaves that they
// have.
func (b *book) readEvents(file string, others bool, seen map[int64]bool) (lines int, err error) {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	last := int64(-1)
	for line := range bytes.Lines(text) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // it is being written
		}
		var e siem.Event
		if err := json.Unmarshal(line, &e); err != nil {
			return lines, fmt.Errorf("line %d: %w", lines+1, err)
		}
		switch {
		case e.Index > last+1 && !others:
			return lines, fmt.Errorf("line %d: leaf %d stands behind leaf %d", lines+1, e.Index, last)
		case e.Index < 0 || e.Index >= int64(len(b.copy.leaves)):
			return lines, fmt.Errorf("line %d: leaf %d is not in the ledger", lines+1, e.Index)
		case e.Leaf != canon.Digest(tlog.RecordHash(b.copy.leaves[e.Index])).String():
			return lines, fmt.Errorf("line %d: leaf %d is another one in the ledger", lines+1, e.Index)
		}
		last, seen[e.Index] = e.Index, true
		lines++
	}
	return lines, nil
}
