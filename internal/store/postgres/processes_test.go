package postgres

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sallyport/sallyport/approval"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/ledger"
	"github.com/sallyport/sallyport/record"
)

// Several processes write at once: no leaf twice, none missing, and the tree is
// that of all leaves.
func TestPromiseP11_ProcessesWriteOneLedger(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	all := []*process{newProcess(t, c, time.Minute), newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)}
	all[0].setup()
	const writers, each = 4, 6
	var group sync.WaitGroup
	for n, p := range all {
		for w := range writers {
			group.Go(func() {
				for i := range each {
					wants(t, "a write", p.join(fmt.Sprintf("h-%d-%d-%d.demo", n, w, i), nil), nil)
				}
			})
		}
	}
	group.Wait()
	hosts := all[1].hosts()
	for n := range all {
		for w := range writers {
			for i := range each {
				if name := fmt.Sprintf("h-%d-%d-%d.demo", n, w, i); hosts[name] != 1 {
					t.Errorf("%s joined %d times", name, hosts[name])
				}
			}
		}
	}
	must(t, all[2].Read(t.Context(), wholeTree))
}

// One person decides through two processes at the same time and counts once: the
// second sees the first one's decision, and is told so.
func TestPromiseP04_OnePersonThroughTwoProcesses(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	one, two := newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)
	one.setup()
	var deciding atomic.Int32 // functions that run now
	for range 5 {
		var pending approval.Request
		must(t, one.Write(t.Context(), func(tx *store.Tx) error {
			l := ledgerOf(tx)
			ask := one.w.Ask(l, one.w.Alice)
			_, err := l.Append(one.w.Submit(l, one.w.Alice, ask))
			pending = one.w.Request(l, ask.Doc.Request)
			return err
		}))
		errs := make([]error, 2)
		var group sync.WaitGroup
		for n, p := range []*process{one, two} {
			group.Go(func() {
				errs[n] = p.Write(t.Context(), func(tx *store.Tx) error {
					if deciding.Add(1) > 1 {
						t.Error("each decides on what the other is about to change")
					}
					defer deciding.Add(-1)
					time.Sleep(20 * time.Millisecond) // long enough for the other to come, if nothing keeps it out
					_, err := ledgerOf(tx).Append(one.w.Decide(ledgerOf(tx), one.w.Bob, pending, approval.Approve, 0))
					return err
				})
			})
		}
		group.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("through one %v, through the other %v", errs[0], errs[1])
		}
		if err := errors.Join(errs...); !errors.Is(err, approval.ErrDecidedTwice) && !errors.Is(err, approval.ErrSettled) {
			t.Errorf("the second one: %v", err)
		}
	}
	must(t, two.Read(t.Context(), wholeTree))
}

// wholeTree builds the tree from the leaves and compares it with the head.
func wholeTree(r *store.Reader) error {
	head, err := r.Head()
	if err != nil {
		return err
	}
	stored, err := r.Stored(0, int(head.Tree.Size)+1)
	if err != nil {
		return err
	}
	var tree ledger.Tree
	for i, l := range stored {
		if l.Index != int64(i) {
			return fmt.Errorf("leaf %d stands where %d should", l.Index, i)
		}
		hash, err := ledger.ParseLeaf(l.Text)
		if err != nil {
			return err
		}
		leaf, err := hash.Hash()
		if err != nil {
			return err
		}
		if tree, _, err = tree.Append(leaf); err != nil {
			return err
		}
	}
	have, err := tree.Root()
	if err != nil {
		return err
	}
	if want, err := head.Tree.Root(); err != nil || have != want || tree.Size != head.Tree.Size {
		return fmt.Errorf("%d leaves with root %s, the head says %d with %s (%w)", tree.Size, have, head.Tree.Size, want, err)
	}
	return nil
}

// A process that stops in the middle of a write holds the head for as long as the
// server lets it. Then another goes on; what the first comes back with is refused,
// and made again behind that.
func TestPromiseP11_OneOfTwoWritersFrozen(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	c.limits = quick
	frozen, other := newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)
	frozen.setup()
	before := len(frozen.hosts())
	holding, resume, ended := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	ran := 0
	go func() {
		ended <- frozen.Write(t.Context(), func(tx *store.Tx) error {
			_, err := tx.Append(store.Draft{Facts: frozen.w.Join(ledgerOf(tx), "frozen.demo", "demo")})
			if ran++; ran == 1 {
				close(holding)
				<-resume
			}
			return err
		})
	}()
	<-holding
	wants(t, "another process's write", other.join("other.demo", nil), nil)
	close(resume)
	wants(t, "the write that comes back", <-ended, nil)
	if hosts := other.hosts(); hosts["frozen.demo"] != 1 || hosts["other.demo"] != 1 || len(hosts) != before+2 || ran != 2 {
		t.Errorf("the ledger has %v; it ran %d times", hosts, ran)
	}
	must(t, other.Read(t.Context(), func(r *store.Reader) error {
		first, err := r.First(record.TableHost, "other.demo")
		if err != nil {
			return err
		}
		if second, err := r.First(record.TableHost, "frozen.demo"); err != nil || second != first+1 {
			t.Errorf("the one that went on is leaf %d, the frozen one %d, %v", first, second, err)
		}
		return nil
	}))
	wants(t, "its next write", frozen.join("later.demo", nil), nil)
	must(t, frozen.Read(t.Context(), wholeTree))
}

