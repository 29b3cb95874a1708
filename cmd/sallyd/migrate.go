package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/store"
)

func migrateCommand(dir *string) *cobra.Command {
	var status bool
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database's schema up to this release",
		Long: `Takes the steps that the database's schema is behind, each in a transaction of its own. What ends it leaves whole steps, and
the next run goes on from there. Servers of the release before go on working while it runs and afterwards, so that they can be
replaced one by one.

With SQLite stop "sallyd serve" first. With PostgreSQL it runs beside any number of servers.`,
		Example: "  sallyd migrate --status --dir /var/lib/sallyport",
		Args:    cobra.NoArgs,
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return runMigrate(cmd, *dir, status) }),
	}
	cmd.Flags().BoolVar(&status, "status", false, "only say how far the schema is")
	return cmd
}

func runMigrate(cmd *cobra.Command, dir string, status bool) (err error) {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if err := isFolder(dir); err != nil {
		return err
	}
	c, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	if err := c.isThere(dir); err != nil {
		return err
	}
	if c.Database == nil && !status {
		lock, err := lockFolder(dir)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, lock.Close()) }()
	}
	before, err := levelOf(ctx, dir, c)
	if err != nil {
		return err
	}
	if before.Version == 0 {
		return fmt.Errorf("%s holds no ledger; `sallyd init` makes one", c.where(dir))
	}
	if _, err := fmt.Fprintf(out, "database    %s\n", c.where(dir)); err != nil {
		return err
	}
	if status || before.Version > store.Schema {
		return tellLevel(cmd, before)
	}
	if _, err := migrateDatabase(ctx, dir, c); err != nil {
		return err
	}
	if before.Version == store.Schema { // what was filled in is nothing to tell
		return tellLevel(cmd, before)
	}
	after, err := levelOf(ctx, dir, c)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(out, "migrated    from schema %d\n", before.Version); err != nil {
		return err
	}
	return tellLevel(cmd, after)
}

func tellLevel(cmd *cobra.Command, l store.Level) error {
	_, err := fmt.Fprintf(cmd.OutOrStdout(), "schema      %d, for servers of schema %d and newer\nthis sallyd %d\n", l.Version, l.Oldest, store.Schema)
	if err != nil {
		return err
	}
	if l.Version < store.Schema {
		_, err = fmt.Fprintln(cmd.OutOrStdout(), "next        `sallyd migrate`, then replace the servers one by one")
		return err
	}
	return l.Check()
}

// levelOf returns how far the schema is.
func levelOf(ctx context.Context, dir string, c config) (l store.Level, err error) {
	db, err := c.connectDatabase(ctx, dir)
	if err != nil {
		return store.Level{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	m := db.Migration()
	tx, err := m.Begin(ctx)
	if err != nil {
		return store.Level{}, err
	}
	l, err = m.Level(ctx, tx)
	return l, errors.Join(err, tx.Rollback())
}

// migrateDatabase brings the schema up, and returns how far it was.
func migrateDatabase(ctx context.Context, dir string, c config) (from store.Level, err error) {
	db, err := c.connectDatabase(ctx, dir)
	if err != nil {
		return store.Level{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return db.Migration().Run(ctx)
}
