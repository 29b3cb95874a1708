package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/sallyport/sallyport/audit"
	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/client"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

func ledgerFsckCommand(dir *string) *cobra.Command {
	return &cobra.Command{
		Use:   "fsck",
		Short: "Check every row of the database against the ledger",
		Long: `Builds everything again from the leaves and compares: the tree and its stored hashes, what each leaf hides, every row that
the leaves fold to and every list of them, byte for byte, the index by which leaves are found, the signed certificates, the signed checkpoints, the mark file.
Every leaf is replayed by the rules, so that one that was put in past them is named, too.

Each difference is one line. Exit code 0: there is none. 1: there are some, or it could not be read.

It only reads, so it runs beside "sallyd serve"; the database's write-ahead log grows meanwhile.`,
		Example: "  sallyd ledger fsck --dir /var/lib/sallyport",
		Args:    exactly(),
		RunE:    verb(func(cmd *cobra.Command, _ []string) error { return runFsck(cmd, *dir) }),
	}
}

// maxDifferences bounds how many are printed.
const maxDifferences = 200

// fsck compares a database with the ledger in it.
type fsck struct {
	r      *store.Reader
	out    io.Writer
	policy *ledger.Policy
	replay *audit.Replay
	mark   ledger.Checkpoint // zero if there is none that can be read

	tree     ledger.Tree
	folded   folded
	mentions mentionSums
	counted  struct{ nodes, rows, listed, certificates, checkpoints int64 }
	closed   []closedPart
	found    int
	err      error // of out
}

// closedPart is a leaf whose person part is not there, or does not open.
type closedPart struct {
	leaf  int64
	facts record.Facts // nil if they can't be read
	why   string
}

func runFsck(cmd *cobra.Command, dir string) error {
	if err := isFolder(dir); err != nil {
		return err
	}
	pin, err := client.ReadPin(filepath.Join(dir, pinFile))
	if err != nil {
		return err
	}
	f := &fsck{out: cmd.OutOrStdout(), folded: newFolded()}
	if f.policy, err = audit.PolicyOf([]string{pin.LogKey}); err != nil {
		return err
	}
	f.replay, err = audit.NewReplay(audit.Config{
		LogKeys: []string{pin.LogKey}, UserCA: pin.CA, AnyContract: true, ReadToken: client.ReadIDToken, Folded: f.folded.add,
	})
	if err != nil {
		return err
	}
	// Before the database is looked at: the mark is never ahead of it.
	if err := f.readMark(cmd.Context(), dir); err != nil {
		return err
	}
	if err := reading(cmd.Context(), dir, func(r *store.Reader) error {
		f.r = r
		return f.run(cmd.Context())
	}); err != nil {
		return err
	}
	return f.end()
}

// differ notes a difference.
func (f *fsck) differ(format string, args ...any) {
	f.found++
	if f.found > maxDifferences || f.err != nil {
		return
	}
	// What the database has may be anything.
	_, f.err = fmt.Fprintln(f.out, canon.Visible(fmt.Sprintf(format, args...)))
}

func (f *fsck) end() error {
	switch {
	case f.err != nil:
		return f.err
	case f.found > maxDifferences:
		return fmt.Errorf("%d differences, of which %d are told; do not sign with this database, and put a good copy back", f.found, maxDifferences)
	case f.found == 1:
		return errors.New("1 difference; do not sign with this database, and put a good copy back")
	case f.found > 0:
		return fmt.Errorf("%d differences; do not sign with this database, and put a good copy back", f.found)
	}
	c := f.counted
	_, err := fmt.Fprintf(f.out, "ok          leaves %d, hashes %d, rows %d, list entries %d, mentions %d, signed certificates %d, checkpoints %d\n",
		f.tree.Size, c.nodes, c.rows, c.listed, f.mentions.rows, c.certificates, c.checkpoints)
	return err
}

func (f *fsck) readMark(ctx context.Context, dir string) error {
	c, err := loadConfig(filepath.Join(dir, configFile))
	if err != nil {
		return err
	}
	m, err := c.Mark.open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	note, err := m.Load(ctx)
	if err == nil {
		f.mark, err = f.policy.OpenCheckpoint(note)
	}
	if err != nil {
		f.differ("mark: %v", err)
	}
	return nil
}

