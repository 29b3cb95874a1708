package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"reflect"
	"sync"
	"testing"

	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/record"
)

// Bare is a database on which nothing was done yet.
type Bare struct {
	// Connect opens it without looking at its schema, each time the same one.
	Connect func(t *testing.T) (migration store.Migration, end func() error)
	// Open opens it as a server does.
	Open func(t *testing.T) (store.Engine, error)
}

// ExerciseMigrations runs the suite of how a schema is brought up. The steps
// beyond those that there are, are the suite's own.
func ExerciseMigrations(t *testing.T, bare func(t *testing.T) Bare) {
	t.Helper()
	for _, tt := range []struct {
		name string
		run  func(*testing.T, Bare)
	}{
		{"FromNothing", testFromNothing},
		{"BesideTheReleaseBefore", testBeside},
		{"Refused", testRefusedSchemas},
		{"SeveralAtOnce", testMigrationsAtOnce},
		{"EndedInBetween", testMigrationEnds},
		{"FillsTheIndex", testMigrationFills},
		{"ListsWhatIsVoid", testMigrationListsVoid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.run(t, bare(t))
		})
	}
}

const newest = store.Schema

// migrate takes more steps after those that there are.
func (b Bare) migrate(t *testing.T, more ...store.Step) (store.Level, error) {
	t.Helper()
	m, end := b.Connect(t)
	m.Steps = append(m.Steps, more...)
	from, err := m.Run(t.Context())
	if err := end(); err != nil {
		t.Error(err)
	}
	return from, err
}

func (b Bare) level(t *testing.T) (l store.Level) {
	t.Helper()
	m, end := b.Connect(t)
	inMigration(t, m, func(tx *sql.Tx) (err error) {
		l, err = m.Level(t.Context(), tx)
		return err
	})
	if err := end(); err != nil {
		t.Error(err)
	}
	return l
}

func inMigration(t *testing.T, m store.Migration, do func(*sql.Tx) error) {
	t.Helper()
	tx, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(do(tx), tx.Rollback()); err != nil {
		t.Error(err)
	}
}

// exists reports whether a table is there.
func (b Bare) exists(t *testing.T, table string) (there bool) {
	t.Helper()
	m, end := b.Connect(t)
	inMigration(t, m, func(tx *sql.Tx) (err error) {
		there, err = m.Exists(t.Context(), tx, table)
		return err
	})
	if err := end(); err != nil {
		t.Error(err)
	}
	return there
}

// step is one of the suite's own: a new table, beside which programs of the schema
// oldest still work.
func step(version, oldest int, statements ...string) store.Step {
	return store.Step{Version: version, Oldest: oldest, Statements: statements}
}

