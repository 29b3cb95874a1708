package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
)

// soon is how long before its end a TLS certificate is worth a look.
const soon = 14 * 24 * time.Hour

// settings checks config.yaml and the files that it names. It returns false if
// it can't be read.
func (c *checkup) settings() (config, bool) {
	settings, err := loadConfig(filepath.Join(c.dir, configFile))
	if err != nil {
		c.fail("settings", err)
		return config{}, false
	}
	c.pass("settings", "%s for %s", configFile, settings.URL)
	if _, err := settings.secrets(c.dir, c.getenv); err != nil {
		c.fail("secrets", err)
	} else if len(settings.Issuers) > 0 {
		c.pass("secrets", "those of %s can be read", strings.Join(slices.Sorted(maps.Keys(settings.Issuers)), ", "))
	}
	c.tls(settings)
	return settings, true
}

func (c *checkup) tls(settings config) {
	u, err := url.Parse(settings.URL)
	if err != nil { // never: it was checked
		c.fail("tls", err)
		return
	}
	if settings.TLS.Certificate == "" {
		c.pass("tls", "none; plain HTTP on %s, which is loopback", settings.Listen)
		return
	}
	pair, err := settings.keyPair(c.dir).load()
	if err != nil {
		c.fail("tls", fmt.Errorf("tls.%w", err))
		return
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		c.fail("tls", err)
		return
	}
	end := leaf.NotAfter.UTC().Format(time.RFC3339)
	switch {
	case c.now.After(leaf.NotAfter):
		c.fail("tls", fmt.Errorf("the certificate ended at %s; renew it", end))
	case c.now.Before(leaf.NotBefore):
		c.fail("tls", fmt.Errorf("the certificate is not valid before %s", leaf.NotBefore.UTC().Format(time.RFC3339)))
	case leaf.VerifyHostname(u.Hostname()) != nil:
		c.fail("tls", fmt.Errorf("the certificate is not for %s, the host of url", u.Hostname()))
	case leaf.NotAfter.Sub(c.now) < soon:
		c.unknown("tls", "the certificate for %s ends at %s; renew it soon", u.Hostname(), end)
	default:
		c.pass("tls", "the certificate is for %s, until %s", u.Hostname(), end)
	}
}

// folderKeys are the keys that lie in the folder; nil where they can't be read.
type folderKeys struct {
	log    *ledger.LogSigner
	userCA ca.Signer // nil, too, if it lies in Vault
}

// keys checks the key files and, if they say it lies there, the token for Vault.
func (c *checkup) keys(settings config, haveSettings bool) folderKeys {
	var out folderKeys
	text, err := readPrivate(filepath.Join(c.dir, logKeyFile))
	if err == nil {
		if out.log, err = ledger.NewLogSigner(strings.TrimSuffix(text, "\n")); err != nil {
			err = fmt.Errorf("%s: %w; restore it from its backup", logKeyFile, err)
		}
	}
	if err != nil {
		c.fail("log key", err)
	} else {
		c.pass("log key", "%s of %s, its owner's alone", logKeyFile, out.log.Origin())
	}
	switch {
	case !haveSettings:
		c.unknown("user CA", "not looked at: the settings say where it lies")
	case settings.CA.Vault == nil:
		key, err := softkey.Open(filepath.Join(c.dir, userCAFile), rand.Reader)
		if err != nil {
			c.fail("user CA", err)
			break
		}
		out.userCA = key
		c.pass("user CA", "%s, its owner's alone", userCAFile)
	default:
		if c.token("Vault token", settings.CA.Vault.TokenFile) && !c.online {
			c.unknown("user CA", "in Vault at %s, which was not asked; --online asks", settings.CA.Vault.Address)
		}
	}
	if settings.Mark.Vault != nil {
		c.token("Vault token for the mark", settings.Mark.Vault.TokenFile)
	}
	return out
}

// token checks what is needed to ask Vault.
func (c *checkup) token(name, file string) bool {
	if _, err := readPrivate(inFolder(c.dir, file)); err != nil {
		c.fail(name, err)
		return false
	}
	c.pass(name, "%s, its owner's alone", file)
	return true
}

// openDatabase is a database that was opened for reading.
type openDatabase struct {
	store     *store.Store
	overtaken func() bool // whether somebody wrote meanwhile, so that it is to be read again
}

// database opens the ledger's database. It returns nil if there is nothing to be
// read.
func (c *checkup) database(ctx context.Context, settings config) *openDatabase {
	if settings.Database != nil {
		return c.postgres(ctx, settings)
	}
	path := filepath.Join(c.dir, databaseFile)
	engine, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		c.fail("database", err)
		return nil
	}
	db := c.opened(engine)
	if db == nil {
		return nil
	}
	if err := engine.QuickCheck(ctx); err != nil {
		c.fail("database", errors.Join(err, db.Close()))
		return nil
	}
	info, err := os.Stat(path)
	switch {
	case err != nil:
		c.fail("database", err)
	case info.Mode().Perm()&0o077 != 0:
		c.fail("database", fmt.Errorf("%s has mode %o; others can read it, so make it 0600", path, info.Mode().Perm()))
	default:
		c.pass("database", "schema %d, %d KB, no damage found", store.Schema, info.Size()>>10)
	}
	return &openDatabase{db, engine.Overtaken}
}

// postgres connects to the database and has the server say whether it keeps what
// it acknowledges.
func (c *checkup) postgres(ctx context.Context, settings config) *openDatabase {
	engine, err := settings.openDatabase(ctx, c.dir)
	if err != nil {
		c.fail("database", err)
		return nil
	}
	db := c.opened(engine)
	if db == nil {
		return nil
	}
	if settings.Database.AcceptAsynchronous {
		c.pass("database", "schema %d, at %s; a failover may lose entries, which accept_asynchronous accepts", store.Schema, settings.where(c.dir))
	} else {
		c.pass("database", "schema %d, at %s; commits wait for a standby", store.Schema, settings.where(c.dir))
	}
	return &openDatabase{db, func() bool { return false }}
}

func (c *checkup) opened(engine store.Engine) *store.Store {
	db, err := store.New(store.Config{Engine: engine, Now: func() time.Time { return c.now }, Rand: rand.Reader})
	if err != nil {
		c.fail("database", errors.Join(err, engine.Close()))
		return nil
	}
	return db
}
