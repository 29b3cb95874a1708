package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/authority"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
)

func ledgerAdoptCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "adopt BUNDLE|URL…",
		Short: "Give a restored database the leaves back that it has lost",
		Long: `Takes the leaves that the database of DIR has lost from export bundles: files, or addresses where such a file lies. What one does
not show may stand in another.

Nothing is written unless all of this holds: the bundles are of this ledger and have the root that its log key signed; they reach as
far as the mark says that was signed, with the same root; the database holds the same leaves up to where it ends; and every lost leaf
is shown with all that it hides. Each leaf then goes through the rules as when it was recorded: the same bytes, salts and times.
Person parts are sealed anew, sessions end, signed certificates are put back.

It can be interrupted and run again. docs/recovery.md has the whole way, and what to do where there is no copy.`,
		Example: "  sallyd ledger adopt --dir /var/lib/sallyport ledger.jsonl\n" +
			"  sallyd ledger adopt --dir /var/lib/sallyport https://mirror.acme.example/ledger.jsonl",
		Args: atLeastOne("BUNDLE"),
		RunE: verb(func(cmd *cobra.Command, args []string) error { return runAdopt(cmd, *dir, args) }),
	}
}

// atLeastOne demands an argument or more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 0 {
			return fmt.Errorf("%s is missing", name)
		}
		return nil
	}
}

func runAdopt(cmd *cobra.Command, dir string, sources []string) (err error) {
	ctx := cmd.Context()
	var done authority.Adopted
	err = adopting(ctx, dir, func(ctx context.Context, c authority.Config) (err error) {
		have, err := sizeOf(ctx, c.Store)
		if err != nil {
			return err
		}
		from := &bundles{logKey: c.Log.PublicKey(), dir: dir, have: have}
		defer func() { err = errors.Join(err, from.close()) }()
		for _, s := range sources {
			if err := from.add(ctx, s); err != nil {
				return err
			}
		}
		done, err = authority.Adopt(ctx, c, authority.Copy{Checkpoint: from.checkpoint, Leaves: from.leaves})
		return err
	})
	if err != nil {
		return err
	}
	out := cmd.OutOrStdout()
	if done.Had == done.Has {
		_, err = fmt.Fprintf(out, "adopted     no leaf: the database has all %d; certificates %d\n", done.Has, done.Certificates)
	} else {
		_, err = fmt.Fprintf(out, "adopted     leaves %d to %d, certificates %d\n", done.Had, done.Has-1, done.Certificates)
	}
	if err == nil {
		_, err = fmt.Fprintf(out, "sessions    ended; everybody logs in again\nnext        `sallyd --dir %s ledger fsck`, then `sallyd serve`\n", canon.Visible(canon.ShellWord(dir)))
	}
	return err
}

// adopting runs fn with all that an authority needs to take up leaves, while the
// folder is locked.
func adopting(ctx context.Context, dir string, fn func(context.Context, authority.Config) error) (err error) {
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
	lock, err := lockFolder(dir)
	if err != nil {
		return err
	}
	f := &folder{path: dir, lock: lock}
	defer func() { err = errors.Join(err, f.close()) }()
	engine, err := c.openDatabase(ctx, dir)
	if err != nil {
		return err
	}
	return f.open(ctx, engine, c, folderOptions{}, func(ctx context.Context, a authority.Config) (*authority.Authority, error) {
		return nil, fn(ctx, a)
	})
}

// sizeOf returns how many leaves a database has.
func sizeOf(ctx context.Context, s *store.Store) (size int64, err error) {
	err = s.Read(ctx, func(r *store.Reader) error {
		head, err := r.Head()
		size = head.Tree.Size
		return err
	})
	return size, err
}

// bundles are export bundles of one ledger, read as one: of each leaf what any of
// them shows.
type bundles struct {
	logKey string
	dir    string // where downloads lie for a while
	have   int64  // leaves of the database

	list       []bundle
	size       int64  // leaves of the longest
	checkpoint []byte // of that one
}

// bundle is a file whose tree was checked.
type bundle struct {
	name string // as the operator knows it
	file *os.File
	size int64
}

func (b *bundles) close() error {
	var errs []error
	for _, one := range b.list {
		errs = append(errs, one.close())
	}
	return errors.Join(errs...)
}

func (b bundle) close() error { return b.file.Close() }

// policy is what its checkpoints are held to.
func (b *bundles) policy() (*ledger.Policy, error) { return logPolicy(b.logKey) }
