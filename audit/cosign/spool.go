package cosign

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/sallyport/sallyport/audit"
)

// spool keeps what was shown of leaves behind the tree, in a file without a name,
// sealed under a key that is nowhere else: there are ID tokens in it. None of it is
// under a checked root yet, so none of it counts. A long ledger comes in several
// calls, and need not fit into memory.
type spool struct {
	dir    string
	file   *os.File // nil while there is nothing in it
	aead   cipher.AEAD
	pages  []spooled
	leaves int64 // in all pages
}

// spooled is where a page stands in the file.
type spooled struct {
	at       int64
	length   int
	from, to int64 // its leaves
}

// add puts a page behind the others, which begins with leaf from.
func (s *spool) add(from int64, page audit.FeedPage) error {
	text, err := page.Append(nil)
	if err != nil {
		return err
	}
	if s.file == nil {
		if err := s.begin(); err != nil {
			return errors.Join(fmt.Errorf("keeping what is shown: %w", err), s.empty())
		}
	}
	at := int64(0)
	if n := len(s.pages); n > 0 {
		at = s.pages[n-1].at + int64(s.pages[n-1].length)
	}
	text = s.aead.Seal(nil, s.nonce(len(s.pages)), text, nil)
	if _, err := s.file.WriteAt(text, at); err != nil {
		// Another text in its place would be sealed with the same nonce.
		return errors.Join(fmt.Errorf("keeping what is shown: %w", err), s.empty())
	}
	n := int64(len(page.Leaves))
	s.pages, s.leaves = append(s.pages, spooled{at, len(text), from, from + n}), s.leaves+n
	return nil
}

// begin makes the file, which goes with the process, however that ends.
func (s *spool) begin() (err error) {
	key := make([]byte, chacha20poly1305.KeySize)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	if s.aead, err = chacha20poly1305.New(key); err != nil {
		return err
	}
	if s.file, err = os.CreateTemp(s.dir, ".shown-*"); err != nil {
		return err
	}
	return os.Remove(s.file.Name())
}

// nonce is that of a page: a key seals each once.
func (s *spool) nonce(page int) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 4), uint64(page)) //nolint:gosec // it has no sign
}

// each calls fn with every page, in order.
func (s *spool) each(fn func(audit.FeedPage) error) error {
	for i, p := range s.pages {
		text := make([]byte, p.length)
		if _, err := s.file.ReadAt(text, p.at); err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("reading what was shown: %w", err)
		}
		text, err := s.aead.Open(nil, s.nonce(i), text, nil)
		if err != nil {
			return fmt.Errorf("reading what was shown: %w", err)
		}
		page, err := audit.ReadFeed(bytes.NewReader(text), p.from, p.to)
		if err != nil {
			return fmt.Errorf("reading what was shown: %w", err)
		}
		if err := fn(page); err != nil {
			return err
		}
	}
	return nil
}

// empty forgets everything.
func (s *spool) empty() error {
	s.pages, s.leaves = nil, 0
	if s.file == nil {
		return nil
	}
	file := s.file
	s.file, s.aead = nil, nil
	return file.Close()
}