func testFromNothing(t *testing.T, b Bare) {
	if l := b.level(t); l != (store.Level{}) {
		t.Errorf("an empty database is at %+v", l)
	}
	for _, want := range []int{0, newest} {
		from, err := b.migrate(t)
		if err != nil || from.Version != want {
			t.Errorf("brought up from %+v, %v; want %d", from, err, want)
		}
	}
	if l := b.level(t); l.Version != newest {
		t.Errorf("then it is at %+v", l)
	}
	e, err := b.Open(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

// testBeside: a server of this release goes on writing while the next one's steps
// are taken, and is started again after them.
func testBeside(t *testing.T, b Bare) {
	if _, err := b.migrate(t); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(t *testing.T) store.Engine {
		e, err := b.Open(t)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	f.setup()
	started, stop, ended := make(chan struct{}), make(chan struct{}), make(chan int)
	go func() {
		n := 0
		for ; ; n++ {
			if n == 1 {
				close(started)
			}
			select {
			case <-stop:
				ended <- n
				return
			default:
				if err := f.write(func(l Ledger) error { return l.Sweep() }); err != nil && !errors.Is(err, store.ErrConflict) {
					t.Errorf("a write beside the migration: %v", err)
				}
			}
		}
	}()
	<-started
	from, err := b.migrate(t,
		step(newest+1, newest, `CREATE TABLE note (id TEXT PRIMARY KEY)`, `ALTER TABLE session ADD COLUMN note TEXT`),
		step(newest+2, newest, `CREATE INDEX session_note ON session (note)`))
	close(stop)
	if n := <-ended; err != nil || from.Version != newest || n == 0 {
		t.Errorf("from %+v, %v, beside %d writes", from, err, n)
	}
	f.mustWrite(func(l Ledger) error {
		return l.PutSession(store.SecretHash("s"), f.session(store.CLI, store.MaxSession))
	})
	f.reopen()
	f.mustWrite(func(l Ledger) error { return l.facts(f.w.Join(l, "web-3.demo", "demo")) })
	f.consistent()
}

func testRefusedSchemas(t *testing.T, b Bare) {
	if _, err := b.migrate(t, step(newest+1, newest+1, `CREATE TABLE note (id TEXT PRIMARY KEY)`)); err != nil {
		t.Fatal(err)
	}
	_, err := b.Open(t)
	wants(t, "a schema that needs a newer release", err, store.ErrSchema)
	if l := b.level(t); l != (store.Level{Version: newest + 1, Oldest: newest + 1}) {
		t.Errorf("it is at %+v", l)
	}
	// A release that does not know the newer steps takes none of its own again.
	if from, err := b.migrate(t); err != nil || from.Version != newest+1 {
		t.Errorf("from %+v, %v", from, err)
	}
}

// testMigrationsAtOnce: of several at once each step is taken by one.
func testMigrationsAtOnce(t *testing.T, b Bare) {
	var group sync.WaitGroup
	for range 4 {
		m, end := b.Connect(t)
		m.Steps = append(m.Steps, step(newest+1, newest, `CREATE TABLE one (id TEXT PRIMARY KEY)`), step(newest+2, newest, `CREATE TABLE two (id TEXT PRIMARY KEY)`))
		group.Go(func() {
			if _, err := m.Run(t.Context()); err != nil {
				t.Error(err)
			}
			if err := end(); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	if l := b.level(t); l.Version != newest+2 || !b.exists(t, "one") || !b.exists(t, "two") {
		t.Errorf("it is at %+v", l)
	}
}

// testMigrationEnds: what ends a migration leaves whole steps, and the next run
// goes on behind them.
func testMigrationEnds(t *testing.T, b Bare) {
	good := step(newest+1, newest, `CREATE TABLE one (id TEXT PRIMARY KEY)`)
	from, err := b.migrate(t, good, step(newest+2, newest, `CREATE TABLE two (id TEXT PRIMARY KEY)`, `CREATE TABLE two (id TEXT PRIMARY KEY)`))
	if err == nil || from.Version != 0 {
		t.Errorf("a step that fails: %v, from %+v", err, from)
	}
	if l := b.level(t); l.Version != newest+1 || !b.exists(t, "one") || b.exists(t, "two") {
		t.Errorf("then it is at %+v", l)
	}
	// As if the process had ended with a step's last statement.
	m, end := b.Connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	begin := m.Begin
	m.Begin = func(ctx context.Context) (*sql.Tx, error) {
		tx, err := begin(ctx)
		cancel()
		return tx, err
	}
	m.Steps = append(m.Steps, good, step(newest+2, newest, `CREATE TABLE two (id TEXT PRIMARY KEY)`))
	if _, err := m.Run(ctx); err == nil {
		t.Error("a migration whose process ended went through")
	}
	if err := end(); err != nil {
		t.Error(err)
	}
	if b.exists(t, "two") {
		t.Error("half a step stands")
	}
	if from, err := b.migrate(t, good, step(newest+2, newest, `CREATE TABLE two (id TEXT PRIMARY KEY)`)); err != nil || from.Version != newest+1 {
		t.Errorf("the next run: from %+v, %v", from, err)
	}
	if l := b.level(t); l.Version != newest+2 || !b.exists(t, "two") {
		t.Errorf("at the end it is at %+v", l)
	}
}

// testMigrationFills: a migration goes over the leaves that were there before the
// index, and over those that a program without it appended since.
func testMigrationFills(t *testing.T, b Bare) {
	if _, err := b.migrate(t); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(t *testing.T) store.Engine {
		e, err := b.Open(t)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	f.setup()
	f.tale(80)
	for _, from := range []int64{0, 40, f.head().Tree.Size - 1} {
		f.unmention(from)
		if _, err := b.migrate(t); err != nil {
			t.Fatal(err)
		}
		f.indexed(fmt.Sprintf("filled from leaf %d on", from))
	}
}

// testMigrationListsVoid: void certificates of a database from before are listed by
// the leaves that void them, as those that come later are.
func testMigrationListsVoid(t *testing.T, b Bare) {
	if _, err := b.migrate(t); err != nil {
		t.Fatal(err)
	}
	f := newFixture(t, func(t *testing.T) store.Engine {
		e, err := b.Open(t)
		if err != nil {
			t.Fatal(err)
		}
		return e
	})
	f.setup()
	f.tale(80)
	listed := func() (out []store.Listed) {
		f.mustRead(func(r *store.Reader) (err error) {
			out, err = r.Before(record.TableCertificate, "void", "", 1<<40, 100)
			return err
		})
		return out
	}
	want := listed()
	if len(want) == 0 {
		t.Fatal("no certificate is void")
	}
	m, end := b.Connect(t)
	tx, err := m.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`DELETE FROM state_index WHERE tbl = 'certificate' AND name = 'void'`, `DROP TABLE heartbeat`, `DROP TABLE bundle`,
		`DELETE FROM schema_version WHERE version > 3`,
	} {
		if _, err := tx.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
	if err := end(); err != nil {
		t.Fatal(err)
	}
	if len(listed()) != 0 {
		t.Fatal("they are still listed")
	}
	if _, err := b.migrate(t); err != nil {
		t.Fatal(err)
	}
	if got := listed(); !reflect.DeepEqual(got, want) {
		t.Errorf("%d are listed, want %d", len(got), len(want))
	}
}