// A database is one process's alone, or shared by those that share the mark.
func TestPromiseP11_ASecondProcessNeedsASharedMark(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	c.limits = quick
	alone := newAlone(t, c)
	alone.setup()
	for _, shared := range []bool{false, true} {
		c.Shared = shared
		second := opened(t, c)
		_, err := second.Begin(t.Context())
		if !errors.Is(err, errInUse) || !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("beside one that has the database to itself, shared %t: %v", shared, err)
		}
		must(t, second.Close())
	}
	must(t, alone.Close())
	one, two := newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)
	wants(t, "one of two that share", one.join("one.demo", nil), nil)
	wants(t, "the other", two.join("two.demo", nil), nil)
	c.Shared = false
	third := opened(t, c)
	if _, err := third.Begin(t.Context()); !errors.Is(err, errInUse) {
		t.Errorf("alone, beside two that share: %v", err)
	}
	must(t, third.Close())
}

// Readers of one process are woken by what another commits: by its notice, and if
// that is lost by looking.
func TestGrownByAnotherProcess(t *testing.T) {
	t.Parallel()
	c := fresh(t)
	c.limits = quick
	writer, reader := newProcess(t, c, time.Minute), newProcess(t, c, time.Minute)
	writer.setup()
	silent := newProcessOver(t, silentEngine{opened(t, shared(c))}, time.Minute)
	for n, p := range []*process{writer, silent, writer} {
		name := fmt.Sprintf("grown-%d.demo", n)
		must(t, p.join(name, nil))
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			grown := reader.Grown()
			if reader.hosts()[name] == 1 {
				break
			}
			select {
			case <-grown:
			case <-ctx.Done():
				t.Fatalf("nobody told of %s", name)
			}
		}
		// Who reads up to the end and waits is woken by the next leaf.
		grown := reader.Grown()
		must(t, p.join("then-"+name, nil))
		select {
		case <-grown:
		case <-ctx.Done():
			t.Fatalf("nobody told of what came after %s", name)
		}
		// A lost connection is replaced.
		must(t, cluster.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%FROM head WHERE id = 1' AND datname = '`+databaseOf(t, c)+`'`))
	}
}

// silentEngine tells nobody of its commits.
type silentEngine struct{ *Engine }

func (silentEngine) Commit(tx *sql.Tx) error { return tx.Commit() }

// The server's errors are told apart: somebody else was first, or the database is
// not available. A real server raises each.
func TestErrorsAreMapped(t *testing.T) {
	t.Parallel()
	e := opened(t, fresh(t))
	t.Cleanup(func() { must(t, e.Close()) })
	for code, want := range map[string]error{
		"23505": store.ErrConflict,    // unique_violation
		"23514": store.ErrConflict,    // check_violation
		"40001": store.ErrConflict,    // serialization_failure
		"40P01": store.ErrConflict,    // deadlock_detected
		"55P03": store.ErrConflict,    // lock_not_available
		"53100": store.ErrUnavailable, // disk_full
		"53200": store.ErrUnavailable, // out_of_memory
		"53300": store.ErrUnavailable, // too_many_connections
		"57014": store.ErrUnavailable, // query_canceled
		"57P01": store.ErrUnavailable, // admin_shutdown
		"25006": store.ErrUnavailable, // read_only_sql_transaction
		"58030": store.ErrUnavailable, // io_error
		"XX001": store.ErrUnavailable, // data_corrupted
		"42P01": store.ErrUnavailable, // undefined_table
	} {
		tx, err := e.Begin(t.Context())
		must(t, err)
		_, err = tx.ExecContext(t.Context(), `DO $$ BEGIN RAISE EXCEPTION 'on purpose' USING ERRCODE = '`+code+`'; END $$`)
		if answer, ok := errors.AsType[*pgconn.PgError](err); !ok || answer.Code != code {
			t.Errorf("%s: the server said %v", code, err)
		}
		wants(t, code, e.MapError(err), want)
		must(t, tx.Rollback())
	}
	for _, err := range []error{nil, context.Canceled, store.ErrBusy, errors.New("somebody's own")} {
		if got := e.MapError(err); !errors.Is(got, err) || errors.Is(got, store.ErrUnavailable) != errors.Is(err, store.ErrUnavailable) {
			t.Errorf("%v became %v", err, got)
		}
	}
}

func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	e := opened(t, fresh(t))
	tx, err := e.Read(t.Context())
	must(t, err)
	if _, err := tx.ExecContext(t.Context(), `UPDATE head SET size = 7`); err == nil {
		t.Error("a reader moved the head")
	}
	must(t, errors.Join(tx.Rollback(), e.Close()))
}

// A server that stands still is given up, reading and writing, and works again
// when it goes on.
func TestPromiseP14_AServerThatStandsStill(t *testing.T) {
	t.Parallel()
	both := newPair(t)
	c := both.config()
	c.URL, c.limits = both.primary.URL(both.database), quick
	p := newProcess(t, c, time.Second)
	p.setup()
	must(t, both.primary.Pause(t.Context()))
	wants(t, "a write", p.join("still.demo", nil), store.ErrUnavailable)
	wants(t, "a read", p.Read(t.Context(), func(r *store.Reader) error {
		_, err := r.Head()
		return err
	}), store.ErrUnavailable)
	must(t, both.primary.Resume())
	must(t, lookForWrite(t.Context(), p, "goes-on.demo"))
	must(t, p.Read(t.Context(), wholeTree))
}
