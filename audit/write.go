package audit

import (
	"fmt"
	"io"

	"github.com/sallyport/sallyport/canon"
)

// Writer writes a bundle, a leaf at a time. It keeps nothing but counts, so a
// ledger of any length needs no more memory than its longest line. The same
// entries and checkpoint give the same bytes.
type Writer struct {
	w    io.Writer
	line []byte // reused
	head Head
	end  End
}

// NewWriter begins a bundle. It does not buffer what it writes to w, a line at a
// time.
func NewWriter(w io.Writer, h Head) (*Writer, error) {
	h.V = HeadVersion
	if err := h.check(); err != nil {
		return nil, err
	}
	b := &Writer{w: w, head: h, end: End{V: EndVersion}}
	return b, b.writeJSON(h)
}

// Leaf writes the next entry. They come in order, without a gap, from index 0.
func (b *Writer) Leaf(e Entry) error {
	if e.Index != b.end.Leaves || e.Index >= b.head.Size {
		return fmt.Errorf("%w: leaf %d where leaf %d of %d belongs", ErrBundle, e.Index, b.end.Leaves, b.head.Size)
	}
	var err error
	if b.line, err = e.appendLine(b.line[:0]); err != nil {
		return err
	}
	b.end.count(e)
	return b.write()
}

// Close ends the bundle with a signed checkpoint over its leaves, which it does
// not verify, and returns the last line.
func (b *Writer) Close(checkpoint []byte) (End, error) {
	if b.end.Leaves != b.head.Size {
		return End{}, fmt.Errorf("%w: it has %d of %d leaves", ErrBundle, b.end.Leaves, b.head.Size)
	}
	b.end.Checkpoint = string(checkpoint)
	return b.end, b.writeJSON(b.end)
}

func (b *Writer) writeJSON(v any) error {
	text, err := canon.Marshal(v)
	if err != nil {
		return err
	}
	b.line = append(b.line[:0], text...)
	return b.write()
}

func (b *Writer) write() error {
	b.line = append(b.line, '\n')
	_, err := b.w.Write(b.line)
	return err
}

// count adds an entry to the numbers.
func (n *End) count(e Entry) {
	n.Leaves++
	if e.Opening.Facts != nil {
		n.Facts++
	}
	if e.Opening.Person != nil {
		n.Persons++
	}
	if e.Certificate != nil {
		n.Certificates++
	}
}
