package site

import (
	"context"

	"github.com/sallyport/sallyport/internal/lab/postgres"
)

const databasePasswordFile = "database-password"

// startPostgres starts a PostgreSQL with an empty database, if the site is to have
// one.
func (s *Site) startPostgres(ctx context.Context) error {
	if !s.cfg.Postgres {
		return nil
	}
	var err error
	if s.Postgres, err = postgres.Start(ctx, s.Dir, "postgres"); err != nil {
		return err
	}
	if s.Database, err = s.Postgres.NewDatabase(ctx, "template1"); err != nil {
		return err
	}
	_, err = s.Dir.Write(0o600, s.Postgres.Password()+"\n", databasePasswordFile)
	return err
}

// databaseFlags tell sallyd init where the ledger lies. It has no standby.
func (s *Site) databaseFlags() []string {
	if s.Postgres == nil {
		return nil
	}
	return []string{"--database", s.Postgres.URL(s.Database), "--database-password-file", s.Dir.Path(databasePasswordFile), "--accept-asynchronous"}
}
