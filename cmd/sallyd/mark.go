package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/record"
)

// fileMark keeps the newest signed checkpoint in a file beside the database. It
// is for one process: the folder's lock keeps others out.
type fileMark string

// Load returns the file's content.
func (m fileMark) Load(context.Context) ([]byte, error) {
	text, err := os.ReadFile(string(m))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s: %w", string(m), record.ErrNotFound)
	}
	return text, err
}

// Save replaces the file and syncs it.
func (m fileMark) Save(ctx context.Context, old, next []byte) error {
	switch there, err := m.Load(ctx); {
	case errors.Is(err, record.ErrNotFound) && old == nil:
	case err != nil:
		return err
	case !bytes.Equal(there, old):
		return authority.ErrMarkMoved
	}
	return writeFile(string(m), next, 0o600)
}
