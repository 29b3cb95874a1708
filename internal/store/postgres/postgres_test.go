package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/sallyport/sallyport/internal/lab"
	labpostgres "github.com/sallyport/sallyport/internal/lab/postgres"
	"github.com/sallyport/sallyport/internal/store"
	"github.com/sallyport/sallyport/internal/store/storetest"
	"github.com/sallyport/sallyport/ledger"
)

// cluster is what the tests of this package share, each with a database of its own.
var (
	cluster  *labpostgres.Cluster
	template string // a database with a schema
)

func TestMain(m *testing.M) {
	code, err := withCluster(m.Run)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withCluster(run func() int) (code int, err error) {
	w, err := lab.NewDir()
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, w.Remove()) }()
	ctx, cancel := testContext()
	defer cancel()
	if cluster, err = labpostgres.Start(ctx, w, "cluster"); err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if template, err = makeTemplate(ctx, cluster); err != nil {
		return 1, err
	}
	return run(), nil
}

func TestStore(t *testing.T) {
	t.Parallel()
	storetest.Exercise(t, func(t *testing.T) storetest.Opener {
		c := fresh(t)
		return func(t *testing.T) store.Engine { return opened(t, c) }
	})
}

func TestPromiseP11_OthersWrite(t *testing.T) {
	t.Parallel()
	storetest.ExerciseTogether(t, func(t *testing.T) storetest.Opener {
		c := fresh(t)
		c.Shared = true
		return func(t *testing.T) store.Engine { return opened(t, c) }
	})
}

func TestMigrations(t *testing.T) {
	t.Parallel()
	storetest.ExerciseMigrations(t, func(t *testing.T) storetest.Bare {
		c := newDatabase(t, cluster, "template1")
		return storetest.Bare{
			Connect: func(t *testing.T) (store.Migration, func() error) {
				e := connected(t, c)
				return e.Migration(), e.Close
			},
			Open: func(t *testing.T) (store.Engine, error) { return Open(t.Context(), c) },
		}
	})
}

// fresh is a database of the shared cluster with a schema and nothing in it: one
// that an earlier test has left, emptied, for making them takes long.
func fresh(t *testing.T) Config {
	t.Helper()
	free.Lock()
	defer free.Unlock()
	var name string
	if n := len(free.names); n > 0 {
		name, free.names = free.names[n-1], free.names[:n-1]
	} else {
		name = databaseOf(t, newDatabase(t, cluster, template))
	}
	t.Cleanup(func() {
		must(t, empty(name))
		free.Lock()
		defer free.Unlock()
		free.names = append(free.names, name)
	})
	return configFor(cluster, name)
}

// free are the databases that no test uses.
var free struct {
	sync.Mutex
	names []string // guarded by the mutex
}

// empty takes everything out of a database.
func empty(name string) error {
	ctx, cancel := testContext()
	defer cancel()
	db, err := cluster.AdminOf(name)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `DO $$ DECLARE t name; BEGIN
		FOR t IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT IN ('schema_version', 'head', 'mentioned') LOOP
			EXECUTE format('DELETE FROM %I', t);
		END LOOP;
	END $$`)
	if err == nil {
		var tree []byte
		if tree, err = (ledger.Tree{}).Marshal(); err == nil {
			_, err = db.ExecContext(ctx, `UPDATE head SET size = 0, tree = $1, at_us = 0`, tree)
		}
	}
	if err == nil {
		_, err = db.ExecContext(ctx, `UPDATE mentioned SET size = 0`)
	}
	return errors.Join(err, db.Close())
}

// newDatabase is a copy of a template.
func newDatabase(t *testing.T, on *labpostgres.Cluster, template string) Config {
	t.Helper()
	name, err := on.NewDatabase(t.Context(), template)
	if err != nil {
		t.Fatal(err)
	}
	return configFor(on, name)
}

func configFor(on *labpostgres.Cluster, name string) Config {
	return Config{URL: on.URL(name), Password: func() (string, error) { return on.Password(), nil }, AcceptAsynchronous: true}
}

// makeTemplate makes a database with a schema, to be copied.
func makeTemplate(ctx context.Context, on *labpostgres.Cluster) (string, error) {
	name, err := on.NewDatabase(ctx, "template1")
	if err != nil {
		return "", err
	}
	e, err := Connect(ctx, configFor(on, name))
	if err != nil {
		return "", err
	}
	_, err = e.Migration().Run(ctx)
	return name, errors.Join(err, e.Close())
}

func connected(t *testing.T, c Config) *Engine {
	t.Helper()
	e, err := Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func opened(t *testing.T, c Config) *Engine {
	t.Helper()
	e, err := Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func testContext() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), 2*time.Minute)
}
