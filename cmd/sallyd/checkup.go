package main

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/ca/softkey"
	"github.com/sallyport/sallyport/ca/vault"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
)

const (
	// soon is how long before its end a TLS certificate is worth a look.
	soon = 14 * 24 * time.Hour
	// askTimeout bounds one question to an identity provider.
	askTimeout = 10 * time.Second
)

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
		c.token(settings.CA.Vault)
	}
	return out
}

// token checks what is needed to ask Vault.
func (c *checkup) token(v *vaultConfig) {
	if _, err := readPrivate(inFolder(c.dir, v.TokenFile)); err != nil {
		c.fail("Vault token", err)
		return
	}
	c.pass("Vault token", "%s, its owner's alone", v.TokenFile)
	if !c.online {
		c.unknown("user CA", "in Vault at %s, which was not asked; --online asks", v.Address)
	}
}

// database opens the ledger's database and has SQLite look for damage. It returns
// nil if there is nothing to be read.
func (c *checkup) database(ctx context.Context) *store.Store {
	path := filepath.Join(c.dir, databaseFile)
	engine, err := sqlite.OpenReadOnly(ctx, path)
	if err != nil {
		c.fail("database", err)
		return nil
	}
	db, err := store.New(store.Config{Engine: engine, Now: func() time.Time { return c.now }, Rand: rand.Reader})
	if err != nil {
		c.fail("database", errors.Join(err, engine.Close()))
		return nil
	}
	if err := engine.QuickCheck(ctx); err != nil {
		c.fail("database", errors.Join(err, db.Close()))
		return nil
	}
	info, err := os.Stat(path) //nolint:gosec // the operator names the folder
	switch {
	case err != nil:
		c.fail("database", err)
	case info.Mode().Perm()&0o077 != 0:
		c.fail("database", fmt.Errorf("%s has mode %o; others can read it, so make it 0600", path, info.Mode().Perm()))
	default:
		c.pass("database", "schema %d, %d KB, no damage found", store.Schema, info.Size()>>10)
	}
	return db
}

// ledger checks what the database holds, against keys, mark and pin file.
func (c *checkup) ledger(ctx context.Context, db *store.Store, keys folderKeys, settings config, haveSettings bool) {
	if keys.log != nil {
		secrets, err := settings.secrets(c.dir, c.getenv)
		if err != nil {
			secrets = nil
		}
		i, err := authority.Inspect(authority.Config{
			Store: db, CA: keys.userCA, Log: keys.log, Mark: mark(filepath.Join(c.dir, markFile)), Now: func() time.Time { return c.now }, Rand: rand.Reader, Secrets: secrets,
		})
		if err != nil {
			c.fail("ledger", err)
			return
		}
		c.inspect(ctx, i, keys, settings)
		c.contracts(ctx, db, i, settings, haveSettings)
	}
	c.clock(ctx, db)
}

func (c *checkup) inspect(ctx context.Context, i *authority.Inspection, keys folderKeys, settings config) {
	if err := i.Keys(ctx); err != nil {
		c.fail("entry 0", err)
	} else {
		what := "the log key and the user CA"
		if keys.userCA == nil {
			what = "the log key"
		}
		c.pass("entry 0", "it names %s of this folder", what)
		c.pin(keys.log, i.UserCA())
		if c.online && settings.CA.Vault != nil {
			c.vault(ctx, settings, i.UserCA())
		}
	}
	if n, err := i.Leaves(ctx); err != nil {
		c.fail("entries", err)
	} else {
		c.pass("entries", "the texts of the newest, %d, make the ledger's root", n)
	}
	if signed, have, err := i.Mark(ctx); err != nil {
		c.fail("mark", err)
	} else {
		c.pass("mark", "signed for: %d; the database begins with these and has %d", signed, have)
	}
}

// pin compares the pin file with the ledger: people hold what the server says to
// their copies of it.
func (c *checkup) pin(log *ledger.LogSigner, userCA ssh.PublicKey) {
	path := filepath.Join(c.dir, pinFile)
	text, err := readOwned(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		c.unknown("pin file", "%s is not there; people need copies of it to log in", path)
	case err != nil:
		c.fail("pin file", err)
	case string(text) != string(pin(log.Origin(), log.PublicKey(), userCA)):
		c.fail("pin file", fmt.Errorf("%s does not say what entry 0 says; whoever got it can't log in", path))
	default:
		c.pass("pin file", "%s says what entry 0 says", pinFile)
	}
}

func (c *checkup) vault(ctx context.Context, settings config, public ssh.PublicKey) {
	v := settings.CA.Vault.config(c.dir)
	v.Public = public
	s, err := vault.Open(ctx, v)
	if err == nil {
		err = errors.Join(s.Ready(ctx), s.Close())
	}
	if err != nil {
		c.fail("user CA", fmt.Errorf("ca.vault: %w", err))
		return
	}
	c.pass("user CA", "Vault at %s has the key that entry 0 names", settings.CA.Vault.Address)
}

// contracts tells which are in force, and whether settings and contracts name the
// same identity providers.
func (c *checkup) contracts(ctx context.Context, db *store.Store, i *authority.Inspection, settings config, haveSettings bool) {
	var issuers []authority.Issuer
	inForce := 0
	err := db.Read(ctx, func(r *store.Reader) error {
		rows, err := authority.Contracts(r)
		if err != nil {
			return err
		}
		now := canon.At(c.now)
		for _, row := range rows {
			name := fmt.Sprintf("contract %s", row.ID)
			switch {
			case row.InForceAt == 0:
				c.unknown(name, "version %d is recorded, but not signed by everybody it names", row.Version)
			case row.InForceAt > now:
				c.unknown(name, "version %d is in force from %s on", row.Version, row.InForceAt.Time().Format(time.RFC3339))
			default:
				inForce++
				c.pass(name, "version %d is in force since %s", row.Version, row.InForceAt.Time().Format(time.RFC3339))
			}
		}
		issuers, err = authority.Issuers(r, now)
		return err
	})
	switch {
	case err != nil:
		c.fail("contracts", err)
		return
	case inForce == 0:
		c.unknown("contracts", "none is in force, so nobody can log in")
	}
	if haveSettings {
		c.issuers(ctx, i, issuers, settings)
	}
}

func (c *checkup) issuers(ctx context.Context, i *authority.Inspection, issuers []authority.Issuer, settings config) {
	known := make([]string, len(issuers))
	for n, issuer := range issuers {
		known[n] = issuer.Ref
	}
	for _, ref := range slices.Sorted(maps.Keys(settings.Issuers)) {
		if !slices.Contains(known, ref) {
			c.fail("issuers", fmt.Errorf("issuers.%s in %s: no contract in force has it, %s", ref, configFile, strictyaml.Hint(ref, known)))
		}
	}
	for _, issuer := range issuers {
		name := "issuer " + issuer.Ref
		if !c.online {
			c.unknown(name, "%s was not asked; --online asks", issuer.Issuer.URL)
			continue
		}
		asking, cancel := context.WithTimeout(ctx, askTimeout)
		err := i.Provider(asking, issuer)
		cancel()
		if err != nil {
			c.fail(name, err)
			continue
		}
		c.pass(name, "%s answers with metadata and keys", issuer.Issuer.URL)
	}
}

// clock compares this machine's clock with the newest entry, as a write would.
func (c *checkup) clock(ctx context.Context, db *store.Store) {
	err := db.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		if err == nil {
			err = store.CheckClock(c.now, head)
		}
		return err
	})
	if err != nil {
		c.fail("clock", err)
		return
	}
	c.pass("clock", "this machine's is not behind the newest entry")
}
