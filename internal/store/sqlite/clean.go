package sqlite

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/store"
)

var _ store.Cleaner = (*Engine)(nil)

// Clean writes the whole database anew (VACUUM), so that no page of it has what
// stood there before, and empties the write-ahead log. It needs twice
// the database's size free on disk, and nobody who reads meanwhile. What the file system and the
// disk keep of freed blocks is not its to say.
func (e *Engine) Clean(ctx context.Context) error {
	if e.writer == nil {
		return fmt.Errorf("%w: it was opened for reading only", store.ErrUnavailable)
	}
	if err := e.inPlace(); err != nil {
		return err
	}
	if _, err := e.writer.ExecContext(ctx, `VACUUM`); err != nil {
		return fmt.Errorf("writing the database anew: %w", err)
	}
	var busy, frames, done int
	if err := e.writer.QueryRowContext(ctx, `PRAGMA wal_checkpoint(TRUNCATE)`).Scan(&busy, &frames, &done); err != nil {
		return fmt.Errorf("emptying the write-ahead log: %w", err)
	}
	if busy != 0 {
		return fmt.Errorf("%w: the write-ahead log can't be emptied while somebody reads; end what reads and try again", store.ErrUnavailable)
	}
	return nil
}
