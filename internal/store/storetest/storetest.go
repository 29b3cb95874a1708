// Package storetest owns the suite that every engine of the store passes: what
// the store promises about leaves, state, time, concurrency and durability,
// whatever database is under it. An engine's own test calls Exercise.
package storetest

import (
	"context"
	"database/sql"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sallyport/sallyport/canon"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
	"github.com/sallyport/sallyport/record/recordtest"
)

// Opener opens a database, each time the same one. The engine's schema is in
// place when it returns.
type Opener func(t *testing.T) store.Engine

// Exercise runs the suite. fresh makes a database that nobody has written to and
// returns its opener; it is called once for each test.
func Exercise(t *testing.T, fresh func(t *testing.T) Opener) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(*testing.T, *fixture)
	}{
		{"Empty", testEmpty},
		{"Append", testAppend},
		{"Lists", testLists},
		{"Pages", testPages},
		{"Mentions", testMentions},
		{"Search", testSearch},
		{"FirstAt", testFirstAt},
		{"PersonParts", testPersonParts},
		{"PromiseP13_ErasingDestroys", testErase},
		{"PromiseP11_RootIsThatOfAllLeaves", testRoot},
		{"PromiseP11_ReadHashes", testReadHashes},
		{"RefusedAppendLeavesNothing", testRefused},
		{"UnreadableFactsAreRefused", testUnreadable},
		{"PromiseP11_TimeNeverGoesBack", testTime},
		{"PromiseP14_TwoClocksDateNothing", testApart},
		{"PromiseP11_HeadMovedMeanwhile", testConflict},
		{"PromiseP04_SecondRowRefused", testSecondRow},
		{"ParallelWriters", testParallelWriters},
		{"BatchesHoldApart", testBatch},
		{"PromiseP11_HalfALeaf", testHalfALeaf},
		{"BatchesSeeWhatWaits", testSeesWhatWaits},
		{"PromiseP12_BatchesFold", testBatchesFold},
		{"PromiseP14_OneBrokenWriteSinksNoOther", testPoison},
		{"PromiseP14_DenyingIsServedFirst", testUrgent},
		{"GivesUpInLine", testGivesUp},
		{"PromiseP14_ClosingTurnsAway", testClosing},
		{"PromiseP14_TheWriterEnds", testGone},
		{"PromiseP11_AnUnknownOutcomeIsFoundOut", testUnknown},
		{"PromiseP11_NothingRestsOnAnUnknownOutcome", testUnsettled},
		{"PromiseP14_AnUnknownOutcomeAtTheEnd", testUnsettledAtTheEnd},
		{"ReadsSeeOneState", testSnapshot},
		{"PromiseP11_Durable", testDurable},
		{"Cancelled", testCancelled},
		{"Grown", testGrown},
		{"Versions", testVersions},
		{"Checkpoints", testCheckpoints},
		{"Certificates", testCertificates},
		{"Sessions", testSessions},
		{"ChallengesOnce", testChallenges},
		{"FlowsOnce", testFlows},
		{"UseOnce", testUseOnce},
		{"Cursors", testCursors},
		{"HeartbeatsAndBundles", testFleet},
		{"OnceInParallel", testOnceInParallel},
		{"Sweep", testSweep},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, newFixture(t, fresh(t)))
		})
	}
}

// ExerciseTogether has two stores write to one database, which fresh opens for
// several processes.
func ExerciseTogether(t *testing.T, fresh func(t *testing.T) Opener) {
	t.Helper()
	testOthersWrite(t, newFixture(t, fresh(t)))
}

// fixture is a store over a database of its own, with a clock that the test
// moves.
type fixture struct {
	t      *testing.T
	w      *recordtest.World
	open   Opener
	engine *watched
	s      *store.Store

	random failing

	mu    sync.Mutex
	now   time.Time
	apart time.Duration // of the database's clock from ours
}

// failing is a source of randomness that fails when it is told to.
type failing struct {
	io.Reader
	left atomic.Int64 // reads that succeed before one fails; below 0: all do
}

var errRandom = errors.New("the test has no randomness left")

// Read draws.
func (r *failing) Read(p []byte) (int, error) {
	if r.left.Load() >= 0 && r.left.Add(-1) < 0 {
		return 0, errRandom
	}
	return r.Reader.Read(p)
}

func newFixture(t *testing.T, open Opener) *fixture {
	t.Helper()
	f := &fixture{t: t, w: recordtest.New(t, t.Name()), open: open, now: recordtest.Start().Time()}
	f.random.Reader = f.w.Rand()
	f.random.left.Store(-1)
	f.reopen()
	t.Cleanup(func() {
		if err := f.s.Close(); err != nil {
			t.Errorf("closing: %v", err)
		}
	})
	return f
}

