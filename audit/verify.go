package audit

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Verify reads a whole bundle and returns the verdicts. Its error says that the
// bundle as a whole counts for nothing: it is malformed (ErrBundle), an opening is
// not what its leaf commits to (record.ErrOpening), the leaves are not those that
// the log key signed (ledger.ErrForked, ledger.ErrUntrusted, …) or the cosigners
// confirmed (ErrUnconfirmed), or it is another ledger (ErrOther). What is wrong with single leaves is in the report.
//
// Lines are read and opened on every core; the fold is sequential. Memory grows
// with the state that the leaves fold to, not with the length of the file.
func Verify(ctx context.Context, r io.Reader, c Config) (Report, error) {
	p, err := NewReplay(c)
	if err != nil {
		return Report{}, err
	}
	end, err := p.read(ctx, r)
	if err != nil {
		return Report{}, err
	}
	if err := checkSignedRoot(p.policy, end, p.tree); err != nil {
		return Report{}, err
	}
	if err := p.checkCosigners([]byte(end.Checkpoint)); err != nil {
		return Report{}, fmt.Errorf("the last line: %w", err)
	}
	return p.Finish()
}

// checkCosigners demands the words of the cosigners on a checkpoint that the log
// has signed.
func (p *Replay) checkCosigners(checkpoint []byte) error {
	keys := p.config.Cosigners.Keys()
	words, err := ledger.Cosignatures(checkpoint, keys...)
	if err != nil {
		return err
	}
	for _, w := range words {
		p.report.Cosigned = append(p.report.Cosigned, w.Key.Name())
	}
	if _, err := p.whole.OpenCheckpoint(checkpoint); err != nil {
		return fmt.Errorf("%w: %d of %d", ErrUnconfirmed, len(words), len(keys))
	}
	return nil
}

// read folds every leaf of a bundle and returns its last line.
func (p *Replay) read(ctx context.Context, r io.Reader) (End, error) {
	l, err := openLines(r)
	if err != nil {
		return End{}, err
	}
	if err := p.checkHead(l.head); err != nil {
		return End{}, fmt.Errorf("line 1: %w", err)
	}
	var seen sum
	err = inOrder(ctx, l.batch, p.openBatch, func(list []openedLine) error {
		for _, o := range list {
			if o.err != nil {
				return fmt.Errorf("line %d: %w", lineOf(seen.Leaves), o.err)
			}
			if err := seen.add(o.Entry); err != nil {
				return err
			}
			if o.Mismatch != nil {
				return fmt.Errorf("line %d: %w", lineOf(o.Index), o.Mismatch)
			}
			if o.signed != nil && o.leaf.Kind != ledger.CertificateIssue {
				return fmt.Errorf("line %d: %w: %w", lineOf(o.Index), ErrBundle, o.signed.wrong)
			}
			if err := p.Add(o.Opened); err != nil {
				return fmt.Errorf("line %d: %w", lineOf(o.Index), err)
			}
			if open, ok := o.facts.(record.LedgerOpen); ok && o.Index == 0 && (open.UserCA != l.head.UserCA || open.LogKey != l.head.LogKey) {
				return fmt.Errorf("line 1: %w: leaf 0 names other keys", ErrBundle)
			}
		}
		return nil
	})
	if err != nil {
		return End{}, err
	}
	return l.end, seen.check(l.end)
}

// checkHead holds the first line to the pinned keys before anything else is read.
func (p *Replay) checkHead(h Head) error {
	if h.Origin != p.report.Origin {
		return fmt.Errorf("it is of %s: %w", h.Origin, ErrOther)
	}
	return nil
}

// batch reads the next lines.
func (l *lines) batch() ([][]byte, error) {
	var out [][]byte
	buf := make([]byte, 0, batchBytes)
	for len(out) < batchEntries && len(buf) < batchBytes {
		start := len(buf)
		next, err := l.leaf(buf)
		if errors.Is(err, io.EOF) && len(out) > 0 {
			return out, nil // and io.EOF the next time
		}
		if err != nil {
			return nil, err
		}
		buf = next
		out = append(out, buf[start:len(buf):len(buf)])
	}
	return out, nil
}

// openedLine is one line of a bundle, read.
type openedLine struct {
	Opened
	err error // it is no leaf's line
}

func (p *Replay) openBatch(lines [][]byte) []openedLine {
	out := make([]openedLine, 0, len(lines))
	for _, line := range lines {
		o := openedLine{}
		var e Entry
		if e, o.err = parseLine(line); o.err == nil {
			o.Opened = p.Open(e)
		}
		if out = append(out, o); o.err != nil || o.Mismatch != nil {
			break // nothing behind it counts
		}
	}
	return out
}