// run makes all comparisons. Its error means that they could not be made.
func (f *fsck) run(ctx context.Context) error {
	head, err := f.r.Head()
	if errors.Is(err, ledger.ErrTree) {
		f.differ("head: %v", err)
	} else if err != nil {
		return err
	}
	last, err := f.leaves(ctx)
	if err != nil {
		return err
	}
	f.checkHead(head, last)
	if err := f.beyond(); err != nil {
		return err
	}
	report, err := f.replay.Finish()
	if err != nil {
		return err
	}
	if err := f.erased(); err != nil {
		return err
	}
	for _, l := range report.Findings {
		f.differ("leaf %d: %s may not stand there: %s", l.Leaf, l.Kind, l.Rule)
	}
	for _, c := range report.Certificates {
		if c.Failed() {
			f.differ("certificate %d: %s by leaf %d: %s", c.Serial, c.Verdict, c.Cause, c.Rule)
		}
	}
	return f.tables()
}

// erased tells the person parts that were erased from those that are missing, and
// finds what of erased people is there again.
func (f *fsck) erased() error {
	state := f.replay.State()
	gone := func(facts record.Facts) bool {
		if facts == nil {
			return false
		}
		people, err := record.About(state, facts)
		return err == nil && slices.ContainsFunc(people, func(id canon.ID) bool {
			_, err := record.Erased(state, id)
			return err == nil
		})
	}
	for _, c := range f.closed {
		if !gone(c.facts) {
			f.differ("leaf %d: its person part %s", c.leaf, c.why)
		}
	}
	people, err := f.r.Undestroyed()
	for _, id := range people {
		f.differ("person %s: erased, and what shows who it was is there again; start `sallyd serve`, which destroys it", id)
	}
	return err
}

// checkHead compares the head row with the leaves.
func (f *fsck) checkHead(head store.Head, last store.LeafRow) {
	want, err := f.tree.Root()
	if err != nil {
		f.differ("head: %v", err)
		return
	}
	have, err := head.Tree.Root()
	if err != nil || head.Tree.Size != f.tree.Size || have != want {
		f.differ("head: it is of %d leaves with root %s, the %d leaves have root %s", head.Tree.Size, have, f.tree.Size, want)
	}
	if head.At != last.At {
		f.differ("head: it is dated %d, the newest leaf %d", head.At, last.At)
	}
	if f.mark.Size > f.tree.Size {
		f.differ("mark: it is over %d leaves, the database has %d; it has lost some, which `sallyd ledger adopt` takes from a copy", f.mark.Size, f.tree.Size)
	}
}

// beyond finds what the database has behind the last leaf.
func (f *fsck) beyond() error {
	nodes, err := f.r.NodeRows(tlog.StoredHashIndex(0, f.tree.Size), 1)
	if err != nil {
		return err
	}
	if len(nodes) > 0 {
		f.differ("hash %d: no leaf is below it", nodes[0].Index)
	}
	checkpoints, err := f.r.CheckpointRows(f.tree.Size, ledger.MaxSize)
	if err != nil {
		return err
	}
	for _, c := range checkpoints {
		f.differ("checkpoint %d: there are %d leaves", c.Size, f.tree.Size)
	}
	certificates, err := f.r.CertificateRows(f.tree.Size, ledger.MaxSize)
	if err != nil {
		return err
	}
	for _, c := range certificates {
		f.differ("certificate %d: there are %d leaves", c.Serial, f.tree.Size)
	}
	return nil
}

// folded is what the leaves fold to beside the rows: which leaf wrote each last,
// and the lists.
type folded struct {
	writer map[record.Key]int64
	index  map[listKey]listed
}

type listKey struct {
	record.Key
	name string
}

type listed struct {
	value string
	leaf  int64 // that first listed it
}

func newFolded() folded {
	return folded{writer: make(map[record.Key]int64), index: make(map[listKey]listed)}
}

// add takes the rows that a leaf wrote, as a store applies them.
func (d folded) add(leaf int64, changes []record.Change) {
	for _, c := range changes {
		key := record.Key{Table: c.Table, ID: c.Key}
		if c.Gone {
			delete(d.writer, key)
			for _, i := range c.Index {
				delete(d.index, listKey{key, i.Name})
			}
			continue
		}
		d.writer[key] = leaf
		for _, i := range c.Index {
			first := leaf
			if before, ok := d.index[listKey{key, i.Name}]; ok {
				first = before.leaf
			}
			d.index[listKey{key, i.Name}] = listed{i.Value, first}
		}
	}
}