// reopen closes the store and opens the database anew, as a new process would.
func (f *fixture) reopen() {
	f.t.Helper()
	if f.s != nil {
		if err := f.s.Close(); err != nil {
			f.t.Fatalf("closing: %v", err)
		}
	}
	f.engine = &watched{Engine: f.open(f.t), clock: f.databaseClock}
	var err error
	if f.s, err = store.New(store.Config{Engine: f.engine, Now: f.clock, Rand: &f.random, Patience: patience}); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) clock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

func (f *fixture) databaseClock() time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now.Add(f.apart)
}

// setApart moves the database's clock away from ours.
func (f *fixture) setApart(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apart = d
}

func (f *fixture) pass(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = f.now.Add(d)
}

// watched remembers the newest writing transaction, so that a test can do to it
// what no caller of the store can.
type watched struct {
	store.Engine

	clock func() time.Time

	mu      sync.Mutex
	tx      *sql.Tx
	instead func(*sql.Tx) error // of the next commit; nil: the engine commits
}

// Clean is the engine's own.
func (e *watched) Clean(ctx context.Context) error {
	c, ok := e.Engine.(store.Cleaner)
	if !ok {
		return errors.New("the engine can't clean")
	}
	return c.Clean(ctx)
}

// Clock is that of a database whose clock the test moves.
func (e *watched) Clock() time.Time { return e.clock() }

func (e *watched) Begin(ctx context.Context) (*sql.Tx, error) {
	tx, err := e.Engine.Begin(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	e.tx = tx
	return tx, err
}

// moveHead does to the newest writing transaction what a second writer would
// that the lock did not keep out.
func (f *fixture) moveHead() error {
	_, err := f.engine.newest().ExecContext(f.t.Context(), `UPDATE head SET size = size + 1 WHERE id = 1`)
	return err
}

func (e *watched) newest() *sql.Tx {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.tx
}

// Ledger is a store's transaction as the builders of recordtest know a ledger.
type Ledger struct{ *store.Tx }

// Append adds a leaf, as store.Tx does.
func (l Ledger) Append(d recordtest.Draft) (canon.Digest, error) {
	a, err := l.Tx.Append(store.Draft{Facts: d.Facts, Person: d.Person, PersonID: d.PersonID, PersonSalt: d.PersonSalt})
	return a.Hash, err
}

// facts appends a leaf without person part.
func (l Ledger) facts(f record.Facts) error {
	_, err := l.Append(recordtest.Draft{Facts: f})
	return err
}

func (f *fixture) write(fn func(Ledger) error) error {
	return f.s.Write(f.t.Context(), func(tx *store.Tx) error { return fn(Ledger{tx}) })
}

func (f *fixture) mustWrite(fn func(Ledger) error) {
	f.t.Helper()
	if err := f.write(fn); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) mustRead(fn func(*store.Reader) error) {
	f.t.Helper()
	if err := f.s.Read(f.t.Context(), fn); err != nil {
		f.t.Fatal(err)
	}
}

// setup appends the beginning of every story.
func (f *fixture) setup() {
	f.t.Helper()
	f.mustWrite(func(l Ledger) error {
		f.w.Setup(l)
		return nil
	})
}

func (f *fixture) head() store.Head {
	f.t.Helper()
	var head store.Head
	f.mustRead(func(r *store.Reader) (err error) {
		head, err = r.Head()
		return err
	})
	return head
}

func (f *fixture) entries() []store.Entry {
	f.t.Helper()
	var all []store.Entry
	f.mustRead(func(r *store.Reader) (err error) {
		all, err = r.Entries(1<<40, 1000)
		return err
	})
	return all
}

// unchanged runs do and holds the ledger to not having changed by it.
func (f *fixture) unchanged(do func()) {
	f.t.Helper()
	before, entries := f.head(), len(f.entries())
	do()
	after := f.head()
	if after.Tree.Size != before.Tree.Size || after.At != before.At || f.root(after) != f.root(before) || len(f.entries()) != entries {
		f.t.Errorf("the head went from %d to %d leaves, the entries from %d to %d", before.Tree.Size, after.Tree.Size, entries, len(f.entries()))
	}
}

func (f *fixture) root(h store.Head) string {
	f.t.Helper()
	root, err := h.Tree.Root()
	if err != nil {
		f.t.Fatal(err)
	}
	return root.String()
}

// wants reports an error that is not want.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
