package audit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// Reader reads a bundle, a leaf at a time. It checks the form and nothing else:
// what it returns is hearsay until [Verify] has said more.
type Reader struct {
	lines lines
	sum   sum
}

// NewReader reads the first line. Its errors, and those of Next, wrap ErrBundle
// where the file is to blame, and name the line.
func NewReader(r io.Reader) (*Reader, error) {
	l, err := openLines(r)
	if err != nil {
		return nil, err
	}
	return &Reader{lines: l}, nil
}

// Head returns the first line.
func (b *Reader) Head() Head { return b.lines.head }

// Next returns the next entry, or io.EOF behind the last one: then the last line
// was read too, fits the others, and nothing stands behind it.
func (b *Reader) Next() (Entry, error) {
	text, err := b.lines.leaf(nil)
	if errors.Is(err, io.EOF) {
		if err := b.sum.check(b.lines.end); err != nil {
			return Entry{}, err
		}
		return Entry{}, io.EOF
	}
	if err != nil {
		return Entry{}, err
	}
	e, err := parseLine(text)
	if err != nil {
		return Entry{}, b.lines.wrong(err)
	}
	return e, b.sum.add(e)
}

// End returns the last line, once Next has returned io.EOF.
func (b *Reader) End() End { return b.lines.end }

// sum holds the entries of a bundle to their order and its last line to them.
type sum struct{ End }

// add takes the next entry.
func (s *sum) add(e Entry) error {
	if e.Index != s.Leaves {
		return fmt.Errorf("line %d: %w: leaf %d where leaf %d belongs", lineOf(s.Leaves), ErrBundle, e.Index, s.Leaves)
	}
	s.count(e)
	return nil
}

func (s *sum) check(end End) error {
	have := s.End
	have.V, have.Checkpoint = EndVersion, end.Checkpoint
	if have != end {
		return fmt.Errorf("line %d: %w: it counts %d leaves, %d facts, %d person parts and %d certificates, above stand %d, %d, %d and %d",
			lineOf(s.Leaves), ErrBundle, end.Leaves, end.Facts, end.Persons, end.Certificates, have.Leaves, have.Facts, have.Persons, have.Certificates)
	}
	return nil
}

// lineOf returns the line, from 1, on which a leaf stands.
func lineOf(index int64) int64 { return index + 2 }

// lines reads the lines of a bundle.
type lines struct {
	r    *bufio.Reader
	read int64 // lines so far
	head Head
	end  End // once leaf has returned io.EOF
	done bool
}

func openLines(r io.Reader) (lines, error) {
	l := lines{r: bufio.NewReaderSize(r, 1<<16)}
	text, err := l.next(nil)
	if err != nil {
		return lines{}, err
	}
	if err := exactly(text, &l.head); err != nil {
		return lines{}, l.wrong(err)
	}
	if err := l.head.check(); err != nil {
		return lines{}, l.wrong(err)
	}
	return l, nil
}

// leaf appends the line of the next leaf to buf. Behind the last it reads the end
// of the bundle and returns io.EOF.
func (l *lines) leaf(buf []byte) ([]byte, error) {
	switch {
	case l.done:
		return nil, io.EOF
	case l.read <= l.head.Size:
		return l.next(buf)
	}
	text, err := l.next(nil)
	if err != nil {
		return nil, err
	}
	if err := exactly(text, &l.end); err != nil {
		return nil, l.wrong(err)
	}
	if l.end.V != EndVersion {
		return nil, l.wrong(fmt.Errorf("%w: its version is %.80q, not %q", ErrBundle, l.end.V, EndVersion))
	}
	if _, err := l.r.ReadByte(); !errors.Is(err, io.EOF) {
		return nil, l.wrong(fmt.Errorf("%w: something stands behind it", ErrBundle))
	}
	l.done = true
	return nil, io.EOF
}

// next appends the next line to buf, without its newline.
func (l *lines) next(buf []byte) ([]byte, error) {
	l.read++
	start := len(buf)
	for {
		part, err := l.r.ReadSlice('\n')
		buf = append(buf, part...)
		switch {
		case len(buf)-start > maxLine+1:
			return nil, l.wrong(fmt.Errorf("%w: over %d bytes", ErrBundle, maxLine))
		case err == nil:
			return buf[:len(buf)-1], nil
		case errors.Is(err, io.EOF):
			return nil, l.wrong(fmt.Errorf("%w: the file ends here", ErrBundle))
		case !errors.Is(err, bufio.ErrBufferFull):
			return nil, fmt.Errorf("reading the bundle: %w", err)
		}
	}
}

func (l *lines) wrong(err error) error { return fmt.Errorf("line %d: %w", l.read, err) }
