package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/server"
)

func ledgerCommand(dir *string) *cobra.Command {
	return group("ledger", "Export the ledger, check the database against it, give it back what it lost, or succeed it",
		ledgerExportCommand(dir), ledgerFsckCommand(dir), ledgerAdoptCommand(dir), ledgerSucceedCommand())
}

func ledgerExportCommand(dir *string) *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "export --out FILE",
		Short: "Write the ledger with everything that it hides to one file",
		Long: `Writes the ledger as an export bundle, up to its newest signed checkpoint; with witnesses, the newest that they have confirmed.
Every opening is in it: facts, and the person parts that are not erased, ID tokens included. It is for those who may see all
of that; the file has mode 0600. "sally audit verify" reads it without this server.

It only reads, so it runs beside "sallyd serve".`,
		Example: "  sallyd ledger export --dir /var/lib/sallyport --out ledger.jsonl",
		Args:    exactly(),
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return runLedgerExport(cmd, *dir, out) }),
	}
	cmd.Flags().StringVar(&out, "out", "", "`FILE` to make; it must not be there (required)")
	_ = cmd.MarkFlagRequired("out") // the flag is there
	return cmd
}

func runLedgerExport(cmd *cobra.Command, dir, out string) error {
	var end audit.End
	var size int64
	if err := isFolder(dir); err != nil {
		return err
	}
	quorum, err := witnessesOf(dir)
	if err != nil {
		return err
	}
	err = newFile(out, func(w io.Writer) error {
		return reading(cmd.Context(), dir, func(r *store.Reader) error {
			head, err := r.Head()
			if err != nil {
				return err
			}
			size = head.Tree.Size
			checkpoint, err := confirmed(r, quorum)
			if err != nil {
				return err
			}
			end, err = server.WriteBundle(cmd.Context(), r, checkpoint, w, func(store.Entry) (facts, person bool, err error) { return true, true, nil })
			return err
		})
	})
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(cmd.OutOrStdout(), "wrote       %s\nleaves      %d, person parts %d, signed certificates %d\n", canon.Visible(out), end.Leaves, end.Persons, end.Certificates); err != nil {
		return err
	}
	if newer := size - end.Leaves; newer > 0 {
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "not in it   what is newer (%d), over which no checkpoint is signed or confirmed yet\n", newer)
	}
	return err
}

// witnessesOf returns whose words the settings of a folder ask for. A copy of a
// ledger without settings asks for nobody's.
func witnessesOf(dir string) (ledger.Cosigners, error) {
	path := filepath.Join(dir, configFile)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return ledger.Cosigners{}, nil
	}
	settings, err := loadConfig(path)
	if err != nil {
		return ledger.Cosigners{}, err
	}
	quorum, _, err := settings.Witnesses.cosigners()
	return quorum, err
}

// confirmed returns the newest signed checkpoint that has the words of the quorum.
func confirmed(r *store.Reader, quorum ledger.Cosigners) ([]byte, error) {
	size, _, newest, err := r.Checkpoint()
	if err != nil || quorum.Empty() {
		return newest, err
	}
	log, err := record.Log(r)
	if err != nil {
		return nil, err
	}
	policy, err := audit.PolicyOf([]string{log.LogKey})
	if err != nil {
		return nil, err
	}
	if policy, err = policy.WithCosigners(quorum); err != nil {
		return nil, err
	}
	for ; size > 0; size -= exportPage {
		rows, err := r.CheckpointRows(size-exportPage, size)
		if err != nil {
			return nil, err
		}
		for _, row := range slices.Backward(rows) {
			if _, err := policy.OpenCheckpoint(row.Note); err == nil {
				return row.Note, nil
			}
		}
	}
	return nil, errors.New("no checkpoint has the words of the witnesses that config.yaml asks for; start the server, and export when they have confirmed")
}

// exportPage is how many sizes are looked through at once for a checkpoint.
const exportPage = 1000

// reading reads one committed state of a folder's database, beside whoever serves
// it. It changes nothing.
func reading(ctx context.Context, dir string, fn func(*store.Reader) error) error {
	c, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	if c.Database == nil {
		return readingFile(ctx, dir, fn)
	}
	// As one server of several: whoever serves keeps its lock.
	engine, err := postgres.Open(ctx, c.Database.config(dir, true))
	if err != nil {
		return err
	}
	s, err := store.New(store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	return errors.Join(s.Read(ctx, fn), s.Close())
}

// readingFile is reading where the ledger lies in SQLite.
func readingFile(ctx context.Context, dir string, fn func(*store.Reader) error) (err error) {
	engine, err := sqlite.OpenReadOnly(ctx, filepath.Join(dir, databaseFile))
	if err != nil {
		return err
	}
	s, err := store.New(store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	err = s.Read(ctx, fn)
	if engine.Overtaken() {
		return errors.New("a server was started on this folder meanwhile, so what was read does not count; run this again")
	}
	return err
}

// newFile makes a file for its owner alone and has it written. What did not get
// finished is deleted.
func newFile(path string, write func(io.Writer) error) (err error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // the operator names the file
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already and is not replaced, so name another file", path)
	}
	if err != nil {
		return fmt.Errorf("making the file: %w", err)
	}
	if err = write(f); err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}
