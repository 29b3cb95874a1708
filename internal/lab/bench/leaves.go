package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sallyport/sallyport/internal/lab/postgres"
	"github.com/sallyport/sallyport/internal/store"
	pg "github.com/sallyport/sallyport/internal/store/postgres"
	"github.com/sallyport/sallyport/internal/store/sqlite"
	"github.com/sallyport/sallyport/record/recordtest"
)

// leaves measures how many leaves a second are durable when so many callers at a
// time wait for theirs: what comes while a batch is committed shares the next. A
// leaf is a login in a browser: it has a sealed person part, and no signature is
// checked.
func leaves(ctx context.Context, b *bench) error {
	if err := withSQLite(ctx, b.work.Path("leaves.db"), func(s *store.Store) error { return b.appending(ctx, "SQLite", s) }); err != nil {
		return err
	}
	return b.withPostgres(ctx, func(s *store.Store) error { return b.appending(ctx, "PostgreSQL", s) })
}

func withSQLite(ctx context.Context, path string, fn func(*store.Store) error) error {
	engine, err := sqlite.Open(ctx, path)
	if err != nil {
		return err
	}
	return withStore(engine, fn)
}

func withStore(engine store.Engine, fn func(*store.Store) error) (err error) {
	s, err := store.New(store.Config{Engine: engine, Now: time.Now, Rand: rand.Reader})
	if err != nil {
		return errors.Join(err, engine.Close())
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return fn(s)
}

// withPostgres starts a server of its own, with its own defaults: what it
// acknowledges is on the disk.
func (b *bench) withPostgres(ctx context.Context, fn func(*store.Store) error) (err error) {
	cluster, err := postgres.Start(ctx, b.work, "postgres")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	name, err := cluster.NewDatabase(ctx, "template1")
	if err != nil {
		return err
	}
	config := pg.Config{
		URL: cluster.URL(name), Password: func() (string, error) { return cluster.Password(), nil }, AcceptAsynchronous: true,
	}
	bare, err := pg.Connect(ctx, config)
	if err != nil {
		return err
	}
	if _, err := bare.Migration().Run(ctx); err != nil {
		return errors.Join(err, bare.Close())
	}
	if err := bare.Close(); err != nil {
		return err
	}
	engine, err := pg.Open(ctx, config)
	if err != nil {
		return err
	}
	return withStore(engine, fn)
}

func (b *bench) appending(ctx context.Context, name string, s *store.Store) error {
	w := recordtest.New(fataler{}, name)
	if err := s.Write(ctx, func(tx *store.Tx) error {
		return caught(func() error { w.Setup(transaction{tx}); return nil })
	}); err != nil {
		return err
	}
	var one float64
	for _, callers := range []int{1, 8, 64, 256} {
		n, took, err := b.appendFor(ctx, w, s, callers)
		if err != nil {
			return err
		}
		persecond := float64(n) / took.Seconds()
		if callers == 1 {
			one = persecond
		}
		beside := times(persecond, one) + " of one caller"
		if b.syncs > 0 {
			beside += ", " + times(persecond, b.syncs) + " of the disk's syncs"
		}
		b.figure(fmt.Sprintf("leaves on %s, %d callers", name, callers), rate(n, took), beside)
	}
	return nil
}

// appendFor lets callers append logins, each of a person of its own, for a while.
func (b *bench) appendFor(ctx context.Context, w *recordtest.World, s *store.Store, callers int) (int64, time.Duration, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var n atomic.Int64
	var all sync.WaitGroup
	begin := time.Now()
	for i := range callers {
		u := w.User(fmt.Sprintf("user-%d-%d", callers, i), "engineers")
		u.Device = nil // in a browser
		all.Go(func() {
			for time.Since(begin) < b.size.span && ctx.Err() == nil {
				err := s.Write(ctx, func(tx *store.Tx) error {
					l := transaction{tx}
					_, err := l.Append(w.Login(l, u))
					return err
				})
				if err != nil {
					cancel(err)
					return
				}
				n.Add(1)
			}
		})
	}
	all.Wait()
	return n.Load(), time.Since(begin), context.Cause(ctx)
}
