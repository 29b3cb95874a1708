package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca/vault"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/contract/strictyaml"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

// askTimeout bounds one question to an identity provider.
const askTimeout = 10 * time.Second

// ledger checks what the database holds, against keys, mark and pin file.
func (c *checkup) ledger(ctx context.Context, db *store.Store, keys folderKeys, settings config, haveSettings bool) {
	if keys.log != nil {
		secrets, err := settings.secrets(c.dir, c.getenv)
		if err != nil {
			secrets = nil
		}
		mark, err := settings.Mark.open(c.dir, nil)
		if err != nil {
			c.fail("mark", err)
			return
		}
		i, err := authority.Inspect(authority.Config{
			Store: db, CA: keys.userCA, Log: keys.log, Mark: mark, Now: func() time.Time { return c.now }, Rand: rand.Reader, Secrets: secrets,
		})
		if err != nil {
			c.fail("ledger", errors.Join(err, closeIt(mark)))
			return
		}
		c.inspect(ctx, i, keys, settings)
		c.contracts(ctx, db, i, settings, haveSettings)
		if err := closeIt(mark); err != nil {
			c.fail("mark", err)
		}
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
	if v := settings.Mark.Vault; v != nil && !c.online {
		c.unknown("mark", "in Vault at %s, which was not asked; --online asks", v.Address)
	} else if signed, have, err := i.Mark(ctx); err != nil {
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
		c.cosigners(issuers, settings)
	}
}

// cosigners tells of the cosigners that contracts in force name: an address that is
// missing stops their contract, one that nobody names is of no use.
func (c *checkup) cosigners(issuers []authority.Issuer, settings config) {
	named := make(map[string]bool)
	seen := make(map[canon.Digest]bool)
	for _, i := range issuers {
		if seen[i.Contract.Digest] {
			continue
		}
		seen[i.Contract.Digest] = true
		for _, one := range i.Contract.Terms.Cosigners {
			named[one.Name()] = true
			name := "cosigner " + one.Name()
			key, err := ledger.ParseCosignerKey(one.Key)
			if err == nil {
				_, err = settings.Cosigners.reach(key)
			}
			if err != nil {
				c.fail(name, fmt.Errorf("contract %s names it: %w", i.Contract.Terms.ID, err))
				continue
			}
			c.pass(name, "of %s in contract %s, at %s", one.Party, i.Contract.Terms.ID, settings.Cosigners[one.Name()].URL)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(settings.Cosigners)) {
		if !named[name] {
			c.unknown("cosigners", "%s in %s: no contract in force names it", name, configFile)
		}
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
