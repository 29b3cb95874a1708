package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/sys/unix"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/ca"
	"github.com/sallyport/sallyport/internal/metrics"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

// Files of the server's folder.
const (
	configFile   = "config.yaml"
	databaseFile = "ledger.db"
	logKeyFile   = "keys/log.key"
	userCAFile   = "keys/user-ca"
	hostCAFile   = "keys/host-ca"
	krlKeyFile   = "keys/krl"
	pinFile      = "pin.txt"
	markFile     = "mark"
	lockFile     = "lock"
)

// folder is the server's folder, locked: one process at a time writes to it.
type folder struct {
	path   string
	lock   *os.File
	store  *store.Store
	signer ca.Signer // nil for verbs that sign no certificate
	mark   authority.Mark
	auth   *authority.Authority
}

// isFolder refuses what `sallyd init` did not make.
func isFolder(path string) error {
	if path == "" {
		return errors.New("no folder named; give --dir DIR or set SALLYD_DIR")
	}
	_, settings := os.Stat(filepath.Join(path, configFile))
	_, database := os.Stat(filepath.Join(path, databaseFile))
	switch err := errors.Join(settings, database); {
	case errors.Is(settings, fs.ErrNotExist) && errors.Is(database, fs.ErrNotExist):
		return fmt.Errorf("%s is not a folder of sallyd; make one with `sallyd init DIR`, or check --dir", path)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("looking at the folder: %w", err)
	}
	return private(path)
}

// private refuses a folder that others can write to: they could put other files
// in place of its own.
func private(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return fmt.Errorf("looking at the folder: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("%s has mode %o; others can write to it, so make it 0700", path, mode)
	}
	return nil
}

// lockFolder takes the folder's lock, or says who has it.
func lockFolder(path string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(path, lockFile), os.O_RDWR|os.O_CREATE, 0o600) //nolint:gosec // the operator names the folder
	if err != nil {
		return nil, fmt.Errorf("locking the folder: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s is in use by another sallyd; stop `sallyd serve` first", path), f.Close())
	}
	return f, nil
}

// folderOptions is what only a serving folder needs. The zero value is for the
// other verbs: they only record, so they need no user CA key.
type folderOptions struct {
	logger  *slog.Logger
	secrets func(issuer string) string
	// signer opens the user CA key; public is what leaf 0 names.
	signer func(ctx context.Context, public ssh.PublicKey) (ca.Signer, error)
	// quorum says whose cosignatures certificates need, cosigners how to get them.
	quorum    ledger.Cosigners
	cosigners []authority.Cosigner
	// makeHostKeys makes the keys that sign for hosts where they are missing.
	makeHostKeys bool
	// metrics count what is done; nil: nobody does.
	metrics *metrics.Metrics
}

// openFolder locks the folder and opens its ledger.
func openFolder(ctx context.Context, path string, o folderOptions) (*folder, error) {
	if err := isFolder(path); err != nil {
		return nil, err
	}
	c, err := loadConfig(filepath.Join(path, configFile))
	if err != nil {
		return nil, err
	}
	if err := c.isThere(path); err != nil {
		return nil, err
	}
	lock, err := lockFolder(path)
	if err != nil {
		return nil, err
	}
	f := &folder{path: path, lock: lock}
	engine, err := c.openDatabase(ctx, path)
	if err == nil {
		err = f.open(ctx, engine, c, o, authority.Open)
	}
	if err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// open opens the keys and hands them, with the database, to start: authority.Create
// for a new ledger, authority.Open for an existing one.
func (f *folder) open(ctx context.Context, engine store.Engine, c config, o folderOptions,
	start func(context.Context, authority.Config) (*authority.Authority, error),
) error {
	var err error
	stored := store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader}
	if o.metrics != nil {
		stored.Observe = o.metrics.Wrote
	}
	f.store, err = store.New(stored)
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	logKey, err := readPrivate(f.file(logKeyFile))
	if err != nil {
		return err
	}
	logSigner, err := ledger.NewLogSigner(strings.TrimSuffix(logKey, "\n"))
	if err != nil {
		return fmt.Errorf("%s: %w; restore it from its backup", f.file(logKeyFile), err)
	}
	if f.mark, err = c.Mark.open(f.path, o.logger); err != nil {
		return fmt.Errorf("%w: %w", errConfig, err)
	}
	if o.signer != nil {
		if err := f.openSigner(ctx, o); err != nil {
			return err
		}
	}
	a := authority.Config{
		Store: f.store, CA: f.signer, Log: logSigner, Mark: f.mark, Now: time.Now, Rand: rand.Reader, Shared: c.shared(),
		Quorum: o.quorum, Cosigners: o.cosigners, Parties: c.Cosigners.reach, Secrets: o.secrets, Logger: o.logger,
	}
	if o.makeHostKeys {
		if err := f.makeHostKeys(logSigner.Origin()); err != nil {
			return err
		}
	}
	if err := f.openHostKeys(&a); err != nil {
		return err
	}
	if o.metrics != nil {
		a.Observer = o.metrics
	}
	f.auth, err = start(ctx, a)
	return err
}

func (f *folder) openSigner(ctx context.Context, o folderOptions) error {
	var public ssh.PublicKey
	err := f.store.Read(ctx, func(r *store.Reader) (err error) {
		public, err = authority.UserCA(r)
		return err
	})
	if err != nil {
		return err
	}
	f.signer, err = o.signer(ctx, public)
	return err
}

func (f *folder) close() error {
	var err error
	if f.auth != nil {
		f.auth.Close()
	}
	if f.store != nil {
		err = f.store.Close()
	}
	err = errors.Join(err, closeIt(f.signer), closeIt(f.mark))
	if f.lock != nil {
		err = errors.Join(err, f.lock.Close())
	}
	return err
}

func (f *folder) file(name string) string { return filepath.Join(f.path, name) }

// readPrivate reads a file that only its owner can read.
func readPrivate(path string) (string, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s is not there", path)
	}
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %o; others can read it, so make it 0600", path, mode)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the folder
	if err != nil {
		return "", fmt.Errorf("reading a key: %w", err)
	}
	return string(text), nil
}

// writeFile makes or replaces a file so that a crash leaves the old or the new
// one, and the new one is on disk when it returns.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	temp, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	_, err = temp.Write(text)
	err = errors.Join(err, temp.Chmod(mode), temp.Sync(), temp.Close())
	if err == nil {
		err = os.Rename(temp.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// authorizedKey is a public key as one line without comment and newline.
func authorizedKey(key ssh.PublicKey) string {
	return strings.TrimSuffix(string(ssh.MarshalAuthorizedKey(key)), "\n")
}
