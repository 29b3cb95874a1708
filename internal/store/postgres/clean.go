package postgres

import (
	"context"
	"fmt"

	"github.com/sallyport/sallyport/internal/store"
)

var _ store.Cleaner = (*Engine)(nil)

// cleaned are the tables that an erasure deletes from.
var cleaned = []string{"person_key", "person_part", "session", "state", "state_index"}

// Clean writes the tables that an erasure deletes from into new files and gives
// the old ones back to the file system (VACUUM FULL). Whoever wants one of them
// waits meanwhile. The server's write-ahead log, its archive and its standbys have
// what was written until they are recycled: that is not ours to end.
func (e *Engine) Clean(ctx context.Context) error {
	for _, table := range cleaned {
		if _, err := e.migrator.ExecContext(ctx, `VACUUM (FULL) `+table); err != nil {
			return fmt.Errorf("writing the table %s anew: %w", table, err)
		}
	}
	return nil
}
