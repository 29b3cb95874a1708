package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/sallyport/sallyport/internal/lab"
)

// Standby makes a copy of the running cluster that follows it, and returns when
// it streams. The primary commits without it unless Synchronous says otherwise.
func (c *Cluster) Standby(ctx context.Context, w *lab.Dir, name string) (*Cluster, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s, err := prepare(ctx, w, name)
	if err != nil {
		return nil, err
	}
	s.password = c.password
	source := fmt.Sprintf("host=%s port=%d user=postgres application_name=%s", c.socket, c.port.Number(), name)
	if err := s.run(ctx, "pg_basebackup", "-D", s.data, "-d", source, "-c", "fast", "--no-sync"); err != nil {
		return nil, err
	}
	// Whoever trusts the one trusts the other.
	for _, name := range []string{lab.TLSAuthority, lab.TLSCertificate, lab.TLSKey} {
		text, err := os.ReadFile(c.file(name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(s.file(name), text, 0o600); err != nil {
			return nil, err
		}
	}
	if err := s.configure(fmt.Sprintf("primary_conninfo = '%s'\n", source)); err != nil {
		return nil, err
	}
	if err := s.write("standby.signal", ""); err != nil {
		return nil, err
	}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := c.waitStreaming(ctx, name); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

func (c *Cluster) waitStreaming(ctx context.Context, name string) error {
	db, err := c.Admin()
	if err != nil {
		return err
	}
	return lab.Poll(ctx, "PostgreSQL: its standby "+name, func() (bool, error) {
		var n int
		err := db.QueryRowContext(ctx, "SELECT count(*) FROM pg_stat_replication WHERE application_name = $1 AND state = 'streaming'", name).Scan(&n)
		return n == 1, err
	})
}

// Synchronous has every commit wait for the standby of that name from now on;
// with an empty name none waits.
func (c *Cluster) Synchronous(ctx context.Context, name string) error {
	return c.Set(ctx, "synchronous_standby_names", name)
}

// Promote makes the standby a primary of its own, on a new timeline.
func (c *Cluster) Promote(ctx context.Context) error {
	return c.Exec(ctx, "SELECT pg_promote(true, 60)")
}

// WaitSyncRep waits until a commit in the database waits for the standby, and
// returns the process id of its backend.
func (c *Cluster) WaitSyncRep(ctx context.Context, database string) (pid int, err error) {
	db, err := c.Admin()
	if err != nil {
		return 0, err
	}
	return pid, lab.Poll(ctx, "PostgreSQL: a commit that waits for the standby", func() (bool, error) {
		rows, err := db.QueryContext(ctx, "SELECT pid FROM pg_stat_activity WHERE datname = $1 AND wait_event = 'SyncRep'", database)
		if err != nil {
			return false, err
		}
		defer func() { _ = rows.Close() }() // Err below tells what went wrong
		found := rows.Next()
		if found {
			if err := rows.Scan(&pid); err != nil {
				return false, err
			}
		}
		return found, rows.Err()
	})
}
