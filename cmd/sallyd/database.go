package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
)

// databaseConfig is database: the ledger lies in PostgreSQL. Relative files lie in
// the server's folder.
type databaseConfig struct {
	// URL is where the database is, without a password. Of several hosts the one that takes writes is used. Whoever is not
	// this machine is reached by TLS and known by a certificate.
	URL string `yaml:"url" need:"true" form:"postgres://ROLE@HOST[:PORT][,HOST[:PORT]…]/DATABASE[?sslrootcert=FILE]" example:"postgres://sallyd@db.acme.example/sallyport"`
	// PasswordFile is a file of mode 0600 with the role's password. It is read for each connection anew.
	PasswordFile string `yaml:"password_file,omitempty" default:"no password" form:"a file's name" example:"/etc/sallyport/database-password" secret:"the file holds it"`
	// PasswordEnv is the name of the environment variable that holds this password, where that is easier than a file.
	PasswordEnv string `yaml:"password_env,omitempty" default:"the file, if one is named" form:"A_NAME" example:"SALLYD_DATABASE_PASSWORD" secret:"the variable holds it"`
	// AcceptAsynchronous says that commits need not wait for a standby. Whoever sets it accepts that a failover may lose what
	// was acknowledged; issuing stops then.
	AcceptAsynchronous bool `yaml:"accept_asynchronous,omitempty" default:"a server that waits for no standby is refused" example:"true"`
}

func (c *databaseConfig) check() error {
	if c == nil {
		return nil
	}
	switch {
	case c.PasswordFile != "" && c.PasswordEnv != "":
		return badKey("database.password_env", "the password is in password_file already; name one of them")
	case c.PasswordEnv != "" && !envName.MatchString(c.PasswordEnv):
		return badKey("database.password_env", "not the name of an environment variable; the password itself does not stand here")
	}
	return below("database", (postgres.Config{URL: c.URL}).Check())
}

// below names the whole key of an error that begins with its last part.
func below(group string, err error) error {
	if err == nil {
		return nil
	}
	key, why, _ := strings.Cut(err.Error(), ": ")
	return badKey(group+"."+key, "%s", why)
}

// config is for the engine. shared says that other servers write to the database
// too.
func (c *databaseConfig) config(dir string, shared bool) postgres.Config {
	out := postgres.Config{URL: c.URL, AcceptAsynchronous: c.AcceptAsynchronous, Shared: shared}
	if c.PasswordFile != "" || c.PasswordEnv != "" {
		out.Password = func() (string, error) { return c.password(dir) }
	}
	return out
}

func (c *databaseConfig) password(dir string) (string, error) {
	if c.PasswordEnv != "" {
		password := os.Getenv(c.PasswordEnv)
		if password == "" {
			return "", fmt.Errorf("%w: database.password_env: the environment variable %s is not set, or empty", errConfig, c.PasswordEnv)
		}
		return password, nil
	}
	path := inFolder(dir, c.PasswordFile)
	text, err := readPrivate(path)
	if err != nil {
		return "", fmt.Errorf("%w: database.password_file: %w", errConfig, err)
	}
	if text = strings.TrimSuffix(text, "\n"); text == "" {
		return "", fmt.Errorf("%w: database.password_file: %s is empty", errConfig, path)
	}
	return text, nil
}

// openDatabase opens the database that the settings name.
func (c config) openDatabase(ctx context.Context, dir string) (store.Engine, error) {
	if c.Database != nil {
		return postgres.Open(ctx, c.Database.config(dir, c.shared()))
	}
	return sqlite.Open(ctx, filepath.Join(dir, databaseFile))
}

// checkDatabase asks the database of a new ledger, before anything is made, how far
// its schema is. SQLite's is made with the folder.
func (c config) checkDatabase(ctx context.Context, dir string) error {
	if c.Database == nil {
		return nil
	}
	_, err := levelOf(ctx, dir, c)
	return err
}

// createDatabase opens the database for a new ledger, and makes its tables if it
// has none.
func (c config) createDatabase(ctx context.Context, dir string) (store.Engine, error) {
	if c.Database != nil {
		level, err := levelOf(ctx, dir, c)
		if err == nil && level.Version == 0 {
			_, err = migrateDatabase(ctx, dir, c)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.openDatabase(ctx, dir)
}

// unmigrated is a database whose schema may be another release's.
type unmigrated interface {
	Migration() store.Migration
	Close() error
}

// connectDatabase opens the database without looking at its schema.
func (c config) connectDatabase(ctx context.Context, dir string) (unmigrated, error) {
	if c.Database != nil {
		return postgres.Connect(ctx, c.Database.config(dir, c.shared()))
	}
	return sqlite.Connect(ctx, filepath.Join(dir, databaseFile))
}

// where is how a person names the database.
func (c config) where(dir string) string {
	if c.Database != nil {
		return c.Database.URL
	}
	return filepath.Join(dir, databaseFile)
}

// isThere refuses a folder whose database is gone: opening it would make an empty
// one.
func (c config) isThere(dir string) error {
	if c.Database != nil {
		return nil
	}
	path := filepath.Join(dir, databaseFile)
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is gone; put it back from where it is, or from a backup", path)
	case err != nil:
		return fmt.Errorf("looking at the database: %w", err)
	}
	return nil
}

// databaseFlags are the flags of init that say where the ledger lies.
type databaseFlags struct{ databaseConfig }

func (o *databaseFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&o.URL, "database", "", "PostgreSQL database for the ledger, postgres://ROLE@HOST[:PORT]/DATABASE, as a `URL` (default: SQLite, in DIR)")
	f.StringVar(&o.PasswordFile, "database-password-file", "", "`FILE` of mode 0600 with the role's password")
	f.StringVar(&o.PasswordEnv, "database-password-env", "", "environment variable with the role's password, its `NAME`")
	f.BoolVar(&o.AcceptAsynchronous, "accept-asynchronous", false, "accept a database whose commits wait for no standby: a failover may lose some")
}

// config is what the flags say, with absolute files; nil for SQLite.
func (o *databaseFlags) config(cmd *cobra.Command) (*databaseConfig, error) {
	if o.URL == "" {
		for _, name := range []string{"database-password-file", "database-password-env", "accept-asynchronous"} {
			if cmd.Flags().Changed(name) {
				return nil, fmt.Errorf("--%s: is for --database", name)
			}
		}
		return nil, nil //nolint:nilnil // SQLite
	}
	c := o.databaseConfig
	if c.PasswordFile != "" {
		var err error
		if c.PasswordFile, err = filepath.Abs(c.PasswordFile); err != nil {
			return nil, err
		}
	}
	return &c, nil
}
